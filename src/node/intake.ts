/** What reaches a group over NATS while its active is here: batches, plain JSON events, queries. */
import type { Msg, NatsConnection, Subscription } from 'nats';
import {
  type Batch,
  type BatchAnswer,
  type CommandAnswer,
  decodeBatch,
  encodeAnswer,
  encodeValue,
  isPackedBatch,
  joinCommands,
  unpackRun,
} from '../../replication/batch.js';
import type { ReadResult } from '../../replication/effects.js';
import { limits } from '../../replication/limits.js';
import { parseJson, problemWithValue, toJson } from '../admin/values.js';
import type { Names } from '../nats/subjects.js';
import type { MemberDriver } from './member-driver.js';

/** Header of a plain JSON request; makes it safe to send again. */
const keyHeader = 'Idempotency-Key';

export class Intake {
  readonly #subscriptions: Subscription[];

  constructor(
    connection: NatsConnection,
    names: Names,
    private readonly group: string,
    private readonly index: number,
    private readonly driver: MemberDriver,
  ) {
    this.#subscriptions = [
      connection.subscribe(names.deliver(group), {
        callback: (error, message) => {
          if (!error) this.#onDeliver(message);
        },
      }),
      connection.subscribe(names.query(group), {
        callback: (error, message) => {
          if (!error) this.#onQuery(message);
        },
      }),
    ];
  }

  close(): void {
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
  }

  #onDeliver(message: Msg): void {
    if (!isPackedBatch(message.data)) return this.#onJson(message);
    const batch = decodeBatch(message.data);
    if ('problem' in batch) {
      const detail = `the request is no batch: ${batch.problem}`;
      message.respond(encodeAnswer({ ok: false, code: 'bad-request', detail }));
      return;
    }
    this.driver.deliver(batch, (answer) => message.respond(encodeAnswer(answer)));
  }

  #onJson(message: Msg): void {
    const respond = (value: unknown) => message.respond(toJson(value));
    const request = jsonBatch(message);
    if ('problem' in request) {
      respond({ code: 'bad-request', detail: request.problem });
      return;
    }
    this.driver.deliver(request.batch, (answer) => respond(jsonAnswer(answer, request.single)));
  }

  #onQuery(message: Msg): void {
    const respond = (value: unknown) => {
      try {
        message.respond(toJson(value));
      } catch (error) {
        // Larger than the broker takes, or nothing JSON can hold.
        message.respond(toJson({ code: 'too-large', detail: (error as Error).message }));
      }
    };
    const query = parseQuery(message.data);
    if ('problem' in query) return respond({ code: 'bad-request', detail: query.problem });
    const { name, args, consistency, minSeq } = query;
    if (consistency === 'standby') {
      return respond({ code: 'unsupported', detail: 'reads from standbys are not served yet' });
    }
    this.driver.read({ consistency, query: name, args }, (result) =>
      respond(this.#readAnswer(result, name, minSeq)),
    );
  }

  #readAnswer(result: ReadResult, name: string | null, minSeq: number): unknown {
    if (!result.ok) return { code: result.code, detail: result.detail };
    if (result.seq < minSeq) {
      const detail = `${this.group} is at seq ${result.seq}, asked for at least ${minSeq}`;
      return { code: 'not-ready', detail };
    }
    // Without a name only the place in the log is asked for: a whole state may not fit a message.
    const value = name === null ? null : (result.value ?? null);
    return { value, seq: result.seq, epoch: result.epoch, member: this.index };
  }
}

interface QueryRequest {
  readonly name: string | null;
  readonly args: unknown;
  readonly consistency: 'linearizable' | 'local' | 'standby';
  readonly minSeq: number;
}

function parseQuery(data: Uint8Array): QueryRequest | { readonly problem: string } {
  const parsed = parse(data);
  if ('problem' in parsed) return parsed;
  const {
    name = null,
    args,
    consistency = 'linearizable',
    minSeq,
  } = (parsed.value ?? {}) as Record<string, unknown>;
  if (name !== null && typeof name !== 'string') return { problem: 'name is not a string' };
  if (consistency !== 'linearizable' && consistency !== 'local' && consistency !== 'standby') {
    return { problem: 'consistency is not linearizable, local or standby' };
  }
  const least = typeof minSeq === 'number' ? minSeq : 0;
  return { name, args, consistency, minSeq: least };
}

function parse(data: Uint8Array): { readonly value: unknown } | { readonly problem: string } {
  try {
    return { value: parseJson(data) };
  } catch (error) {
    return { problem: (error as Error).message };
  }
}

/** `{"by": 1}` is one event, `{"events": [...]}` several, as over HTTP. */
function jsonBatch(
  message: Msg,
): { readonly batch: Batch; readonly single: boolean } | { readonly problem: string } {
  const parsed = parse(message.data);
  if ('problem' in parsed) return parsed;
  const { value } = parsed;
  const list = (value as { events?: unknown } | null)?.events;
  const single = !Array.isArray(list);
  const events: unknown[] = single ? [value] : list;
  if (events.length === 0 || events.length > limits.batchEvents) {
    return { problem: `${events.length} events; a request may have 1 to ${limits.batchEvents}` };
  }
  const bad = events
    .map((event) => problemWithValue(event))
    .find((problem) => problem !== undefined);
  if (bad !== undefined) return { problem: bad };
  const key = message.headers?.get(keyHeader) || null;
  if (key !== null && (!single || key.length > limits.keySizeBytes)) {
    return {
      problem: `${keyHeader} is for one event and at most ${limits.keySizeBytes} characters`,
    };
  }
  const blob = joinCommands(events.map(encodeValue));
  const keys = key === null ? null : [key];
  return {
    batch: { session: null, floor: 1, first: 1, count: events.length, keys, blob },
    single,
  };
}

function jsonAnswer(answer: BatchAnswer, single: boolean): unknown {
  if (!answer.ok) {
    const code = answer.code === 'moved' ? 'not-ready' : answer.code;
    return { code, detail: answer.detail };
  }
  const all = answer.runs.flatMap(unpackRun);
  const last = all.findLast((one) => one.ok);
  const [first] = all;
  if (single && first !== undefined && !first.ok) return refused(first);
  return {
    seq: last?.ok ? last.seq : 0,
    epoch: answer.runs[0]?.epoch ?? 0,
    results: all.map((one) =>
      one.ok ? { seq: one.seq, result: one.result ?? null } : refused(one),
    ),
    duplicate: all.every((one) => one.duplicate),
  };
}

function refused(answer: CommandAnswer & { ok: false }): { code: string; detail: string } {
  return { code: answer.code, detail: answer.detail };
}
