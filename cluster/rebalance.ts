/**
 * Who should be where: the moves that empty a node, or that level the nodes, from a view of the cluster
 * to a list of switchovers and moves. Pure, and the same on every node that looks at the same view.
 *
 * B1 No two members of a group are ever on one node, not even between two moves.
 * B2 Nothing is put on a node that is cordoned, draining or down, lacks the kind, or is not among the
 *    group's own nodes; what a down node hosts is left to replacement (P8).
 * B3 Each change improves, in this order: what stays on draining nodes, what is on a node that the
 *    group's placement does not name any more, members of one group that share a zone, the level of
 *    members, the level of actives; none makes an earlier one worse. So planning ends, and when the
 *    moves are carried out there is nothing left to plan.
 */
import { type Carrier, level, mostShifts } from './levelling.js';
import { place } from './placement.js';
import {
  type ClusterView,
  type Draft,
  heldBecause,
  isAllowed,
  mayTake,
  move,
  newDraft,
  type Plan,
  type PlanNode,
  planOf,
  type Reason,
  type Sketch,
  type Stay,
  stateRank,
  stateRanks,
  switchOver,
} from './plan.js';

/** What is left beyond this is in the next plan. */
const mostRounds = 8;

/** What empties `node`: its actives are switched over, then its members are placed elsewhere. */
export function planDrain(node: string, { nodes, groups }: ClusterView): Plan {
  const state = 'draining' as const;
  const leaving = nodes.map((one) => (one.id === node ? { ...one, state } : one));
  const draft = newDraft({ nodes: leaving, groups });
  return planOf(draft, emptyNodes(draft, [node]));
}

/** What takes the actives off `node`, and leaves its members where they are. */
export function planHandOver(node: string, view: ClusterView): Plan {
  const draft = newDraft(view);
  const stays: Stay[] = [];
  for (const sketch of draft.sketches) {
    if (sketch.active !== node) continue;
    const { name, nodes } = sketch.group;
    const why = heldBecause(sketch) ?? handOver(draft, sketch, 'drain');
    if (why !== null) stays.push({ group: name, index: nodes.indexOf(node), node, why });
  }
  return planOf(draft, stays);
}

/** The fewest moves found that empty draining nodes and bring the others within one of each other. */
export function planRebalance(view: ClusterView): Plan {
  const draft = newDraft(view);
  const draining = draft.nodes.filter(({ state }) => state === 'draining').map(({ id }) => id);
  const stays = emptyNodes(draft, draining);
  sendHome(draft);
  let isLevel = false;
  for (let round = 0; round < mostRounds && !isLevel; round++) {
    const shifts = [spreadZones(draft), levelMembers(draft), levelActives(draft)];
    isLevel = shifts.every((shifted) => shifted === 0);
  }
  return planOf(draft, stays);
}

// Emptying nodes.

/** Returns what stays. Where a member has found a place it can take over from one that could not leave. */
function emptyNodes(draft: Draft, ids: readonly string[]): Stay[] {
  let stays: Stay[] = [];
  for (let before = -1; stays.length !== before; ) {
    before = stays.length;
    stays = ids.flatMap((id) => emptyNode(draft, id));
  }
  return stays;
}

function emptyNode(draft: Draft, id: string): Stay[] {
  const stays: Stay[] = [];
  for (const sketch of draft.sketches) {
    if (!sketch.at.has(id)) continue;
    const why = leave(draft, sketch, id, 'drain');
    const { name, nodes } = sketch.group;
    if (why !== null) stays.push({ group: name, index: nodes.indexOf(id), node: id, why });
  }
  return stays;
}

/** Null, or why the member stays. */
function leave(draft: Draft, sketch: Sketch, id: string, reason: Reason): string | null {
  const held = heldBecause(sketch);
  if (held !== null) return held;
  const kept = sketch.active === id ? handOver(draft, sketch, reason) : null;
  if (kept !== null) return kept;
  const to = placeFor(draft, sketch, id);
  if (to === null)
    return 'no other node may take it: they host the group, are closed or not allowed';
  move(draft, sketch, id, to, reason);
  return null;
}

/** Members whose group was given another placement; where they cannot leave, they stay. */
function sendHome(draft: Draft): void {
  for (const sketch of draft.sketches) {
    for (const id of sketch.group.nodes) {
      if (isAllowed(sketch.group, id) || !mayLeaveAtAll(draft, sketch, id)) continue;
      // Or its active would be switched over for nothing.
      if (placeFor(draft, sketch, id) !== null) leave(draft, sketch, id, 'placement');
    }
  }
}

function handOver(draft: Draft, sketch: Sketch, reason: Reason): string | null {
  const heir = heirOf(draft, sketch);
  if (heir === null) return 'no other member could take over';
  switchOver(draft, sketch, heir, reason);
  return null;
}

/** Who takes over from the active: on an open node, else on a cordoned one; where fewest are active. */
function heirOf(draft: Draft, { sound, active }: Sketch): string | null {
  const rank = (id: string) => stateRank(draft, id);
  const load = (id: string) => draft.actives.get(id) ?? 0;
  const heirs = [...sound].filter((id) => id !== active && rank(id) <= stateRanks.cordoned);
  heirs.sort((a, b) => rank(a) - rank(b) || load(a) - load(b) || (a < b ? -1 : 1));
  return heirs[0] ?? null;
}

function placeFor(draft: Draft, sketch: Sketch, from: string): string | null {
  const { spread = 'node' } = sketch.group.placement;
  const asPlaceable = ({ id, zone }: PlanNode) => ({
    id,
    zone,
    load: (draft.members.get(id) ?? 0) + (draft.actives.get(id) ?? 0) / 2,
  });
  const nodes = draft.nodes.filter((node) => mayTake(sketch, node)).map(asPlaceable);
  const others = draft.nodes.filter(({ id }) => id !== from && sketch.at.has(id));
  return place({ nodes, count: 1, taken: others.map(asPlaceable), spread })?.[0] ?? null;
}

// Zones.

/** How many members of the group share a zone with another one; 0 if that is of no interest. */
function crowding({ byId }: Draft, { group }: Sketch, at: ReadonlySet<string>): number {
  if (group.placement.spread !== 'zone') return 0;
  return at.size - new Set([...at].map((id) => byId.get(id)?.zone ?? null)).size;
}

function crowdingAfter(draft: Draft, sketch: Sketch, from: string, to: string): number {
  const at = new Set(sketch.at).add(to);
  at.delete(from);
  return crowding(draft, sketch, at);
}

function spreadZones(draft: Draft): number {
  let shifts = 0;
  for (const sketch of draft.sketches) {
    if (heldBecause(sketch) !== null) continue;
    while (shifts < mostShifts && spreadOne(draft, sketch)) shifts += 1;
  }
  return shifts;
}

/** A standby that shares a zone goes to a zone without a member: from the fullest node to the emptiest. */
function spreadOne(draft: Draft, sketch: Sketch): boolean {
  const before = crowding(draft, sketch, sketch.at);
  if (before === 0) return false;
  const load = (id: string) => draft.members.get(id) ?? 0;
  const standbys = [...sketch.at].filter((id) => mayLeave(draft, sketch, id));
  standbys.sort((a, b) => load(b) - load(a) || (a < b ? -1 : 1));
  const takers = draft.nodes.filter((node) => mayTake(sketch, node)).map(({ id }) => id);
  takers.sort((a, b) => load(a) - load(b) || (a < b ? -1 : 1));
  for (const from of standbys) {
    const to = takers.find((id) => crowdingAfter(draft, sketch, from, id) < before);
    if (to === undefined) continue;
    move(draft, sketch, from, to, 'zone');
    return true;
  }
  return false;
}

/** A standby that holds the state: one that does not is busy getting it, or broken. */
function mayLeave(draft: Draft, sketch: Sketch, id: string): boolean {
  return id !== sketch.active && mayLeaveAtAll(draft, sketch, id);
}

function mayLeaveAtAll({ byId }: Draft, { sound, at }: Sketch, id: string): boolean {
  const state = byId.get(id)?.state;
  const isReachable = state === 'open' || state === 'cordoned';
  return isReachable && at.has(id) && sound.has(id);
}

// Levels.

function levelMembers(draft: Draft): number {
  const carry = (pick: (sketch: Sketch, from: string) => boolean): Carrier => {
    return (from, to) => {
      const fits = (sketch: Sketch) =>
        heldBecause(sketch) === null &&
        pick(sketch, from.id) &&
        mayTake(sketch, to) &&
        crowdingAfter(draft, sketch, from.id, to.id) <= crowding(draft, sketch, sketch.at);
      return draft.sketches.find(fits) ?? null;
    };
  };
  const standbys = carry((sketch, from) => mayLeave(draft, sketch, from));
  // An active is switched over first, so it goes last.
  const all = carry((sketch, from) => {
    const isFree = sketch.active === from && heirOf(draft, sketch) !== null;
    return isFree || mayLeave(draft, sketch, from);
  });
  return level(draft.nodes, draft.members, [standbys, all], ({ sketch, from, to }) => {
    const heir = sketch.active === from ? heirOf(draft, sketch) : null;
    if (heir !== null) switchOver(draft, sketch, heir, 'members');
    move(draft, sketch, from, to, 'members');
  });
}

function levelActives(draft: Draft): number {
  const carrier: Carrier = (from, to) => {
    const fits = (sketch: Sketch) =>
      sketch.active === from.id && sketch.sound.has(to.id) && heldBecause(sketch) === null;
    return draft.sketches.find(fits) ?? null;
  };
  return level(draft.nodes, draft.actives, [carrier], ({ sketch, to }) => {
    switchOver(draft, sketch, to, 'actives');
  });
}
