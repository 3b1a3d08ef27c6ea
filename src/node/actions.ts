/** What operators do to a group and its members. Each action judges first and changes second. */
import type { GroupDocument, MemberDocument, OperationDocument } from '../../cluster/documents.js';
import { orderCandidates, rulesFor } from '../../cluster/succession.js';
import type { PromotionCause } from '../../replication/effects.js';
import { UnderstudyError } from '../../replication/errors.js';
import { epoch } from '../../replication/ids.js';
import {
  type Actor,
  longestSyncMs,
  type Precondition,
  type SwitchoverAnswer,
  type SwitchoverRequest,
} from '../admin/backend.js';
import type { SyncResult } from './member-driver.js';
import type { Operations, Step } from './operations.js';
import type { Runtime } from './runtime.js';
import { isReachable, syncTeller, untilHeld, untilReinitialised } from './syncing.js';
import type { Inspection } from './verbs.js';

const defaultBudgetMs = 5000;
const cutTimeoutMs = 30_000;
const promoteTimeoutMs = 10_000;
const promoteAgainMs = 100;
const lookTimeoutMs = 1000;

export interface ActionContext {
  readonly runtime: Runtime;
  readonly operations: Operations;
  /** The group as it is now. Throws `group-not-found`. */
  group(name: string): Promise<GroupDocument>;
  /** This node is about to stop: nobody should be kept waiting. */
  isStopping(): boolean;
}

/** Cuts a snapshot and waits for the standbys to hold it, as long as they come closer. */
export async function sync(context: ActionContext, name: string): Promise<{ through: number }> {
  const deadlineMs = performance.now() + longestSyncMs;
  const through = await cut(context, name);
  await untilHeld(() => context.group(name), {
    through,
    isMeant: () => true,
    onLack: () => undefined,
    isOver: () => context.isStopping() || performance.now() >= deadlineMs,
  });
  return { through };
}

/** Has a snapshot cut unless the newest is at the present seq; returns its seq. */
async function cut(context: ActionContext, name: string): Promise<number> {
  const group = await context.group(name);
  const node = activeNode(group);
  const request = { group: name };
  const result = await context.runtime.rpc.call<SyncResult>(node, 'sync', request, cutTimeoutMs);
  if ('through' in result) return result.through;
  throw new UnderstudyError('internal', `no snapshot of ${name}: ${result.failure}`);
}

function activeNode(group: GroupDocument): string {
  if (group.activeNode !== null) return group.activeNode;
  throw new UnderstudyError(
    'not-ready',
    `group ${group.name} has no active at the moment (epoch ${group.epoch}); ask again`,
  );
}

/** Polls what the beats tell. Returns false if `isTrue` was not in time. */
async function until(
  { runtime, group }: ActionContext,
  name: string,
  timeoutMs: number,
  isTrue: (document: GroupDocument) => boolean,
): Promise<boolean> {
  const deadlineMs = performance.now() + timeoutMs;
  while (!isTrue(await group(name))) {
    const leftMs = deadlineMs - performance.now();
    if (leftMs <= 0) return false;
    await runtime.openingOf(name, Math.min(leftMs, 100));
  }
  return true;
}

// Switchover: planned, guarded, loses nothing, pauses writes briefly.

export async function switchover(
  context: ActionContext,
  name: string,
  request: SwitchoverRequest,
  actor: Actor,
): Promise<SwitchoverAnswer> {
  const group = await context.group(name);
  const candidate = pickStandby(context, group, request.candidate);
  const preconditions = preflight(group, request, candidate);
  if (request.dryRun) return { kind: 'dry-run', preconditions };
  if (preconditions.some(({ ok }) => !ok)) return { kind: 'refused', preconditions };
  const id = `switchover.${lifeOf(group)}.${group.epoch}`;
  const operation = await context.operations.start(
    { id, kind: 'switchover', target: name, by: actor.by },
    (step) => runSwitchover(context, group, candidate as MemberDocument, request, step),
  );
  return { kind: 'started', operation };
}

/** As an automatic failover would choose (P7). */
function pickStandby(
  { runtime }: ActionContext,
  group: GroupDocument,
  node: string | undefined,
  isFit: (member: MemberDocument) => boolean = ({ healthy, lastSync }) =>
    healthy && lastSync !== null,
): MemberDocument | null {
  const { groups, membership, cordoned } = runtime.coordinator;
  const state = groups.get(group.name);
  if (state === undefined) return null;
  const candidates = group.members
    .filter((member) => isFit(member) && member.index !== group.activeIndex)
    .filter(({ nodeId }) => node === undefined || nodeId === node)
    .map((member) => ({
      index: member.index,
      node: member.nodeId,
      everSynced: member.lastSync !== null,
      syncedThrough: member.syncedThrough,
      follows: group.standby === 'hot',
      member,
    }));
  const rules = rulesFor(membership, state.config, state.reports, cordoned);
  return orderCandidates(candidates, rules)[0]?.member ?? null;
}

function preflight(
  group: GroupDocument,
  { leader, candidate }: SwitchoverRequest,
  chosen: MemberDocument | null,
): Precondition[] {
  const { activeNode: active } = group;
  return [
    {
      name: 'active-healthy',
      ok: active !== null,
      detail: active === null ? 'the group has no active; use failover' : `active on ${active}`,
    },
    {
      name: 'leader-guard',
      ok: leader === undefined || leader === active,
      detail:
        leader === undefined ? 'not asked for' : `asked for ${leader}, the active is on ${active}`,
    },
    {
      name: 'candidate-is-another-node',
      ok: candidate === undefined || candidate !== active,
      detail:
        candidate === undefined ? 'not asked for' : `${candidate}, the active is on ${active}`,
    },
    {
      name: 'candidate-healthy-and-synced',
      ok: chosen !== null,
      detail: chosen
        ? `member ${chosen.index} on ${chosen.nodeId}, synced through ${chosen.syncedThrough}`
        : `no healthy, synced standby${candidate === undefined ? '' : ` on ${candidate}`}`,
    },
    { name: 'not-paused', ok: !group.paused, detail: pauseWords(group) },
  ];
}

function pauseWords({ name, pause }: GroupDocument): string {
  if (pause === null) return 'not paused';
  const { scope, by, until, reason } = pause;
  const why = reason === null ? '' : ` (${reason})`;
  const resume = `understudy resume ${scope === 'all' ? '--all' : name}`;
  return `paused by ${by} until ${until}${why}; ${resume} ends that`;
}

async function runSwitchover(
  context: ActionContext,
  group: GroupDocument,
  candidate: MemberDocument,
  { timeoutMs }: SwitchoverRequest,
  step: Step,
): Promise<string> {
  const { rpc } = context.runtime;
  const { name } = group;
  await step('syncing', `member ${candidate.index} on ${candidate.nodeId}`);
  const through = await cut(context, name);
  const tell = syncTeller(step, candidate);
  await untilHeld(() => context.group(name), {
    through,
    isMeant: ({ index }) => index === candidate.index,
    onLack: (member) => tell(member.sync),
    isOver: () => false,
  });
  await step('handing-off', `synced through ${through}`);
  const budgetMs = timeoutMs ?? defaultBudgetMs;
  const request = { group: name, target: candidate.index, budgetMs };
  const node = activeNode(group);
  const waitMs = budgetMs + promoteTimeoutMs;
  const { failure } = await rpc.call<{ failure: string | null }>(node, 'hand-off', request, waitMs);
  if (failure !== null) throw new UnderstudyError('timeout', failure);
  const done = await until(context, name, promoteTimeoutMs, ({ activeIndex, epoch: now }) => {
    return activeIndex !== null && now > group.epoch;
  });
  if (!done) throw new UnderstudyError('timeout', `${name} has no active after the hand-off`);
  const after = await context.group(name);
  return `epoch ${after.epoch}, active on ${after.activeNode}`;
}

// Failover: the active is gone or given up on.

/** Throws `no-healthy-member`, `member-not-found`, `conflict`; then nothing has been changed. */
export async function failover(
  context: ActionContext,
  name: string,
  request: { candidate?: string | undefined },
  actor: Actor,
): Promise<OperationDocument> {
  const group = await context.group(name);
  const candidate = chooseForFailover(context, group, request.candidate);
  const id = `failover.${lifeOf(group)}.${group.epoch}`;
  return context.operations.start({ id, kind: 'failover', target: name, by: actor.by }, (step) =>
    runFailover(context, group, candidate, id, step),
  );
}

function chooseForFailover(
  context: ActionContext,
  group: GroupDocument,
  node: string | undefined,
): MemberDocument {
  if (node !== undefined) {
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
  const synced = pickStandby(context, group, node);
  const chosen = synced ?? pickStandby(context, group, node, isReachable);
  if (chosen !== null) return chosen;
  const states = group.members.map(({ nodeId, state }) => `${nodeId}: ${state}`).join(', ');
  throw new UnderstudyError(
    'no-healthy-member',
    `no standby of ${group.name} can take over (${states}). Nothing was changed; bring a node back.`,
  );
}

async function runFailover(
  context: ActionContext,
  group: GroupDocument,
  candidate: MemberDocument,
  operation: string,
  step: Step,
): Promise<string> {
  const { name } = group;
  const cause: PromotionCause = {
    cause: 'failover',
    endsEpoch: epoch(group.epoch),
    startedAtMs: Date.now(),
    detectMs: 0,
    decideMs: 0,
    operation,
    observeMs: 0,
  };
  const although = group.paused ? `, although ${pauseWords(group)}` : '';
  await step('promoting', `member ${candidate.index} on ${candidate.nodeId}${although}`);
  if (!(await promoteUntilOpen(context, group, candidate, cause))) {
    const detail = `${name} is still in epoch ${group.epoch} ${promoteTimeoutMs} ms after the promotion`;
    throw new UnderstudyError('timeout', detail);
  }
  const after = await context.group(name);
  return `epoch ${after.epoch}, active on ${after.activeNode}`;
}

/** An active under load may win every race for the end of the log against one promotion: ask again. */
async function promoteUntilOpen(
  context: ActionContext,
  { name, epoch: before }: GroupDocument,
  { nodeId }: MemberDocument,
  cause: PromotionCause,
): Promise<boolean> {
  const isOpen = ({ activeIndex, epoch: now }: GroupDocument) =>
    activeIndex !== null && now > before;
  const deadlineMs = performance.now() + promoteTimeoutMs;
  do {
    const request = { group: name, cause };
    await context.runtime.rpc.call(nodeId, 'promote', request, promoteTimeoutMs);
    if (await until(context, name, promoteAgainMs, isOpen)) return true;
  } while (performance.now() < deadlineMs);
  return false;
}

// Reinit: a member forgets what it holds and begins anew, also out of quarantine.

/** Throws `member-not-found`, `conflict`, `not-ready`; then nothing has been changed. */
export async function reinit(
  context: ActionContext,
  name: string,
  index: number,
  actor: Actor,
): Promise<OperationDocument> {
  const group = await context.group(name);
  const member = pickForReinit(group, index);
  const id = `reinit.${lifeOf(group)}.${index}`;
  return context.operations.start(
    { id, kind: 'reinit', target: `${name}/${index}`, by: actor.by, repeatable: true },
    (step) => runReinit(context, name, member, step),
  );
}

/** A group that was deleted and made anew under its old name has operations of its own. */
function lifeOf({ name, createdAt }: GroupDocument): string {
  return `${name}.${Date.parse(createdAt).toString(36)}`;
}

function pickForReinit(group: GroupDocument, index: number): MemberDocument {
  const { name, members, activeIndex } = group;
  const member = members.find((one) => one.index === index);
  if (member === undefined) {
    const detail = `${name} has no member ${index}; its members are 0 to ${members.length - 1}`;
    throw new UnderstudyError('member-not-found', detail);
  }
  if (index === activeIndex) {
    const detail = `member ${index} is the active of ${name}, on ${member.nodeId}; switch over first`;
    throw new UnderstudyError('conflict', detail);
  }
  if (member.state === 'unreachable') {
    const detail = member.error ?? `node ${member.nodeId} of member ${index} is down; start it`;
    throw new UnderstudyError('not-ready', detail);
  }
  return member;
}

async function runReinit(
  { runtime }: ActionContext,
  group: string,
  member: MemberDocument,
  step: Step,
): Promise<string> {
  const { index, nodeId } = member;
  const ask = <Answer>(verb: string) =>
    runtime.rpc.call<Answer>(nodeId, verb, { group }, lookTimeoutMs);
  await step('forgetting', `member ${index} on ${nodeId}`);
  const { failure } = await ask<{ failure: string | null }>('reinit');
  if (failure !== null) throw new UnderstudyError('conflict', failure);
  await step('syncing', `member ${index} on ${nodeId}`);
  const through = await untilReinitialised(() => ask<Inspection>('inspect'), member, step);
  return `synced through ${through}`;
}
