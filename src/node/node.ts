/** One node, from configuration to a served admin API, and back down in order. */
import { randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { type Logger, pino } from 'pino';
import type { NodeInfo } from '../../cluster/types.js';
import { UnderstudyError } from '../../replication/errors.js';
import type { Kind } from '../../replication/kind.js';
import { assertSafeBinding, loadAuth } from '../admin/auth.js';
import { createAdminServer } from '../admin/server.js';
import { type Client, createClient } from '../client/client.js';
import { type Connections, closeConnections, openConnections } from '../nats/connect.js';
import { patiently } from '../nats/patience.js';
import { ensureStreams } from '../nats/streams.js';
import { namesFor } from '../nats/subjects.js';
import { sha256 } from '../sha256.js';
import { version } from '../version.js';
import { NodeBackend } from './backend.js';
import { type NodeChunkCache, noCache, openChunkCache } from './chunk-cache.js';
import { compileConfig, type NodeConfig, type NodeOptions } from './config.js';
import { EndsMemory } from './ends-memory.js';
import { loadKinds } from './kinds.js';
import { OperationStore } from './operations/store.js';
import { Runtime } from './runtime.js';

export interface StartOptions {
  /** Beside the shipped kinds and those of `kindsFile`. */
  readonly kinds?: readonly Kind[] | undefined;
  readonly logger?: Logger | undefined;
}

export interface RunningNode {
  readonly id: string;
  readonly adminUrl: string;
  /** Resolves if another process starts with this node's id: then this one has to stop. */
  readonly superseded: Promise<void>;
  /** Resolves if an operator restarts this node: then the process has to drain, stop and be started anew. */
  readonly restartAsked: Promise<void>;
  /** Hands the actives over, then stops. Bounded; what could not be handed over fails over. */
  drainAndStop(): Promise<void>;
  /** Stops at once; the others take over. */
  stop(): Promise<void>;
}

const handOffBudgetMs = 3000;
const drainMs = 15_000;
/** Fewer than operations may run at once. */
const handOversAtOnce = 32;
/** For letting go of operations, which others find without it. */
const letGoMs = 1000;
/** For answers that others still give, before those who wait for them are told that none came. */
const lastAnswersMs = 3000;
/** From the signal to the end: a container has to be given more. */
export const longestStopMs = drainMs + letGoMs + lastAnswersMs + letGoMs;

/**
 * Starts a node in this process. Throws `invalid-config`, `broker-unavailable`, `unauthorized`, or
 * what the operating system says about the admin port.
 */
export async function startNode(
  options: NodeOptions,
  { kinds, logger: given }: StartOptions = {},
): Promise<RunningNode> {
  const config = compileConfig(options);
  const logger = given ?? pino({ level: config.logLevel, base: { node: config.id } });
  assertSafeBinding(config.admin.host, config.tokenFile);
  const known = await loadKinds(config.kindsFile, kinds);
  const node = new NodeProcess(config, known, logger);
  try {
    await node.start();
  } catch (error) {
    await node.stop();
    throw error;
  }
  return node;
}

/** Fixed width and growing with time, so that a later life compares greater. */
function newIncarnation(): string {
  return `${Date.now().toString(36).padStart(9, '0')}-${randomBytes(4).toString('hex')}`;
}

class NodeProcess implements RunningNode {
  adminUrl = '';
  readonly #config: NodeConfig;
  readonly #kinds: ReadonlyMap<string, Kind>;
  readonly #logger: Logger;
  #connections: Connections | null = null;
  #runtime: Runtime | null = null;
  #cache: NodeChunkCache = noCache;
  #ends: EndsMemory | null = null;
  #client: Client | null = null;
  #backend: NodeBackend | null = null;
  #server: FastifyInstance | null = null;
  #stopping: Promise<void> | null = null;
  #supersede: () => void = () => undefined;
  readonly superseded: Promise<void>;
  #askForRestart: () => void = () => undefined;
  readonly restartAsked: Promise<void>;

  constructor(config: NodeConfig, kinds: ReadonlyMap<string, Kind>, logger: Logger) {
    this.#config = config;
    this.#kinds = kinds;
    this.#logger = logger;
    this.superseded = new Promise((resolve) => {
      this.#supersede = resolve;
    });
    this.restartAsked = new Promise((resolve) => {
      this.#askForRestart = resolve;
    });
  }

  get id(): string {
    return this.#config.id;
  }

  async start(): Promise<void> {
    const { id, servers, user, pass, namespace, replicas, shards } = this.#config;
    const incarnation = newIncarnation();
    const names = namesFor(namespace);
    const connections = await openConnections({
      servers,
      user,
      pass,
      node: id,
      incarnation,
      onStatus: (purpose, status) => {
        if (purpose !== 'control' || status === 'closed') return;
        const connected = status === 'back';
        this.#logger.warn({ connected }, connected ? 'broker is back' : 'broker lost');
        this.#runtime?.brokerStatus(connected);
        this.#backend?.brokerStatus(connected);
      },
    });
    this.#connections = connections;
    const { control } = connections;
    await ensureStreams(control, { namespace, names, shards, replicas });
    this.#cache = await this.#openCache();
    const ends = await EndsMemory.open(this.#config.cacheDir, this.#logger);
    this.#ends = ends;
    const runtime = new Runtime({
      config: this.#config,
      cache: this.#cache,
      ends,
      info: this.#info(incarnation),
      connections,
      names,
      kinds: this.#kinds,
      logger: this.#logger,
      superseded: ({ pid, adminUrl }) => {
        const detail = `another process (pid ${pid}, ${adminUrl}) runs as node ${id} since later`;
        this.#logger.fatal(`${detail}; this one stops. Give each node an id of its own.`);
        this.#supersede();
      },
      restartAsked: () => {
        this.#logger.warn('an operator restarts this node: it hands over and ends');
        this.#askForRestart();
      },
    });
    this.#runtime = runtime;
    const operations = await OperationStore.open(control, names);
    this.#client = await createClient({ connection: control, namespace, session: false });
    const backend = new NodeBackend(runtime, operations, this.#client);
    this.#backend = backend;
    await this.#listen(backend);
    runtime.announceAt(this.#config.admin.url ?? this.adminUrl);
    await runtime.start();
    await patiently('read the operations', () => backend.open());
    this.#logger.info({ adminUrl: this.adminUrl, incarnation }, 'node is up');
  }

  async #openCache(): Promise<NodeChunkCache> {
    const { cacheDir, cacheSizeBytes: sizeBytes } = this.#config;
    if (cacheDir === null) return noCache;
    const options = { dir: cacheDir, sizeBytes, hash: sha256, logger: this.#logger };
    return await openChunkCache(options).catch((error: Error) => {
      throw new UnderstudyError('invalid-config', `cacheDir ${cacheDir}: ${error.message}`);
    });
  }

  #info(incarnation: string): NodeInfo {
    const { id, zone, supervised } = this.#config;
    const kinds = [...this.#kinds.keys()];
    const { pid } = process;
    return { id, incarnation, zone, adminUrl: null, pid, kinds, draining: false, supervised };
  }

  /** Before the node joins: a port that is taken must fail the start, not a running node. */
  async #listen(backend: NodeBackend): Promise<void> {
    const { admin, tokenFile } = this.#config;
    const auth = await loadAuth(tokenFile);
    this.#server = createAdminServer({ backend, auth, logger: this.#logger, version });
    await this.#server.listen({ host: admin.host, port: admin.port });
    const { port } = this.#server.server.address() as AddressInfo;
    const name = admin.host.includes(':') ? `[${admin.host}]` : admin.host;
    this.adminUrl = `http://${name}:${port}`;
  }

  async drainAndStop(): Promise<void> {
    const [runtime, backend] = [this.#runtime, this.#backend];
    if (runtime !== null && backend !== null) {
      runtime.leave();
      const groups = runtime.activeGroups();
      const hand = async () => {
        for (let group = groups.pop(); group !== undefined; group = groups.pop()) {
          await this.#handOver(backend, group);
        }
      };
      const all = Array.from({ length: handOversAtOnce }, hand);
      const deadline = new Promise<void>((resolve) => setTimeout(resolve, drainMs).unref());
      await Promise.race([Promise.all(all), deadline]);
    }
    await this.stop();
  }

  async #handOver(backend: NodeBackend, group: string): Promise<void> {
    try {
      const request = { timeoutMs: handOffBudgetMs };
      const answer = await backend.switchover(group, request, { by: `node ${this.id}` });
      if (answer.kind !== 'started') {
        const failed = answer.preconditions.filter(({ ok }) => !ok).map(({ detail }) => detail);
        this.#logger.warn(
          { group, failed },
          'cannot hand over; the group fails over, unless it is paused',
        );
        return;
      }
      const ended = await backend.operation(answer.operation.id, drainMs);
      this.#logger.info({ group, state: ended.state, step: ended.steps.at(-1) }, 'handed over');
    } catch (error) {
      this.#logger.warn({ group, err: error }, 'hand-over failed; the group will fail over');
    }
  }

  /** Everybody gets an answer, if only that there is none; who does not read it is cut off. */
  async #closeServer(): Promise<void> {
    if (this.#server === null) return;
    const closed = this.#server.close();
    await Promise.race([closed, delay(lastAnswersMs, undefined, { ref: false })]);
    await this.#backend?.leave();
    await Promise.race([closed, delay(letGoMs, undefined, { ref: false })]);
    this.#server.server.closeAllConnections();
    await closed;
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    await Promise.race([this.#backend?.stop(), delay(letGoMs, undefined, { ref: false })]);
    await this.#closeServer();
    this.#runtime?.stop();
    await this.#client?.close(0);
    if (this.#connections !== null) await closeConnections(this.#connections);
    await this.#cache.close();
    await this.#ends?.close();
    this.#logger.info('node has stopped');
  }
}
