/** The processes of `bench:groups`, and how to fill them with groups. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { NatsConnection } from 'nats';
import { pino } from 'pino';
import type { GroupConfig } from '../../cluster/types.js';
import { type Broker, startBroker } from '../../src/broker/start.js';
import { type AdminClient, createAdminClient } from '../../src/client/admin.js';
import { connectTo } from '../../src/nats/connect.js';
import { type Notice, namesFor } from '../../src/nats/subjects.js';
import { groupIdOf, memberPublicKey } from '../../src/node/identity.js';
import { Registry } from '../../src/node/registry.js';
import { BenchChild } from './child.js';
import { createGroup } from './cluster.js';
import type { Memory } from './groups-node.js';

const nodeCount = 3;
const atOnce = 32;
const names = namesFor('understudy');

export interface MeasuredNode {
  readonly id: string;
  readonly child: BenchChild;
  readonly adminUrl: string;
}

export interface Spec {
  readonly standby: 'warm' | 'hot';
  /** Index 0, and so the first active, of every group on the first node. */
  readonly onOne: boolean;
}

/** Runs `work` for all, some at once. */
export async function each<Item>(
  items: readonly Item[],
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const left = items.values();
  const worker = async () => {
    for (const item of left) await work(item);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

export class GroupsCluster {
  /** When an active of a group was last announced, by group. */
  readonly opened = new Map<string, number>();
  #registry: Registry | null = null;

  private constructor(
    private readonly dir: string,
    readonly broker: Broker,
    readonly nodes: readonly MeasuredNode[],
    private readonly connection: NatsConnection,
  ) {
    connection.subscribe(names.allNotices, {
      callback: (_, message) => {
        const notice = message.json<Notice>();
        if (notice.kind === 'opened') this.opened.set(notice.group, performance.now());
      },
    });
  }

  static async start(): Promise<GroupsCluster> {
    const dir = mkdtempSync(join(tmpdir(), 'understudy-bench-'));
    const broker = await startBroker({ dataDir: join(dir, 'broker'), port: 0 });
    const nodes = await Promise.all(
      Array.from({ length: nodeCount }, async (_, i) => {
        const id = `node-${i + 1}`;
        const child = new BenchChild({
          file: join(import.meta.dirname, 'groups-node.mjs'),
          env: {
            BENCH_DIST: join(import.meta.dirname, '../../dist'),
            UNDERSTUDY_NODE_ID: id,
            UNDERSTUDY_NATS_URL: broker.url,
            UNDERSTUDY_ADMIN_HOST: '127.0.0.1',
            UNDERSTUDY_ADMIN_PORT: '0',
            UNDERSTUDY_CACHE_DIR: join(dir, `${id}-chunks`),
          },
        });
        return { id, child, adminUrl: await child.ask<string>('adminUrl') };
      }),
    );
    const connection = await connectTo({ servers: [broker.url], name: 'bench' });
    return new GroupsCluster(dir, broker, nodes, connection);
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map(({ child }) => child.kill()));
    this.#registry?.close();
    await this.connection.close();
    await this.broker.stop();
    rmSync(this.dir, { recursive: true, force: true });
  }

  get admin(): AdminClient {
    return createAdminClient({ url: this.nodes.map(({ adminUrl }) => adminUrl) });
  }

  /** Returns how long each took. */
  async create(groups: readonly string[], { standby, onOne }: Spec): Promise<number[]> {
    const took: number[] = [];
    const { admin } = this;
    const make = onOne
      ? await this.#writer(standby)
      : (name: string) => createGroup(admin, { name, kind: 'counter', standby });
    await each(groups, async (name) => {
      const beganMs = performance.now();
      await make(name);
      took.push(performance.now() - beganMs);
    });
    return took;
  }

  /** Writes registry entries as a node does: the API chooses the order of members by itself. */
  async #writer(standby: Spec['standby']): Promise<(name: string) => Promise<void>> {
    const silent = { group: () => undefined, gone: () => undefined, cluster: () => undefined };
    const logger = pino({ level: 'silent' });
    const registry = await Registry.open(this.connection, names, silent, logger);
    this.#registry = registry;
    return async (name) => {
      const seed = randomBytes(32);
      const config: GroupConfig = {
        name,
        kind: 'counter',
        groupId: groupIdOf(seed),
        seed: seed.toString('hex'),
        standby,
        sync: { everyEvents: 10_000, everyMs: 10_000 },
        members: this.nodes.map(({ id }, i) => ({ node: id, publicKey: memberPublicKey(seed, i) })),
        createdAtMs: Date.now(),
      };
      await registry.create(config);
      while (!this.opened.has(name)) await delay(20);
    };
  }

  /** Until every group has an active and synced standbys. */
  async untilProtected(count: number, patienceMs: number): Promise<void> {
    const deadlineMs = performance.now() + patienceMs;
    for (;;) {
      const groups = await this.admin.groups();
      const ready = groups.filter(({ health, reprotected }) => {
        return reprotected && health.status === 'healthy';
      });
      if (ready.length >= count) return;
      if (performance.now() > deadlineMs) {
        throw new Error(`${ready.length} of ${count} groups are protected after ${patienceMs} ms`);
      }
      await delay(500);
    }
  }

  memory(): Promise<Memory[]> {
    return Promise.all(this.nodes.map(({ child }) => child.ask<Memory>('memory')));
  }

  /** What each node takes of a core while nothing happens. */
  async idleCpu(forMs: number): Promise<number[]> {
    const read = () => Promise.all(this.nodes.map(({ child }) => child.ask<number>('cpuMs')));
    const before = await read();
    await delay(forMs);
    const after = await read();
    return after.map((cpuMs, i) => (cpuMs - (before[i] ?? 0)) / forMs);
  }
}
