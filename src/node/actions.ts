/** What operators do to a group and its members. Each action judges first and changes second. */
import type { GroupDocument, OperationDocument } from '../../cluster/documents.js';
import { findNode } from '../../cluster/find-node.js';
import { requestFailover } from '../../cluster/operations/failover.js';
import { requestDrain, requestRebalance } from '../../cluster/operations/moves.js';
import { requestReinit } from '../../cluster/operations/reinit.js';
import { requestReplace } from '../../cluster/operations/replace.js';
import { requestRestart, restartable, restartPreflight } from '../../cluster/operations/restart.js';
import { preflight, requestSwitchover } from '../../cluster/operations/switchover.js';
import { requestSync, type SyncData } from '../../cluster/operations/sync.js';
import { planView } from '../../cluster/plan-view.js';
import { planRebalance } from '../../cluster/rebalance.js';
import {
  type Actor,
  longestSyncMs,
  type RebalanceAnswer,
  type RebalanceRequest,
  type ReplaceRequest,
  type RestartAnswer,
  type SwitchoverAnswer,
  type SwitchoverRequest,
} from '../admin/backend.js';
import { instant } from './clock.js';
import { seenBy } from './operations/hands.js';
import type { Operations } from './operations/operations.js';
import type { Runtime } from './runtime.js';
import { nodeDocuments } from './views.js';

export interface ActionContext {
  readonly runtime: Runtime;
  readonly operations: Operations;
  /** The group as it is now. Throws `group-not-found`. */
  group(name: string): Promise<GroupDocument>;
}

/** Answers when the standbys hold what there was when it was asked for. Throws `not-ready`, `timeout`. */
export async function sync(
  { operations, group }: ActionContext,
  name: string,
  actor: Actor,
): Promise<{ through: number }> {
  const { id } = await operations.start(requestSync(await group(name), actor.by));
  const { through } = await operations.dataWhenDone<SyncData>(id, longestSyncMs);
  return { through: through as number };
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
  findNode(nodeDocuments(runtime.coordinator), node);
  return operations.start(requestDrain(node, actor.by));
}

/** `node` null: all that are not down. Throws `node-not-found`; nothing is changed then. */
export async function restart(
  { runtime, operations }: ActionContext,
  node: string | null,
  { by }: Actor,
): Promise<RestartAnswer> {
  const seen = seenBy(runtime, null, planView(runtime.coordinator, instant().monoMs));
  if (node !== null) findNode(seen.nodes, node);
  const all = restartable(seen.nodes);
  const preconditions = (node === null ? all : [node]).flatMap((id) => restartPreflight(id, seen));
  if (preconditions.some(({ ok }) => !ok)) return { kind: 'refused', preconditions };
  const target = node === null ? { all, driver: runtime.options.info.id } : { node };
  return { kind: 'started', operation: await operations.start(requestRestart(target, by)) };
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
