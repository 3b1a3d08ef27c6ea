/** What operations of this node see and act with: its view of the cluster, and requests to nodes. */
import { placeableNodes } from '../../../cluster/coordinator.js';
import type { GroupDocument } from '../../../cluster/documents.js';
import type { OfGroup } from '../../../cluster/operations/common.js';
import { operationKinds } from '../../../cluster/operations/kinds.js';
import type { Call, Operation, Seen } from '../../../cluster/operations/operation.js';
import type { ClusterView } from '../../../cluster/plan.js';
import { planView } from '../../../cluster/plan-view.js';
import { rulesFor } from '../../../cluster/succession.js';
import { UnderstudyError } from '../../../replication/errors.js';
import { instant } from '../clock.js';
import type { Runtime } from '../runtime.js';
import { nodeDocuments } from '../views.js';
import type { Hands } from './runner.js';

/** What this node does by itself for an operation, by verb. */
export type OwnVerbs = Readonly<Record<string, (request: never) => Promise<unknown>>>;

export interface HandsOptions {
  readonly runtime: Runtime;
  /** The group as it is now. Throws `group-not-found`. */
  group(name: string): Promise<GroupDocument>;
  readonly own: OwnVerbs;
}

export function handsOf({ runtime, group, own }: HandsOptions): Hands {
  const find = async (name: string): Promise<GroupDocument | null> => {
    try {
      return await group(name);
    } catch (error) {
      if (!(error instanceof UnderstudyError) || error.code !== 'group-not-found') throw error;
    }
    if ((await runtime.registry.get(name)) === null) return null;
    throw new UnderstudyError('not-ready', `this node has not heard of group ${name} yet`);
  };
  return {
    async observe(operation: Operation): Promise<Seen> {
      const isOfGroup = operationKinds.get(operation.kind)?.sees !== 'cluster';
      const one = isOfGroup ? await find((operation.data as OfGroup).group) : null;
      return seenBy(
        runtime,
        one,
        isOfGroup ? noView : planView(runtime.coordinator, instant().monoMs),
      );
    },
    async call({ node, verb, request, timeoutMs }: Call): Promise<unknown> {
      if (node !== null) return await runtime.rpc.call(node, verb, request, timeoutMs);
      const act = own[verb];
      if (act !== undefined) return await act(request as never);
      throw new UnderstudyError('unsupported', `this node cannot ${verb}`);
    },
  };
}

const noView: ClusterView = { nodes: [], groups: [] };

/** What this node knows, as operations look at it. */
export function seenBy(
  { coordinator }: Runtime,
  group: GroupDocument | null,
  view: ClusterView = noView,
): Seen {
  const { groups, membership, cordoned } = coordinator;
  const nodes = nodeDocuments(coordinator);
  const placeable = group ? { [group.kind]: placeableNodes(coordinator, group.kind) } : {};
  const state = group && groups.get(group.name);
  const rules = state && rulesFor(membership, state.config, state.reports, cordoned);
  const lostZone = rules?.lostZone ?? null;
  return { nowMs: Date.now(), group, view, nodes, lostZone, placeable };
}
