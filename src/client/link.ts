import {
  createInbox,
  type Msg,
  type NatsConnection,
  PermissionViolationError,
  type Subscription,
} from 'nats';
import type { ErrorCode } from '../../replication/errors.js';
import type { Names, Notice } from '../nats/subjects.js';

/** Why the connection carries nothing. */
export interface LinkProblem {
  readonly code: ErrorCode;
  readonly detail: string;
}

/** Who sends over the link: gets the replies to what it sent, and news of the connection. */
export interface Correspondent {
  readonly subject: string;
  /** A reply to `attempt` of the message `id`; `null`: nobody subscribes to the subject. */
  onReply(id: number, attempt: number, data: Uint8Array | null): void;
  /** The connection is back; everything sent over the old one may be lost. */
  onReconnect(): void;
  /** Nothing can be sent or received any more. */
  onLost(problem: LinkProblem): void;
}

/**
 * The client's side of a connection: one inbox for all replies, and what becomes of the connection.
 * Replies are told apart by the tokens `<correspondent>.<id>.<attempt>` after the inbox, which
 * spares a subscription, a promise and a timer per request.
 */
export class Link {
  readonly names: Names;
  readonly #connection: NatsConnection;
  readonly #inbox: string;
  readonly #correspondents: Correspondent[] = [];
  readonly #subscriptions: Subscription[] = [];
  #up = true;
  /** Why no reply can ever arrive. */
  #deaf: LinkProblem | undefined;
  #closed = false;

  constructor(connection: NatsConnection, names: Names, inboxPrefix: string | undefined) {
    this.names = names;
    this.#connection = connection;
    this.#inbox = createInbox(inboxPrefix);
    this.#subscribe(`${this.#inbox}.>`, (message) => this.#route(message));
    void this.#watch();
    void connection.closed().then(() => this.#gone());
  }

  /** False while the connection is known to be down: what is sent now would vanish. */
  get up(): boolean {
    return this.#up;
  }

  /** The number to pass to `send`. */
  join(correspondent: Correspondent): number {
    return this.#correspondents.push(correspondent) - 1;
  }

  /** Sends once. Returns why the connection refuses the message, or nothing. */
  send(
    from: number,
    id: number,
    attempt: number,
    subject: string,
    payload: Uint8Array,
  ): LinkProblem | undefined {
    if (this.#deaf) return this.#deaf;
    try {
      this.#connection.publish(subject, payload, {
        reply: `${this.#inbox}.${from}.${id}.${attempt}`,
      });
      return undefined;
    } catch (error) {
      return this.#refused(payload.length, error as Error);
    }
  }

  /** Calls `opened` for every notice that an active of the group serves an epoch. */
  onOpened(group: string, opened: (epoch: number) => void): void {
    this.#subscribe(this.names.notice(group), (message) => {
      const notice = parseNotice(message);
      if (notice?.kind === 'opened') opened(notice.epoch);
    });
  }

  close(): void {
    this.#closed = true;
    if (this.#connection.isClosed()) return;
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
  }

  #subscribe(subject: string, each: (message: Msg) => void): void {
    const subscription = this.#connection.subscribe(subject, {
      callback: (error, message) => {
        // A refused subscription also shows up as a status, where it is dealt with.
        if (error === null) each(message);
      },
    });
    this.#subscriptions.push(subscription);
  }

  #route(message: Msg): void {
    const [to, id, attempt] = message.subject.slice(this.#inbox.length + 1).split('.');
    const nobody = message.data.length === 0 && message.headers?.code === 503;
    this.#correspondents[Number(to)]?.onReply(
      Number(id),
      Number(attempt),
      nobody ? null : message.data,
    );
  }

  async #watch(): Promise<void> {
    for await (const status of this.#connection.status()) {
      if (this.#closed) return;
      if (status.type === 'disconnect') this.#up = false;
      if (status.type === 'reconnect') this.#back();
      if (status.type === 'error' && status.error instanceof PermissionViolationError) {
        this.#forbidden(status.error);
      }
    }
  }

  #back(): void {
    this.#up = true;
    for (const correspondent of this.#correspondents) correspondent.onReconnect();
  }

  #forbidden({ operation, subject }: PermissionViolationError): void {
    const detail = `the broker forbids this user the ${operation} on ${subject}; check its permissions`;
    const problem = { code: 'forbidden', detail } as const;
    if (subject.startsWith(this.#inbox)) this.#deaf = problem;
    for (const correspondent of this.#correspondents) {
      if (this.#deaf || correspondent.subject === subject) correspondent.onLost(problem);
    }
  }

  #gone(): void {
    const detail = 'the connection to the broker is closed; create another client';
    for (const correspondent of this.#correspondents) {
      correspondent.onLost({ code: 'broker-unavailable', detail });
    }
  }

  #refused(sizeBytes: number, cause: Error): LinkProblem {
    const most = this.#connection.info?.max_payload;
    if (most !== undefined && sizeBytes > most) {
      const detail = `a message of ${sizeBytes} bytes, but the broker's max_payload is ${most}; raise it`;
      return { code: 'too-large', detail };
    }
    return {
      code: 'broker-unavailable',
      detail: `the connection takes no message: ${cause.message}`,
    };
  }
}

function parseNotice(message: Msg): Notice | null {
  try {
    return message.json<Notice>();
  } catch {
    return null;
  }
}
