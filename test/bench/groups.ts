/**
 * npm run bench:groups -- [--groups 1000] [--on-one] [--hot] [--profile DIR]
 *
 * One broker, three nodes, so many groups of three members: what their creation takes, what they take
 * while they are idle, and how long each group that a node led is without an active after `kill -9` of
 * that node, as a client sees it that delivers one event to each. `--on-one`: that node led them all.
 * `--profile` leaves the CPU profiles of all while they are idle, and of the survivors at that time.
 */
import { cpus, loadavg, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Client, createClient } from '../../src/client/client.js';
import type { counter } from '../../src/kinds/counter.js';
import { machine, percentile } from './cluster.js';
import { each, GroupsCluster, type MeasuredNode } from './groups-cluster.js';
import type { Memory } from './groups-node.js';
import { cpuMsOf } from './snapshots-cluster.js';

const { values } = parseArgs({
  options: {
    groups: { type: 'string', default: '1000' },
    'on-one': { type: 'boolean', default: false },
    hot: { type: 'boolean', default: false },
    profile: { type: 'string' },
  },
});
const count = Number(values.groups);
const print = (line: string) => process.stdout.write(`${line}\n`);
const idleMs = 10_000;
const protectedMs = 120_000;

function distribution(all: readonly number[]): string {
  const at = (percent: number) => percentile(all, percent).toFixed(0);
  return `p50 ${at(50)}  p90 ${at(90)}  p99 ${at(99)}  max ${Math.max(...all).toFixed(0)} ms`;
}

const kib = (sizeBytes: number) => `${(sizeBytes / 1024).toFixed(1)} KiB`;

function printMemory(before: readonly Memory[], after: readonly Memory[]): void {
  const grown = (pick: (memory: Memory) => number) =>
    after.map((memory, i) => kib((pick(memory) - pick(before[i] as Memory)) / count)).join(', ');
  const rest = (m: Memory) => {
    const known = m.heapSizeBytes + m.youngRoomSizeBytes + m.oldRoomSizeBytes;
    return m.residentSizeBytes - known - m.outsideSizeBytes;
  };
  print(`per member, by node: resident ${grown((m) => m.residentSizeBytes)}, of which`);
  print(`  objects in the heap ${grown((m) => m.heapSizeBytes)}`);
  print(`  room in the heap for young objects ${grown((m) => m.youngRoomSizeBytes)}`);
  print(`  other room in the heap ${grown((m) => m.oldRoomSizeBytes)}`);
  print(`  buffers outside of it ${grown((m) => m.outsideSizeBytes)}`);
  print(`  the rest: keys, sockets, code, what malloc keeps ${grown(rest)}`);
}

const percents = (shares: readonly number[]) =>
  shares.map((share) => `${(share * 100).toFixed(1)} %`).join(', ');

/** One event for each, all at once; returns when each was answered. */
async function deliverAll(client: Client, groups: readonly string[]): Promise<number[]> {
  return await Promise.all(
    groups.map(async (name) => {
      await client.group<typeof counter>(name).deliver({ by: 1 }, { timeoutMs: 120_000 });
      return performance.now();
    }),
  );
}

async function beginProfiles(nodes: readonly MeasuredNode[]): Promise<void> {
  if (values.profile === undefined) return;
  await Promise.all(nodes.map(({ child }) => child.ask('profile')));
}

async function endProfiles(nodes: readonly MeasuredNode[], of: string): Promise<void> {
  const { profile } = values;
  if (profile === undefined) return;
  for (const { id, child } of nodes) {
    await child.ask('profiled', join(profile, `${id}${of}.cpuprofile`));
  }
}

async function die(cluster: GroupsCluster, client: Client): Promise<void> {
  const { admin } = cluster;
  const all = await admin.groups();
  const led = (node: MeasuredNode) => all.filter(({ activeNode }) => activeNode === node.id);
  const [victim] = cluster.nodes.toSorted((a, b) => led(b).length - led(a).length);
  if (victim === undefined) throw new Error('there are no nodes');
  const names = led(victim).map(({ name }) => name);
  const epochs = new Map(all.map(({ name, epoch }) => [name, epoch]));
  print(`kill -9 of ${victim.id}, which led ${names.length} groups`);
  cluster.opened.clear();
  const survivors = cluster.nodes.filter((node) => node !== victim);
  const pids = [...survivors.map(({ child }) => child.pid), cluster.broker.pid, process.pid];
  const before = pids.map(cpuMsOf);
  await beginProfiles(survivors);
  const killedMs = performance.now();
  await victim.child.kill();
  const answered = await deliverAll(client, names);
  const cpuMs = pids.map((pid, i) => (cpuMsOf(pid) - (before[i] ?? 0)).toFixed(0));
  await endProfiles(survivors, '');
  const outages = answered.map((atMs) => atMs - killedMs);
  const openings = names.map((name) => (cluster.opened.get(name) ?? Number.NaN) - killedMs);
  print(`from the kill to the notice of each group's new active: ${distribution(openings)}`);
  print(`from the kill to the answer of each group's next event: ${distribution(outages)}`);
  print(
    `CPU until then, ms: survivors ${cpuMs[0]}, ${cpuMs[1]}; broker ${cpuMs[2]}; client ${cpuMs[3]}`,
  );
  print(`load of the machine, over a minute: ${loadavg()[0]?.toFixed(1)}`);
  const phases: Record<string, number[]> = {};
  const by: Record<string, number> = {};
  let again = 0;
  await each(names, async (name) => {
    const [last] = await admin.history(name);
    by[last?.node ?? ''] = (by[last?.node ?? ''] ?? 0) + 1;
    if ((last?.epoch ?? 0) > (epochs.get(name) ?? 0) + 1) again += 1;
    for (const [phase, ms] of Object.entries(last?.phases ?? {})) {
      phases[phase] ??= [];
      phases[phase].push(ms);
    }
    phases.unavailableMs ??= [];
    phases.unavailableMs.push(last?.unavailableMs ?? Number.NaN);
  });
  for (const [phase, took] of Object.entries(phases)) print(`  ${phase}: ${distribution(took)}`);
  const shares = Object.entries(by).map(([id, count]) => `${id} ${count}`);
  print(`led now by ${shares.join(', ')}; ${again} were promoted more than once`);
}

async function main(): Promise<void> {
  const cluster = await GroupsCluster.start();
  try {
    print(machine(cpus(), totalmem()));
    const spec = { standby: values.hot ? 'hot' : 'warm', onOne: values['on-one'] } as const;
    print(`${count} groups of 3 ${spec.standby} members${spec.onOne ? ', led by one node' : ''}`);
    const blank = await cluster.memory();
    print(`idle, no groups: CPU by node ${percents(await cluster.idleCpu(3000))}`);
    const names = Array.from({ length: count }, (_, i) => `g-${i}`);
    const beganMs = performance.now();
    const took = await cluster.create(names, spec);
    print(
      `created in ${((performance.now() - beganMs) / 1000).toFixed(1)} s; each ${distribution(took)}`,
    );
    const client = await createClient({ servers: cluster.broker.url });
    await deliverAll(client, names);
    await cluster.untilProtected(count, protectedMs);
    print(`all protected after ${((performance.now() - beganMs) / 1000).toFixed(1)} s`);
    // Over the interval of snapshots: each has then been cut and fetched.
    await cluster.idleCpu(12_000);
    print(`idle: CPU by node ${percents(await cluster.idleCpu(idleMs))}`);
    await beginProfiles(cluster.nodes);
    await cluster.idleCpu(idleMs);
    await endProfiles(cluster.nodes, '-idle');
    printMemory(blank, await cluster.memory());
    await die(cluster, client);
    await client.close();
  } finally {
    await cluster.stop();
  }
}

await main();
