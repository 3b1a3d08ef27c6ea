/** The view that operations have of the model of a cluster. */
import type { GroupDocument } from '../../cluster/documents.js';
import type { Seen } from '../../cluster/operations/operation.js';
import type { PlanGroup, PlanNode } from '../../cluster/plan.js';
import type { OperationWorld } from './operation-world.js';

export function seenIn(world: OperationWorld): Seen {
  const { group, nowMs } = world;
  const members = group?.members.map((member) => {
    const gone = world.down.has(member.nodeId);
    return gone ? { ...member, state: 'unreachable', healthy: false } : member;
  });
  const active = members?.find(({ state }) => state === 'active');
  const seen = group && {
    ...group,
    members: members ?? [],
    activeIndex: active?.index ?? null,
    activeNode: active?.nodeId ?? null,
  };
  const view = {
    nodes: world.nodes.map((id) => planNode(world, id)),
    groups: planGroups(seen, world.paused),
  };
  const free = view.nodes.filter(({ state }) => state === 'open');
  const nodes = view.nodes.map(({ id, zone, state }) => {
    const shown = state === 'draining' ? 'drained' : state === 'open' ? 'up' : state;
    const supervised = !world.unsupervised.has(id);
    const incarnation = world.incarnationOf(id);
    return { id, zone, state: shown, cordoned: false, supervised, incarnation };
  });
  const placeable = { k: free.map(({ id, zone }) => ({ id, zone, load: 1 })) };
  const all = { nowMs, group: seen, view, nodes, lostZone: null, placeable };
  return JSON.parse(JSON.stringify(all)) as Seen;
}

function planNode(world: OperationWorld, id: string): PlanNode {
  const open = world.drains.nodes.has(id) ? 'draining' : 'open';
  const zone = world.zones[id] ?? null;
  return { id, zone, kinds: ['k'], state: world.down.has(id) ? 'down' : open };
}

function planGroups(group: GroupDocument | null, held: string | null): PlanGroup[] {
  if (group === null) return [];
  const { name, kind, members, placement, activeIndex: active } = group;
  const ready = members.filter(({ healthy, index }) => healthy && index !== active);
  return [
    {
      name,
      kind,
      nodes: members.map(({ nodeId }) => nodeId),
      active,
      ready: ready.map(({ index }) => index),
      reprotected:
        active !== null && members.every(({ healthy, state }) => healthy || state === 'active'),
      placement,
      held,
    },
  ];
}
