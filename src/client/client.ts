/** The way in for programs: deliver to groups and query them, over NATS. */
import type { NatsConnection } from 'nats';
import type { DefinedKind } from '../kind.js';
import { connectTo } from '../nats/connect.js';
import { namesFor } from '../nats/subjects.js';
import { BadRequest } from './errors.js';
import { GroupClient, type GroupSettings, type PendingLimit } from './group.js';
import { Link } from './link.js';

export interface ClientOptions {
  /** Default `nats://127.0.0.1:4222`. */
  readonly servers?: string | readonly string[] | undefined;
  readonly user?: string | undefined;
  readonly pass?: string | undefined;
  /** Shown by the broker in its monitoring. Default `understudy-client`. */
  readonly name?: string | undefined;
  /** Share this connection instead of making one; `close` leaves it open. */
  readonly connection?: NatsConnection | undefined;
  /** Default `understudy`. */
  readonly namespace?: string | undefined;
  /** Where answers arrive, if the user's permissions name a place. Default `_INBOX`. */
  readonly inboxPrefix?: string | undefined;
  /** What one group's deliveries and queries may hold before they fail with `Overloaded`. */
  readonly maxPending?: Partial<PendingLimit> | undefined;
  /**
   * Default true: reads with consistency `local` and `standby` hold at least what this client has seen
   * in any answer. False for a client that many callers share: each passes its own token as `after`.
   */
  readonly session?: boolean | undefined;
}

const defaultPending: PendingLimit = { commands: 65_536, sizeBytes: 32 * 1024 * 1024 };
const defaultCloseMs = 5000;

const groupName = /^[A-Za-z0-9_-]{1,128}$/;

export class Client {
  readonly #connection: NatsConnection;
  readonly #ownsConnection: boolean;
  readonly #link: Link;
  readonly #settings: GroupSettings;
  readonly #groups = new Map<string, GroupClient>();
  #closed = false;

  constructor(connection: NatsConnection, options: ClientOptions) {
    const { namespace = 'understudy', inboxPrefix, maxPending, session = true } = options;
    this.#connection = connection;
    this.#ownsConnection = options.connection === undefined;
    this.#link = new Link(connection, namesFor(namespace), inboxPrefix);
    this.#settings = { pending: { ...defaultPending, ...maxPending }, session };
  }

  /**
   * The group `name`; always the same object for the same name. Give the kind's type for typed
   * commands and queries: `client.group<typeof ledger>('bank')`. Throws `BadRequest`.
   */
  group<K = DefinedKind>(name: string): GroupClient<K> {
    if (this.#closed) throw new BadRequest('this client has been closed; create another one');
    const known = this.#groups.get(name);
    if (known) return known as unknown as GroupClient<K>;
    if (!groupName.test(name)) {
      throw new BadRequest(`"${name}" is no group name: 1 to 128 letters, digits, "-" and "_"`);
    }
    const group = new GroupClient(this.#link, name, this.#settings);
    this.#groups.set(name, group);
    return group as unknown as GroupClient<K>;
  }

  /** Takes nothing more, waits up to `timeoutMs` (default 5000) for answers, fails what is left. */
  async close(timeoutMs = defaultCloseMs): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.all([...this.#groups.values()].map((group) => group.close(timeoutMs)));
    if (this.#ownsConnection) await this.#connection.close();
    else this.#link.close();
  }
}

/** Throws `invalid-config`, `broker-unavailable` or `unauthorized`, as `connectTo` does. */
export async function createClient(options: ClientOptions = {}): Promise<Client> {
  const { servers = 'nats://127.0.0.1:4222', name = 'understudy-client' } = options;
  const { user, pass, inboxPrefix } = options;
  const list = typeof servers === 'string' ? [servers] : servers;
  const connection =
    options.connection ?? (await connectTo({ servers: list, name, user, pass, inboxPrefix }));
  return new Client(connection, options);
}
