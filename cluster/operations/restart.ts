/**
 * Restart of nodes, one after the other: the actives of one are handed over, its process is told to end,
 * its supervisor starts it anew, and only when its members are synced again comes the next. What is told
 * names the life that is to end, so whoever hears it twice, or late, does not end a second time.
 */
import type { ErrorCode } from '../../replication/errors.js';
import type { NodeDocument } from '../documents.js';
import type { PlanGroup, PlanNode } from '../plan.js';
import { planHandOver } from '../rebalance.js';
import { nodeLock, syncLookMs } from './common.js';
import { callTo, carryOut, type Moving, nothingMoved } from './moving.js';
import type { At, OperationKind, OperationRequest, Outcome, Seen } from './operation.js';
import type { Precondition } from './switchover.js';

/** What speaks against a restart may be over soon, such as a failover or a sync. */
const checkPatienceMs = 10_000;
const checkAgainMs = 250;
/** From the word to end until the node is heard of in its next life. */
const returnWithinMs = 60_000;
const endAgainMs = 250;
/** Until its members hold a state again, however large. */
const settleWithinMs = 600_000;
/** Names in a list of groups. */
const mostNamed = 8;

export interface RestartData extends Moving {
  /** Nodes that are not through with it, in order; the first is the present one. */
  readonly left: readonly string[];
  readonly through: number;
  /** The life of the present one that is to end; null: it was not looked at yet. */
  readonly incarnation: string | null;
}

type Around = Pick<Seen, 'nodes' | 'view'>;

/** `driver`: the node that is asked, which goes last if there are several. */
export function requestRestart(
  target: { readonly node: string } | { readonly all: readonly string[]; readonly driver: string },
  by: string,
): OperationRequest {
  const left = 'node' in target ? [target.node] : inOrder(target);
  const data: RestartData = { left, through: 0, incarnation: null, ...nothingMoved };
  const [id, name] = 'node' in target ? [`node.${target.node}`, target.node] : ['all', 'cluster'];
  return { id: `restart.${id}`, kind: 'restart', target: name, by, data, repeatable: true };
}

function inOrder({ all, driver }: { all: readonly string[]; driver: string }): string[] {
  const others = all.filter((id) => id !== driver).sort();
  return all.includes(driver) ? [...others, driver] : others;
}

/** Nodes that a restart of all concerns: one that is down has ended already. */
export const restartable = (nodes: readonly NodeDocument[]): string[] =>
  nodes.filter(({ state }) => state !== 'down').map(({ id }) => id);

/** All that speaks for or against the restart of one node, at once. */
export function restartPreflight(node: string, { nodes, view }: Around): Precondition[] {
  const found = nodes.find(({ id }) => id === node);
  const state = found?.state ?? 'not known';
  const isSupervised = found?.supervised === true;
  const hosted = view.groups.filter((group) => group.nodes.includes(node));
  const open = new Set(view.nodes.filter(isCandidate).map(({ id }) => id));
  const couldLead = ({ ready, nodes: at }: PlanGroup) =>
    ready.some((index) => at[index] !== node && open.has(at[index] ?? ''));
  const led = hosted.filter(({ active, nodes: at }) => active !== null && at[active] === node);
  return [
    {
      name: 'node-up',
      ok: state === 'up' || state === 'drained',
      detail: `${node} is ${state}`,
    },
    {
      name: 'supervised',
      ok: isSupervised,
      detail: isSupervised
        ? `something starts ${node} again`
        : `nothing starts ${node} again; set UNDERSTUDY_SUPERVISED there if something does`,
    },
    without(
      'groups-reprotected',
      hosted,
      ({ reprotected }) => reprotected,
      (names) => {
        return `on ${node}, not all members are healthy and synced of ${names}`;
      },
    ),
    without(
      'groups-not-paused',
      hosted,
      ({ held }) => held === null,
      (names) => {
        return `on ${node}, paused: ${names}`;
      },
    ),
    without('standby-elsewhere', led, couldLead, (names) => {
      return `${node} leads, and no standby on another open node could: ${names}`;
    }),
  ];
}

const isCandidate = ({ state }: PlanNode): boolean => state === 'open' || state === 'cordoned';

/** Holds if no group is bad. */
function without(
  name: string,
  groups: readonly PlanGroup[],
  isGood: (group: PlanGroup) => boolean,
  words: (names: string) => string,
): Precondition {
  const bad = groups.filter((group) => !isGood(group)).map((group) => group.name);
  if (bad.length === 0) return { name, ok: true, detail: `of ${groups.length} groups all` };
  const more = bad.length > mostNamed ? `, and ${bad.length - mostNamed} more` : '';
  return { name, ok: false, detail: words(`${bad.slice(0, mostNamed).join(', ')}${more}`) };
}

const nodeOf = ({ left }: RestartData): string => left[0] as string;

/** The rest is not touched by what went wrong here. */
function failed({ left }: RestartData, code: ErrorCode, why: string): Outcome<RestartData> {
  const rest = left.slice(1).join(', ');
  const untouched = rest === '' ? '' : `. Not touched: ${rest}`;
  return { kind: 'failed', error: { code, detail: `${why}${untouched}` } };
}

/** Judged again before each node: what was true when it was asked for may not be so any more. */
function checking({ data, seen, operation }: At<RestartData>): Outcome<RestartData> {
  if (data.left.length === 0) return { kind: 'done', detail: `${data.through} restarted` };
  const node = nodeOf(data);
  const bad = restartPreflight(node, seen).filter(({ ok }) => !ok);
  if (bad.length === 0) {
    const incarnation = lifeOf(seen, node);
    const fresh = { incarnation, ...nothingMoved };
    return { kind: 'next', step: 'handing-over', detail: node, data: fresh };
  }
  const why = `${node}: ${bad.map(({ name, detail }) => `${name}: ${detail}`).join('; ')}`;
  if (seen.nowMs - operation.stepAtMs > checkPatienceMs) return failed(data, 'conflict', why);
  return { kind: 'park', wakeAfterMs: checkAgainMs, error: { code: 'conflict', detail: why } };
}

const lifeOf = ({ nodes }: Around, node: string): string | null =>
  nodes.find(({ id }) => id === node)?.incarnation ?? null;

/** As a drain does, but its standbys stay: they are soon back. */
function handingOver(at: At<RestartData>): Outcome<RestartData> {
  const { data, seen } = at;
  const node = nodeOf(data);
  return carryOut(
    at,
    () => planHandOver(node, seen.view),
    ({ moved }, problems) => {
      if (problems.length > 0) return failed(data, 'conflict', `${node}: ${problems.join('; ')}`);
      return { kind: 'next', step: 'ending', detail: `${node}, ${moved} groups handed over` };
    },
  );
}

/** Whether its former life has ended shows in the life that it is heard of in. */
function ending({ data, seen, answer, operation }: At<RestartData>): Outcome<RestartData> {
  const node = nodeOf(data);
  const { incarnation } = data;
  if (hasReturned(data, seen)) return { kind: 'next', step: 'returning', detail: node };
  if (seen.nowMs - operation.stepAtMs > returnWithinMs) return notBack(data, seen);
  const isDown = seen.nodes.find(({ id }) => id === node)?.state === 'down';
  if (isDown || answer !== undefined) return { kind: 'park', wakeAfterMs: endAgainMs };
  return { kind: 'call', call: callTo(node, 'end', { incarnation }) };
}

function hasReturned(data: RestartData, { nodes }: Around): boolean {
  const found = nodes.find(({ id }) => id === nodeOf(data));
  return found?.state === 'up' && found.incarnation > (data.incarnation ?? '');
}

function notBack(data: RestartData, seen: Seen): Outcome<RestartData> {
  const node = nodeOf(data);
  const state = seen.nodes.find(({ id }) => id === node)?.state;
  const isFormer = state !== 'down' && lifeOf(seen, node) === data.incarnation;
  const how = isFormer ? 'still in its former life' : state;
  const detail =
    `${node} was told to end and is not back after ${returnWithinMs} ms: it is ${how}. ` +
    'Start it, and look at its log and at what should have started it';
  return failed(data, 'timeout', detail);
}

/** P8: the next node may have to lead what this one hosts, and the other way round. */
function returning({ data, seen, operation }: At<RestartData>): Outcome<RestartData> {
  const node = nodeOf(data);
  const hosted = seen.view.groups.filter((group) => group.nodes.includes(node));
  const open = hosted.filter(({ reprotected }) => !reprotected).map(({ name }) => name);
  if (open.length === 0 && hasReturned(data, seen)) {
    const [, ...left] = data.left;
    const after = { left, through: data.through + 1, incarnation: null };
    return { kind: 'next', step: 'checking', detail: `${node} is back`, data: after };
  }
  if (seen.nowMs - operation.stepAtMs <= settleWithinMs) {
    return { kind: 'park', wakeAfterMs: syncLookMs };
  }
  const groups = `${open.slice(0, mostNamed).join(', ')} (${open.length})`;
  const why = `${node} is back, but after ${settleWithinMs} ms not all members are synced of: ${groups}`;
  return failed(data, 'timeout', why);
}

export const restart: OperationKind<RestartData> = {
  name: 'restart',
  sees: 'cluster',
  steps: {
    started: () => ({ kind: 'next', step: 'checking' }),
    checking,
    'handing-over': handingOver,
    ending,
    returning,
  },
  // Who was told to end is waited for; its members sync whether anybody waits or not.
  sealed: ['ending'],
  onRejection: ({ data }, { code, detail }) => failed(data, code, detail),
  // One at a time, however many are asked for.
  locks: ({ data }) => ['restart', ...data.left.slice(0, 1).map(nodeLock)],
};
