/** The processes of `bench:snapshots`: a broker, three nodes that can be measured, and a client. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { NatsConnection } from 'nats';
import type { GroupDetail } from '../../cluster/documents.js';
import { type Broker, startBroker } from '../../src/broker/start.js';
import { type AdminClient, createAdminClient } from '../../src/client/admin.js';
import { connectTo } from '../../src/nats/connect.js';
import { namesFor } from '../../src/nats/subjects.js';
import { Rpc } from '../../src/node/rpc.js';
import { BenchChild } from './child.js';
import { createGroup } from './cluster.js';
import type { Delay, Synced, Traffic } from './snapshots-node.js';
import { sum } from './snapshots-print.js';

export const groupName = 'bench';
const count = 3;
const cutTimeoutMs = 600_000;
/** What is timed is timed by the nodes themselves: asking them is not to keep them busy. */
const pollMs = 100;

/** One node, over several lives. */
export class MeasuredNode {
  readonly cacheDir: string;
  #child: BenchChild | null = null;
  adminUrl = '';

  constructor(
    readonly id: string,
    dir: string,
    private readonly natsUrl: string,
  ) {
    this.cacheDir = join(dir, `${id}-chunks`);
  }

  async start(): Promise<void> {
    this.#child = new BenchChild({
      file: join(import.meta.dirname, 'snapshots-node.mjs'),
      env: {
        BENCH_DIST: join(import.meta.dirname, '../../dist'),
        UNDERSTUDY_NODE_ID: this.id,
        UNDERSTUDY_NATS_URL: this.natsUrl,
        UNDERSTUDY_ADMIN_HOST: '127.0.0.1',
        UNDERSTUDY_ADMIN_PORT: '0',
        UNDERSTUDY_CACHE_DIR: this.cacheDir,
      },
    });
    this.adminUrl = await this.#child.ask<string>('adminUrl');
  }

  kill(): Promise<void> {
    return this.child.kill();
  }

  /** Its disk forgets everything; the node must not run. */
  forget(): void {
    rmSync(this.cacheDir, { recursive: true, force: true });
  }

  get child(): BenchChild {
    if (this.#child === null) throw new Error(`${this.id} was not started`);
    return this.#child;
  }

  /** What its syncs have read from its own disk. */
  async cached(): Promise<number> {
    const text = await (await fetch(`${this.adminUrl}/metrics`)).text();
    const found = /understudy_sync_fetched_bytes_total\{source="cache"\} (\S+)/.exec(text);
    return Number(found?.[1] ?? Number.NaN);
  }

  traffic = () => this.child.ask<Traffic>('traffic');
  memory = () => this.child.ask<number>('memory');
  syncs = () => this.child.ask<Synced[]>('syncs');
  watch = () => this.child.ask<null>('watch');
  delay = () => this.child.ask<Delay>('delay');
}

/** Of Linux, on every machine that Node runs on. */
const ticksPerSecond = 100;

/** What a process has used of the machine's cores. */
export function cpuMsOf(pid: number): number {
  const [user, system] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ').slice(13, 15);
  return ((Number(user) + Number(system)) / ticksPerSecond) * 1000;
}

export interface Cut {
  readonly through: number;
  readonly tookMs: number;
  /** Chunks, manifest, announcement and pin as they were sent to the broker. */
  readonly sizeBytes: number;
}

export class SnapshotCluster {
  readonly load: BenchChild;
  #raw: BenchChild;
  readonly #rpc: Rpc;

  private constructor(
    private readonly dir: string,
    readonly broker: Broker,
    readonly nodes: readonly MeasuredNode[],
    private readonly connection: NatsConnection,
  ) {
    this.load = this.#child('load');
    this.#raw = this.#child('raw');
    this.#rpc = new Rpc(connection, namesFor('understudy'), 'bench');
  }

  #child(which: 'load' | 'raw'): BenchChild {
    const file = join(import.meta.dirname, `snapshots-${which}.mjs`);
    return new BenchChild({ file, env: { BENCH_NATS_URL: this.broker.url } });
  }

  get raw(): BenchChild {
    return this.#raw;
  }

  /** Without the memory that the last one had from the system already: a node that syncs has none. */
  async freshRaw(): Promise<BenchChild> {
    await this.#raw.kill();
    this.#raw = this.#child('raw');
    return this.#raw;
  }

  static async start(): Promise<SnapshotCluster> {
    const dir = mkdtempSync(join(tmpdir(), 'understudy-bench-'));
    const broker = await startBroker({ dataDir: join(dir, 'broker'), port: 0 });
    const nodes = Array.from(
      { length: count },
      (_, i) => new MeasuredNode(`node-${i + 1}`, dir, broker.url),
    );
    await Promise.all(nodes.map((node) => node.start()));
    const connection = await connectTo({ servers: [broker.url], name: 'bench' });
    const cluster = new SnapshotCluster(dir, broker, nodes, connection);
    // Snapshots are cut when they are asked for.
    const never = { everyEvents: 10_000_000, everyMs: 3_600_000 };
    await createGroup(cluster.admin, { name: groupName, kind: 'kv', sync: never });
    return cluster;
  }

  get admin(): AdminClient {
    return createAdminClient({ url: this.nodes.map(({ adminUrl }) => adminUrl) });
  }

  async stop(): Promise<void> {
    const children = [this.load, this.raw, ...this.nodes.map(({ child }) => child)];
    await Promise.all(children.map((child) => child.kill()));
    await this.connection.close();
    await this.broker.stop();
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** The node of the active, and those of its standbys. */
  async roles(): Promise<{ active: MeasuredNode; standbys: MeasuredNode[] }> {
    const { activeNode } = await this.until(({ health }) => health.status === 'healthy');
    const active = this.nodes.find(({ id }) => id === activeNode) as MeasuredNode;
    return { active, standbys: this.nodes.filter((node) => node !== active) };
  }

  async until(isTrue: (group: GroupDetail) => boolean): Promise<GroupDetail> {
    const { admin } = this;
    for (;;) {
      const group = await admin.group(groupName).catch(() => null);
      if (group !== null && isTrue(group)) return group;
      await delay(pollMs);
    }
  }

  /** Until all hold it. */
  async untilSynced(through: number): Promise<void> {
    await this.until(({ members }) =>
      members.every((member) => member.syncedThrough >= through && member.state !== 'restoring'),
    );
  }

  /** Asks the active itself, and not for its standbys to be synced: returns once it is recorded. */
  async cut(active: MeasuredNode): Promise<Cut> {
    const before = await active.traffic();
    const beganMs = performance.now();
    const result = await this.#rpc.call<{ through: number } | { failure: string }>(
      active.id,
      'sync',
      { group: groupName },
      cutTimeoutMs,
    );
    const tookMs = performance.now() - beganMs;
    if ('failure' in result) throw new Error(result.failure);
    const after = await active.traffic();
    const sent = (traffic: Traffic) => traffic.putSizeBytes + traffic.pinSizeBytes;
    return { through: result.through, tookMs, sizeBytes: sent(after) - sent(before) };
  }
}

/** One run of the measurement. */
export interface Run {
  readonly cluster: SnapshotCluster;
  readonly active: MeasuredNode;
  readonly keys: number;
  readonly rounds: number;
  readonly windowMs: number;
}

/** Over the network, whoever gave it, and from their own disks. */
export async function fetchedBy(nodes: readonly MeasuredNode[]) {
  const all = await Promise.all(nodes.map((node) => node.traffic()));
  const sent = all.map(
    ({ storeSizeBytes, peerSizeBytes }) => storeSizeBytes + fromAll(peerSizeBytes),
  );
  const cached = await Promise.all(nodes.map((node) => node.cached()));
  return { network: sum(sent), disk: sum(cached) };
}

export const fromAll = (peers: Readonly<Record<string, number>>) => sum(Object.values(peers));
