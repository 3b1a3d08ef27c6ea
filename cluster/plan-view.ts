/** What the planners look at, as this node knows it. */
import type { MemberReport } from '../replication/effects.js';
import { type Coordinator, type GroupState, pauseOf } from './coordinator.js';
import type { NodeView } from './membership.js';
import type { ClusterView, PlanGroup, PlanNode } from './plan.js';
import { activeOf } from './succession.js';

const holding = new Set(['standby', 'restoring']);

export function planView(node: Coordinator, monoMs: number): ClusterView {
  return {
    nodes: [...node.membership.nodes.values()].map((view) => planNode(node, view)),
    groups: [...node.groups.values()].map((group) => planGroup(node, group, monoMs)),
  };
}

function planNode(node: Coordinator, { info, state: reach }: NodeView): PlanNode {
  const { id, zone, kinds } = info;
  const open = node.cordoned.has(id) ? 'cordoned' : 'open';
  const state = info.draining ? 'draining' : open;
  return { id, zone, kinds, state: reach === 'up' ? state : 'down' };
}

function planGroup(node: Coordinator, group: GroupState, monoMs: number): PlanGroup {
  const { config, reports } = group;
  const nodes = config.members.map((member) => member.node);
  const isUp = (index: number) => node.membership.nodes.get(nodes[index] ?? '')?.state === 'up';
  const ready = [...reports.values()]
    .filter(
      ({ index, state, lastSyncMs }) => state === 'standby' && lastSyncMs !== null && isUp(index),
    )
    .map(({ index }) => index);
  const paused = pauseOf(node, group, monoMs);
  const active = activeOf(node.membership, config, reports);
  return {
    name: config.name,
    kind: config.kind,
    nodes,
    active: active?.index ?? null,
    ready,
    reprotected:
      active !== null &&
      nodes.every((_, index) => isUp(index) && isSafe(active, reports.get(index))),
    placement: config.placement ?? {},
    held: paused === null ? null : `paused by ${paused.pause.by}`,
  };
}

function isSafe({ index, fromSeq }: MemberReport, report: MemberReport | undefined): boolean {
  if (report === undefined || report.index === index) return report !== undefined;
  const holds = holding.has(report.state) && report.lastSyncMs !== null;
  return holds && report.syncedThrough >= fromSeq;
}
