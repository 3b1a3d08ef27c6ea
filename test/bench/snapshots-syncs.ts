/** How fast a standby without anything comes by a state, and how much memory that takes. */
import { setTimeout as delay } from 'node:timers/promises';
import {
  cpuMsOf,
  fromAll,
  type MeasuredNode,
  type Run,
  type SnapshotCluster,
} from './snapshots-cluster.js';
import type { Synced } from './snapshots-node.js';
import { cpu, median, mib, percent, print, row, spread, sum } from './snapshots-print.js';
import type { Manner, RawRead } from './snapshots-raw.js';

const settleMs = 3000;

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

/** By turns with the raw reader. */
export async function syncBlank({ cluster, rounds }: Run, stateSizeBytes: number): Promise<void> {
  const { standbys } = await cluster.roles();
  const node = standbys.at(-1) as MeasuredNode;
  const count = await cluster.raw.ask<number>('fill', { sizeBytes: stateSizeBytes });
  const manner = await bestManner(cluster, count);
  print(
    `raw reader at its best: ${manner.inFlight} requests in flight, ${manner.batch} messages each`,
  );
  const ratios: number[] = [];
  const usuals: number[] = [];
  const leasts: number[] = [];
  const overs: number[] = [];
  const alls: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    const brokerCpuMs = cpuMsOf(cluster.broker.pid);
    const raw = await cluster.raw.ask<RawRead>('read', { count, manner });
    const rawCpu = `${cpu(raw.cpuMs)} itself, ${cpu(cpuMsOf(cluster.broker.pid) - brokerCpuMs)} broker`;
    const usual = await cluster.raw.ask<RawRead>('consume', { count });
    const reader = await cluster.freshRaw();
    const least = await reader.ask<RawRead>('read', { count, manner, keep: true });
    const fetched = await syncAnew(cluster, node, false);
    const ratio = rateOf(fetched) / raw.bytesPerSecond;
    const what = round === 0 ? 'blank sync, not counted' : `blank sync, round ${round}`;
    row(
      what,
      `raw ${mib(raw.bytesPerSecond)}/s (${rawCpu}), through a consumer ${mib(usual.bytesPerSecond)}/s, ` +
        `hashed, written and held ${mib(least.bytesPerSecond)}/s ` +
        `(${cpu(least.cpuMs)} itself); ratio ${ratio.toFixed(2)}: ${told(fetched)}`,
    );
    if (round === 0) continue;
    ratios.push(ratio);
    usuals.push(rateOf(fetched) / usual.bytesPerSecond);
    leasts.push(least.bytesPerSecond / raw.bytesPerSecond);
    const { peakSizeBytes, firstSizeBytes } = fetched.sync;
    overs.push(peakSizeBytes - fetched.settledSizeBytes);
    alls.push((peakSizeBytes - firstSizeBytes) / stateSizeBytes);
  }
  row('**blank sync against raw reading**', spread(ratios, percent));
  row('blank sync against reading through a consumer', spread(usuals, percent));
  row(
    'raw reading that hashes, writes and holds what it reads, against raw reading',
    spread(leasts, percent),
  );
  const over = `${spread(overs, mib)}, ${percent(median(overs) / stateSizeBytes)} of the state`;
  row('**most memory while it syncs, above what it ends with**', over);
  row('**most memory, above what it began with**, of the state', spread(alls, percent));
  const kept = await syncAnew(cluster, node, true);
  const perSecond = mib(stateSizeBytes / secondsOf(kept));
  row('sync from its own disk after a restart', `${perSecond}/s of state; ${told(kept)}`);
}
