/**
 * For operations that begin others. They look at the plan anew every time, begin what is first in it, a
 * few groups at once, and are done when nothing is left in it; so it does not matter what was begun
 * before a crash.
 */
import type { Move, Plan, Stay } from '../plan.js';
import { syncLookMs } from './common.js';
import type { At, Call, Failure, Outcome } from './operation.js';

/** Groups that are moved at once. */
export const movePermits = 2;
/** A move that failed is tried so often. */
const mostTries = 3;
/** Groups whose moves may fail before it is given up. */
const mostFailed = 32;
const againMs = 500;
const callTimeoutMs = 10_000;
/** Who could take over may be fetching a snapshot just now, and a group may be between two actives. */
const stayPatienceMs = 3000;

export interface Moving {
  /** Id of the operation that moves it, by group. */
  readonly children: Readonly<Record<string, string>>;
  /** How often the moves of a group failed, and with what at last. */
  readonly failed: Readonly<Record<string, { readonly times: number; readonly why: string }>>;
  readonly moved: number;
  /** Since when nothing could be done about what is left; null: something could, or nothing is. */
  readonly stuckSinceMs: number | null;
}

export const nothingMoved: Moving = { children: {}, failed: {}, moved: 0, stuckSinceMs: null };

/** How an operation that was begun for another stands. */
export interface Child {
  readonly id: string;
  readonly state: 'running' | 'done' | 'failed' | 'cancelled';
  readonly lastError: Failure | null;
}

/** What was asked to begin a move answers. */
export type Begun = Child | { readonly refused: Failure };

/** What is left when nothing more can be done; empty: nothing. */
export type Finish<Data> = (data: Data, problems: readonly string[]) => Outcome<Data>;

export const callTo = (node: string | null, verb: string, request: unknown): Call => ({
  node,
  verb,
  request,
  timeoutMs: callTimeoutMs,
});

/** One look: begins a move, waits for those under way, or finishes. Goes on in the present step. */
export function carryOut<Data extends Moving>(
  at: At<Data>,
  plan: () => Plan,
  finish: Finish<Data>,
): Outcome<Data> {
  const { data, answer } = at;
  const ids = Object.values(data.children);
  // A record of every failure would not fit.
  if (Object.keys(data.failed).length > mostFailed && ids.length === 0) {
    return finish(data, problemsOf(data, plan()));
  }
  if (answer === undefined) {
    if (ids.length > 0) return { kind: 'call', call: callTo(null, 'look-at', { ids }) };
    return goOn(at, plan(), finish);
  }
  if (!('looked' in (answer as object))) {
    return onBegun(at, answer as { move: Move; begun: Begun });
  }
  return onLooked(at, (answer as { looked: Child[] }).looked) ?? goOn(at, plan(), finish);
}

/** Null: nothing has ended. */
function onLooked<Data extends Moving>(
  at: At<Data>,
  looked: readonly Child[],
): Outcome<Data> | null {
  const { children, failed, moved } = at.data;
  const isOver = (id: string) => looked.find((child) => child.id === id)?.state !== 'running';
  const over = Object.entries(children).filter(([, id]) => isOver(id));
  if (over.length === 0) return null;
  const bad = over.flatMap(([group, id]) => {
    const child = looked.find((one) => one.id === id);
    return child?.state === 'done' ? [] : [{ group, why: child?.lastError?.detail ?? 'forgotten' }];
  });
  const left = Object.entries(children).filter(([, id]) => !isOver(id));
  return told(at, {
    children: Object.fromEntries(left),
    failed: bad.reduce((all, { group, why }) => noteFailure(all, group, why), failed),
    moved: moved + over.length - bad.length,
    stuckSinceMs: null,
  });
}

const noteFailure = (failed: Moving['failed'], group: string, why: string) => ({
  ...failed,
  [group]: { times: (failed[group]?.times ?? 0) + 1, why: why.slice(0, 200) },
});

function told<Data extends Moving>({ operation }: At<Data>, moving: Moving): Outcome<Data> {
  const running = Object.keys(moving.children).length;
  const failed = Object.keys(moving.failed).length;
  const problems = failed === 0 ? '' : `, trouble with ${failed} groups`;
  const detail = `${moving.moved} moved, ${running} under way${problems}`;
  return { kind: 'next', step: operation.step, detail, data: moving as Partial<Data> };
}

/** It is found by its id if it was begun already. */
function onBegun<Data extends Moving>(
  at: At<Data>,
  { move, begun }: { move: Move; begun: Begun },
): Outcome<Data> {
  const { children, failed, moved } = at.data;
  if ('refused' in begun) {
    const change = { failed: noteFailure(failed, move.group, begun.refused.detail) };
    return { kind: 'park', wakeAfterMs: againMs, data: change as Partial<Data> };
  }
  const all = { ...children, [move.group]: begun.id };
  return told(at, { children: all, failed, moved, stuckSinceMs: null });
}

/** The next move of a group that nothing is under way for. */
function goOn<Data extends Moving>(at: At<Data>, plan: Plan, finish: Finish<Data>): Outcome<Data> {
  const { data, operation, seen } = at;
  const { moves, stays } = plan;
  const isFree = ({ group }: Move) =>
    data.children[group] === undefined && (data.failed[group]?.times ?? 0) < mostTries;
  const isFull = Object.keys(data.children).length >= movePermits;
  const move = isFull ? undefined : moves.find(isFree);
  if (move !== undefined) {
    return { kind: 'call', call: callTo(null, 'begin-move', { move, by: operation.id }) };
  }
  if (Object.keys(data.children).length > 0) return { kind: 'park', wakeAfterMs: syncLookMs };
  // A former driver's clock may have been days ahead.
  const sinceMs = Math.min(data.stuckSinceMs ?? seen.nowMs, seen.nowMs);
  if (stays.length > 0 && seen.nowMs - sinceMs < stayPatienceMs) {
    const change: Partial<Moving> = { stuckSinceMs: sinceMs };
    return { kind: 'park', wakeAfterMs: againMs, data: change as Partial<Data> };
  }
  return finish(data, problemsOf(data, plan));
}

function problemsOf(
  { failed }: Moving,
  { moves, stays }: { readonly moves: readonly Move[]; readonly stays: readonly Stay[] },
): string[] {
  const stuck = new Set(moves.map(({ group }) => group));
  const failures = Object.entries(failed).filter(([group]) => stuck.has(group));
  const problems = [
    ...failures.map(([group, { why }]) => `${group}: ${why}`),
    ...stays.map(({ group, index, why }) => `${group}/${index} stays: ${why}`),
  ];
  if (problems.length <= mostFailed) return problems;
  return [...problems.slice(0, mostFailed), `and ${problems.length - mostFailed} more`];
}
