/** Requests from node to node: one subject per node and verb, JSON both ways. */
import { errors, type NatsConnection, type Subscription } from 'nats';
import { isErrorCode, UnderstudyError } from '../../replication/errors.js';
import type { Names } from '../nats/subjects.js';

export type Handler = (request: never) => unknown;

export class Rpc {
  readonly #subscriptions: Subscription[] = [];

  constructor(
    private readonly connection: NatsConnection,
    private readonly names: Names,
    private readonly self: string,
  ) {}

  serve(verb: string, handler: Handler): void {
    const subscription = this.connection.subscribe(this.names.node(this.self, verb), {
      callback: (error, message) => {
        if (error) return;
        const respond = (value: unknown) => void message.respond(JSON.stringify(value));
        Promise.resolve()
          .then(() =>
            handler(message.data.length > 0 ? (message.json() as never) : (null as never)),
          )
          .then((value) => respond({ ok: true, value: value ?? null }))
          .catch((cause: unknown) => respond({ ok: false, ...described(cause) }));
      },
    });
    this.#subscriptions.push(subscription);
  }

  /** Throws what the other side threw; `node-not-found` if it is not connected; `timeout`. */
  async call<Answer>(
    node: string,
    verb: string,
    request: unknown,
    timeoutMs: number,
  ): Promise<Answer> {
    const subject = this.names.node(node, verb);
    const reply = await this.connection
      .request(subject, JSON.stringify(request), { timeout: timeoutMs })
      .catch((error: unknown) => {
        throw isNoResponders(error)
          ? new UnderstudyError('node-not-found', `node ${node} is not connected to the broker`)
          : new UnderstudyError('timeout', `node ${node} did not answer within ${timeoutMs} ms`);
      });
    const answer = reply.json() as { ok: boolean; value: Answer; code: string; detail: string };
    if (answer.ok) return answer.value;
    const code = isErrorCode(answer.code) ? answer.code : 'internal';
    throw new UnderstudyError(code, answer.detail);
  }

  close(): void {
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
  }
}

export function isNoResponders(error: unknown): boolean {
  if (error instanceof errors.NoRespondersError) return true;
  return error instanceof errors.RequestError && error.isNoResponders();
}

function described(cause: unknown): { code: string; detail: string } {
  if (cause instanceof UnderstudyError) return { code: cause.code, detail: cause.message };
  return { code: 'internal', detail: cause instanceof Error ? cause.message : String(cause) };
}
