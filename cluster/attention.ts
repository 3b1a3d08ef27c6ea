/**
 * Whom a coordinator looks at when it ticks: what has changed and what waits for its time at once, all
 * of them when a node's standing has changed, and everybody else in turn. A thousand idle groups cost as much
 * as their share of a turn, and what should have been noticed and was not is found when its turn comes.
 */
import { judges, judgesSilence, type Membership } from './membership.js';

/** Looked at with each tick, whatever happens … */
const leastInTurn = 64;
/** … and as many more as make a turn take so many ticks at most: a second. */
const mostTicks = 20;
/** When more groups than this need a writer at once, everything takes its time … */
export const vacantAtEase = 64;
/** … and they are looked at with one of so many ticks. */
const crowdTicks = 4;

export interface Attention {
  /** Something about these groups has changed since the last tick. */
  readonly due: Set<string>;
  /** These need a new writer and wait for their time to act. */
  readonly vacant: Set<string>;
  /** When a node was last heard to have opened an active: it is working through what there is. */
  readonly openedAtMs: Map<string, number>;
  turn: Iterator<string> | null;
  ticks: number;
  /** How the nodes stood at the last tick. */
  standing: string;
}

export function newAttention(): Attention {
  return {
    due: new Set(),
    vacant: new Set(),
    openedAtMs: new Map(),
    turn: null,
    ticks: 0,
    standing: '',
  };
}

/** Names to look at now; some may be gone since. */
export function takeDue(
  attention: Attention,
  membership: Membership,
  groups: ReadonlyMap<string, unknown>,
  nowMs: number,
): Iterable<string> {
  const standing = standingOf(membership, nowMs);
  const hasChanged = attention.standing !== standing;
  attention.standing = standing;
  const { due, vacant } = attention;
  const isFew = groups.size <= leastInTurn;
  attention.ticks = (attention.ticks + 1) % crowdTicks;
  const waiting = vacant.size <= vacantAtEase || attention.ticks === 0 ? vacant : [];
  const taken = hasChanged || isFew ? new Set(groups.keys()) : new Set([...waiting, ...due]);
  due.clear();
  const count = Math.max(leastInTurn, Math.ceil(groups.size / mostTicks));
  if (taken.size < groups.size) takeTurn(attention, groups, count, taken);
  return taken;
}

export function forgetGroup({ due, vacant }: Attention, name: string): void {
  due.delete(name);
  vacant.delete(name);
}

function takeTurn(
  attention: Attention,
  groups: ReadonlyMap<string, unknown>,
  count: number,
  taken: Set<string>,
): void {
  for (let i = 0; i < count; i++) {
    attention.turn ??= groups.keys();
    const { value, done } = attention.turn.next();
    if (done) attention.turn = null;
    else taken.add(value);
  }
}

function standingOf(membership: Membership, nowMs: number): string {
  const nodes = [...membership.nodes.values()].map(
    ({ info, state }) => `${info.id} ${info.incarnation} ${state} ${info.draining}`,
  );
  const hears = judgesSilence(membership, nowMs);
  return `${judges(membership, nowMs)} ${hears} ${nodes.join(',')}`;
}
