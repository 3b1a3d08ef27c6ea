/** Which node gets a member: apart from each other, least loaded first, the same answer everywhere. */
import { UnderstudyError } from '../replication/errors.js';
import type { GroupChange } from './documents.js';
import type { GroupConfig, Placement } from './types.js';

export interface PlaceableNode {
  readonly id: string;
  readonly zone: string | null;
  /** Members it hosts already. */
  readonly load: number;
}

export interface PlacementRequest {
  /** Only nodes that are up and not cordoned. */
  readonly nodes: readonly PlaceableNode[];
  readonly count: number;
  /** Nodes and zones of the members that stay. */
  readonly taken: readonly PlaceableNode[];
  /** `zone`: other zones come before less load; `node`: they only decide between equal loads. */
  readonly spread: 'node' | 'zone';
}

/** Those nodes that the group may be on at all. */
export function allowedNodes<Node extends { readonly id: string }>(
  nodes: readonly Node[],
  placement: Placement | undefined,
): Node[] {
  const allowed = placement?.nodes;
  return nodes.filter(({ id }) => allowed?.includes(id) ?? true);
}

/** The group with this member on another node. */
export function withMemberOn(config: GroupConfig, index: number, node: string): GroupConfig {
  const members = config.members.map((member, i) => (i === index ? { ...member, node } : member));
  return { ...config, members };
}

/** Throws `placement-failed` where the members could not all be on the nodes that are left to them. */
export function withChange(config: GroupConfig, change: GroupChange): GroupConfig {
  const { priority = config.priority ?? 0 } = change;
  const placement = merged(config.placement, change.placement);
  const nodes = new Set(placement.nodes);
  const count = config.members.length;
  if (placement.nodes !== undefined && nodes.size < count) {
    throw new UnderstudyError(
      'placement-failed',
      `the ${count} members of ${config.name} need ${count} different nodes; the placement names ` +
        `${nodes.size}: ${[...nodes].join(', ')}. Nothing was changed.`,
    );
  }
  return { ...config, priority, placement };
}

function merged(before: Placement = {}, change: GroupChange['placement'] = {}): Placement {
  const part = <Value>(was: Value | undefined, value: Value | null | undefined) =>
    value === undefined ? was : (value ?? undefined);
  return {
    nodes: part(before.nodes, change.nodes),
    spread: part(before.spread, change.spread),
    priorities: part(before.priorities, change.priorities),
  };
}

/** Nodes for `count` members, none of them taken or twice; null if there are not enough. */
export function place(request: PlacementRequest): string[] | null {
  const { nodes, count, taken, spread } = request;
  const chosen: PlaceableNode[] = [...taken];
  const result: string[] = [];
  for (let i = 0; i < count; i++) {
    const free = nodes.filter((node) => !chosen.some((other) => other.id === node.id));
    const best = free.toSorted((a, b) => compare(a, b, chosen, spread))[0];
    if (best === undefined) return null;
    chosen.push(best);
    result.push(best.id);
  }
  return result;
}

function compare(
  a: PlaceableNode,
  b: PlaceableNode,
  chosen: readonly PlaceableNode[],
  spread: 'node' | 'zone',
): number {
  const inZone = (node: PlaceableNode) => chosen.filter((other) => other.zone === node.zone).length;
  const byZone = inZone(a) - inZone(b);
  const byLoad = a.load - b.load;
  const order = spread === 'zone' ? byZone || byLoad : byLoad || byZone;
  return order || (a.id < b.id ? -1 : 1);
}
