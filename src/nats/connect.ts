/** How a node connects to the broker: which connections, under which names, with which patience. */
import { isIPv6 } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { AuthorizationError, type NatsConnection } from 'nats';
import { UnderstudyError } from '../../replication/errors.js';
import { connect } from './transport.js';

export interface ConnectOptions {
  /** Each `nats://host:port`, `tls://host:port` or `host:port`. */
  readonly servers: readonly string[];
  /** Shown by the broker in its monitoring and its advisories. */
  readonly name: string;
  readonly user?: string | undefined;
  readonly pass?: string | undefined;
  /** Answers arrive below it; permissions are written for it. */
  readonly inboxPrefix?: string | undefined;
  /** How long the first connection may take, over all servers. Default 15 s. */
  readonly patienceMs?: number | undefined;
}

const dialTimeoutMs = 2000;
const retryMs = 100;
const defaultPatienceMs = 15_000;

/**
 * Connects, trying again until `patienceMs` has passed; later the connection restores itself for ever.
 * Throws `invalid-config` if a server is no address, `unauthorized` if the broker refuses the user, `broker-unavailable` if nobody answers.
 */
export async function connectTo(options: ConnectOptions): Promise<NatsConnection> {
  const wrong = options.servers.find((server) => !isAddress(server));
  if (wrong !== undefined) throw noAddress(wrong);
  const patienceMs = options.patienceMs ?? defaultPatienceMs;
  const deadlineMs = performance.now() + patienceMs;
  for (;;) {
    try {
      return await connect(settings(options));
    } catch (error) {
      if (error instanceof AuthorizationError) throw refused(options, error);
      if (performance.now() + retryMs >= deadlineMs) throw unreachable(options, patienceMs, error);
    }
    await delay(retryMs);
  }
}

/** What is none would be dialled in vain, and taken for a broker that is away. */
function isAddress(server: string): boolean {
  if (isIPv6(server)) return true;
  const address = server.includes('://') ? server : `nats://${server}`;
  if (!URL.canParse(address)) return false;
  const { protocol, hostname } = new URL(address);
  return ['nats:', 'tls:'].includes(protocol) && hostname !== '';
}

function noAddress(server: string): UnderstudyError {
  return new UnderstudyError(
    'invalid-config',
    `"${server}" is not the address of a broker. Give nats://HOST:PORT, tls://HOST:PORT or HOST:PORT; ` +
      'brokers are not spoken to over WebSockets.',
  );
}

/** A lost connection is dialled at once, then every 100 to 200 ms; a hung broker is noticed in 3 s. */
function settings({ servers, name, user, pass, inboxPrefix }: ConnectOptions) {
  return {
    servers: [...servers],
    name,
    timeout: dialTimeoutMs,
    pingInterval: 1000,
    maxPingOut: 2,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
    reconnectJitter: 100,
    // A broker whose user database is being reloaded must not make a node give up.
    ignoreAuthErrorAbort: true,
    // Halves the cost of a request, which would otherwise capture a stack trace.
    noAsyncTraces: true,
    ...(user === undefined ? {} : { user }),
    ...(pass === undefined ? {} : { pass }),
    ...(inboxPrefix === undefined ? {} : { inboxPrefix }),
  };
}

function refused({ servers, user }: ConnectOptions, cause: Error): UnderstudyError {
  const who = user === undefined ? 'a connection without a user' : `user "${user}"`;
  return new UnderstudyError(
    'unauthorized',
    `The broker at ${servers.join(', ')} refused ${who}. ` +
      "Compare the user and password of this node with the broker's configuration.",
    undefined,
    cause,
  );
}

function unreachable(
  { servers }: ConnectOptions,
  patienceMs: number,
  cause: unknown,
): UnderstudyError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new UnderstudyError(
    'broker-unavailable',
    `No broker answered at ${servers.join(', ')} within ${patienceMs} ms (${reason}). ` +
      'Start nats-server there, or correct the servers in the configuration.',
    undefined,
    cause,
  );
}

/**
 * A broker cuts off a whole connection when its reader falls behind, so what must stay quick never
 * shares one with what is large.
 */
export const purposes = ['control', 'tail', 'bulk'] as const;
export type Purpose = (typeof purposes)[number];

/**
 * `control`: appends, requests; `tail`: what comes live, beats, notices and records of hot groups;
 * `bulk`: catching up and snapshots.
 */
export type Connections = Readonly<Record<Purpose, NatsConnection>>;

export interface ConnectionName {
  readonly node: string;
  readonly incarnation: string;
  readonly purpose: Purpose;
}

export function connectionName({ node, incarnation, purpose }: ConnectionName): string {
  return `understudy/${node}/${incarnation}/${purpose}`;
}

/** What `connectionName` made, or nothing if the name belongs to somebody else. */
export function parseConnectionName(name: string): ConnectionName | undefined {
  const [program, node, incarnation, purpose, ...rest] = name.split('/');
  const known = purposes.find((one) => one === purpose);
  if (program !== 'understudy' || !node || !incarnation || !known || rest.length > 0) {
    return undefined;
  }
  return { node, incarnation, purpose: known };
}

export type ConnectionStatus = 'lost' | 'back' | 'closed';

export interface OpenOptions extends Omit<ConnectOptions, 'name'> {
  readonly node: string;
  readonly incarnation: string;
  readonly onStatus?: ((purpose: Purpose, status: ConnectionStatus) => void) | undefined;
}

/** Opens a node's three connections; all of them or none. Throws what `connectTo` throws. */
export async function openConnections(options: OpenOptions): Promise<Connections> {
  const { node, incarnation, onStatus } = options;
  const opened = await Promise.allSettled(
    purposes.map((purpose) =>
      connectTo({ ...options, name: connectionName({ node, incarnation, purpose }) }),
    ),
  );
  const open = opened.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const failed = opened.find((one) => one.status === 'rejected');
  const [control, tail, bulk] = open;
  if (failed || !control || !tail || !bulk) {
    await Promise.all(open.map((connection) => connection.close()));
    throw failed?.reason;
  }
  const connections = { control, tail, bulk };
  for (const purpose of purposes) {
    watchConnection(connections[purpose], (status) => onStatus?.(purpose, status));
  }
  return connections;
}

export async function closeConnections(connections: Connections): Promise<void> {
  await Promise.all(purposes.map((purpose) => connections[purpose].close()));
}

/** Reports every change until the connection is closed for good; a node that closes it hears `closed`. */
export function watchConnection(
  connection: NatsConnection,
  report: (status: ConnectionStatus) => void,
): void {
  const follow = async () => {
    for await (const status of connection.status()) {
      if (status.type === 'disconnect') report('lost');
      else if (status.type === 'reconnect') report('back');
      else if (status.type === 'close') report('closed');
    }
  };
  void follow();
}
