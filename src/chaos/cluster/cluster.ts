/**
 * Brokers and nodes as child processes, every link between two of them through a proxy of its own. All
 * ports are the system's choice, all data is in one directory, and what was started is ended by its pid.
 */
import { mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type AdminClient, createAdminClient } from '../../client/admin.js';
import { FaultProxy } from '../proxy/proxy.js';
import { ChaosBroker, serverNameIn } from './broker.js';
import { ChaosNode } from './node.js';
import { mount, unmount, type Volume } from './volumes.js';

export interface ClusterOptions {
  readonly brokers: 1 | 3;
  readonly nodes: number;
  /** Null: a temporary one, removed at the end. */
  readonly dir: string | null;
  /** The built `understudy` command. */
  readonly main: string;
  readonly kindsFile: string | undefined;
  readonly syncInterval: string;
  /** Of all processes; `UNDERSTUDY_*` variables among them reach the nodes. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Of the run's directory; they need root. */
  readonly volumes: readonly Volume[];
  /** Beside `env`, of one node. */
  readonly nodeEnv?: ((place: NodePlace) => Readonly<Record<string, string>>) | undefined;
}

export interface NodePlace {
  readonly id: string;
  /** The built `understudy` command. */
  readonly main: string;
  /** Of the run. */
  readonly dir: string;
}

/** What a run is played on, wherever its processes are. */
export interface Ground {
  readonly dir: string;
  /** For programs that are not the nodes. */
  readonly clientUrls: readonly string[];
  /** Of the nodes that can answer now. */
  readonly adminUrls: readonly string[];
  readonly admin: AdminClient;
  /** Null: the nodes ask for none. */
  readonly adminToken: string | null;
  /** Ends every process that was started. */
  stop(): Promise<void>;
}

export const shards = 2;
const adminTimeoutMs = 5000;

export class ChaosCluster implements Ground {
  readonly adminToken = null;
  readonly brokers: readonly ChaosBroker[];
  nodes: readonly ChaosNode[] = [];
  /** The clients' ways to the brokers, which no fault concerns but the brokers' own. */
  #clientDoors: readonly FaultProxy[] = [];

  private constructor(
    private readonly options: ClusterOptions,
    readonly dir: string,
    routes: readonly (FaultProxy | null)[],
  ) {
    const { syncInterval, env } = options;
    this.brokers = routes.map(
      (route, i) => new ChaosBroker({ name: `broker-${i + 1}`, dir, syncInterval, env }, route),
    );
  }

  static async start(options: ClusterOptions): Promise<ChaosCluster> {
    const dir = options.dir === null ? temporaryDir() : resolve(options.dir);
    const routes =
      options.brokers === 1
        ? [null]
        : await Promise.all(
            Array.from({ length: options.brokers }, () =>
              FaultProxy.start(0, { nameIn: serverNameIn }),
            ),
          );
    const cluster = new ChaosCluster(options, dir, routes);
    try {
      await cluster.#start();
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  async #start(): Promise<void> {
    for (const volume of this.options.volumes) mount(this.dir, volume);
    await Promise.all(this.brokers.map((broker) => this.startBroker(broker)));
    this.#clientDoors = await this.#doors();
    const ids = Array.from({ length: this.options.nodes }, (_, i) => `node-${i + 1}`);
    this.nodes = await Promise.all(ids.map(async (id) => this.#node(id, await this.#doors())));
    await Promise.all(this.nodes.map((node) => node.start()));
  }

  #doors(): Promise<FaultProxy[]> {
    return Promise.all(this.brokers.map((broker) => broker.door()));
  }

  #node(id: string, links: readonly FaultProxy[]): ChaosNode {
    const { main, kindsFile, env, nodeEnv } = this.options;
    const own = {
      UNDERSTUDY_SHARDS: String(shards),
      UNDERSTUDY_REPLICAS: String(this.options.brokers),
      ...env,
      ...nodeEnv?.({ id, main, dir: this.dir }),
    };
    const logFile = join(this.dir, 'logs', `${id}.log`);
    const cacheDir = join(this.dir, 'cache', id);
    return new ChaosNode({ main, id, kindsFile, logFile, cacheDir, env: own }, links);
  }

  /** Also once more after an end. */
  async startBroker(broker: ChaosBroker): Promise<void> {
    await broker.start(this.brokers.flatMap(({ route }) => route ?? []));
  }

  /** The built `understudy` command. */
  get main(): string {
    return this.options.main;
  }

  get clientUrls(): string[] {
    return this.#clientDoors.map(({ url }) => url);
  }

  get adminUrls(): string[] {
    const answering = this.nodes.filter((node) => node.isRunning && !node.isFrozen);
    return answering.map(({ adminUrl }) => adminUrl);
  }

  /** Asks the nodes that can answer now. */
  get admin(): AdminClient {
    return createAdminClient({ url: this.adminUrls, timeoutMs: adminTimeoutMs });
  }

  /** All proxies of all links. */
  get links(): FaultProxy[] {
    return [
      ...this.nodes.flatMap(({ links }) => links),
      ...this.brokers.flatMap(({ route }) => route ?? []),
    ];
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.end('SIGKILL')));
    await Promise.all(this.brokers.map((broker) => broker.remove()));
    for (const volume of this.options.volumes) unmount(this.dir, volume);
  }

  /** Removes what they stored, unless somebody else has chosen where. */
  remove(): void {
    if (this.options.dir === null) rmSync(this.dir, { recursive: true, force: true });
  }
}

const leastFreeBytes = 4 * 1024 ** 3;

/** In memory if there is room: what is tested is not the disk. */
function temporaryDir(): string {
  return mkdtempSync(join(hasRoom('/dev/shm') ? '/dev/shm' : tmpdir(), 'understudy-chaos-'));
}

function hasRoom(dir: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(dir);
    return bavail * bsize >= leastFreeBytes;
  } catch {
    return false;
  }
}
