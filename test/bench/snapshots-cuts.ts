/** What snapshots cost the group that goes on meanwhile, and how large they are. */
import { setTimeout as delay } from 'node:timers/promises';
import { type Cut, cpuMsOf, fetchedBy, type Run } from './snapshots-cluster.js';
import type { Delay } from './snapshots-node.js';
import { delays, mib, ms, percent, row, seconds, spread, sum } from './snapshots-print.js';

/** Calls to `deliver` waiting at any time. */
const callers = 256;
const steadyPerSecond = 5000;
const increments = 5;
const settleMs = 3000;

/** Without a client: how large a full snapshot is, and those after it, and what standbys fetch of them. */
export async function cutQuietly({ cluster, active, keys }: Run): Promise<number> {
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
  const { sizeBytes, tookMs } = full.cut;
  row('full snapshot', `${mib(sizeBytes)} in ${seconds(tookMs)}; ${delays(full.delay)}`);
  for (let i = 0; i < increments; i++) {
    await cluster.load.ask('change', { keys, count: keys / 100 });
    const before = await fetchedBy(standbys);
    const { cut, delay: blocked } = await watched();
    const after = await fetchedBy(standbys);
    const fetched = (after.network - before.network) / standbys.length;
    const read = (after.disk - before.disk) / standbys.length;
    row(
      `1 % changed, incremental snapshot ${i + 1}`,
      `${mib(cut.sizeBytes)}, ${percent(cut.sizeBytes / sizeBytes)} of the full one, ` +
        `in ${seconds(cut.tookMs)}; ${delays(blocked)}; a standby one behind ` +
        `fetched ${mib(fetched)}, ${percent(fetched / sizeBytes)}, and read ${mib(read)} from its disk`,
    );
  }
  return sizeBytes;
}

interface Window {
  readonly delay: Delay;
  readonly perSecond: number;
  readonly cuts: readonly Cut[];
  /** How much of the window a cut was under way. */
  readonly cutting: number;
  /** Of the active's node, the other nodes, the broker and the client. */
  readonly cpuMs: readonly number[];
}

interface Count {
  readonly delivered: number;
  readonly atMs: number;
}

/** From here on another 1 % of the keys changes; resolves once all of it has. */
async function change({ cluster: { load }, keys }: Run, isOver: () => boolean): Promise<void> {
  const count = keys / 100;
  const from = await load.ask<number>('choose', { keys, count });
  while (!isOver()) {
    const { delivered } = await load.ask<Count>('count');
    if (delivered - from >= count) return;
    await delay(10);
  }
}

async function cutAgainAndAgain(run: Run, isOver: () => boolean): Promise<Cut[]> {
  const cuts: Cut[] = [];
  let changing = change(run, isOver);
  while (!isOver()) {
    await changing;
    if (isOver()) break;
    // What changes while it is cut is in the next one.
    changing = change(run, isOver);
    cuts.push(await run.cluster.cut(run.active));
  }
  await changing;
  return cuts;
}

function cpuMsOfAll({ cluster, active }: Run): number[] {
  const { nodes, broker, load } = cluster;
  const others = nodes.filter((node) => node !== active).map(({ child }) => cpuMsOf(child.pid));
  return [cpuMsOf(active.child.pid), sum(others), cpuMsOf(broker.pid), cpuMsOf(load.pid)];
}

async function windowOf(run: Run, isCutting: boolean): Promise<Window> {
  const { active, cluster, windowMs } = run;
  const { load } = cluster;
  const untilMs = performance.now() + windowMs;
  const isOver = () => performance.now() >= untilMs;
  // Without snapshots it does not matter which keys change; what the next has to take stays small.
  const going = isCutting ? cutAgainAndAgain(run, isOver) : Promise.resolve<Cut[]>([]);
  await active.watch();
  const cpuBefore = cpuMsOfAll(run);
  const before = await load.ask<Count>('count');
  await delay(windowMs);
  const after = await load.ask<Count>('count');
  const cpuMs = cpuMsOfAll(run).map((used, i) => used - (cpuBefore[i] as number));
  const blocked = await active.delay();
  const cuts = await going;
  const perSecond = ((after.delivered - before.delivered) / (after.atMs - before.atMs)) * 1000;
  const cutting = Math.min(1, sum(cuts.map(({ tookMs }) => tookMs)) / windowMs);
  return { delay: blocked, perSecond, cuts, cutting, cpuMs };
}

/**
 * A client that never waits: by turns without and with snapshots, one after the other. Standbys fetch each
 * of them, on the cores that active, broker and client would need; frozen, they leave those alone, as on
 * machines of their own.
 */
export async function cutUnderLoad(
  run: Run,
  fullSizeBytes: number,
  areFrozen: boolean,
): Promise<void> {
  const { standbys } = await run.cluster.roles();
  for (const { child } of areFrozen ? standbys : []) child.freeze();
  await cutByTurns(run, fullSizeBytes, areFrozen ? 'standbys frozen' : 'standbys beside it');
  for (const { child } of areFrozen ? standbys : []) child.thaw();
}

async function cutByTurns(run: Run, fullSizeBytes: number, how: string): Promise<void> {
  const { cluster, active, keys, rounds } = run;
  const { load } = cluster;
  await load.ask('choose', { keys, count: keys / 100 });
  await load.ask('begin', { width: callers, everyMs: 0 });
  const all: { without: Window; during: Window }[] = [];
  for (let round = 0; round <= rounds; round++) {
    const without = await windowOf(run, false);
    await cluster.cut(active);
    const during = await windowOf(run, true);
    const ratio = during.perSecond / without.perSecond;
    const what = round === 0 ? `load, ${how}, not counted` : `load, ${how}, round ${round}`;
    row(
      what,
      `without: ${Math.round(without.perSecond)}/s, ${delays(without.delay)}, ${used(without)}; ` +
        `${during.cuts.length} cuts, ${percent(during.cutting)} of the time: ` +
        `${Math.round(during.perSecond)}/s, ratio ${ratio.toFixed(2)}, ${delays(during.delay)}, ${used(during)}`,
    );
    if (round > 0) all.push({ without, during });
  }
  await load.ask('end');
  const ratios = all.map(({ without, during }) => during.perSecond / without.perSecond);
  row(`**deliveries during cuts against without, ${how}**`, spread(ratios, percent));
  tellDelays(
    `under load, ${how}`,
    'without',
    all.map(({ without }) => without.delay),
  );
  tellDelays(
    `under load, ${how}`,
    'during',
    all.map(({ during }) => during.delay),
  );
  const cuts = all.flatMap(({ during }) => during.cuts);
  const shares = cuts.map(({ sizeBytes }) => sizeBytes / fullSizeBytes);
  row(`incremental snapshots under load, ${how}, of a full one`, spread(shares, percent));
}

function used({ cpuMs }: Window): string {
  const [active, others, broker, client] = cpuMs.map((each) => (each / 1000).toFixed(1));
  return `CPU s: active ${active}, standbys ${others}, broker ${broker}, client ${client}`;
}

function tellDelays(load: string, which: 'without' | 'during', all: readonly Delay[]): void {
  const p99s = spread(
    all.map(({ p99Ms }) => p99Ms),
    ms,
  );
  const most = Math.max(...all.map(({ maxMs }) => maxMs));
  row(`**event loop ${load}, ${which} cuts**`, `p99 ${p99s}, max ${ms(most)}`);
}

/** A client that leaves the active some rest, so that what is seen is what the cut takes. */
export async function cutUnderSteadyLoad(run: Run): Promise<void> {
  const { cluster, active, keys, rounds } = run;
  const { load } = cluster;
  await load.ask('choose', { keys, count: keys / 100 });
  await load.ask('begin', { width: steadyPerSecond / 100, everyMs: 10 });
  const without: Delay[] = [];
  const during: Delay[] = [];
  for (let round = 1; round <= rounds; round++) {
    await active.watch();
    await change(run, () => false);
    without.push(await active.delay());
    await active.watch();
    await cluster.cut(active);
    during.push(await active.delay());
  }
  await load.ask('end');
  tellDelays(`at ${steadyPerSecond}/s`, 'without', without);
  tellDelays(`at ${steadyPerSecond}/s`, 'during', during);
}
