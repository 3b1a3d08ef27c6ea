/**
 * What reaches a group over NATS: batches, plain JSON events and queries while its active is here,
 * and reads while one of its standbys is.
 */
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
import type { Consistency, ReadRequest, ReadResult } from '../../replication/effects.js';
import { seq } from '../../replication/ids.js';
import { limits } from '../../replication/limits.js';
import { parseJson, problemWithValue, toJson } from '../admin/values.js';
import { nothingSeen, parseToken, type Seen } from '../client/token.js';
import type { Names } from '../nats/subjects.js';
import type { MemberDriver } from './member-driver.js';

/** Header of a plain JSON request; makes it safe to send again. */
const keyHeader = 'Idempotency-Key';
/** The standbys of a group are one queue group: each read reaches one of them. */
const standbysQueue = 'standbys';

export class Intake {
  readonly #subscriptions: Subscription[];

  constructor(
    connection: NatsConnection,
    names: Names,
    group: string,
    index: number,
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
          if (!error) answerQuery(message, driver, index, 'linearizable');
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
    this.driver.deliver(batch, (answer) => {
      respondOr(message, encodeAnswer(answer), (detail) =>
        encodeAnswer({ ok: false, code: 'too-large', detail }),
      );
    });
  }

  #onJson(message: Msg): void {
    const respond = (value: unknown) => {
      respondOr(message, toJson(value), (detail) => toJson({ code: 'too-large', detail }));
    };
    const request = jsonBatch(message);
    if ('problem' in request) {
      respond({ code: 'bad-request', detail: request.problem });
      return;
    }
    this.driver.deliver(request.batch, (answer) => respond(jsonAnswer(answer, request.single)));
  }
}

/** What throws here would count as a crash of the member, which has done nothing wrong. */
function respondOr(
  message: Msg,
  answer: Uint8Array | string,
  refuse: (detail: string) => Uint8Array | string,
): void {
  try {
    message.respond(answer);
  } catch (error) {
    const reason = (error as Error).message;
    const detail =
      `the commands are done, but their results do not fit into one message (${reason}); ` +
      'deliver fewer at a time, or let the kind return less';
    message.respond(refuse(detail));
  }
}

/** Reads while this member is a standby with a state: the standbys of a group share them. */
export class StandbyIntake {
  readonly #subscription: Subscription;

  constructor(
    connection: NatsConnection,
    names: Names,
    group: string,
    index: number,
    driver: MemberDriver,
  ) {
    this.#subscription = connection.subscribe(names.read(group), {
      queue: standbysQueue,
      callback: (error, message) => {
        if (!error) answerQuery(message, driver, index, 'standby');
      },
    });
  }

  /** What is on its way here is still answered: with `moved`, so that it is asked elsewhere at once. */
  close(): void {
    this.#subscription.drain().catch(() => undefined);
  }
}

function answerQuery(
  message: Msg,
  driver: MemberDriver,
  index: number,
  standard: Consistency,
): void {
  const respond = (value: unknown) => {
    try {
      message.respond(toJson(value));
    } catch (error) {
      // Larger than the broker takes, or nothing JSON can hold.
      message.respond(toJson({ code: 'too-large', detail: (error as Error).message }));
    }
  };
  const asked = parseQuery(message.data, standard);
  if ('problem' in asked) return respond({ code: 'bad-request', detail: asked.problem });
  const { read, minEpoch } = asked;
  driver.read(read, (result) => respond(readAnswer(result, read.query, minEpoch, index)));
}

/** The member has seen to the seq; an older epoch means a log in which the token's is still to come. */
function readAnswer(
  result: ReadResult,
  name: string | null,
  minEpoch: number,
  member: number,
): unknown {
  if (!result.ok) return { code: result.code, detail: result.detail };
  const { seq: at, epoch } = result;
  if (epoch < minEpoch) {
    const detail = `member ${member} is in epoch ${epoch}, and the token is of epoch ${minEpoch}`;
    return { code: 'not-ready', detail };
  }
  // Without a name only the place in the log is asked for: a whole state may not fit a message.
  return { value: name === null ? null : (result.value ?? null), seq: at, epoch, member };
}

interface Query {
  readonly read: Omit<ReadRequest, 'request'>;
  readonly minEpoch: number;
}

interface Problem {
  readonly problem: string;
}

/** `standard`: the consistency of a request that names none; standbys offer no other than theirs. */
function parseQuery(data: Uint8Array, standard: Consistency): Query | Problem {
  const parsed = parse(data);
  if ('problem' in parsed) return parsed;
  const {
    name = null,
    args,
    consistency = standard,
    minSeq = 0,
    after = null,
  } = (parsed.value ?? {}) as Record<string, unknown>;
  if (name !== null && typeof name !== 'string') return { problem: 'name is not a string' };
  if (consistency !== 'linearizable' && consistency !== 'local' && consistency !== 'standby') {
    return { problem: 'consistency is not linearizable, local or standby' };
  }
  if (standard === 'standby' && consistency !== standard) {
    return { problem: `standbys answer no ${consistency} reads; ask the active` };
  }
  if (!isSeq(minSeq)) return { problem: 'minSeq is not a whole number from 0' };
  const seen = after === null ? nothingSeen : seenBy(after);
  if ('problem' in seen) return seen;
  const least = seq(Math.max(minSeq, seen.seq));
  return { read: { query: name, args, consistency, minSeq: least }, minEpoch: seen.epoch };
}

const isSeq = (value: unknown): value is number =>
  Number.isSafeInteger(value) && Number(value) >= 0;

function seenBy(token: unknown): Seen | Problem {
  try {
    return parseToken(String(token));
  } catch (error) {
    return { problem: (error as Error).message };
  }
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
