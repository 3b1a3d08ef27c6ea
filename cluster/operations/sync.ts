/** Sync: a snapshot is cut, and the standbys are waited for until they hold it. */
import { UnderstudyError } from '../../replication/errors.js';
import type { GroupDocument, MemberDocument } from '../documents.js';
import {
  type Closeness,
  isReachable,
  lifeOf,
  lookMs,
  notYet,
  type OfGroup,
  placeOf,
  promoteTimeoutMs,
  theGroup,
  waitForSync,
} from './common.js';
import type { At, OperationKind, OperationRequest, Outcome } from './operation.js';

const cutTimeoutMs = 30_000;
/** How long no standby may come closer. */
const syncStillMs = 30_000;
/** An active that loses its role, or is asked for too much at once, may refuse one that the next gives. */
const mostCuts = 3;
const cutAgainMs = 1000;

export interface SyncData extends OfGroup {
  /** What the standbys are to hold; null: no snapshot was cut yet. */
  readonly through: number | null;
  readonly failedCuts: number;
  /** By index of the member. */
  readonly closeness: Readonly<Record<string, Closeness>>;
}

/** Throws `not-ready` for a group without an active; then nothing has been changed. */
export function requestSync(group: GroupDocument, by: string): OperationRequest {
  activeNodeOf(group);
  const { name, seq } = group;
  const life = lifeOf(group);
  const data: SyncData = { group: name, life, through: null, failedCuts: 0, closeness: {} };
  // Whoever asks at a later seq needs another snapshot, and must not wait for this one to arrive.
  const id = `sync.${life}.${seq}`;
  return { id, kind: 'sync', target: name, by, data, repeatable: true };
}

function activeNodeOf({ name, activeNode, epoch }: GroupDocument): string {
  if (activeNode !== null) return activeNode;
  const detail = `group ${name} has no active at the moment (epoch ${epoch}); ask again`;
  throw new UnderstudyError('not-ready', detail);
}

const started = (): Outcome<SyncData> => ({ kind: 'next', step: 'cutting' });

/** To cut a second time is to cut at the seq that is the present one by then. */
function cutting(at: At<SyncData>): Outcome<SyncData> {
  const { data, answer, seen, operation } = at;
  const group = theGroup(at);
  const result = answer as { through: number } | { failure: string } | undefined;
  if (result !== undefined) return onCut(at, result);
  const isLate = seen.nowMs - operation.stepAtMs > promoteTimeoutMs;
  if (group.activeNode === null && !isLate) return { kind: 'park', wakeAfterMs: lookMs };
  const call = { verb: 'sync', request: { group: data.group }, timeoutMs: cutTimeoutMs };
  return { kind: 'call', call: { node: activeNodeOf(group), ...call } };
}

function onCut(
  { data }: At<SyncData>,
  result: { through: number } | { failure: string },
): Outcome<SyncData> {
  if ('through' in result) {
    const { through } = result;
    return { kind: 'next', step: 'syncing', detail: `through ${through}`, data: { through } };
  }
  const error = {
    code: 'internal',
    detail: `no snapshot of ${data.group}: ${result.failure}`,
  } as const;
  const failedCuts = data.failedCuts + 1;
  if (failedCuts >= mostCuts) return { kind: 'failed', error };
  return { kind: 'park', wakeAfterMs: cutAgainMs, error, data: { failedCuts } };
}

function syncing(at: At<SyncData>): Outcome<SyncData> {
  const { data } = at;
  const { members } = theGroup(at);
  const through = data.through as number;
  const behind = members.filter((member) => member.syncedThrough < through);
  const lacking = behind.filter(isReachable);
  if (lacking.length > 0) return waitForAll(at, lacking);
  const without = behind.map((member) => `${placeOf(member)} is ${member.state}`);
  return { kind: 'done', detail: [`synced through ${through}`, ...without].join('; ') };
}

/** As long as one of them comes closer. */
function waitForAll(at: At<SyncData>, lacking: readonly MemberDocument[]): Outcome<SyncData> {
  const { data, seen, operation } = at;
  const { stepAtMs } = operation;
  const closest = Object.values(data.closeness).map(({ closerAtMs }) => closerAtMs);
  // What is ahead was noted by a former driver's clock, and says nothing.
  const closerAtMs = Math.max(stepAtMs, ...closest.filter((atMs) => atMs <= seen.nowMs));
  const waits = lacking.flatMap((member) => {
    const own = data.closeness[member.index] ?? notYet(stepAtMs);
    const one = { data: { closeness: { ...own, closerAtMs } }, seen };
    const wait = waitForSync(one, placeOf(member), member.sync, syncStillMs);
    return wait?.kind === 'park' ? [{ ...wait, index: member.index }] : [];
  });
  const [first] = waits;
  if (first === undefined) {
    const who = lacking.map(placeOf).join(', ');
    const still = `${who}: no closer to seq ${data.through} for ${syncStillMs} ms`;
    throw new UnderstudyError('timeout', `${still}. It goes on by itself: look at the group`);
  }
  const { kind, wakeAfterMs } = first;
  const told = waits.flatMap(({ index, data: found }) => (found ? [[index, found.closeness]] : []));
  if (told.length === 0) return { kind, wakeAfterMs };
  const details = waits.flatMap((wait) => wait.detail ?? []);
  const closeness = { ...data.closeness, ...Object.fromEntries(told) };
  const park = { kind, wakeAfterMs, data: { closeness } };
  return details.length === 0 ? park : { ...park, detail: details.join('; ') };
}

export const sync: OperationKind<SyncData> = {
  name: 'sync',
  sees: 'group',
  steps: { started, cutting, syncing },
  // It takes nothing away from anybody.
  locks: () => [],
};
