/** One nats-server under fire: it keeps its name, its directory and its proxies whatever happens to it. */
import { join } from 'node:path';
import { type Broker, startBroker } from '../../broker/start.js';
import { FaultProxy } from '../proxy/proxy.js';
import { freePorts } from './ports.js';

export interface ChaosBrokerOptions {
  readonly name: string;
  readonly dir: string;
  readonly syncInterval: string;
  readonly env: NodeJS.ProcessEnv;
}

export class ChaosBroker {
  readonly name: string;
  isFrozen = false;
  /** From its next start on it stores no more than that; null: as much as there is room for. */
  maxStoreSizeBytes: number | null = null;
  /** Those through which others reach it, who have to be told when its port changes. */
  readonly #doors: FaultProxy[] = [];
  #broker: Broker | null = null;

  constructor(
    private readonly options: ChaosBrokerOptions,
    /** The way of the other servers to this one; null: it is alone. */
    readonly route: FaultProxy | null,
  ) {
    this.name = options.name;
  }

  /** Its store, its configuration and its log. */
  get dataDir(): string {
    return join(this.options.dir, this.options.name);
  }

  get isRunning(): boolean {
    return this.#broker !== null;
  }

  get pid(): number {
    return this.#broker?.pid ?? 0;
  }

  /** A way to it for one more process, whichever port it has. */
  async door(): Promise<FaultProxy> {
    const door = await FaultProxy.start(this.#broker?.port ?? 0);
    this.#doors.push(door);
    return door;
  }

  /** `routes`: the ways to all servers. Resolves when it serves; of a cluster that needs a majority. */
  async start(routes: readonly FaultProxy[]): Promise<void> {
    const { name, syncInterval, env } = this.options;
    const { dataDir } = this;
    const maxStoreSizeBytes = this.maxStoreSizeBytes ?? undefined;
    // From the system anew each time: while the server was gone, anybody may have taken the last one.
    const [port, routePort] = (await freePorts(2)) as [number, number];
    // Who has lost it finds it when it listens, long before it has elected anybody and serves.
    for (const door of this.#doors) door.retarget(port);
    const options = { maxStoreSizeBytes, dataDir, port, serverName: name, syncInterval, env };
    if (this.route === null) this.#broker = await startBroker(options);
    else {
      this.route.retarget(routePort);
      const others = routes.filter((route) => route !== this.route).map(({ url }) => url);
      const advertise = new URL(this.route.url).host;
      const cluster = { name: 'chaos', port: routePort, routes: others, advertise };
      this.#broker = await startBroker({ ...options, cluster });
    }
    this.isFrozen = false;
  }

  /** Resolves when the process is gone. */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const broker = this.#broker;
    if (broker === null) return;
    broker.kill(signal);
    if (this.isFrozen) broker.kill('SIGCONT');
    await broker.exited;
    this.#broker = null;
  }

  freeze(): void {
    this.isFrozen = true;
    this.#broker?.kill('SIGSTOP');
  }

  thaw(): void {
    this.isFrozen = false;
    this.#broker?.kill('SIGCONT');
  }

  async remove(): Promise<void> {
    await this.end('SIGKILL');
    await Promise.all([...this.#doors, this.route].map((proxy) => proxy?.close()));
  }
}

/** Who dials a route says so in the first it sends, as JSON. */
export function serverNameIn(first: string): string | null {
  return /"server_name":"([^"]+)"/.exec(first)?.[1] ?? null;
}
