/** What operators do to a group and its members. Each action judges first and changes second. */
import type { GroupDocument, OperationDocument } from '../../cluster/documents.js';
import { requestFailover } from '../../cluster/operations/failover.js';
import { requestDrain, requestRebalance } from '../../cluster/operations/moves.js';
import { requestReinit } from '../../cluster/operations/reinit.js';
import { requestReplace } from '../../cluster/operations/replace.js';
import { preflight, requestSwitchover } from '../../cluster/operations/switchover.js';
import { planView } from '../../cluster/plan-view.js';
import { planRebalance } from '../../cluster/rebalance.js';
import { UnderstudyError } from '../../replication/errors.js';
import {
  type Actor,
  longestSyncMs,
  type RebalanceAnswer,
  type RebalanceRequest,
  type ReplaceRequest,
  type SwitchoverAnswer,
  type SwitchoverRequest,
} from '../admin/backend.js';
import { instant } from './clock.js';
import type { SyncResult } from './member-driver.js';
import { seenBy } from './operations/hands.js';
import type { Operations } from './operations/operations.js';
import type { Runtime } from './runtime.js';
import { untilHeld } from './syncing.js';

const cutTimeoutMs = 30_000;

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

/** One that is scheduled is judged when its time has come. */
export async function switchover(
  context: ActionContext,
  name: string,
  request: SwitchoverRequest,
  actor: Actor,
): Promise<SwitchoverAnswer> {
  const group = await context.group(name);
  const preconditions = preflight(group, seenBy(context.runtime, group), request);
  if (request.dryRun) return { kind: 'dry-run', preconditions };
  const { scheduledAt } = request;
  const dueAtMs = scheduledAt === undefined ? null : Date.parse(scheduledAt);
  if (dueAtMs === null && preconditions.some(({ ok }) => !ok)) {
    return { kind: 'refused', preconditions };
  }
  const asked = requestSwitchover(group, request, dueAtMs, actor.by);
  return { kind: 'started', operation: await context.operations.start(asked) };
}

/** Throws `no-healthy-member`, `member-not-found`, `conflict`; then nothing has been changed. */
export async function failover(
  context: ActionContext,
  name: string,
  request: { candidate?: string | undefined },
  actor: Actor,
): Promise<OperationDocument> {
  const group = await context.group(name);
  const around = seenBy(context.runtime, group);
  return context.operations.start(requestFailover(group, around, request, actor.by));
}

/** Throws `member-not-found`, `conflict`, `not-ready`; then nothing has been changed. */
export async function reinit(
  context: ActionContext,
  name: string,
  index: number,
  actor: Actor,
): Promise<OperationDocument> {
  const group = await context.group(name);
  return context.operations.start(requestReinit(group, index, actor.by));
}

/** Throws `member-not-found`, `conflict`, `node-not-found`, `placement-failed`; nothing is changed then. */
export async function replace(
  context: ActionContext,
  name: string,
  request: ReplaceRequest,
  actor: Actor,
): Promise<OperationDocument> {
  const seen = seenBy(context.runtime, await context.group(name));
  return context.operations.start(requestReplace(seen, request, actor.by));
}

/** Throws `node-not-found`. */
export function drain(
  { runtime, operations }: ActionContext,
  node: string,
  actor: Actor,
): Promise<OperationDocument> {
  const { nodes } = runtime.coordinator.membership;
  if (nodes.has(node)) return operations.start(requestDrain(node, actor.by));
  const known = [...nodes.keys()].sort().join(', ');
  throw new UnderstudyError('node-not-found', `there is no node ${node}; known: ${known}`);
}

export async function rebalance(
  { runtime, operations }: ActionContext,
  { dryRun = false }: RebalanceRequest,
  actor: Actor,
): Promise<RebalanceAnswer> {
  if (dryRun)
    return {
      kind: 'dry-run',
      plan: planRebalance(planView(runtime.coordinator, instant().monoMs)),
    };
  return { kind: 'started', operation: await operations.start(requestRebalance(actor.by)) };
}
