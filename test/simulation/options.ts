/** Swarm options: the seed first chooses which faults exist and how strong they are. */
import type { Random } from '../support/scheduler.js';

export interface SimulationOptions {
  readonly nodes: number;
  readonly members: number;
  readonly groups: number;
  readonly clients: number;
  readonly replicas: 1 | 3;
  readonly standby: 'warm' | 'hot';
  /** 0: no active takes its own digest while others follow. */
  readonly cheapSizeBytes: number;
  /** With few of them candidates and followers restore snapshots, too. */
  readonly replayEvents: number;
  readonly chaosMs: number;
  readonly pauseBetweenOpsMs: number;
  readonly everyEvents: number;
  readonly everyMs: number;
  readonly rates: {
    readonly requestLost: number;
    readonly answerLost: number;
    readonly requestSlow: number;
    readonly reordered: number;
    readonly staleRead: number;
    readonly chunkCorrupt: number;
    readonly chunkMissing: number;
    readonly replayGap: number;
    /** What is followed live leaves a record out. */
    readonly tailLost: number;
    readonly messageLost: number;
    readonly messageSlow: number;
    /** A batch arrives twice, the copy up to seconds late. */
    readonly messageTwice: number;
    /** A node's own chunks: one that it kept is gone, or is not what it was. */
    readonly cacheLost: number;
    readonly cacheCorrupt: number;
    /** A node's own disk takes seconds to answer. */
    readonly cacheSlow: number;
    /** A node that is asked for a chunk says that it has none, or hands out something else. */
    readonly peerEmpty: number;
    readonly peerLies: number;
    /** Or does not answer. */
    readonly peerSilent: number;
  };
  /** Relative weights of the scheduled faults; 0: absent. */
  readonly weights: Readonly<Record<FaultKind, number>>;
  readonly faultEveryMs: number;
  readonly driftPercent: number;
  readonly clockJumps: boolean;
  /** How long a deposed leader of the stream goes on answering reads. */
  readonly staleLeaderMs: number;
  /** Nodes have zones, and groups priorities. */
  readonly placed: boolean;
}

export const faultKinds = [
  'crash',
  'pause',
  'partition',
  'disconnect',
  'leaderless',
  'switchover',
  'failover',
  'sync',
  'clock-jump',
  'restart-all',
  'stranger',
  'forger',
  'deaf',
  'liar',
  'reinit',
  'disk-full',
  'move',
  'collect',
  'rot',
  'hold',
  'cordon',
  'cut-off',
] as const;
/** Orders that go on after they were given: operations, and that they should end. */
export const orderKinds = ['operate', 'cancel'] as const;
export type OrderKind = (typeof orderKinds)[number];
export type FaultKind = (typeof faultKinds)[number] | OrderKind;

export interface Fault {
  readonly atMs: number;
  readonly kind: FaultKind;
  readonly target: number;
  readonly durationMs: number;
}

const orderEveryMs = 900;

const chosen = (random: Random, most: number): number =>
  random.chance(0.5) ? 0 : random.next() * most;

export function drawOptions(random: Random): SimulationOptions {
  const drawn = drawFormer(random);
  // What is new is drawn last, and is mostly absent: so most seeds stay what they were.
  const weights = {
    ...drawn.weights,
    hold: random.chance(0.3) ? 2 + random.below(4) : 0,
    cordon: random.chance(0.3) ? 3 + random.below(4) : 0,
    'cut-off': drawCutOff(random.fork('cut-off')),
  };
  const placed = random.chance(0.3);
  return { ...drawn, weights: { ...weights, ...drawOrders(random.fork('orders')) }, placed };
}

/** From streams of their own: what the others draw stays what it was. */
const drawCutOff = (random: Random): number => (random.chance(0.3) ? 2 + random.below(4) : 0);

function drawOrders(random: Random): Readonly<Record<OrderKind, number>> {
  const operate = random.chance(0.3) ? 2 + random.below(5) : 0;
  return { operate, cancel: operate > 0 ? random.below(3) : 0 };
}

type Former = Omit<SimulationOptions, 'placed' | 'weights'> & {
  readonly weights: Readonly<
    Record<Exclude<FaultKind, OrderKind | 'hold' | 'cordon' | 'cut-off'>, number>
  >;
};

function drawFormer(random: Random): Former {
  const members = random.chance(0.3) ? 2 : 3;
  return {
    nodes: members + random.below(2),
    members,
    groups: 1 + random.below(2),
    clients: 1 + random.below(3),
    replicas: random.chance(0.5) ? 1 : 3,
    standby: random.chance(0.5) ? 'warm' : 'hot',
    cheapSizeBytes: random.chance(0.5) ? 0 : 1024 * 1024,
    replayEvents: random.chance(0.5) ? 20_000 : 1 + random.below(60),
    chaosMs: 1500 + random.below(10) * 500,
    pauseBetweenOpsMs: 20 + random.below(180),
    everyEvents: 5 + random.below(60),
    everyMs: 500 + random.below(1500),
    rates: {
      requestLost: chosen(random, 0.03),
      answerLost: chosen(random, 0.05),
      requestSlow: chosen(random, 0.03),
      reordered: chosen(random, 0.05),
      staleRead: chosen(random, 0.3),
      chunkCorrupt: chosen(random, 0.1),
      chunkMissing: chosen(random, 0.1),
      replayGap: chosen(random, 0.3),
      tailLost: chosen(random, 0.2),
      messageLost: chosen(random, 0.05),
      messageSlow: chosen(random, 0.1),
      messageTwice: chosen(random, 0.1),
      cacheLost: chosen(random, 0.5),
      cacheCorrupt: chosen(random, 0.2),
      cacheSlow: chosen(random, 0.1),
      peerEmpty: chosen(random, 0.5),
      peerLies: chosen(random, 0.3),
      peerSilent: chosen(random, 0.3),
    },
    weights: {
      crash: 4,
      pause: random.below(4),
      partition: random.below(4),
      disconnect: random.below(3),
      leaderless: random.below(3),
      switchover: random.below(4),
      failover: random.below(4),
      sync: random.below(3),
      'clock-jump': random.below(3),
      'restart-all': random.chance(0.2) ? 1 : 0,
      stranger: random.chance(0.4) ? 1 + random.below(3) : 0,
      forger: random.chance(0.3) ? 1 + random.below(2) : 0,
      deaf: random.below(3),
      liar: random.chance(0.5) ? 2 + random.below(5) : 0,
      reinit: random.below(2),
      'disk-full': random.chance(0.2) ? 1 : 0,
      move: random.chance(0.4) ? 1 : 0,
      collect: random.below(4),
      rot: random.chance(0.4) ? 1 + random.below(3) : 0,
    },
    faultEveryMs: 300 + random.below(1500),
    driftPercent: chosen(random, 2),
    clockJumps: random.chance(0.5),
    staleLeaderMs: chosen(random, 5000),
  };
}

/** The faults of a run, drawn before it begins, so that a schedule can be shortened and replayed. */
export function drawSchedule(random: Random, options: SimulationOptions): Fault[] {
  const faults = drawFaults(random, options, faultKinds, options.faultEveryMs);
  const orders = drawFaults(random.fork('orders'), options, orderKinds, orderEveryMs);
  if (orders.length === 0) return faults;
  return [...faults, ...orders].sort((a, b) => a.atMs - b.atMs);
}

function drawFaults(
  random: Random,
  { weights, chaosMs }: SimulationOptions,
  kinds: readonly FaultKind[],
  everyMs: number,
): Fault[] {
  const faults: Fault[] = [];
  const total = kinds.reduce((sum, kind) => sum + weights[kind], 0);
  if (total === 0) return faults;
  let atMs = 1500 + random.next() * everyMs;
  while (atMs < 1500 + chaosMs) {
    faults.push({
      atMs: Math.round(atMs),
      kind: drawKind(random, weights, kinds, total),
      target: random.below(16),
      durationMs: Math.round(20 + random.next() ** 3 * 6000),
    });
    atMs += random.next() * 2 * everyMs;
  }
  return faults;
}

function drawKind(
  random: Random,
  weights: SimulationOptions['weights'],
  kinds: readonly FaultKind[],
  total: number,
): FaultKind {
  let left = random.next() * total;
  for (const kind of kinds) {
    left -= weights[kind];
    if (left < 0) return kind;
  }
  return 'crash';
}
