/** What operations of a simulated node see: its view of the cluster, and what members say when asked. */
import { placeableNodes } from '../../../cluster/coordinator.js';
import type { GroupDocument } from '../../../cluster/documents.js';
import type { OfGroup } from '../../../cluster/operations/common.js';
import { operationKinds } from '../../../cluster/operations/kinds.js';
import type { Operation, Seen } from '../../../cluster/operations/operation.js';
import type { ClusterView } from '../../../cluster/plan.js';
import { planView } from '../../../cluster/plan-view.js';
import { rulesFor } from '../../../cluster/succession.js';
import type { MemberReport } from '../../../replication/effects.js';
import { report } from '../../../replication/member.js';
import { groupDocument, nodeDocuments } from '../../../src/node/views.js';
import type { Host } from '../host.js';
import type { World } from '../world.js';
import type { Answered } from './store.js';

const reportTimeoutMs = 300;

export function observe(
  host: Host,
  world: World,
  operation: Operation,
  done: (answer: Answered<Seen>) => void,
): void {
  if (operationKinds.get(operation.kind)?.sees === 'cluster') {
    const view = planView(host.coordinator, host.clock.now().monoMs);
    return host.soon(() => done({ value: seenBy(host, null, view) }));
  }
  const { group: name } = operation.data as OfGroup;
  groupNow(host, world, name, (answer) => {
    if ('value' in answer) return done({ value: seenBy(host, answer.value) });
    const isGone = answer.failure.code === 'group-not-found' && !world.registry.has(name);
    if (isGone) return done({ value: seenBy(host, null) });
    const detail = `this node has not heard of group ${name} yet`;
    done({ failure: { code: 'not-ready', detail } });
  });
}

/** With the word of every member that can be asked. */
export function groupNow(
  host: Host,
  world: World,
  name: string,
  done: (answer: Answered<GroupDocument>) => void,
): void {
  const members = host.coordinator.groups.get(name)?.config.members ?? [];
  const found = new Map<number, MemberReport>();
  let waiting = members.length;
  let isOpen = true;
  const end = () => {
    if (!isOpen) return;
    isOpen = false;
    stopWaiting();
    const state = host.coordinator.groups.get(name);
    if (state === undefined) {
      const detail = `there is no group ${name}`;
      return done({ failure: { code: 'group-not-found', detail } });
    }
    const reports = new Map([...state.reports, ...found]);
    done({ value: groupDocument(host.coordinator, { ...state, reports }, name, host.clock.now()) });
  };
  const stopWaiting = host.later(reportTimeoutMs, end);
  const inLife = host.inThisLife();
  const told = (index: number, of: MemberReport | null) => {
    if (of?.index === index) found.set(index, of);
    waiting -= 1;
    if (waiting === 0) end();
  };
  for (const [index, { node }] of members.entries()) {
    const target = world.hosts.find((each) => each.name === node);
    const view = host.coordinator.membership.nodes.get(node);
    if (target === undefined || view === undefined || view.state === 'down') {
      host.soon(() => told(index, null));
      continue;
    }
    world.bus.send(host, target, () => {
      const member = target.member(name);
      const of = member === undefined ? null : report(member);
      world.bus.send(target, host, () => inLife(() => told(index, of)));
    });
  }
  if (members.length === 0) host.soon(end);
}

const noView: ClusterView = { nodes: [], groups: [] };

export function seenBy(host: Host, group: GroupDocument | null, view = noView): Seen {
  const { coordinator } = host;
  const { groups, membership, cordoned } = coordinator;
  const placeable = group ? { [group.kind]: placeableNodes(coordinator, group.kind) } : {};
  const state = group && groups.get(group.name);
  const rules = state && rulesFor(membership, state.config, state.reports, cordoned);
  const { wallMs: nowMs } = host.clock.now();
  const nodes = nodeDocuments(coordinator);
  return { nowMs, group, view, nodes, lostZone: rules?.lostZone ?? null, placeable };
}
