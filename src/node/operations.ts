/**
 * Admin actions that take a while, on record in a KV bucket. An id is made of what is asked for, so
 * two operators who ask for the same thing find one operation, and learn the same truth.
 */
import { type KV, Kvm } from '@nats-io/kv';
import type { NatsConnection } from 'nats';
import type { OperationDocument } from '../../cluster/documents.js';
import { UnderstudyError } from '../../replication/errors.js';
import { isWrongLast } from '../nats/kv-errors.js';
import { patiently } from '../nats/patience.js';
import type { Names } from '../nats/subjects.js';

export interface OperationRequest {
  readonly id: string;
  readonly kind: string;
  readonly target: string;
  readonly by: string;
  /** It may be asked for again when it is done: then it begins anew. */
  readonly repeatable?: boolean;
}

/** Tells how far a running operation is; again with the same name: how far that step is. */
export type Step = (name: string, detail?: string) => Promise<void>;

const kept = 1000;
const longestWaitMs = 60_000;
/** Whoever drives one tells of it more often than that, or is gone. */
const abandonedAfterMs = 60_000;

export class Operations {
  private constructor(private readonly kv: KV) {}

  /** Throws `broker-unavailable`. */
  static async open(connection: NatsConnection, names: Names): Promise<Operations> {
    const open = () => new Kvm(connection).open(names.operationsBucket);
    return new Operations(await patiently('open the operations', open));
  }

  /**
   * Starts the operation, or finds the one that was asked for before. `run` throws to fail it; what
   * it returns is the last step's detail.
   */
  async start(
    { repeatable = false, ...request }: OperationRequest,
    run: (step: Step) => Promise<string>,
  ): Promise<OperationDocument> {
    const now = new Date().toISOString();
    const begun: OperationDocument = {
      ...request,
      state: 'running',
      step: 'started',
      attempts: 1,
      lastError: null,
      createdAt: now,
      updatedAt: now,
      steps: [{ name: 'started', at: now }],
    };
    const existing = await this.#record(begun, repeatable);
    if (existing !== null) return existing;
    void this.#drive(begun, run);
    return begun;
  }

  /** Null: recorded, ours to run. Otherwise the operation that is there already. */
  async #record(begun: OperationDocument, repeatable: boolean): Promise<OperationDocument | null> {
    try {
      await this.kv.create(begun.id, JSON.stringify(begun));
      return null;
    } catch (error) {
      if (!isWrongLast(error)) throw error;
    }
    const entry = await this.kv.get(begun.id);
    if (entry === null || entry.operation !== 'PUT') throw contended(begun.id);
    const found = entry.json<OperationDocument>();
    const isOver = found.state === 'failed' || isAbandoned(found);
    const isDone = found.state === 'done';
    if (!isOver && !(isDone && repeatable)) return found;
    const attempts = found.attempts + 1;
    const again = isDone ? begun : { ...begun, attempts, createdAt: found.createdAt };
    try {
      await this.kv.put(begun.id, JSON.stringify(again), { previousSeq: entry.revision });
      return null;
    } catch (error) {
      if (isWrongLast(error)) throw contended(begun.id);
      throw error;
    }
  }

  async #drive(begun: OperationDocument, run: (step: Step) => Promise<string>): Promise<void> {
    let document = begun;
    const note = async (
      state: OperationDocument['state'],
      name: string,
      detail?: string,
      lastError: OperationDocument['lastError'] = null,
    ) => {
      const at = new Date().toISOString();
      const entry = detail === undefined ? { name, at } : { name, at, detail };
      const steps = stepsWith(document.steps, entry);
      document = { ...document, state, step: name, updatedAt: at, steps, lastError };
      await this.kv.put(document.id, JSON.stringify(document)).catch(() => undefined);
    };
    try {
      const detail = await run((name, text) => note('running', name, text));
      await note('done', 'done', detail);
    } catch (error) {
      const code = error instanceof UnderstudyError ? error.code : 'internal';
      const detail = error instanceof Error ? error.message : String(error);
      await note('failed', 'failed', detail, { code, detail });
    }
  }

  /** Waits up to `waitMs` for it to end. Throws `operation-not-found`. */
  async get(id: string, waitMs: number): Promise<OperationDocument> {
    const entry = await this.kv.get(id).catch(() => null);
    if (entry === null || entry.operation !== 'PUT') {
      throw new UnderstudyError('operation-not-found', `there is no operation ${id}`);
    }
    const found = entry.json<OperationDocument>();
    if (waitMs <= 0 || found.state !== 'running') return found;
    return this.#wait(id, Math.min(waitMs, longestWaitMs), found);
  }

  async #wait(id: string, waitMs: number, found: OperationDocument): Promise<OperationDocument> {
    const watch = await this.kv.watch({ key: id });
    const timer = setTimeout(() => watch.stop(), waitMs);
    let latest = found;
    for await (const entry of watch) {
      latest = entry.json<OperationDocument>();
      if (latest.state !== 'running') break;
    }
    clearTimeout(timer);
    return latest;
  }

  /** Newest first. */
  async list(): Promise<OperationDocument[]> {
    const found: OperationDocument[] = [];
    for await (const id of await this.kv.keys()) {
      if (found.length >= kept) break;
      found.push(await this.get(id, 0));
    }
    return found.sort((a, b) => (a.createdAt < b.createdAt ? 1 : -1));
  }
}

/** A step that is told of again stays one, from when it began: however long it takes, the list does not grow. */
function stepsWith(
  steps: OperationDocument['steps'],
  step: OperationDocument['steps'][number],
): OperationDocument['steps'] {
  const last = steps.at(-1);
  if (last?.name !== step.name) return [...steps, step];
  return [...steps.slice(0, -1), { ...step, at: last.at }];
}

function isAbandoned({ state, updatedAt }: OperationDocument): boolean {
  return state === 'running' && Date.now() - Date.parse(updatedAt) > abandonedAfterMs;
}

function contended(id: string): UnderstudyError {
  return new UnderstudyError('conflict', `operation ${id} is being started elsewhere; ask again`);
}
