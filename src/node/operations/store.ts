/**
 * Operations on record: one KV entry each, changed only by compare-and-set, and one entry with all locks,
 * so that a batch of them is taken whole or not at all.
 */
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import { type KV, type KvEntry, Kvm } from '@nats-io/kv';
import type { NatsConnection } from 'nats';
import type { OperationDocument } from '../../../cluster/documents.js';
import type { Loaded } from '../../../cluster/operations/drive.js';
import { type Locks, lock, unlock } from '../../../cluster/operations/locks.js';
import { holderOf, type Operation } from '../../../cluster/operations/operation.js';
import { UnderstudyError } from '../../../replication/errors.js';
import { limits } from '../../../replication/limits.js';
import { isWrongLast } from '../../nats/kv-errors.js';
import { patiently } from '../../nats/patience.js';
import type { Names } from '../../nats/subjects.js';

/** No operation's id begins like this: they begin with their kind. */
const locksKey = '_locks';
const lockAttempts = 32;
/** Changes of the locks that wait for the one before are made together, so many at once. */
const mostTogether = 128;

export interface Busy {
  readonly key: string;
  readonly holder: string;
}

interface LockChange {
  /** Throws `UnderstudyError` where it cannot be made; tried again, it may end in another way. */
  readonly change: (locks: Locks) => Promise<Locks>;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

export class OperationStore {
  /** As many as operations run here, which are limited. */
  readonly #changes: LockChange[] = [];
  #isChanging = false;

  private constructor(
    private readonly kv: KV,
    private readonly manager: JetStreamManager,
    private readonly bucket: string,
  ) {}

  /** Throws `broker-unavailable`. */
  static async open(connection: NatsConnection, names: Names): Promise<OperationStore> {
    const bucket = names.operationsBucket;
    const kv = await patiently('open the operations', () => new Kvm(connection).open(bucket));
    const manager = await jetstreamManager(connection, { checkAPI: false });
    return new OperationStore(kv, manager, bucket);
  }

  async load(id: string): Promise<Loaded> {
    const entry = await this.kv.get(id);
    return entry === null ? null : decode(entry);
  }

  /** Revision 0: it is new. Throws `too-large`. */
  async save(operation: Operation, revision: number): Promise<number | 'conflict'> {
    const text = JSON.stringify(operation);
    const sizeBytes = Buffer.byteLength(text);
    if (sizeBytes > limits.operationSizeBytes) {
      const detail = `operation ${operation.id} is ${sizeBytes} bytes, ${limits.operationSizeBytes} at most`;
      throw new UnderstudyError('too-large', detail);
    }
    try {
      if (revision === 0) return await this.kv.create(operation.id, text);
      return await this.kv.put(operation.id, text, { previousSeq: revision });
    } catch (error) {
      if (isWrongLast(error)) return 'conflict';
      throw error;
    }
  }

  /** Null: all of `keys` are the holder's now; otherwise none is that was not before. */
  async lock(keys: readonly string[], holder: string): Promise<Busy | null> {
    let busy: Busy | null = null;
    await this.#change(async (locks) => {
      const live = await this.#liveHolders(locks, keys, holder);
      const result = lock(locks, keys, holder, (one) => live.has(one));
      if (result.kind === 'full') {
        const detail = `${limits.operationLocks} locks are held; wait for other operations to end`;
        throw new UnderstudyError('overloaded', detail);
      }
      busy = result.kind === 'busy' ? result : null;
      return result.kind === 'busy' ? locks : result.locks;
    });
    return busy;
  }

  async unlock(holder: string, keys: readonly string[] | 'all'): Promise<void> {
    await this.#change((locks) => Promise.resolve(unlock(locks, holder, keys)));
  }

  /**
   * One after the other, and what waits is made together: a node that hands hundreds of groups over would
   * get in its own way, as of all that are written at once only one comes to be.
   */
  #change(change: LockChange['change']): Promise<void> {
    return new Promise((done, failed) => {
      this.#changes.push({ change, done, failed });
      if (!this.#isChanging) void this.#changeAll();
    });
  }

  async #changeAll(): Promise<void> {
    this.#isChanging = true;
    while (this.#changes.length > 0) {
      const together = this.#changes.splice(0, mostTogether);
      try {
        const refused = await this.#changeTogether(together);
        for (const one of together) if (!refused.has(one)) one.done();
        for (const [one, error] of refused) one.failed(error);
      } catch (error) {
        for (const { failed } of together) failed(error);
      }
    }
    this.#isChanging = false;
  }

  /** Returns those that could not be made, and why; all others are on record then. */
  async #changeTogether(changes: readonly LockChange[]): Promise<Map<LockChange, unknown>> {
    for (let attempt = 0; attempt < lockAttempts; attempt++) {
      const entry = await this.kv.get(locksKey);
      const before = entry?.operation === 'PUT' ? entry.json<Locks>() : {};
      const refused = new Map<LockChange, unknown>();
      let after = before;
      for (const one of changes) {
        try {
          after = await one.change(after);
        } catch (error) {
          refused.set(one, error);
        }
      }
      if (sameLocks(before, after)) return refused;
      try {
        await this.kv.put(locksKey, JSON.stringify(after), { previousSeq: entry?.revision ?? 0 });
        return refused;
      } catch (error) {
        if (!isWrongLast(error)) throw error;
      }
    }
    throw new UnderstudyError('conflict', 'the locks change all the time; trying again later');
  }

  /** Holders whose run is not over. With a table that is full, of all locks. */
  async #liveHolders(
    locks: Locks,
    keys: readonly string[],
    self: string,
  ): Promise<ReadonlySet<string>> {
    const isFull = Object.keys(locks).length + keys.length > limits.operationLocks;
    const asked = isFull ? Object.values(locks) : keys.map((key) => locks[key]);
    const holders = new Set(asked.filter((one) => one !== undefined && one !== self));
    const live = new Set<string>();
    for (const holder of holders as Set<string>) {
      const found = await this.load(holder.replace(/#\d+$/, ''));
      const runs = found?.operation.state === 'running' && holderOf(found.operation) === holder;
      if (runs) live.add(holder);
    }
    return live;
  }

  /** Everything there is, then every change, until stopped. */
  async watch(onSeen: (seen: NonNullable<Loaded>) => void): Promise<() => void> {
    const watch = await this.kv.watch();
    const follow = async () => {
      for await (const entry of watch) {
        const seen = decode(entry);
        if (seen !== null) onSeen(seen);
      }
    };
    // It is opened anew now and then anyway.
    follow().catch(() => undefined);
    return () => watch.stop();
  }

  /** Leaves nothing behind, not even a mark. */
  async forget(id: string): Promise<void> {
    await this.manager.streams.purge(`KV_${this.bucket}`, { filter: `$KV.${this.bucket}.${id}` });
  }
}

function sameLocks(a: Locks, b: Locks): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}

/** Null: there is none. */
function decode(entry: KvEntry): Loaded {
  if (entry.operation !== 'PUT' || entry.key === locksKey) return null;
  const found = entry.json<Operation | OperationDocument>();
  const operation = 'run' in found ? found : abandoned(found);
  return { operation, revision: entry.revision };
}

/** Versions before wrote what operators see and nothing more: nobody can go on with that. */
function abandoned(found: OperationDocument): Operation {
  const { id, kind, target, by, attempts, updatedAt, createdAt } = found;
  const state = found.state === 'running' ? 'failed' : found.state;
  const detail = 'a former version of the program began it; ask again';
  const updatedAtMs = Date.parse(updatedAt);
  return {
    ...{ id, kind, target, by, attempts, state },
    step: state,
    run: 0,
    stepAtMs: updatedAtMs,
    retries: 0,
    lastError: state === found.state ? found.lastError : { code: 'unsupported', detail },
    wakeAtMs: null,
    driver: null,
    cancelledBy: null,
    data: null,
    createdAtMs: Date.parse(createdAt),
    updatedAtMs,
    steps: found.steps.map(({ at, ...step }) => ({ ...step, atMs: Date.parse(at) })),
  };
}
