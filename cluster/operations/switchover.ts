/** Switchover: planned, guarded, loses nothing, pauses writes briefly. */
import { UnderstudyError } from '../../replication/errors.js';
import type { GroupDocument, MemberDocument } from '../documents.js';
import {
  type Around,
  type Closeness,
  groupLock,
  isReachable,
  lifeOf,
  lookMs,
  memberLock,
  notYet,
  type OfGroup,
  pauseWords,
  pickStandby,
  placeOf,
  promoteTimeoutMs,
  syncLookMs,
  theGroup,
  waitForSync,
} from './common.js';
import type { At, OperationKind, OperationRequest, Outcome } from './operation.js';

export const defaultBudgetMs = 5000;
const cutTimeoutMs = 30_000;
const syncStillMs = 30_000;

export interface Precondition {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
}

export interface SwitchoverRequest {
  /** Guard: refuse unless this node hosts the active. */
  readonly leader?: string | undefined;
  readonly candidate?: string | undefined;
  readonly dryRun?: boolean | undefined;
  /** How long writes may pause before the old active serves on. Default 5000. */
  readonly timeoutMs?: number | undefined;
  /** When to begin, ISO 8601; at once without it. */
  readonly scheduledAt?: string | undefined;
}

export interface SwitchoverData extends OfGroup {
  readonly leader: string | null;
  readonly candidate: string | null;
  readonly budgetMs: number;
  /** Wall clock; null: at once. */
  readonly dueAtMs: number | null;
  /** The epoch that is to be ended; null: the one that is when it begins. */
  readonly epoch: number | null;
  readonly from: { readonly index: number; readonly node: string } | null;
  readonly to: { readonly index: number; readonly node: string } | null;
  /** The snapshot that the candidate should hold; null: not cut yet. */
  readonly through: number | null;
  readonly closeness: Closeness;
}

/** All that speaks for or against it, at once. */
export function preflight(
  group: GroupDocument,
  around: Around,
  {
    leader,
    candidate,
  }: { leader?: string | null | undefined; candidate?: string | null | undefined },
): Precondition[] {
  const { activeNode: active } = group;
  const chosen = pickStandby(group, around, candidate);
  return [
    {
      name: 'active-healthy',
      ok: active !== null,
      detail: active === null ? 'the group has no active; use failover' : `active on ${active}`,
    },
    {
      name: 'leader-guard',
      ok: leader == null || leader === active,
      detail: leader == null ? 'not asked for' : `asked for ${leader}, the active is on ${active}`,
    },
    {
      name: 'candidate-is-another-node',
      ok: candidate == null || candidate !== active,
      detail: candidate == null ? 'not asked for' : `${candidate}, the active is on ${active}`,
    },
    {
      name: 'candidate-healthy-and-synced',
      ok: chosen !== null,
      detail: chosen
        ? `${placeOf(chosen)}, synced through ${chosen.syncedThrough}`
        : `no healthy, synced standby${candidate == null ? '' : ` on ${candidate}`}`,
    },
    { name: 'not-paused', ok: !group.paused, detail: pauseWords(group) },
  ];
}

/** `dueAtMs`: `scheduledAt`, read by somebody who has a clock. */
export function requestSwitchover(
  group: GroupDocument,
  { leader = null, candidate = null, timeoutMs }: OrNull<SwitchoverRequest>,
  dueAtMs: number | null,
  by: string,
): OperationRequest {
  const life = lifeOf(group);
  const epoch = dueAtMs === null ? group.epoch : null;
  const data: SwitchoverData = {
    group: group.name,
    life,
    leader,
    candidate,
    budgetMs: timeoutMs ?? defaultBudgetMs,
    dueAtMs,
    epoch,
    from: null,
    to: null,
    through: null,
    closeness: notYet(0),
  };
  return {
    id: `switchover.${life}.${epoch ?? `at-${dueAtMs}`}`,
    kind: 'switchover',
    target: group.name,
    by,
    step: dueAtMs === null ? 'started' : 'scheduled',
    data,
  };
}

type OrNull<T> = { readonly [Name in keyof T]: T[Name] | null };

function scheduled({ data, seen }: At<SwitchoverData>): Outcome<SwitchoverData> {
  const waitMs = (data.dueAtMs ?? 0) - seen.nowMs;
  if (waitMs > 0) return { kind: 'park', wakeAfterMs: waitMs };
  return { kind: 'next', step: 'started', detail: 'it is time' };
}

/** Judged again under the lock: what was true when it was asked for may not be so any more. */
function started(at: At<SwitchoverData>): Outcome<SwitchoverData> {
  const { data, seen } = at;
  const group = theGroup(at);
  const epoch = data.epoch ?? group.epoch;
  if (group.epoch > epoch) return whoLeads({ ...at, data: { ...data, epoch } }, group);
  const failed = preflight(group, seen, data).filter(({ ok }) => !ok);
  const to = pickStandby(group, seen, data.candidate);
  const { activeIndex, activeNode } = group;
  if (failed.length > 0 || to === null || activeIndex === null || activeNode === null) {
    const detail = failed.map((one) => `${one.name}: ${one.detail}`).join('; ');
    throw new UnderstudyError('conflict', `not now: ${detail}`);
  }
  return {
    kind: 'next',
    step: 'syncing',
    detail: placeOf(to),
    data: {
      epoch,
      from: { index: activeIndex, node: activeNode },
      to: { index: to.index, node: to.nodeId },
      closeness: notYet(seen.nowMs),
    },
  };
}

/** The candidate fetches what it lacks while the active still serves, so that writes pause briefly. */
function syncing(at: At<SwitchoverData>): Outcome<SwitchoverData> {
  const { data, seen } = at;
  const group = theGroup(at);
  if (group.epoch > epochOf(data)) return whoLeads(at, group);
  if (data.through === null) return cut(at);
  const member = candidateOf(group, data);
  const isThere = member.syncedThrough >= data.through || !isReachable(member);
  const wait = isThere ? null : waitForSync(at, placeOf(member), member.sync, syncStillMs);
  const detail = `synced through ${data.through}`;
  const since = { closeness: notYet(seen.nowMs) };
  return wait ?? { kind: 'next', step: 'handing-off', detail, data: since };
}

function cut({ data, answer, operation }: At<SwitchoverData>): Outcome<SwitchoverData> {
  const result = answer as { through: number } | { failure: string } | undefined;
  if (result === undefined) {
    const request = { group: data.group };
    const { node } = data.from as NonNullable<SwitchoverData['from']>;
    return { kind: 'call', call: { node, verb: 'sync', request, timeoutMs: cutTimeoutMs } };
  }
  if ('failure' in result) {
    const detail = `no snapshot of ${data.group}: ${result.failure}`;
    return { kind: 'failed', error: { code: 'internal', detail } };
  }
  return { kind: 'next', step: operation.step, data: { through: result.through } };
}

/**
 * The writer's last record of the epoch names its successor. Whether it is written shows in the group's
 * epoch alone, so however often this is driven, the epoch is ended once.
 */
function handingOff(at: At<SwitchoverData>): Outcome<SwitchoverData> {
  const { data, seen, answer, operation } = at;
  const group = theGroup(at);
  if (group.epoch > epochOf(data)) return whoLeads(at, group);
  const { failure = null } = (answer ?? {}) as { failure?: string | null };
  if (failure !== null) return { kind: 'failed', error: { code: 'timeout', detail: failure } };
  if (seen.nowMs - operation.stepAtMs > data.budgetMs + promoteTimeoutMs) {
    const detail = `${data.group} has no active after the hand-off, still in epoch ${data.epoch}`;
    return { kind: 'failed', error: { code: 'timeout', detail } };
  }
  const { from, to } = data as Chosen;
  const serves = group.members[from.index]?.state === 'active';
  if (!serves || answer !== undefined) return { kind: 'park', wakeAfterMs: lookMs };
  const request = {
    group: data.group,
    epoch: data.epoch,
    target: to.index,
    budgetMs: data.budgetMs,
  };
  const timeoutMs = data.budgetMs + promoteTimeoutMs;
  return { kind: 'call', call: { node: from.node, verb: 'hand-off', request, timeoutMs } };
}

type Chosen = Pick<SwitchoverData, 'group'> & {
  readonly from: NonNullable<SwitchoverData['from']>;
  readonly to: NonNullable<SwitchoverData['to']>;
};

const epochOf = ({ epoch }: SwitchoverData): number => epoch ?? 0;

function candidateOf({ name, members }: GroupDocument, { to }: SwitchoverData): MemberDocument {
  const member = members.find(({ index }) => index === to?.index);
  if (member !== undefined && member.nodeId === to?.node) return member;
  const detail = `member ${to?.index} of ${name} is not on ${to?.node} any more`;
  throw new UnderstudyError('conflict', detail);
}

/** The epoch has ended, by this operation or without it: what was asked for is so, or it is not. */
function whoLeads(at: At<SwitchoverData>, group: GroupDocument): Outcome<SwitchoverData> {
  const { data, seen, operation } = at;
  const { activeIndex, activeNode, epoch, name } = group;
  const lateMs = seen.nowMs - operation.stepAtMs - data.budgetMs - promoteTimeoutMs;
  if (activeIndex === null) {
    if (lateMs < 0) return { kind: 'park', wakeAfterMs: lookMs };
    const detail = `${name} has no active in epoch ${epoch} after the hand-off`;
    return { kind: 'failed', error: { code: 'timeout', detail } };
  }
  const where = `epoch ${epoch}, active on ${activeNode}`;
  if (data.from !== null && activeIndex === data.from.index) {
    const detail = `no claim followed within ${data.budgetMs} ms; the old active serves on (${where})`;
    return { kind: 'failed', error: { code: 'timeout', detail } };
  }
  const isMeant = data.candidate === null ? data.from !== null : activeNode === data.candidate;
  if (isMeant) return { kind: 'done', detail: where };
  const wanted = data.candidate === null ? '' : `, asked for ${data.candidate}`;
  const detail = `${name} has a new active since: ${where}${wanted}. Look, and ask again`;
  return { kind: 'failed', error: { code: 'conflict', detail } };
}

export const switchover: OperationKind<SwitchoverData> = {
  name: 'switchover',
  sees: 'group',
  steps: { scheduled, started, syncing, 'handing-off': handingOff },
  sealed: ['handing-off'],
  onRejection: ({ operation }, error) => {
    // It may have been done all the same: what is seen decides, and the time there is for it.
    const isOpen = operation.step === 'handing-off' && error.code !== 'group-not-found';
    return isOpen ? { kind: 'park', wakeAfterMs: syncLookMs, error } : { kind: 'failed', error };
  },
  locks: ({ step, data }) => {
    if (step === 'scheduled') return [];
    return data.to === null
      ? [groupLock(data)]
      : [groupLock(data), memberLock(data, data.to.index)];
  },
};
