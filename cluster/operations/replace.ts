/** Replace: a standby is placed on another node, and begins anew there. With a node named it is a move. */
import type { MemberReport } from '../../replication/effects.js';
import { UnderstudyError } from '../../replication/errors.js';
import type { GroupDocument, MemberDocument } from '../documents.js';
import { findNode } from '../find-node.js';
import { allowedNodes, type PlaceableNode, place } from '../placement.js';
import {
  type Closeness,
  groupLock,
  lifeOf,
  lookMs,
  memberLock,
  memberStillMs,
  notYet,
  type OfGroup,
  standbyOf,
  theGroup,
  waitForSync,
} from './common.js';
import type { At, OperationKind, OperationRequest, Outcome, Seen } from './operation.js';

const callTimeoutMs = 5000;

export interface ReplaceData extends OfGroup {
  readonly groupId: string;
  readonly index: number;
  /** The node it leaves. */
  readonly from: string;
  /** The node asked for; null: the best. */
  readonly wanted: string | null;
  readonly to: string | null;
  readonly closeness: Closeness;
}

/** Throws `member-not-found`, `conflict`, `node-not-found`, `placement-failed`; nothing is changed then. */
export function requestReplace(
  seen: Pick<Seen, 'group' | 'nodes' | 'placeable'>,
  { index, node = null }: { readonly index: number; readonly node?: string | null | undefined },
  by: string,
): OperationRequest {
  const group = seen.group as GroupDocument;
  const { nodeId } = standbyOf(group, index);
  choose(group, index, node, seen);
  const life = lifeOf(group);
  const data: ReplaceData = {
    group: group.name,
    life,
    groupId: group.groupId,
    index,
    from: nodeId,
    wanted: node,
    to: null,
    closeness: notYet(0),
  };
  return {
    id: `replace.${life}.${index}`,
    kind: 'replace',
    target: `${group.name}/${index}`,
    by,
    data,
    repeatable: true,
  };
}

/** Where it goes. Members that stay keep their nodes to themselves. */
function choose(
  group: GroupDocument,
  index: number,
  wanted: string | null,
  { nodes, placeable }: Pick<Seen, 'nodes' | 'placeable'>,
): string {
  const { placement } = group;
  const here = group.members[index]?.nodeId;
  const open = (placeable[group.kind] ?? []).filter(({ id }) => id !== here);
  const free = allowedNodes(open, placement);
  if (wanted !== null) findNode(nodes, wanted);
  const asked = wanted === null ? free : free.filter(({ id }) => id === wanted);
  const staying = group.members.filter((member) => member.index !== index);
  const taken = staying.map(({ nodeId }): PlaceableNode => {
    const zone = nodes.find(({ id }) => id === nodeId)?.zone ?? null;
    return { id: nodeId, zone, load: 0 };
  });
  const spread = placement.spread ?? 'node';
  const [to] = place({ nodes: asked, count: 1, taken, spread }) ?? [];
  if (to !== undefined) return to;
  const where = wanted === null ? 'no node' : `node ${wanted} cannot take it: it`;
  const detail =
    `member ${index} of ${group.name}: ${where} is up, not cordoned, allowed, has kind ${group.kind} ` +
    'and hosts no other member of the group. Nothing was changed.';
  throw new UnderstudyError('placement-failed', detail);
}

function started(at: At<ReplaceData>): Outcome<ReplaceData> {
  const { data, seen } = at;
  const group = theGroup(at);
  const { nodeId } = standbyOf(group, data.index);
  if (nodeId === data.wanted) return settled(data, nodeId, seen);
  if (nodeId !== data.from) throw movedAway(data, nodeId);
  const to = choose(group, data.index, data.wanted, seen);
  const detail = `member ${data.index} from ${data.from} to ${to}`;
  return { kind: 'next', step: 'placing', detail, data: { to } };
}

const movedAway = ({ group, index, from }: ReplaceData, nodeId: string): UnderstudyError =>
  new UnderstudyError(
    'conflict',
    `member ${index} of ${group} is on ${nodeId} now, not on ${from}`,
  );

function settled(data: ReplaceData, to: string, { nowMs }: Seen): Outcome<ReplaceData> {
  const detail = `member ${data.index} on ${to}`;
  return { kind: 'next', step: 'syncing', detail, data: { to, closeness: notYet(nowMs) } };
}

/** The registry tells whether it was done: the entry is changed only where the member is still on `from`. */
function placing(at: At<ReplaceData>): Outcome<ReplaceData> {
  const { data, seen, answer } = at;
  const to = data.to as string;
  const { members } = theGroup(at);
  const { nodeId } = members[data.index] as MemberDocument;
  if (nodeId === to) return settled(data, to, seen);
  if (nodeId !== data.from) throw movedAway(data, nodeId);
  // A lost member was placed there meanwhile, for which nobody waits for locks: another place is chosen.
  if (members.some((member) => member.nodeId === to)) return { kind: 'next', step: 'started' };
  if (answer !== undefined) return { kind: 'park', wakeAfterMs: lookMs };
  standbyOf(theGroup(at), data.index);
  const { group, groupId, index, from } = data;
  const request = { group, groupId, index, from, to };
  return {
    kind: 'call',
    call: { node: null, verb: 'place-member', request, timeoutMs: callTimeoutMs },
  };
}

/** P8: it counts from its first sync on. */
function syncing(at: At<ReplaceData>): Outcome<ReplaceData> {
  const { data, answer } = at;
  const node = data.to as string;
  const member = theGroup(at).members[data.index] as MemberDocument;
  if (member.nodeId !== node) throw movedAway({ ...data, from: node }, member.nodeId);
  if (answer === undefined) {
    const request = { group: data.group };
    return { kind: 'call', call: { node, verb: 'inspect', request, timeoutMs: 1000 } };
  }
  const { report } = answer as { report: MemberReport };
  if (report.state === 'quarantined') {
    throw new UnderstudyError('quarantined', report.error ?? 'no reason known');
  }
  if (report.lastSyncMs !== null && report.state !== 'starting') {
    return { kind: 'done', detail: `on ${node}, synced through ${report.syncedThrough}` };
  }
  const wait = waitForSync(at, `member ${data.index} on ${node}`, member.sync, memberStillMs);
  if (wait !== null) return wait;
  const still = `member ${data.index} on ${node} has not come closer for ${memberStillMs} ms`;
  throw new UnderstudyError('timeout', `${still}. It goes on by itself: look at the group`);
}

export const replace: OperationKind<ReplaceData> = {
  name: 'replace',
  sees: 'group',
  steps: { started, placing, syncing },
  locks: ({ step, data }) => {
    const member = memberLock(data, data.index);
    // Once it is placed, nobody has to wait for its bytes.
    return step === 'syncing' ? [member] : [groupLock(data), member];
  },
};
