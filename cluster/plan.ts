/**
 * A plan in the making: who is where and what each node carries, changed step by step, and then put into
 * switchovers and moves that lead there.
 */
import type { Placement } from './types.js';

export interface PlanNode {
  readonly id: string;
  readonly zone: string | null;
  readonly kinds: readonly string[];
  /** `cordoned` keeps what it has, `draining` is emptied, of `down` nothing can be moved. */
  readonly state: 'open' | 'cordoned' | 'draining' | 'down';
}

export interface PlanGroup {
  readonly name: string;
  readonly kind: string;
  /** Node of each member, by index. */
  readonly nodes: readonly string[];
  /** Index of the active; null: there is none, and nothing of the group is moved. */
  readonly active: number | null;
  /** Indexes of the standbys that could take over. */
  readonly ready: readonly number[];
  /** Every member is healthy and has synced past the last promotion (P8). */
  readonly reprotected: boolean;
  readonly placement: Placement;
  /** Why nothing of it may be moved now, such as a pause; null: it may. */
  readonly held: string | null;
}

export interface ClusterView {
  readonly nodes: readonly PlanNode[];
  readonly groups: readonly PlanGroup[];
}

export type Reason = 'drain' | 'placement' | 'zone' | 'members' | 'actives';

/** One step. The next one counts on it: a member that was moved has synced. */
export interface Move {
  /** `switchover`: member `index`, on `to`, becomes the active; `move`: it is placed on `to`. */
  readonly kind: 'switchover' | 'move';
  readonly group: string;
  readonly index: number;
  readonly from: string;
  readonly to: string;
  readonly why: Reason;
}

/** A member that cannot leave a node that should be emptied. */
export interface Stay {
  readonly group: string;
  readonly index: number;
  readonly node: string;
  readonly why: string;
}

export interface Plan {
  /** In order; those of one group are together. */
  readonly moves: readonly Move[];
  readonly stays: readonly Stay[];
}

/** A group while it is planned: which nodes it is on, and not which member is where. */
export interface Sketch {
  readonly group: PlanGroup;
  readonly at: Set<string>;
  active: string;
  /** Nodes whose member holds the state: the active's, and those that could take over. */
  readonly sound: Set<string>;
  /** Why it left a node, or the active did. */
  readonly why: Map<string, Reason>;
}

export interface Draft {
  readonly nodes: readonly PlanNode[];
  readonly byId: ReadonlyMap<string, PlanNode>;
  readonly sketches: readonly Sketch[];
  readonly members: Map<string, number>;
  readonly actives: Map<string, number>;
}

export function newDraft(view: ClusterView): Draft {
  const nodes = view.nodes.toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const members = new Map<string, number>();
  const actives = new Map<string, number>();
  const sketches: Sketch[] = [];
  for (const group of view.groups.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    for (const id of group.nodes) add(members, id, 1);
    const active = group.active === null ? undefined : group.nodes[group.active];
    if (active !== undefined) add(actives, active, 1);
    sketches.push(sketchOf(group, active ?? ''));
  }
  const byId = new Map(nodes.map((node) => [node.id, node]));
  return { nodes, byId, sketches, members, actives };
}

function sketchOf(group: PlanGroup, active: string): Sketch {
  const ready = group.ready.flatMap((index) => group.nodes[index] ?? []);
  const sound = new Set(active === '' ? ready : [active, ...ready]);
  return { group, at: new Set(group.nodes), active, sound, why: new Map() };
}

function add(counts: Map<string, number>, id: string, change: number): void {
  counts.set(id, (counts.get(id) ?? 0) + change);
}

/** Where an active should rather be. */
export const stateRanks = { open: 0, cordoned: 1, draining: 2, down: 3 };

export function stateRank({ byId }: Draft, id: string): number {
  return stateRanks[byId.get(id)?.state ?? 'down'];
}

export function heldBecause({ group, active }: Sketch): string | null {
  return group.held ?? (active === '' ? 'it has no active' : null);
}

export function isAllowed({ placement }: PlanGroup, id: string): boolean {
  return placement.nodes?.includes(id) ?? true;
}

/** B1, B2 */
export function mayTake({ group, at }: Sketch, { id, state, kinds }: PlanNode): boolean {
  return state === 'open' && isAllowed(group, id) && kinds.includes(group.kind) && !at.has(id);
}

export function move(
  { members }: Draft,
  sketch: Sketch,
  from: string,
  to: string,
  why: Reason,
): void {
  sketch.at.delete(from);
  sketch.at.add(to);
  sketch.sound.delete(from);
  sketch.sound.add(to);
  if (!sketch.why.has(from)) sketch.why.set(from, why);
  add(members, from, -1);
  add(members, to, 1);
}

export function switchOver({ actives }: Draft, sketch: Sketch, to: string, why: Reason): void {
  add(actives, sketch.active, -1);
  add(actives, to, 1);
  if (!sketch.why.has(sketch.active)) sketch.why.set(sketch.active, why);
  sketch.active = to;
}

// From what should be to how to get there.

export function planOf(draft: Draft, stays: readonly Stay[]): Plan {
  return { moves: draft.sketches.flatMap((sketch) => movesOf(draft, sketch)), stays };
}

/** Members that stay on a node keep it; only as many move as nodes were left. */
function movesOf(draft: Draft, { group, at, active: wanted, why }: Sketch): Move[] {
  const moves: Move[] = [];
  const nodes = [...group.nodes];
  let active = group.active === null ? '' : (nodes[group.active] as string);
  const reason = (id: string) => why.get(id) ?? 'members';
  const leaving = nodes.filter((id) => !at.has(id));
  const arriving = [...at].filter((id) => !nodes.includes(id)).sort();
  const switchTo = (to: string) => {
    const index = nodes.indexOf(to);
    moves.push({
      kind: 'switchover',
      group: group.name,
      index,
      from: active,
      to,
      why: reason(active),
    });
    active = to;
  };
  const moveTo = (from: string, to: string) => {
    const index = nodes.indexOf(from);
    nodes[index] = to;
    moves.push({ kind: 'move', group: group.name, index, from, to, why: reason(from) });
  };
  const isNew = arriving.includes(wanted);
  if (!isNew && active !== wanted) switchTo(wanted);
  if (isNew) {
    const first = leaving.find((id) => id !== active);
    // Where the active itself has to move, somebody who stays serves meanwhile.
    if (first === undefined)
      switchTo(
        bestOf(
          draft,
          group.ready.flatMap((i) => nodes[i] ?? []),
        ),
      );
    const from = first ?? (leaving[0] as string);
    moveTo(from, wanted);
    leaving.splice(leaving.indexOf(from), 1);
    arriving.splice(arriving.indexOf(wanted), 1);
    switchTo(wanted);
  }
  for (const [i, from] of leaving.entries()) moveTo(from, arriving[i] as string);
  return moves;
}

function bestOf(draft: Draft, ids: readonly string[]): string {
  return ids.toSorted((a, b) => stateRank(draft, a) - stateRank(draft, b))[0] as string;
}
