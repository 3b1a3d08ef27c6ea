/**
 * Requests to the broker without a promise, a timer or a subscription each: one inbox for all of
 * them, the reply's last token is the request's number. Shared by all groups on a connection.
 */
import {
  createInbox,
  InvalidArgumentError,
  type Msg,
  type MsgHdrs,
  type NatsConnection,
  PermissionViolationError,
  type PublishOptions,
  type Status,
  type Subscription,
} from 'nats';

export type Reply =
  | { readonly kind: 'message'; readonly message: Msg }
  /** It never left this process. */
  | { readonly kind: 'not-sent'; readonly reason: string }
  /** The broker does not let this user send it, or it is larger than the broker takes. */
  | { readonly kind: 'denied'; readonly reason: string }
  /** Sent, but what became of it is not known: no answer in time, or the connection broke. */
  | { readonly kind: 'lost'; readonly reason: string };

/** Gets exactly one reply, or with `more` one after the other until it says `done`. */
export type OnReply = (reply: Reply) => 'done' | 'more';

export interface RequestsOptions {
  /** How long the broker may be silent. */
  readonly timeoutMs: number;
  /** Requests on the wire at the same time; the others wait in line. */
  readonly inFlight: number;
  /** The longest the line may get: beyond it nothing is sent. */
  readonly waiting: number;
  readonly inboxPrefix?: string | undefined;
}

/** Appends and small reads: at most one append for each group of the node. */
export const controlLimits = { timeoutMs: 2000, inFlight: 4096, waiting: 65_536 } as const;
/** With 4 MiB for a batch of a replay: at most 32 MiB on the wire. */
export const bulkLimits = { timeoutMs: 2000, inFlight: 8, waiting: 65_536 } as const;
/**
 * With 512 KiB for a chunk at most 8 MiB beside. Whoever fetches chunks gives up sooner by itself, and asks
 * for fewer at once: on a slow link an answer that comes late is not to be thrown away before that.
 */
export const chunkLimits = { timeoutMs: 10_000, inFlight: 16, waiting: 65_536 } as const;

/** Both are looked at some times a second, and end with the broker's time. */
export interface Urgency {
  /** Lost after so long without an answer, though the broker might have more time. */
  readonly lostAfterMs?: number;
  /**
   * Sent again after each so long without an answer; the first answer to any of them counts. Only for
   * what may be done twice, has one answer, and is as good if the one that is answered was not the last.
   */
  readonly againAfterMs?: number;
}

interface Request {
  readonly subject: string;
  readonly payload: Uint8Array | string;
  readonly options: PublishOptions | null;
  readonly onReply: OnReply;
  readonly urgency: Urgency;
  sentAtMs: number;
  lastSignMs: number;
}

const longestTickMs = 125;
const noUrgency: Urgency = {};

export class Requests {
  readonly #connection: NatsConnection;
  readonly #options: RequestsOptions;
  readonly #inbox: string;
  readonly #subscription: Subscription;
  readonly #open = new Map<number, Request>();
  #line: Request[] = [];
  #lineHead = 0;
  #number = 0;
  #isConnected: boolean;
  #isClosed = false;
  #ticking: NodeJS.Timeout | null = null;

  constructor(connection: NatsConnection, options: RequestsOptions) {
    this.#connection = connection;
    this.#options = options;
    this.#isConnected = !connection.isClosed();
    this.#inbox = `${createInbox(options.inboxPrefix)}.`;
    this.#subscription = connection.subscribe(`${this.#inbox}*`, {
      callback: (_error, message) => this.#receive(message),
    });
    void this.#followStatus();
  }

  /**
   * `onReply` never runs before this returns. The payload must not change until the first reply:
   * it may be waiting in line.
   */
  send(
    subject: string,
    payload: Uint8Array | string,
    onReply: OnReply,
    headers: MsgHdrs | null = null,
    urgency = noUrgency,
  ): void {
    const options = headers ? { headers } : null;
    const request = { subject, payload, options, onReply, urgency, sentAtMs: 0, lastSignMs: 0 };
    if (!this.#isConnected) return endSoon(request, notSent('the broker is not connected'));
    if (this.#open.size < this.#options.inFlight) return this.#publish(request);
    const waiting = this.#line.length - this.#lineHead;
    if (waiting < this.#options.waiting) this.#line.push(request);
    else endSoon(request, notSent(`${waiting} requests are waiting for their turn`));
  }

  /** True once nothing more will be sent. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Ends every open request as lost. */
  close(): void {
    this.#isClosed = true;
    this.#subscription.unsubscribe();
    this.#endAll('closed');
  }

  #publish(request: Request): void {
    const number = this.#number++;
    try {
      this.#write(number, request);
    } catch (error) {
      // Thrown before anything was written: too large, or the connection is closed.
      const reason = (error as Error).message;
      const isTooLarge = error instanceof InvalidArgumentError;
      return endSoon(request, isTooLarge ? { kind: 'denied', reason } : notSent(reason));
    }
    request.lastSignMs = request.sentAtMs;
    this.#open.set(number, request);
    const tickMs = Math.min(longestTickMs, Math.ceil(this.#options.timeoutMs / 8));
    this.#ticking ??= setInterval(() => this.#tick(), tickMs);
  }

  #write(number: number, request: Request): void {
    const reply = this.#inbox + number.toString(36);
    const options = request.options ? { ...request.options, reply } : { reply };
    this.#connection.publish(request.subject, request.payload, options);
    request.sentAtMs = performance.now();
  }

  #receive(message: Msg): void {
    const number = Number.parseInt(message.subject.slice(this.#inbox.length), 36);
    const request = this.#open.get(number);
    if (!request) return;
    request.lastSignMs = performance.now();
    if (hand(request, { kind: 'message', message }) === 'more') return;
    this.#open.delete(number);
    this.#advance();
  }

  #advance(): void {
    while (this.#open.size < this.#options.inFlight) {
      const next = this.#line[this.#lineHead];
      if (!next) break;
      this.#lineHead++;
      this.#publish(next);
    }
    if (this.#lineHead === this.#line.length || this.#lineHead > 1024) {
      this.#line.splice(0, this.#lineHead);
      this.#lineHead = 0;
    }
  }

  #end(number: number, reply: Reply): void {
    const request = this.#open.get(number);
    if (this.#open.delete(number) && request) hand(request, reply);
  }

  #tick(): void {
    if (this.#open.size === 0 && this.#ticking) {
      clearInterval(this.#ticking);
      this.#ticking = null;
      return;
    }
    const nowMs = performance.now();
    for (const [number, request] of [...this.#open]) this.#look(number, request, nowMs);
    this.#advance();
  }

  #look(number: number, request: Request, nowMs: number): void {
    const { lostAfterMs = Number.POSITIVE_INFINITY, againAfterMs } = request.urgency;
    const timeoutMs = Math.min(this.#options.timeoutMs, lostAfterMs);
    if (nowMs - request.lastSignMs >= timeoutMs) {
      this.#end(number, { kind: 'lost', reason: `no answer within ${timeoutMs} ms` });
    } else if (againAfterMs !== undefined && nowMs - request.sentAtMs >= againAfterMs) {
      this.#sendAgain(number, request);
    }
  }

  #sendAgain(number: number, request: Request): void {
    try {
      this.#write(number, request);
    } catch (error) {
      this.#end(number, { kind: 'lost', reason: (error as Error).message });
    }
  }

  async #followStatus(): Promise<void> {
    for await (const status of this.#connection.status()) this.#onStatus(status);
  }

  #onStatus(status: Status): void {
    if (status.type === 'reconnect') this.#isConnected = true;
    if (status.type === 'disconnect' || status.type === 'close') this.#endAll(status.type);
    if (status.type !== 'error' || !(status.error instanceof PermissionViolationError)) return;
    const { subject, message: reason } = status.error;
    for (const [number, request] of [...this.#open]) {
      if (request.subject === subject) this.#end(number, { kind: 'denied', reason });
    }
    this.#advance();
  }

  #endAll(why: string): void {
    this.#isConnected = false;
    if (this.#ticking) clearInterval(this.#ticking);
    this.#ticking = null;
    const waiting = this.#line.slice(this.#lineHead);
    this.#line = [];
    this.#lineHead = 0;
    const reason = `the connection to the broker is lost (${why})`;
    for (const number of [...this.#open.keys()]) this.#end(number, { kind: 'lost', reason });
    for (const request of waiting) endSoon(request, notSent(reason));
  }
}

function notSent(reason: string): Reply {
  return { kind: 'not-sent', reason };
}

function hand(request: Request, reply: Reply): 'done' | 'more' {
  try {
    return request.onReply(reply);
  } catch (error) {
    throwOutside(error);
    return 'done';
  }
}

/** An error thrown into the client library would end its reading and be seen by nobody. */
export function throwOutside(error: unknown): void {
  setImmediate(() => {
    throw error;
  });
}

/** Not in the same turn: a caller that tries again at once must not starve everybody else. */
function endSoon(request: Request, reply: Reply): void {
  setImmediate(() => request.onReply(reply));
}
