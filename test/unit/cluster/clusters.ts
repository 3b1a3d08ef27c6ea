/** Random clusters to plan for, and plans carried out under the eyes of their rules. */
import type { ClusterView, Move, PlanGroup, PlanNode } from '../../../cluster/plan.js';
import type { Random } from '../../support/scheduler.js';

export interface Shape {
  readonly nodes: number;
  readonly groups: number;
  readonly zones: number;
  /** Chances. */
  readonly closed: number;
  readonly confined: number;
  readonly unready: number;
  readonly held: number;
}

export const free: Shape = {
  nodes: 5,
  groups: 12,
  zones: 0,
  closed: 0,
  confined: 0,
  unready: 0,
  held: 0,
};

export function drawView(random: Random, shape: Shape): ClusterView {
  const nodes = Array.from({ length: shape.nodes }, (_, i) => drawNode(random, shape, i));
  const groups = Array.from({ length: shape.groups }, (_, i) => drawGroup(random, shape, nodes, i));
  return { nodes, groups };
}

function drawNode(random: Random, { zones, closed }: Shape, i: number): PlanNode {
  const states = ['cordoned', 'draining', 'down'] as const;
  const state = random.chance(closed) ? (states[random.below(3)] ?? 'down') : 'open';
  const zone = zones === 0 || random.chance(0.1) ? null : `z${random.below(zones)}`;
  return { id: `n${i}`, zone, kinds: random.chance(closed / 3) ? ['k'] : ['k', 'other'], state };
}

function drawGroup(
  random: Random,
  { zones, confined, unready, held }: Shape,
  nodes: readonly PlanNode[],
  i: number,
): PlanGroup {
  const count = 2 + random.below(Math.min(3, nodes.length - 1));
  const hosts = shuffled(random, nodes)
    .slice(0, count)
    .map(({ id }) => id);
  const active = random.chance(unready / 4) ? null : random.below(count);
  const stateOf = new Map(nodes.map(({ id, state }) => [id, state]));
  const canServe = (index: number) =>
    index !== active && stateOf.get(hosts[index] ?? '') !== 'down' && !random.chance(unready);
  const allowed = shuffled(random, nodes).slice(0, count + 1);
  return {
    name: `g${String(i).padStart(3, '0')}`,
    kind: random.chance(confined / 3) ? 'other' : 'k',
    nodes: hosts,
    active,
    ready: hosts.map((_, index) => index).filter(canServe),
    reprotected: true,
    placement: {
      spread: zones > 0 && random.chance(0.7) ? 'zone' : 'node',
      ...(random.chance(confined) ? { nodes: allowed.map(({ id }) => id) } : {}),
    },
    held: random.chance(held) ? 'paused' : null,
  };
}

export function shuffled<One>(random: Random, all: readonly One[]): One[] {
  return all
    .map((one) => ({ one, at: random.next() }))
    .sort((a, b) => a.at - b.at)
    .map(({ one }) => one);
}

/** The view after the moves. Throws if one of them breaks a rule at its time. */
export function carriedOut(view: ClusterView, moves: readonly Move[]): ClusterView {
  const byId = new Map(view.nodes.map((node) => [node.id, node]));
  const groups = new Map(view.groups.map((group) => [group.name, group]));
  for (const move of moves) {
    const group = groups.get(move.group) as PlanGroup;
    const problem = problemOf(group, byId.get(move.to), move);
    if (problem !== null) throw new Error(`${JSON.stringify(move)}: ${problem}`);
    groups.set(move.group, move.kind === 'move' ? moved(group, move) : switched(group, move));
  }
  return { nodes: view.nodes, groups: [...groups.values()] };
}

function problemOf(group: PlanGroup, to: PlanNode | undefined, move: Move): string | null {
  const { nodes, active, ready, placement, held, kind } = group;
  if (held !== null || active === null) return 'the group is not to be touched';
  if (to === undefined) return 'no such node';
  if (move.kind === 'switchover') {
    if (nodes[active] !== move.from) return `the active is on ${nodes[active]}`;
    if (nodes[move.index] !== move.to) return `member ${move.index} is on ${nodes[move.index]}`;
    if (to.state === 'down' || to.state === 'draining') return `${to.id} is ${to.state}`;
    return ready.includes(move.index) ? null : `member ${move.index} cannot take over`;
  }
  if (nodes[move.index] !== move.from) return `member ${move.index} is on ${nodes[move.index]}`;
  if (move.index === active) return 'it is the active';
  if (nodes.includes(move.to)) return 'the group is there already';
  if (to.state !== 'open') return `${to.id} is ${to.state}`;
  if (!to.kinds.includes(kind)) return `${to.id} does not have the kind`;
  return (placement.nodes?.includes(move.to) ?? true) ? null : `${to.id} is not allowed`;
}

function moved(group: PlanGroup, { index, to }: Move): PlanGroup {
  const nodes = group.nodes.with(index, to);
  return { ...group, nodes, ready: [...new Set([...group.ready, index])] };
}

function switched(group: PlanGroup, { index }: Move): PlanGroup {
  const ready = [...group.ready.filter((one) => one !== index), group.active as number];
  return { ...group, active: index, ready };
}

export function membersOn({ groups }: ClusterView, node: string): number {
  return groups.filter(({ nodes }) => nodes.includes(node)).length;
}

export function activesOn({ groups }: ClusterView, node: string): number {
  return groups.filter(({ nodes, active }) => active !== null && nodes[active] === node).length;
}

/** Of the open nodes, each. */
export function loadsOf(
  view: ClusterView,
  count: (view: ClusterView, node: string) => number,
): number[] {
  return view.nodes.filter(({ state }) => state === 'open').map(({ id }) => count(view, id));
}

export function gapOf(loads: readonly number[]): number {
  return loads.length === 0 ? 0 : Math.max(...loads) - Math.min(...loads);
}

/** Members of groups that spread over zones and share one, over all groups. */
export function crowdedIn({ nodes, groups }: ClusterView): number {
  const zoneOf = new Map(nodes.map(({ id, zone }) => [id, zone]));
  return groups
    .filter(({ placement }) => placement.spread === 'zone')
    .reduce((sum, group) => {
      return sum + group.nodes.length - new Set(group.nodes.map((id) => zoneOf.get(id))).size;
    }, 0);
}

/** Members on nodes where their group may not be, over all groups. */
export function awayIn({ groups }: ClusterView): number {
  const isAway = ({ placement }: PlanGroup, id: string) =>
    placement.nodes !== undefined && !placement.nodes.includes(id);
  return groups.reduce((sum, group) => {
    return sum + group.nodes.filter((id) => isAway(group, id)).length;
  }, 0);
}
