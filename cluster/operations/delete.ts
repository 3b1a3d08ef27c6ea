/**
 * Deleting a group: its entry in the registry goes first, so that every member stops; then what it
 * stored; its id last. As long as the id is taken nobody can make a group that would have the same log,
 * and what is purged is bounded by where the log ended: a driver that comes late destroys nothing new.
 */
import type { GroupDocument } from '../documents.js';
import { groupLock, lifeOf, lookMs, memberLock, type OfGroup } from './common.js';
import type { At, Call, OperationKind, OperationRequest, Outcome } from './operation.js';

/** Whoever has not heard of the end by then is frozen or cut off. */
const stopWithinMs = 5000;
const callTimeoutMs = 10_000;
const retryMs = 250;
const longestRetryMs = 30_000;

/** Where streams ended: what is stored from there on is another group's. */
export interface LogEnds {
  readonly log: number;
  readonly snapshots: number;
}

export interface DeleteData extends OfGroup {
  readonly groupId: string;
  readonly standby: 'warm' | 'hot';
  readonly createdAt: string;
  readonly memberCount: number;
  /** Revision of the entry that keeps the id taken; null: not read yet, 0: there is none. */
  readonly idRevision: number | null;
  readonly below: LogEnds | null;
}

export function requestDelete(group: GroupDocument, by: string): OperationRequest {
  const life = lifeOf(group);
  const { name, groupId, standby, createdAt, memberCount } = group;
  const data: DeleteData = {
    ...{ group: name, life, groupId, standby, createdAt, memberCount },
    idRevision: null,
    below: null,
  };
  return { id: `delete.${life}`, kind: 'delete', target: name, by, data };
}

const own = (verb: string, request: unknown): Call => ({
  node: null,
  verb,
  request,
  timeoutMs: callTimeoutMs,
});

function started({ data, answer }: At<DeleteData>): Outcome<DeleteData> {
  if (answer === undefined) return { kind: 'call', call: own('id-revision', data) };
  const { revision } = answer as { revision: number };
  return { kind: 'next', step: 'removing', data: { idRevision: revision } };
}

function removing({ data, answer }: At<DeleteData>): Outcome<DeleteData> {
  if (answer === undefined) return { kind: 'call', call: own('remove-group', data) };
  // Somebody placed a member anew just then: the entry is another one now.
  if (!(answer as { gone: boolean }).gone) return { kind: 'park', wakeAfterMs: lookMs };
  return { kind: 'next', step: 'stopping' };
}

function stopping({ data, answer, seen, operation }: At<DeleteData>): Outcome<DeleteData> {
  if (answer === undefined) return { kind: 'call', call: own('still-hosting', data) };
  const { nodes } = answer as { nodes: readonly string[] };
  const isLate = seen.nowMs - operation.stepAtMs > stopWithinMs;
  if (nodes.length > 0 && !isLate) return { kind: 'park', wakeAfterMs: lookMs };
  const still = nodes.length > 0 ? `${nodes.join(', ')} did not answer` : 'no member runs';
  return { kind: 'next', step: 'purging', detail: still };
}

function purging({ data, answer, operation }: At<DeleteData>): Outcome<DeleteData> {
  const { below } = data;
  if (below === null) {
    if (answer === undefined) return { kind: 'call', call: own('log-ends', data) };
    return { kind: 'next', step: operation.step, data: { below: answer as LogEnds } };
  }
  if (answer === undefined) return { kind: 'call', call: own('purge', data) };
  return { kind: 'next', step: 'releasing' };
}

function releasing({ data, answer }: At<DeleteData>): Outcome<DeleteData> {
  if (answer === undefined) return { kind: 'call', call: own('release-id', data) };
  return { kind: 'done', detail: `deleted ${data.group}` };
}

export const deletion: OperationKind<DeleteData> = {
  name: 'delete',
  sees: 'group',
  steps: { started, removing, stopping, purging, releasing },
  // A group that is half gone helps nobody.
  sealed: ['removing', 'stopping', 'purging', 'releasing'],
  preempts: ['switchover', 'failover', 'reinit', 'replace'],
  // Nobody could ask for it again: the group is not there any more.
  onRetry: ({ operation }, error) => ({
    kind: 'park',
    wakeAfterMs: Math.min(longestRetryMs, retryMs * operation.retries),
    error,
  }),
  locks: ({ data }) => [
    groupLock(data),
    ...Array.from({ length: data.memberCount }, (_, index) => memberLock(data, index)),
  ],
};
