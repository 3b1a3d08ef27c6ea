/** `understudy dev`: a broker and a few nodes as processes of their own, on this machine. */
import { join, resolve } from 'node:path';
import { UnderstudyError } from '../../replication/errors.js';
import { type Broker, startBroker } from '../broker/start.js';
import { createAdminClient } from '../client/admin.js';
import { NodeChild } from './dev-node.js';
import { isPortFree } from './dev-ports.js';
import { type DevOptions, type Io, write } from './io.js';
import { table } from './table.js';

const defaultNatsPort = 4222;
const startingGroups = ['counter', 'ledger', 'kv'];

export async function devCommand(options: DevOptions, io: Io): Promise<number> {
  const cluster = new DevCluster(options, io);
  const interrupted = firstSignal();
  try {
    await cluster.start();
    await interrupted;
    await write(io.stdout, '\nstopping …\n');
    return 0;
  } finally {
    await cluster.stop();
  }
}

function firstSignal(): Promise<void> {
  return new Promise((done) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
      process.once(signal, () => done());
  });
}

class DevCluster {
  readonly #nodes: NodeChild[] = [];
  readonly #data: string;
  #broker: Broker | null = null;
  #stopping = false;

  constructor(
    private readonly options: DevOptions,
    private readonly io: Io,
  ) {
    this.#data = resolve(options.data);
  }

  async start(): Promise<void> {
    const { nodes, port } = this.options;
    await this.#checkPorts();
    this.#broker = await this.#firstBroker();
    for (let i = 0; i < nodes; i++) {
      this.#nodes.push(this.#child(`node-${i + 1}`, port + i, this.#broker.url));
    }
    await Promise.all(this.#nodes.map((node) => node.start()));
    if (this.options.groups) await this.#createGroups();
    await this.#show();
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#nodes.map((node) => node.stop()));
    await this.#broker?.stop();
  }

  async #checkPorts(): Promise<void> {
    for (let i = 0; i < this.options.nodes; i++) {
      const port = this.options.port + i;
      if (await isPortFree(port)) continue;
      throw new UnderstudyError(
        'invalid-config',
        `port ${port} is taken, perhaps by another \`understudy dev\`; stop it or choose --port`,
      );
    }
  }

  /** The usual port if it can be had; an orphan of an earlier run gives it back first. */
  async #firstBroker(): Promise<Broker> {
    const { natsPort } = this.options;
    if (natsPort !== undefined) return await this.#startBroker(natsPort);
    try {
      return await this.#startBroker(defaultNatsPort);
    } catch (error) {
      if (await isPortFree(defaultNatsPort)) throw error;
      return await this.#startBroker(0);
    }
  }

  async #startBroker(port: number): Promise<Broker> {
    const broker = await startBroker({
      dataDir: join(this.#data, 'broker'),
      port,
      syncInterval: this.options.syncInterval,
    });
    void broker.exited.then(({ signal, code, expected }) => {
      if (expected || this.#stopping) return;
      void this.#say(
        `broker (pid ${broker.pid}) ended: ${signal ?? `code ${code}`}; starting it again`,
      );
      void this.#restartBroker(broker.port);
    });
    return broker;
  }

  async #restartBroker(port: number): Promise<void> {
    try {
      this.#broker = await this.#startBroker(port);
      await this.#say(`broker is back, pid ${this.#broker.pid}`);
    } catch (error) {
      await this.#say(`broker does not start: ${(error as Error).message}`);
    }
  }

  #child(id: string, adminPort: number, natsUrl: string): NodeChild {
    const { kinds } = this.options;
    return new NodeChild({
      main: join(import.meta.dirname, 'main.js'),
      id,
      adminPort,
      natsUrl,
      kindsFile: kinds === undefined ? undefined : resolve(kinds),
      logFile: join(this.#data, 'logs', `${id}.log`),
      cacheDir: join(this.#data, 'cache', id),
      env: this.io.env,
      onDeath: (pid, how, isAsked) => {
        void (isAsked
          ? this.#startAgain(id, pid, 'was asked to end')
          : this.#reportDeath(id, pid, how));
      },
    });
  }

  async #reportDeath(id: string, pid: number, how: string): Promise<void> {
    if (this.#stopping) return;
    if (!this.options.respawn) {
      const log = join(this.options.data, 'logs', `${id}.log`);
      return this.#say(
        `${id} (pid ${pid}) ended: ${how}. Its groups fail over; it is not restarted ` +
          `(--respawn would). Log: ${log}`,
      );
    }
    await this.#startAgain(id, pid, `ended: ${how}`);
  }

  async #startAgain(id: string, pid: number, what: string): Promise<void> {
    if (this.#stopping) return;
    const node = this.#nodes.find((each) => each.id === id);
    await this.#say(`${id} (pid ${pid}) ${what}; starting it again`);
    await node
      ?.start()
      .catch((error: Error) => this.#say(`${id} does not start: ${error.message}`));
  }

  #say(line: string): Promise<void> {
    return write(this.io.stdout, `${line}\n`);
  }

  /** A second start finds them. */
  async #createGroups(): Promise<void> {
    const admin = createAdminClient({ url: this.#nodes.map((node) => node.adminUrl) });
    const existing = new Set((await admin.groups()).map(({ name }) => name));
    const memberCount = Math.min(3, this.#nodes.length);
    if (memberCount < 2) return this.#say('one node alone: no groups are created');
    for (const name of startingGroups) {
      if (!existing.has(name)) await this.#create(admin, name, memberCount);
    }
  }

  /** The nodes may not have heard of each other yet. */
  async #create(
    admin: ReturnType<typeof createAdminClient>,
    name: string,
    memberCount: number,
  ): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await admin.createGroup({ name, kind: name, memberCount });
        return;
      } catch (error) {
        const code = error instanceof UnderstudyError ? error.code : null;
        if (code === 'group-exists') return;
        if (code !== 'placement-failed' || attempt === 50) throw error;
        await new Promise((done) => setTimeout(done, 100));
      }
    }
  }

  async #show(): Promise<void> {
    const { pid, url } = this.#broker as Broker;
    const rows = [
      ['nats-server', String(pid), url],
      ...this.#nodes.map((node) => [node.id, String(node.pid), node.adminUrl]),
    ];
    await write(this.io.stdout, table(['process', 'pid', 'url'], rows));
    const groups = this.options.groups ? `groups: ${startingGroups.join(', ')}. ` : '';
    await this.#say(`\n${groups}State in ${this.#data}. Ctrl-C stops everything.`);
  }
}
