/**
 * npm run bench:snapshots -- [--mib 1024] [--rounds 5] [--window 6]
 *
 * What snapshots of a large state cost the group that goes on meanwhile, and how fast standbys come by
 * them. One broker, three nodes, a client and a raw reader, each a process of its own; a `kv` group of
 * `--mib` MiB, a key for each KiB. Values are random bytes as base64, so nothing is to be had by
 * packing (a quarter, which is not tried). `TMPDIR=/dev/shm` keeps the files in memory, where a disk that
 * stalls does not blur what is compared.
 */
import { cpus, tmpdir, totalmem } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { machine, percentile } from './cluster.js';
import { type Cut, cpuMsOf, type MeasuredNode, SnapshotCluster } from './snapshots-cluster.js';
import type { Delay, Synced } from './snapshots-node.js';
import type { Manner, RawRead } from './snapshots-raw.js';

const { values: given } = parseArgs({
  options: {
    mib: { type: 'string', default: '1024' },
    rounds: { type: 'string', default: '5' },
    window: { type: 'string', default: '6' },
  },
});
const keys = Number(given.mib) * 1000;
const changed = keys / 100;
const rounds = Number(given.rounds);
const windowMs = Number(given.window) * 1000;
/** Calls to `deliver` waiting at any time. */
const callers = 256;
const increments = 5;
const settleMs = 3000;

const print = (line: string) => process.stdout.write(`${line}\n`);
const mib = (sizeBytes: number) => `${(sizeBytes / 2 ** 20).toFixed(1)} MiB`;
const percent = (share: number) => `${(share * 100).toFixed(2)} %`;
const median = (values: readonly number[]) => percentile(values, 50);
const spread = (values: readonly number[], show: (value: number) => string) =>
  `${show(median(values))} (${show(Math.min(...values))} to ${show(Math.max(...values))})`;
const ms = (value: number) => `${value.toFixed(1)} ms`;
const delays = ({ p50Ms, p99Ms, maxMs }: Delay) =>
  `p50 ${ms(p50Ms)}, p99 ${ms(p99Ms)}, max ${ms(maxMs)}`;
const sum = (values: readonly number[]) => values.reduce((all, each) => all + each, 0);
const row = (...cells: readonly string[]) => print(`| ${cells.join(' | ')} |`);

async function fill({ load }: SnapshotCluster): Promise<void> {
  const beganMs = performance.now();
  await load.ask('fill', { keys });
  const seconds = (performance.now() - beganMs) / 1000;
  print(`filled: ${keys} keys in ${seconds.toFixed(1)} s, ${Math.round(keys / seconds)}/s`);
}

/** (a) without a client: how large a full snapshot is, and those after it; (c) what standbys fetch. */
async function cutQuietly(cluster: SnapshotCluster, active: MeasuredNode): Promise<number> {
  const { standbys } = await cluster.roles();
  const watched = async (): Promise<{ cut: Cut; delay: Delay }> => {
    await active.watch();
    const cut = await cluster.cut(active);
    const found = { cut, delay: await active.delay() };
    await cluster.untilSynced(cut.through);
    return found;
  };
  await active.watch();
  await delay(settleMs);
  row('event loop of an idle active', delays(await active.delay()));
  const full = await watched();
  const seconds = (full.cut.tookMs / 1000).toFixed(1);
  row('full snapshot', `${mib(full.cut.sizeBytes)} in ${seconds} s; ${delays(full.delay)}`);
  for (let i = 0; i < increments; i++) {
    await cluster.load.ask('change', { keys, count: changed });
    const before = await fetchedBy(standbys);
    const { cut, delay: blocked } = await watched();
    const fetched = ((await fetchedBy(standbys)) - before) / standbys.length;
    row(
      `1 % changed, incremental snapshot ${i + 1}`,
      `${mib(cut.sizeBytes)}, ${percent(cut.sizeBytes / full.cut.sizeBytes)} of the full one, ` +
        `in ${(cut.tookMs / 1000).toFixed(1)} s; ${delays(blocked)}; a standby one behind ` +
        `fetched ${mib(fetched)}, ${percent(fetched / full.cut.sizeBytes)}`,
    );
  }
  return full.cut.sizeBytes;
}

async function fetchedBy(nodes: readonly MeasuredNode[]): Promise<number> {
  const all = await Promise.all(nodes.map((node) => node.traffic()));
  return sum(all.map(({ storeSizeBytes: store, peerSizeBytes: peers }) => store + fromAll(peers)));
}

const fromAll = (peers: Readonly<Record<string, number>>) => sum(Object.values(peers));

interface Window {
  readonly delay: Delay;
  readonly perSecond: number;
  readonly cuts: readonly Cut[];
  /** How much of the window a cut was under way. */
  readonly cutting: number;
}

interface Count {
  readonly delivered: number;
  readonly atMs: number;
}

class Loaded {
  constructor(
    private readonly cluster: SnapshotCluster,
    private readonly active: MeasuredNode,
  ) {}

  /** From here on another 1 % of the keys changes; resolves once all of it has. */
  async #change(isOver: () => boolean): Promise<void> {
    const { load } = this.cluster;
    const from = await load.ask<number>('choose', { keys, count: changed });
    while (!isOver()) {
      const { delivered } = await load.ask<Count>('count');
      if (delivered - from >= changed) return;
      await delay(10);
    }
  }

  async #cutAgainAndAgain(isOver: () => boolean): Promise<Cut[]> {
    const cuts: Cut[] = [];
    let change = this.#change(isOver);
    while (!isOver()) {
      await change;
      if (isOver()) break;
      // What changes while it is cut is in the next one.
      change = this.#change(isOver);
      cuts.push(await this.cluster.cut(this.active));
    }
    await change;
    return cuts;
  }

  async #changeAgainAndAgain(isOver: () => boolean): Promise<Cut[]> {
    while (!isOver()) await this.#change(isOver);
    return [];
  }

  async window(isCutting: boolean): Promise<Window> {
    const { active, cluster } = this;
    const { load } = cluster;
    const untilMs = performance.now() + windowMs;
    const isOver = () => performance.now() >= untilMs;
    const going = isCutting ? this.#cutAgainAndAgain(isOver) : this.#changeAgainAndAgain(isOver);
    await active.watch();
    const before = await load.ask<Count>('count');
    await delay(windowMs);
    const after = await load.ask<Count>('count');
    const blocked = await active.delay();
    const cuts = await going;
    const perSecond = ((after.delivered - before.delivered) / (after.atMs - before.atMs)) * 1000;
    const cutting = Math.min(1, sum(cuts.map(({ tookMs }) => tookMs)) / windowMs);
    return { delay: blocked, perSecond, cuts, cutting };
  }
}

/** (a) with a client that never waits: by turns without and with snapshots, one after the other. */
async function cutUnderLoad(
  cluster: SnapshotCluster,
  active: MeasuredNode,
  fullSizeBytes: number,
): Promise<void> {
  const { load } = cluster;
  const loaded = new Loaded(cluster, active);
  await load.ask('choose', { keys, count: changed });
  await load.ask('begin', { width: callers });
  const all: { without: Window; during: Window }[] = [];
  for (let round = 0; round <= rounds; round++) {
    const without = await loaded.window(false);
    await cluster.cut(active);
    const during = await loaded.window(true);
    const ratio = during.perSecond / without.perSecond;
    const what = round === 0 ? 'under load, not counted' : `under load, round ${round}`;
    row(
      what,
      `without: ${Math.round(without.perSecond)}/s, ${delays(without.delay)}; ` +
        `${during.cuts.length} cuts, ${percent(during.cutting)} of the time: ` +
        `${Math.round(during.perSecond)}/s, ratio ${ratio.toFixed(2)}, ${delays(during.delay)}`,
    );
    if (round > 0) all.push({ without, during });
  }
  await load.ask('end');
  const ratios = all.map(({ without, during }) => during.perSecond / without.perSecond);
  row('**deliveries during cuts against without**', spread(ratios, percent));
  for (const which of ['without', 'during'] as const) {
    const p99s = all.map((round) => round[which].delay.p99Ms);
    const most = Math.max(...all.map((round) => round[which].delay.maxMs));
    row(`**event loop ${which} cuts**, p99 of each round`, `${spread(p99s, ms)}, max ${ms(most)}`);
  }
  const sizes = all.flatMap(({ during }) => during.cuts.map(({ sizeBytes }) => sizeBytes));
  const shares = sizes.map((sizeBytes) => sizeBytes / fullSizeBytes);
  if (shares.length > 0)
    row('incremental snapshots under load, of a full one', spread(shares, percent));
}

interface Fetched {
  readonly sync: Synced;
  readonly store: number;
  readonly peers: Readonly<Record<string, number>>;
  readonly settledSizeBytes: number;
  /** Of the broker, and of the nodes that are asked, from the node's start to the end of its sync. */
  readonly brokerCpuMs: number;
  readonly othersCpuMs: number;
}

/** The node starts with nothing, or with what its disk has, and syncs at once. */
async function syncAnew(
  cluster: SnapshotCluster,
  node: MeasuredNode,
  hasCache: boolean,
): Promise<Fetched> {
  const { seq } = await cluster.until(() => true);
  await node.kill();
  if (!hasCache) node.forget();
  const others = cluster.nodes.filter((each) => each !== node).map(({ child }) => child.pid);
  const cpuMs = () => [cpuMsOf(cluster.broker.pid), sum(others.map(cpuMsOf))] as const;
  const before = cpuMs();
  await node.start();
  await cluster.untilSynced(seq);
  const after = cpuMs();
  const [sync] = await node.syncs();
  if (sync === undefined) throw new Error(`${node.id} holds the state, and has not synced`);
  const { storeSizeBytes: store, peerSizeBytes: peers } = await node.traffic();
  await delay(settleMs);
  return {
    sync,
    store,
    peers,
    settledSizeBytes: await node.memory(),
    brokerCpuMs: after[0] - before[0],
    othersCpuMs: after[1] - before[1],
  };
}

const cpu = (cpuMs: number) => `${(cpuMs / 1000).toFixed(2)} CPU s`;
const secondsOf = ({ sync }: Fetched) => (sync.endedMs - sync.beganMs) / 1000;
const sizeOf = ({ store, peers }: Fetched) => store + fromAll(peers);
const rateOf = (fetched: Fetched) => sizeOf(fetched) / secondsOf(fetched);

function told(fetched: Fetched): string {
  const { sync, store, peers, settledSizeBytes, brokerCpuMs, othersCpuMs } = fetched;
  const all = Object.entries({ ...peers, broker: store });
  const shares = all.map(([source, part]) => `${source} ${percent(part / (sizeOf(fetched) || 1))}`);
  return (
    `${mib(sizeOf(fetched))} in ${secondsOf(fetched).toFixed(2)} s, ${mib(rateOf(fetched))}/s, ` +
    `from ${shares.join(', ')}; ${cpu(sync.cpuMs)} itself, ${cpu(brokerCpuMs)} broker, ` +
    `${cpu(othersCpuMs)} others; resident ${mib(sync.firstSizeBytes)} before, ` +
    `${mib(sync.peakSizeBytes)} at most, ${mib(sync.lastSizeBytes)} at the end, ` +
    `${mib(settledSizeBytes)} ${settleMs / 1000} s later`
  );
}

const manners: readonly Manner[] = [
  ...[4, 8, 16, 32].map((inFlight) => ({ inFlight, batch: 1 })),
  ...[1, 2, 4].map((inFlight) => ({ inFlight, batch: 8 })),
];

async function bestManner(cluster: SnapshotCluster, count: number): Promise<Manner> {
  let best = manners[0] as Manner;
  let bestRate = 0;
  for (const manner of manners) {
    const { bytesPerSecond } = await cluster.raw.ask<RawRead>('read', { count, manner });
    if (bytesPerSecond > bestRate) [best, bestRate] = [manner, bytesPerSecond];
  }
  return best;
}

/** (b), and (d) beside it. */
async function syncBlank(cluster: SnapshotCluster, stateSizeBytes: number): Promise<void> {
  const { standbys } = await cluster.roles();
  const node = standbys.at(-1) as MeasuredNode;
  const count = await cluster.raw.ask<number>('fill', { sizeBytes: stateSizeBytes });
  const manner = await bestManner(cluster, count);
  print(
    `raw reader at its best: ${manner.inFlight} requests in flight, ${manner.batch} messages each`,
  );
  const ratios: number[] = [];
  const overs: number[] = [];
  const alls: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    const brokerCpuMs = cpuMsOf(cluster.broker.pid);
    const raw = await cluster.raw.ask<RawRead>('read', { count, manner });
    const rawCpu = `${cpu(raw.cpuMs)} itself, ${cpu(cpuMsOf(cluster.broker.pid) - brokerCpuMs)} broker`;
    const fetched = await syncAnew(cluster, node, false);
    const ratio = rateOf(fetched) / raw.bytesPerSecond;
    const what = round === 0 ? 'blank sync, not counted' : `blank sync, round ${round}`;
    row(
      what,
      `raw ${mib(raw.bytesPerSecond)}/s (${rawCpu}); ratio ${ratio.toFixed(2)}: ${told(fetched)}`,
    );
    if (round === 0) continue;
    ratios.push(ratio);
    const { peakSizeBytes, firstSizeBytes } = fetched.sync;
    overs.push(peakSizeBytes - fetched.settledSizeBytes);
    alls.push((peakSizeBytes - firstSizeBytes) / stateSizeBytes);
  }
  row('**blank sync against raw reading**', spread(ratios, percent));
  const over = `${spread(overs, mib)}, ${percent(median(overs) / stateSizeBytes)} of the state`;
  row('**most memory while it syncs, above what it ends with**', over);
  row('**most memory, above what it began with**, of the state', spread(alls, percent));
  const kept = await syncAnew(cluster, node, true);
  const perSecond = mib(stateSizeBytes / secondsOf(kept));
  row('sync from its own disk after a restart', `${perSecond}/s of state; ${told(kept)}`);
}

async function main(): Promise<void> {
  print(`${machine(cpus(), totalmem())}, files in ${tmpdir()}`);
  const cluster = await SnapshotCluster.start();
  try {
    const { active } = await cluster.roles();
    await fill(cluster);
    row('what', 'measured');
    row('---', '---');
    const fullSizeBytes = await cutQuietly(cluster, active);
    await syncBlank(cluster, fullSizeBytes);
    await cutUnderLoad(cluster, active, fullSizeBytes);
  } finally {
    await cluster.stop();
  }
}

await main();
