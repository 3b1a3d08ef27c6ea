/** A whole cluster of real processes: one broker and several nodes, all on free ports. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, onTestFailed, onTestFinished } from 'vitest';
import type { GroupDocument, GroupSpec, HistoryEntry } from '../../cluster/documents.js';
import { type AdminClient, createAdminClient } from '../../src/client/admin.js';
import { type Client, createClient } from '../../src/client/client.js';
import { startTestBroker, type TestBroker } from './broker.js';
import { NodeProcess } from './node-process.js';
import { until } from './until.js';

export interface ClusterOptions {
  /** Default 3. */
  readonly nodes?: number;
  /** `UNDERSTUDY_*` variables of all nodes. */
  readonly env?: Readonly<Record<string, string>>;
  /** Each has a cache of its own on disk, in the folder `cache-<id>` of where the nodes run. */
  readonly hasCaches?: boolean;
  /** Files in the directory that the nodes run in, there before they start. */
  readonly files?: Readonly<Record<string, string>>;
}

export class Cluster {
  readonly nodes: readonly NodeProcess[];
  broker: TestBroker;
  readonly #dir: string;
  readonly #clients: Client[] = [];

  constructor(
    broker: TestBroker,
    { nodes = 3, env = {}, files = {}, hasCaches = false }: ClusterOptions,
  ) {
    this.broker = broker;
    this.#dir = mkdtempSync(join(tmpdir(), 'understudy-nodes-'));
    for (const [file, text] of Object.entries(files)) this.put(file, text);
    const settings = {
      UNDERSTUDY_NATS_URL: broker.url,
      UNDERSTUDY_ADMIN_PORT: '0',
      ...env,
    };
    this.nodes = Array.from({ length: nodes }, (_, i) => {
      const id = `node-${i + 1}`;
      const own: Record<string, string> = hasCaches ? { UNDERSTUDY_CACHE_DIR: `cache-${id}` } : {};
      return new NodeProcess(id, this.#dir, { ...settings, ...own });
    });
  }

  /** Starts the nodes that do not run; resolves when each knows of all. */
  async start(): Promise<void> {
    await Promise.all(this.nodes.map((node) => (node.isRunning ? undefined : node.start())));
    await until('every node sees every other', async () => {
      const views = await Promise.all(this.nodes.map((node) => this.adminOf(node).nodes()));
      return views.every(
        (view) => view.filter(({ state }) => state === 'up').length === this.nodes.length,
      );
    });
  }

  /** Through any node that can answer. */
  get admin(): AdminClient {
    const answering = this.nodes.filter((node) => node.isAnswering);
    return createAdminClient({ url: answering.map((node) => node.adminUrl), timeoutMs: 5000 });
  }

  adminOf(node: NodeProcess): AdminClient {
    return createAdminClient({ url: node.adminUrl, timeoutMs: 5000 });
  }

  node(id: string | null): NodeProcess {
    const found = this.nodes.find((node) => node.id === id);
    if (found === undefined) throw new Error(`there is no node ${id}`);
    return found;
  }

  /** A file in the directory that the nodes run in; null: there is none. */
  read(file: string): string | null {
    const path = join(this.#dir, file);
    return existsSync(path) ? readFileSync(path, 'utf8') : null;
  }

  put(file: string, text: string): void {
    writeFileSync(join(this.#dir, file), text);
  }

  /** Closed with the cluster. */
  async client(): Promise<Client> {
    const client = await createClient({ servers: this.broker.url });
    this.#clients.push(client);
    return client;
  }

  /** Creates a group and waits until all its members are healthy. */
  async createGroup(spec: GroupSpec): Promise<GroupDocument> {
    await this.admin.createGroup(spec);
    return await this.whole(spec.name);
  }

  /** The group when all its members are healthy and it is protected. */
  whole(name: string, timeoutMs?: number): Promise<GroupDocument> {
    const isWhole = ({ health, reprotected, activeNode }: GroupDocument) =>
      health.healthy === health.total && reprotected && activeNode !== null;
    return this.group(name, 'whole', isWhole, timeoutMs);
  }

  /** The group when it has an active in an epoch above `epoch`. */
  after(name: string, epoch: number, timeoutMs?: number): Promise<GroupDocument> {
    const isAfter = (group: GroupDocument) => group.epoch > epoch && group.activeNode !== null;
    return this.group(name, `past epoch ${epoch}`, isAfter, timeoutMs);
  }

  /** The group once `isTrue`. */
  async group(
    name: string,
    what: string,
    isTrue: (group: GroupDocument) => boolean,
    timeoutMs?: number,
  ): Promise<GroupDocument> {
    let seen: GroupDocument | undefined;
    const look = async () => {
      seen = await this.admin.group(name);
      return isTrue(seen) ? seen : null;
    };
    return await until(`group ${name} is ${what}`, look, timeoutMs).catch((error: Error) => {
      throw new Error(`${error.message}\n${JSON.stringify(seen, null, 1)}`);
    });
  }

  activeOf({ activeNode }: GroupDocument): NodeProcess {
    return this.node(activeNode);
  }

  standbysOf({ members, activeIndex }: GroupDocument): NodeProcess[] {
    return members
      .filter(({ index }) => index !== activeIndex)
      .map(({ nodeId }) => this.node(nodeId));
  }

  /** The history's entry of `epoch`, once the epoch has opened. */
  async epoch(name: string, epoch: number): Promise<HistoryEntry> {
    return await until(`history of ${name} tells of epoch ${epoch}`, async () => {
      const entries = await this.admin.history(name);
      return entries.find((entry) => entry.epoch === epoch && entry.phases !== null);
    });
  }

  /** Ends the broker with `signal` and starts it again on the same port and directory. */
  async restartBroker(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    await this.endBroker(signal);
    await this.startBroker();
  }

  async endBroker(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    this.broker.kill(signal);
    await this.broker.exited;
  }

  async startBroker(): Promise<void> {
    const { dataDir, port } = this.broker;
    this.broker = await startTestBroker({ dataDir, port });
  }

  printLogs(): void {
    for (const node of this.nodes) process.stderr.write(`--- ${node.id}\n${node.logTail()}\n`);
  }

  async remove(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close(0)));
    await Promise.all(this.nodes.map((node) => (node.isRunning ? node.kill() : undefined)));
    await this.broker.remove();
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

/** For this test: if it fails, the nodes' logs are printed; gone when it ends. */
export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const cluster = new Cluster(await startTestBroker(), options);
  onTestFinished(async ({ task }) => {
    if (task.result?.state === 'fail') cluster.printLogs();
    await cluster.remove();
  });
  await cluster.start();
  return cluster;
}

/** For all tests of a file: `beforeAll` starts it, `afterAll` has to remove it. */
export async function startSharedCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const cluster = new Cluster(await startTestBroker(), options);
  try {
    await cluster.start();
    return cluster;
  } catch (error) {
    cluster.printLogs();
    await cluster.remove();
    throw error;
  }
}

/**
 * One cluster for a whole file, to be called at its top. Every node runs when a test begins, and if a test fails, the
 * nodes' logs are printed. Groups of earlier tests are still there.
 */
export function clusterOfFile(options: ClusterOptions = {}): () => Cluster {
  let cluster: Cluster | undefined;
  const started = (): Cluster => {
    if (cluster === undefined) throw new Error('the cluster starts before the first test');
    return cluster;
  };
  beforeAll(async () => {
    cluster = await startSharedCluster(options);
  });
  beforeEach(async () => {
    onTestFailed(() => started().printLogs());
    await started().start();
  });
  afterAll(() => cluster?.remove());
  return started;
}
