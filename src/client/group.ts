import { type Batch, decodeAnswer, encodeBatch } from '../../replication/batch.js';
import type { Consistency } from '../../replication/effects.js';
import { isErrorCode, UnderstudyError } from '../../replication/errors.js';
import { limits } from '../../replication/limits.js';
import type { ReadAnswer } from '../admin/backend.js';
import type {
  CommandOf,
  DefinedKind,
  QueryArgs,
  QueryName,
  QueryResult,
  ResultOf,
} from '../kind.js';
import { Budget } from './budget.js';
import type { Delivered } from './callers.js';
import type { Answered } from './command-batch.js';
import { Courier, type Refusal } from './courier.js';
import { checkKey, checkTimeout, encodeCommand } from './encode.js';
import { BadRequest, Timeout, TooLarge } from './errors.js';
import type { Link } from './link.js';
import { type MachineGroup, MachinesClient } from './machines.js';
import { Pump } from './pump.js';
import { Request } from './request.js';
import { laterOf, nothingSeen, parseToken, type Seen, seenIn, tokenOf } from './token.js';

export interface DeliverOptions {
  /** Idempotency key, 1 to 256 characters: whoever delivers it again gets the first answer. */
  readonly key?: string | undefined;
  /** How long to try, in milliseconds. Default 30 000, at most an hour. */
  readonly timeoutMs?: number | undefined;
}

export interface QueryOptions {
  /**
   * Default `linearizable`: nothing older than any answer given before. `local`: the active's state.
   * `standby`: some standby's state. The latter two hold at least what this client has seen.
   */
  readonly consistency?: Consistency | undefined;
  /** Answer from a state that has at least this seq. */
  readonly minSeq?: number | undefined;
  /** A `token` of another client or process: answer from a state that holds what it has seen. */
  readonly after?: string | undefined;
  /** How long to try, in milliseconds. Default 30 000, at most an hour. */
  readonly timeoutMs?: number | undefined;
}

/** How much one group's client holds for callers who wait. */
export interface PendingLimit {
  readonly commands: number;
  readonly sizeBytes: number;
}

export interface GroupSettings {
  readonly pending: PendingLimit;
  /** False: reads promise nothing about what was seen before, except by `after`. */
  readonly session: boolean;
}

/** Any name for a group whose kind's type is not given. */
type Name<K> = [QueryName<K>] extends [never] ? string : QueryName<K>;
type Args<K, N> = N extends QueryName<K> ? QueryArgs<K, N> : unknown;
type Rest<A> = undefined extends A
  ? readonly [args?: A, options?: QueryOptions]
  : readonly [args: A, options?: QueryOptions];

/** A query's answer, and which state it comes from. */
export interface QueryAnswer<Value> extends ReadAnswer {
  readonly value: Value;
}

const defaultTimeoutMs = 30_000;

type Read = ReadAnswer & { readonly ok: true };

/** One group, as seen from a program. `K` is its kind's type: `client.group<typeof ledger>('bank')`. */
export class GroupClient<K = DefinedKind> {
  readonly name: string;
  /** Its durable state machines, if its kind has any. */
  readonly machines: MachinesClient;
  readonly #budget: Budget;
  readonly #deliveries: Courier<Answered>;
  /** Reads that the active answers, and those that its standbys do. */
  readonly #queries: Courier<Read>;
  readonly #standbyReads: Courier<Read>;
  readonly #pump: Pump;
  readonly #session: boolean;
  #seen = nothingSeen;
  #closed = false;

  constructor(link: Link, name: string, { pending, session }: GroupSettings) {
    const { names } = link;
    this.name = name;
    this.machines = new MachinesClient(this as unknown as MachineGroup);
    this.#session = session;
    this.#budget = new Budget(pending);
    this.#deliveries = new Courier(link, names.deliver(name), (data) => this.#readAnswer(data));
    const read = (data: Uint8Array) => this.#readReply(data);
    const late = (last: Refusal) => notReady(last, null);
    this.#queries = new Courier(link, names.query(name), read, { unordered: true, late });
    this.#standbyReads = new Courier(link, names.read(name), read, {
      unordered: true,
      late: (last) => notReady(last, name),
    });
    this.#pump = new Pump(this.#deliveries, this.#budget);
    link.onOpened(name, (epoch) => {
      for (const courier of [this.#deliveries, this.#queries, this.#standbyReads]) {
        courier.opened(epoch);
      }
    });
  }

  /**
   * All that this client has seen of the group, as a short string to hand on: a read that gets it as
   * `after`, in whichever process, answers from a state that holds it.
   */
  get token(): string {
    return tokenOf(this.#seen);
  }

  /**
   * Delivers one command; resolves when its events are durable. Calls travel in the order in which
   * they are made, and in batches. Order holds across a failover only for a call that awaits the
   * one before.
   *
   * Rejects with `Rejected` (by the kind), `Timeout` (outcome unknown: repeat it with the same key),
   * `Overloaded`, `TooLarge`, `BadRequest`, or an `UnderstudyError` with another code.
   */
  deliver(command: CommandOf<K>, options?: DeliverOptions): Promise<Delivered<ResultOf<K>>> {
    const key = options?.key;
    const timeoutMs = options?.timeoutMs ?? defaultTimeoutMs;
    try {
      this.#checkOpen();
      if (key !== undefined) checkKey(key);
      checkTimeout(timeoutMs);
      const delivered = this.#pump.deliver(encodeCommand(command), key, timeoutMs);
      return delivered as Promise<Delivered<ResultOf<K>>>;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Delivers one explicit batch and returns the answer as it came. Retries the identical batch until
   * it is answered. A batch without session and without a key for each command may count twice if
   * sent twice, so it is sent again only while nobody receives it.
   *
   * Rejects as `deliver` does, except that what the kind rejects is part of the answer.
   */
  async deliverBatch(batch: Batch, timeoutMs: number): Promise<Answered> {
    checkBatch(batch);
    const repeatable =
      batch.session !== null || (batch.keys?.every((key) => key !== null) ?? false);
    const request = this.#request<Answered>(encodeBatch(batch), repeatable, timeoutMs);
    return await this.#carry(this.#deliveries, request, batch.count);
  }

  /**
   * Asks the kind's query `name`. Rejects with `Timeout`, `BadRequest`, `Overloaded`, or an
   * `UnderstudyError` with the code the group answered.
   */
  async query<N extends Name<K>>(
    name: N,
    ...[args, options = {}]: Rest<Args<K, N>>
  ): Promise<QueryAnswer<N extends QueryName<K> ? QueryResult<K, N> : unknown>> {
    const { consistency = 'linearizable', minSeq, timeoutMs = defaultTimeoutMs } = options;
    const after = this.#after(consistency, options.after);
    const asked = { name, args, consistency, minSeq, after };
    const payload = new TextEncoder().encode(JSON.stringify(asked));
    const request = this.#request<Read>(payload, true, timeoutMs);
    const courier = consistency === 'standby' ? this.#standbyReads : this.#queries;
    const { value, seq, epoch, member } = await this.#carry(courier, request, 1);
    return { value, seq, epoch, member } as QueryAnswer<never>;
  }

  /** A linearizable read needs no token of its own: it sees whatever anybody was told before. */
  #after(consistency: Consistency, token: string | undefined): string | undefined {
    const given = token === undefined ? nothingSeen : parseToken(token);
    const own = this.#session && consistency !== 'linearizable' ? this.#seen : nothingSeen;
    const { epoch, seq } = laterOf(own, given);
    return epoch === 0 && seq === 0 ? undefined : tokenOf({ epoch, seq });
  }

  /** Waits up to `timeoutMs` for answers, then fails what is left. */
  async close(timeoutMs: number): Promise<void> {
    this.#closed = true;
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, timeoutMs);
    });
    await Promise.race([this.#budget.idle(), patience]);
    clearTimeout(timer);
    this.#pump.close(new Timeout('the client was closed before this was sent', 'not-taken'));
    for (const courier of [this.#deliveries, this.#queries, this.#standbyReads]) courier.close();
  }

  #readAnswer(data: Uint8Array): Answered | Refusal {
    const answer = decodeAnswer(data);
    if (answer.ok) this.#note(seenIn(answer.runs));
    return answer;
  }

  #readReply(data: Uint8Array): Read | Refusal {
    const reply = readQueryReply(data);
    if (reply.ok) this.#note(reply);
    return reply;
  }

  #note({ epoch, seq }: Seen): void {
    this.#seen = laterOf(this.#seen, { epoch, seq });
  }

  #request<Answer>(payload: Uint8Array, repeatable: boolean, timeoutMs: number): Request<Answer> {
    this.#checkOpen();
    checkTimeout(timeoutMs);
    return new Request(payload, repeatable, timeoutMs);
  }

  async #carry<Answer extends { readonly ok: true }>(
    courier: Courier<Answer>,
    request: Request<Answer>,
    commands: number,
  ): Promise<Answer> {
    const sizeBytes = request.payload.length;
    this.#budget.take(commands, sizeBytes);
    courier.carry(request);
    try {
      return await request.answer;
    } finally {
      this.#budget.give(commands, sizeBytes);
    }
  }

  #checkOpen(): void {
    if (this.#closed) throw new BadRequest('this client has been closed; create another one');
  }
}

function checkBatch({ count, keys, blob }: Batch): void {
  for (const key of keys ?? []) if (key !== null) checkKey(key);
  if (count > limits.batchEvents || blob.length > limits.batchSizeBytes) {
    throw new TooLarge(
      `a batch of ${count} events and ${blob.length} bytes, but ${limits.batchEvents} events and ` +
        `${limits.batchSizeBytes} bytes are the limit; deliver it in parts`,
    );
  }
}

function readQueryReply(data: Uint8Array): Read | Refusal {
  const reply = JSON.parse(new TextDecoder().decode(data)) as
    | ReadAnswer
    | { code: string; detail: string };
  if (!('code' in reply)) return { ok: true, ...reply };
  const { code, detail } = reply;
  return { ok: false, code: code === 'moved' || isErrorCode(code) ? code : 'internal', detail };
}

/** Why a read was not answered in time, if that is known. `group`: it was sent to its standbys. */
function notReady({ code, detail }: Refusal, group: string | null): UnderstudyError | null {
  if (code === 'not-ready') return new UnderstudyError(code, `no answer in time: ${detail}`);
  if (code !== 'moved' || group === null) return null;
  return new UnderstudyError(
    'not-ready',
    `no standby of ${group} serves reads: none of them holds a state, or their nodes are down; ` +
      'the active answers reads with consistency local',
  );
}
