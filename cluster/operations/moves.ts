/**
 * Drain and rebalance: operations that begin others. They look at the plan anew every time, begin what is
 * first in it, a few groups at once, and are done when nothing is left in it; so it does not matter what
 * was begun before a crash.
 */
import { UnderstudyError } from '../../replication/errors.js';
import type { Move, Plan, Stay } from '../plan.js';
import { planDrain, planRebalance } from '../rebalance.js';
import { nodeLock, syncLookMs } from './common.js';
import type { At, Call, Failure, OperationKind, OperationRequest, Outcome } from './operation.js';

/** Groups that are moved at once. */
export const movePermits = 2;
/** A move that failed is tried so often. */
const mostTries = 3;
/** Groups whose moves may fail before it is given up. */
const mostFailed = 32;
const againMs = 500;
const callTimeoutMs = 10_000;

export interface MovesData {
  /** The node to empty; null: level all of them. */
  readonly node: string | null;
  /** Id of the operation that moves it, by group. */
  readonly children: Readonly<Record<string, string>>;
  /** How often the moves of a group failed, and with what at last. */
  readonly failed: Readonly<Record<string, { readonly times: number; readonly why: string }>>;
  readonly moved: number;
}

/** How an operation that was begun for another stands. */
export interface Child {
  readonly id: string;
  readonly state: 'running' | 'done' | 'failed' | 'cancelled';
  readonly lastError: Failure | null;
}

/** What was asked to begin a move answers. */
export type Begun = Child | { readonly refused: Failure };

const nothingYet = { children: {}, failed: {}, moved: 0 };

export function requestDrain(node: string, by: string): OperationRequest {
  const data: MovesData = { node, ...nothingYet };
  return { id: `drain.${node}`, kind: 'drain', target: node, by, data, repeatable: true };
}

export function requestRebalance(by: string): OperationRequest {
  const data: MovesData = { node: null, ...nothingYet };
  const id = 'rebalance.cluster';
  return { id, kind: 'rebalance', target: 'cluster', by, data, repeatable: true };
}

const planOf = ({ data, seen }: At<MovesData>): Plan =>
  data.node === null ? planRebalance(seen.view) : planDrain(data.node, seen.view);

/** From here on the node gets no members and is no candidate; one that is down does not either. */
function marking({ data, seen, answer }: At<MovesData>): Outcome<MovesData> {
  const node = data.node as string;
  const found = seen.nodes.find(({ id }) => id === node);
  if (found === undefined) throw new UnderstudyError('node-not-found', `there is no node ${node}`);
  if (found.state === 'up' && answer === undefined) {
    return { kind: 'call', call: callTo(node, 'start-draining', {}) };
  }
  return { kind: 'next', step: 'moving' };
}

const callTo = (node: string | null, verb: string, request: unknown): Call => ({
  node,
  verb,
  request,
  timeoutMs: callTimeoutMs,
});

function moving(at: At<MovesData>): Outcome<MovesData> {
  const { data, seen, answer } = at;
  const marked = seen.nodes.find(({ id }) => id === data.node);
  // It was started anew meanwhile, and does not know of it.
  if (marked?.state === 'up') return { kind: 'next', step: 'marking' };
  const ids = Object.values(data.children);
  if (answer === undefined) {
    return ids.length > 0 ? { kind: 'call', call: callTo(null, 'look-at', { ids }) } : goOn(at);
  }
  if ('looked' in (answer as object)) return onLooked(at, (answer as { looked: Child[] }).looked);
  return onBegun(at, answer as { move: Move; begun: Begun });
}

function onLooked(at: At<MovesData>, looked: readonly Child[]): Outcome<MovesData> {
  const { children, failed, moved } = at.data;
  const isOver = (id: string) => looked.find((child) => child.id === id)?.state !== 'running';
  const over = Object.entries(children).filter(([, id]) => isOver(id));
  if (over.length === 0) return goOn(at);
  const bad = over.flatMap(([group, id]) => {
    const child = looked.find((one) => one.id === id);
    return child?.state === 'done' ? [] : [{ group, why: child?.lastError?.detail ?? 'forgotten' }];
  });
  const left = Object.entries(children).filter(([, id]) => !isOver(id));
  return told({
    children: Object.fromEntries(left),
    failed: bad.reduce((all, { group, why }) => noteFailure(all, group, why), failed),
    moved: moved + over.length - bad.length,
  });
}

const noteFailure = (failed: MovesData['failed'], group: string, why: string) => ({
  ...failed,
  [group]: { times: (failed[group]?.times ?? 0) + 1, why: why.slice(0, 200) },
});

function told(data: Omit<MovesData, 'node'>): Outcome<MovesData> {
  const running = Object.keys(data.children).length;
  const failed = Object.keys(data.failed).length;
  const problems = failed === 0 ? '' : `, trouble with ${failed} groups`;
  const detail = `${data.moved} moved, ${running} under way${problems}`;
  return { kind: 'next', step: 'moving', detail, data };
}

/** It is found by its id if it was begun already. */
function onBegun(at: At<MovesData>, { move, begun }: { move: Move; begun: Begun }) {
  const { children, failed, moved } = at.data;
  if ('refused' in begun) {
    const why = begun.refused.detail;
    return {
      kind: 'park',
      wakeAfterMs: againMs,
      data: { failed: noteFailure(failed, move.group, why) },
    } as const;
  }
  return told({ children: { ...children, [move.group]: begun.id }, failed, moved });
}

/** The next move of a group that nothing is under way for. */
function goOn(at: At<MovesData>): Outcome<MovesData> {
  const { data, operation } = at;
  const { moves, stays } = planOf(at);
  const isFree = ({ group }: Move) =>
    data.children[group] === undefined && (data.failed[group]?.times ?? 0) < mostTries;
  const isFull = Object.keys(data.children).length >= movePermits;
  const move = isFull ? undefined : moves.find(isFree);
  if (move !== undefined) {
    return { kind: 'call', call: callTo(null, 'begin-move', { move, by: operation.id }) };
  }
  if (Object.keys(data.children).length > 0) return { kind: 'park', wakeAfterMs: syncLookMs };
  return ended(at, moves, stays);
}

function ended(
  { data }: At<MovesData>,
  moves: readonly Move[],
  stays: readonly Stay[],
): Outcome<MovesData> {
  const stuck = new Set(moves.map(({ group }) => group));
  const failures = Object.entries(data.failed).filter(([group]) => stuck.has(group));
  const problems = [
    ...failures.map(([group, { why }]) => `${group}: ${why}`),
    ...stays.map(({ group, index, why }) => `${group}/${index} stays: ${why}`),
  ];
  if (problems.length === 0) return { kind: 'done', detail: `${data.moved} moved` };
  const more = problems.length > mostFailed ? `; and ${problems.length - mostFailed} more` : '';
  const detail = `${data.moved} moved; ${problems.slice(0, mostFailed).join('; ')}${more}`;
  return { kind: 'failed', error: { code: 'placement-failed', detail } };
}

const started = ({ data }: At<MovesData>): Outcome<MovesData> => ({
  kind: 'next',
  step: data.node === null ? 'moving' : 'marking',
});

/** A record of every failure would not fit. */
const withLimit =
  (step: (at: At<MovesData>) => Outcome<MovesData>) =>
  (at: At<MovesData>): Outcome<MovesData> => {
    const failed = Object.keys(at.data.failed).length;
    if (failed <= mostFailed || Object.keys(at.data.children).length > 0) return step(at);
    const { moves, stays } = planOf(at);
    return ended(at, moves, stays);
  };

const common = { sees: 'cluster', steps: { started, marking, moving: withLimit(moving) } } as const;

export const drain: OperationKind<MovesData> = {
  ...common,
  name: 'drain',
  locks: ({ data }) => [nodeLock(data.node as string)],
};

export const rebalance: OperationKind<MovesData> = {
  ...common,
  name: 'rebalance',
  locks: () => ['rebalance'],
};
