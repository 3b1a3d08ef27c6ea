/**
 * npm run bench:takeover -- [kills]
 *
 * How long an operation is without a driver after kill -9 of the node that drives it: one broker, four
 * nodes, a group with a member on three of them, and a switchover that is scheduled for later. Every node
 * is killed in turn. Told apart: until the first of the others takes the node for down, and until one of
 * them has put itself on record as the driver.
 */
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { type KV, Kvm } from '@nats-io/kv';
import { connect } from 'nats';
import type { Operation } from '../../cluster/operations/operation.js';
import type { NodeChild } from '../../src/cli/dev-node.js';
import { createAdminClient } from '../../src/client/admin.js';
import { namesFor } from '../../src/nats/subjects.js';
import { type BenchCluster, createGroup, machine, percentile, startCluster } from './cluster.js';

const kills = Number(process.argv[2] ?? 20);
const lookMs = 5;
const print = (line: string) => process.stdout.write(`${line}\n`);
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

interface Times {
  readonly downMs: number;
  readonly takenMs: number;
}

/** The nodes know each other, and each has been up for longer than it judges nobody. */
async function settled({ nodes }: BenchCluster): Promise<void> {
  for (;;) {
    const views = nodes.map(async ({ adminUrl }) => {
      const admin = createAdminClient({ url: adminUrl });
      const group = await admin.group('g');
      const up = (await admin.nodes()).filter(({ state }) => state === 'up').length;
      return up === nodes.length && group.health.healthy === group.health.total;
    });
    const all = await Promise.all(views).catch(() => [false]);
    if (all.every((one) => one)) return await pause(1500);
    await pause(50);
  }
}

/** Resolves with the time of the first record of the operation that another drives. */
async function nextDriver(
  operations: KV,
  id: string,
  killed: string,
): Promise<() => Promise<number>> {
  const watch = await operations.watch({ key: id });
  const found = (async () => {
    for await (const entry of watch) {
      const { driver } = entry.json<Operation>();
      if (driver === null || driver.node === killed) continue;
      const atMs = performance.now();
      watch.stop();
      return atMs;
    }
    throw new Error(`the watch of ${id} ended`);
  })();
  return () => found;
}

async function downAt(others: readonly NodeChild[], killed: string): Promise<number> {
  const looks = others.map(async ({ adminUrl }) => {
    const admin = createAdminClient({ url: adminUrl });
    while ((await admin.node(killed)).state !== 'down') await pause(lookMs);
    return performance.now();
  });
  return await Promise.any(looks);
}

async function kill(cluster: BenchCluster, operations: KV, round: number): Promise<Times> {
  await settled(cluster);
  const driver = cluster.nodes[round % cluster.nodes.length] as NodeChild;
  const others = cluster.nodes.filter((node) => node !== driver);
  const admin = createAdminClient({ url: driver.adminUrl });
  const scheduledAt = new Date(Date.now() + 3_600_000 + round).toISOString();
  const { id } = await admin.switchover('g', { scheduledAt });
  const taken = await nextDriver(operations, id, driver.id);
  const atMs = performance.now();
  process.kill(driver.pid, 'SIGKILL');
  const [downMs, takenMs] = await Promise.all([downAt(others, driver.id), taken()]);
  await createAdminClient({ url: others.map(({ adminUrl }) => adminUrl) }).cancelOperation(id);
  await driver.start();
  return { downMs: downMs - atMs, takenMs: takenMs - atMs };
}

function tell(what: string, values: readonly number[]): void {
  const at = (percent: number) => percentile(values, percent).toFixed(0);
  print(`  ${what}: p50 ${at(50)}  p90 ${at(90)}  max ${Math.max(...values).toFixed(0)}`);
}

async function main(): Promise<void> {
  const cluster = await startCluster(join(import.meta.dirname, '../../dist/src/cli/main.js'), 4);
  const connection = await connect({ servers: cluster.broker.url });
  try {
    const operations = await new Kvm(connection).open(namesFor('understudy').operationsBucket);
    await createGroup(cluster.admin, { name: 'g', kind: 'counter' });
    print(machine(cpus(), totalmem()));
    const all: Times[] = [];
    for (let round = 0; round < kills; round++) all.push(await kill(cluster, operations, round));
    print(`after kill -9 of the driver, over ${kills} kills, ms:`);
    tell(
      'another node takes it for down',
      all.map(({ downMs }) => downMs),
    );
    tell(
      'another node drives the operation',
      all.map(({ takenMs }) => takenMs),
    );
    tell(
      'from the one to the other',
      all.map(({ downMs, takenMs }) => takenMs - downMs),
    );
  } finally {
    await connection.close();
    await cluster.stop();
  }
}

await main();
