/** Failover: the active is gone or given up on. */
import { UnderstudyError } from '../../replication/errors.js';
import type { GroupDocument, MemberDocument } from '../documents.js';
import {
  type Around,
  groupLock,
  isReachable,
  lifeOf,
  type OfGroup,
  pauseWords,
  pickStandby,
  placeOf,
  promoteTimeoutMs,
  syncLookMs,
  theGroup,
} from './common.js';
import type { At, OperationKind, OperationRequest, Outcome } from './operation.js';

/** An active under load may win every race for the end of the log against one promotion: ask again. */
const promoteAgainMs = 100;

export interface FailoverData extends OfGroup {
  /** The epoch that is to be ended. */
  readonly epoch: number;
  readonly candidate: string | null;
  readonly to: { readonly index: number; readonly node: string } | null;
}

/** Throws `no-healthy-member`, `member-not-found`, `conflict`; then nothing has been changed. */
export function requestFailover(
  group: GroupDocument,
  around: Around,
  { candidate }: { readonly candidate?: string | undefined },
  by: string,
): OperationRequest {
  choose(group, around, candidate ?? null);
  const life = lifeOf(group);
  const data: FailoverData = {
    group: group.name,
    life,
    epoch: group.epoch,
    candidate: candidate ?? null,
    to: null,
  };
  const id = `failover.${life}.${group.epoch}`;
  return { id, kind: 'failover', target: group.name, by, data };
}

function choose(group: GroupDocument, around: Around, node: string | null): MemberDocument {
  if (node !== null) refuseUnfit(group, node);
  const synced = pickStandby(group, around, node);
  const chosen = synced ?? pickStandby(group, around, node, isReachable);
  if (chosen !== null) return chosen;
  const states = group.members.map(({ nodeId, state }) => `${nodeId}: ${state}`).join(', ');
  throw new UnderstudyError(
    'no-healthy-member',
    `no standby of ${group.name} can take over (${states}). Nothing was changed; bring a node back.`,
  );
}

function refuseUnfit(group: GroupDocument, node: string): void {
  const member = group.members.find(({ nodeId }) => nodeId === node);
  if (member === undefined) {
    const hosts = group.members.map(({ nodeId }) => nodeId).join(', ');
    throw new UnderstudyError(
      'member-not-found',
      `node ${node} hosts no member of ${group.name}; members are on ${hosts}`,
    );
  }
  if (member.index === group.activeIndex) {
    throw new UnderstudyError('conflict', `${node} hosts the active of ${group.name} already`);
  }
}

function started(at: At<FailoverData>): Outcome<FailoverData> {
  const group = theGroup(at);
  if (group.epoch > at.data.epoch) return whoLeads(at, group);
  const member = choose(group, at.seen, at.data.candidate);
  const although = group.paused ? `, although ${pauseWords(group)}` : '';
  return {
    kind: 'next',
    step: 'promoting',
    detail: `${placeOf(member)}${although}`,
    data: { to: { index: member.index, node: member.nodeId } },
  };
}

/** A promotion names the epoch it ends: however often it is asked for, one claim can follow that one. */
function promoting(at: At<FailoverData>): Outcome<FailoverData> {
  const { data, seen, operation, answer } = at;
  const group = theGroup(at);
  if (group.epoch > data.epoch) return whoLeads(at, group);
  if (answer !== undefined) return { kind: 'park', wakeAfterMs: promoteAgainMs };
  const to = data.to as NonNullable<FailoverData['to']>;
  const member = group.members[to.index];
  const fits = member !== undefined && member.nodeId === to.node && isReachable(member);
  if (!fits) return { kind: 'next', step: 'started', detail: `member ${to.index} is gone` };
  if (seen.nowMs - operation.stepAtMs > promoteTimeoutMs) {
    const waited = `${promoteTimeoutMs} ms after the promotion`;
    const detail = `${data.group} is still in epoch ${data.epoch} ${waited}`;
    return { kind: 'failed', error: { code: 'timeout', detail } };
  }
  const cause = {
    cause: 'failover',
    endsEpoch: data.epoch,
    startedAtMs: operation.createdAtMs,
    detectMs: 0,
    decideMs: 0,
    operation: operation.id,
    observeMs: 0,
  };
  const request = { group: data.group, cause };
  return {
    kind: 'call',
    call: { node: to.node, verb: 'promote', request, timeoutMs: promoteTimeoutMs },
  };
}

function whoLeads(at: At<FailoverData>, group: GroupDocument): Outcome<FailoverData> {
  const { data, seen, operation } = at;
  const { activeIndex, activeNode, epoch, name } = group;
  if (activeIndex === null) {
    const isLate = seen.nowMs - operation.stepAtMs > promoteTimeoutMs;
    if (!isLate) return { kind: 'park', wakeAfterMs: promoteAgainMs };
    const detail = `${name} is in epoch ${epoch} and has no active`;
    return { kind: 'failed', error: { code: 'timeout', detail } };
  }
  const where = `epoch ${epoch}, active on ${activeNode}`;
  if (data.candidate === null || data.candidate === activeNode) {
    return { kind: 'done', detail: where };
  }
  const detail = `another member was first: ${where}, asked for ${data.candidate}`;
  return { kind: 'failed', error: { code: 'conflict', detail } };
}

export const failover: OperationKind<FailoverData> = {
  name: 'failover',
  sees: 'group',
  steps: { started, promoting },
  sealed: ['promoting'],
  onRejection: ({ operation }, error) => {
    // It may have been done all the same: what is seen decides, and the time there is for it.
    const isOpen = operation.step === 'promoting' && error.code !== 'group-not-found';
    return isOpen ? { kind: 'park', wakeAfterMs: syncLookMs, error } : { kind: 'failed', error };
  },
  preempts: ['switchover', 'replace'],
  locks: ({ data }) => [groupLock(data)],
};
