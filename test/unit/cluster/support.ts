/** Nodes, groups and reports for tests of the cluster's judgement. */
import {
  type Coordinator,
  type NodeEffect,
  type NodeInput,
  newCoordinator,
  stepNode,
} from '../../../cluster/coordinator.js';
import {
  type ClusterConfig,
  defaultTimings,
  type GroupConfig,
  type NodeInfo,
  newClusterConfig,
  type Pause,
} from '../../../cluster/types.js';
import type { MemberReport, MemberState } from '../../../replication/effects.js';
import { epoch, seq, type WriterId } from '../../../replication/ids.js';

export const timings = defaultTimings;

export const nodeInfo = (id: string, rest: Partial<NodeInfo> = {}): NodeInfo => ({
  id,
  incarnation: '000001',
  zone: null,
  adminUrl: null,
  pid: null,
  kinds: ['k'],
  draining: false,
  ...rest,
});

export function groupOf(nodes: readonly string[], rest: Partial<GroupConfig> = {}): GroupConfig {
  return {
    name: 'g',
    kind: 'k',
    groupId: 'id',
    seed: '',
    standby: 'warm',
    sync: { everyEvents: 1, everyMs: 1 },
    members: nodes.map((node) => ({ node, publicKey: '' })),
    createdAtMs: 0,
    ...rest,
  };
}

export const pauseOf = (untilMs: number, ttlMs: number): Pause => ({
  untilMs,
  ttlMs,
  reason: 'a reason',
  by: 'somebody',
});

export const writer = (index: number, incarnation = '000001'): WriterId => ({
  index,
  node: `n${index}`,
  incarnation,
});

export function reportOf(
  index: number,
  state: MemberState,
  rest: {
    epoch?: number;
    synced?: number | null;
    writer?: WriterId | null;
    hot?: boolean;
    syncedAtMs?: number;
  } = {},
): MemberReport {
  const synced = rest.synced === undefined ? 0 : rest.synced;
  return {
    group: 'g',
    index,
    state,
    epoch: epoch(rest.epoch ?? 1),
    syncedThrough: seq(synced ?? 0),
    lastSyncMs: synced === null ? null : (rest.syncedAtMs ?? 1),
    seq: seq(synced ?? 0),
    snapshotSeq: seq(0),
    writer: rest.writer === undefined ? writer(0) : rest.writer,
    fromSeq: seq(0),
    hot: rest.hot ?? false,
    diverged: 0,
    sync: null,
    error: null,
    era: 0,
    known: null,
    loss: null,
  };
}

/** One node's coordinator, and time in its hands. */
export class Judge {
  readonly node: Coordinator;
  nowMs = 10_000;
  /** What its wall clock is ahead of the time that only goes on. */
  wallOffsetMs = 0;
  /** No message reaches it, not even its own. */
  cutOff = false;

  constructor(readonly id: string) {
    this.node = newCoordinator(nodeInfo(id), timings, this.#now());
  }

  #now() {
    return { monoMs: this.nowMs, wallMs: this.nowMs + this.wallOffsetMs };
  }

  feed(input: NodeInput): NodeEffect[] {
    return stepNode(this.node, input, this.#now());
  }

  /** Ticks as the driver does until so much time has passed, while these nodes keep beating. */
  run(forMs: number, beating: readonly string[] = []): NodeEffect[] {
    const out: NodeEffect[] = [];
    const endMs = this.nowMs + forMs;
    let beatAtMs = this.nowMs;
    while (this.nowMs < endMs) {
      this.nowMs = Math.min(endMs, this.nowMs + 50);
      if (this.nowMs >= beatAtMs) {
        beatAtMs += timings.beatMs;
        if (!this.cutOff) for (const id of beating) out.push(...this.beat(id));
      }
      out.push(...this.tick());
    }
    return out;
  }

  /** Its own beats come back to it. */
  tick(): NodeEffect[] {
    const effects = this.feed({ kind: 'tick' });
    const beats = this.cutOff ? [] : of(effects, 'beat');
    return [...effects, ...beats.flatMap(({ beat }) => this.feed({ kind: 'beat', beat }))];
  }

  beat(id: string, reports: MemberReport[] = [], rest: Partial<NodeInfo> = {}): NodeEffect[] {
    return this.feed({ kind: 'beat', beat: { info: nodeInfo(id, rest), reports } });
  }

  report(report: MemberReport): NodeEffect[] {
    return this.feed({ kind: 'own-report', report });
  }

  group(config: GroupConfig, revision = 1): NodeEffect[] {
    return this.feed({ kind: 'group', config, revision });
  }

  cluster(config: Partial<ClusterConfig>, revision = 1): NodeEffect[] {
    return this.feed({ kind: 'cluster', config: { ...newClusterConfig, ...config }, revision });
  }

  probed(node: string, result: 'alive' | 'gone' | 'silent', incarnation = '000001'): NodeEffect[] {
    return this.feed({ kind: 'probed', node, incarnation, result });
  }

  disconnected(node: string, incarnation = '000001'): NodeEffect[] {
    return this.feed({ kind: 'disconnected', node, incarnation });
  }
}

export const of = <K extends NodeEffect['kind']>(effects: readonly NodeEffect[], kind: K) =>
  effects.filter((effect): effect is Extract<NodeEffect, { kind: K }> => effect.kind === kind);

/** Judges for every member of a three-member group whose active is n0; grace is over. */
export function settled(
  ids: readonly string[] = ['n1', 'n2'],
  nodes = ['n0', 'n1', 'n2'],
): Judge[] {
  return ids.map((id) => {
    const judge = new Judge(id);
    judge.group(groupOf(nodes));
    const own = Number(id.slice(1));
    const reports = nodes.map((_, index) =>
      reportOf(index, index === 0 ? 'active' : 'standby', { synced: 5 }),
    );
    if (own < nodes.length) judge.report(reports[own] as MemberReport);
    judge.run(timings.graceMs + 100, nodes);
    for (const [index, node] of nodes.entries()) {
      judge.beat(node, [reports[index] as MemberReport]);
    }
    return judge;
  });
}
