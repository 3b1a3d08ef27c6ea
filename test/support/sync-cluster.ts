/**
 * A cluster for tests of syncs: each node keeps chunks in a directory of its own, and has a proxy between
 * itself and the broker, so that a transfer can be made to last.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { GroupDocument, MemberDocument, MemberSync } from '../../cluster/documents.js';
import { FaultProxy } from '../../src/chaos/proxy/proxy.js';
import { startTestBroker, type TestBroker } from './broker.js';
import { Cluster } from './cluster.js';
import { NodeProcess } from './node-process.js';
import { StoredChunks } from './stored-chunks.js';
import { until } from './until.js';

export interface Fetched {
  /** Bytes. */
  readonly cache: number;
  readonly store: number;
  readonly peers: number;
  /** Answers with other bytes than those asked for. */
  readonly corrupt: number;
  /** Files of the node's own cache that were read, and those of them that were damaged. */
  readonly hits: number;
  readonly damaged: number;
}

export class SyncCluster extends Cluster {
  override readonly nodes: readonly NodeProcess[];
  readonly #dir = mkdtempSync(join(tmpdir(), 'understudy-sync-'));

  constructor(
    broker: TestBroker,
    readonly chunks: StoredChunks,
    private readonly proxies: readonly FaultProxy[],
    env: Readonly<Record<string, string>>,
  ) {
    super(broker, { nodes: 0 });
    this.nodes = proxies.map(({ url }, i) => {
      const id = `node-${i + 1}`;
      const own = { UNDERSTUDY_NATS_URL: url, UNDERSTUDY_CACHE_DIR: this.cacheDir(id) };
      return new NodeProcess(id, this.#dir, { UNDERSTUDY_ADMIN_PORT: '0', ...own, ...env });
    });
  }

  proxyOf(node: NodeProcess): FaultProxy {
    return this.proxies[this.nodes.indexOf(node)] as FaultProxy;
  }

  override async startBroker(): Promise<void> {
    await super.startBroker();
    await this.chunks.connected();
  }

  cacheDir(id: string): string {
    return join(this.#dir, `cache-${id}`);
  }

  /** Paths of the chunks that a node has on disk, by their hashes in hexadecimal. */
  cached({ id }: NodeProcess): Map<string, string> {
    const dir = this.cacheDir(id);
    mkdirSync(dir, { recursive: true });
    const folders = readdirSync(dir)
      .filter((name) => /^[0-9a-f]{2}$/.test(name))
      .map((folder) => join(dir, folder));
    const files = folders.flatMap((folder) =>
      readdirSync(folder).map((name) => [name, join(folder, name)] as const),
    );
    return new Map(files.filter(([name]) => /^[0-9a-f]+$/.test(name)));
  }

  emptyCache(node: NodeProcess): void {
    this.forget(node, [...this.cached(node).keys()]);
  }

  /** Whether the node runs or not: what it does not find it does not have. */
  forget(node: NodeProcess, hashes: readonly string[]): void {
    const paths = this.cached(node);
    for (const hash of hashes) rmSync(paths.get(hash) ?? '', { force: true });
  }

  memberOn({ id }: NodeProcess, { members }: GroupDocument): MemberDocument {
    const found = members.find(({ nodeId }) => nodeId === id);
    if (found === undefined) throw new Error(`node ${id} has no member`);
    return found;
  }

  /** Resolves when the newest snapshot that is recorded covers `seq`. */
  async snapshotAt(name: string, seq: number): Promise<void> {
    const group = await this.admin.group(name);
    await until(`a snapshot of ${name} covers seq ${seq}`, async () => {
      const { body } = await this.chunks.snapshot(group);
      return body.at >= seq;
    });
  }

  /** What its member fetches, once that is so far. Asked of another node, as itself may be slow. */
  async syncing(
    node: NodeProcess,
    name: string,
    isSoFar: (sync: MemberSync) => boolean,
  ): Promise<MemberSync> {
    let seen: MemberSync | null = null;
    await this.group(name, `fetched by ${node.id}`, (group) => {
      const { sync, healthy } = this.memberOn(node, group);
      if (healthy) throw new Error(`the member on ${node.id} is there before it was seen fetching`);
      if (sync !== null && isSoFar(sync)) seen = sync;
      return seen !== null;
    });
    return seen as unknown as MemberSync;
  }

  /** All that a node has fetched since it started. */
  async fetched({ adminUrl }: NodeProcess): Promise<Fetched> {
    const response = await fetch(`${adminUrl}/metrics`);
    const text = await response.text();
    const value = (name: string) => {
      const line = text.split('\n').find((one) => one.startsWith(`understudy_${name} `));
      if (line === undefined) throw new Error(`there is no ${name} in\n${text}`);
      return Number(line.split(' ').at(-1));
    };
    const from = (source: string) => value(`sync_fetched_bytes_total{source="${source}"}`);
    return {
      cache: from('cache'),
      store: from('store'),
      peers: from('peers'),
      corrupt: value('sync_corrupt_total'),
      hits: value('chunk_cache_hits_total'),
      damaged: value('chunk_cache_corrupt_total'),
    };
  }

  override async remove(): Promise<void> {
    await this.chunks.close();
    await super.remove();
    await Promise.all(this.proxies.map((proxy) => proxy.close()));
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

/** For all tests of a file: `beforeAll` starts it, `afterAll` has to remove it. */
export async function startSyncCluster(
  env: Readonly<Record<string, string>> = {},
): Promise<SyncCluster> {
  const broker = await startTestBroker();
  const chunks = await StoredChunks.open(broker.url);
  const proxies = await Promise.all(
    Array.from({ length: 3 }, () => FaultProxy.start(Number(broker.port))),
  );
  const cluster = new SyncCluster(broker, chunks, proxies, env);
  try {
    await cluster.start();
    return cluster;
  } catch (error) {
    cluster.printLogs();
    await cluster.remove();
    throw error;
  }
}
