/** Reinit: a member forgets what it holds and begins anew, also out of quarantine. */
import type { MemberReport } from '../../replication/effects.js';
import { UnderstudyError } from '../../replication/errors.js';
import type { GroupDocument, MemberDocument } from '../documents.js';
import { movingText } from '../sizes.js';
import {
  type Closeness,
  lifeOf,
  memberLock,
  memberStillMs,
  notYet,
  type OfGroup,
  placeOf,
  standbyOf,
  theGroup,
  waitForSync,
} from './common.js';
import type { At, Call, OperationKind, OperationRequest, Outcome } from './operation.js';

const lookTimeoutMs = 1000;

export interface ReinitData extends OfGroup {
  readonly index: number;
  readonly node: string;
  readonly closeness: Closeness;
}

/** Throws `member-not-found`, `conflict`, `not-ready`; then nothing has been changed. */
export function requestReinit(group: GroupDocument, index: number, by: string): OperationRequest {
  const { nodeId } = judge(group, index);
  const life = lifeOf(group);
  const data: ReinitData = {
    group: group.name,
    life,
    index,
    node: nodeId,
    closeness: notYet(0),
  };
  return {
    id: `reinit.${life}.${index}`,
    kind: 'reinit',
    target: `${group.name}/${index}`,
    by,
    data,
    repeatable: true,
  };
}

function judge(group: GroupDocument, index: number): MemberDocument {
  const member = standbyOf(group, index);
  if (member.state === 'unreachable') {
    const detail = member.error ?? `node ${member.nodeId} of member ${index} is down; start it`;
    throw new UnderstudyError('not-ready', detail);
  }
  return member;
}

const whoOf = ({ index, node }: ReinitData): string => `member ${index} on ${node}`;

function started(at: At<ReinitData>): Outcome<ReinitData> {
  const member = judge(theGroup(at), at.data.index);
  const detail = placeOf(member);
  return { kind: 'next', step: 'forgetting', detail, data: { node: member.nodeId } };
}

/** To forget twice is to have forgotten. */
function forgetting({ data, answer, seen }: At<ReinitData>): Outcome<ReinitData> {
  if (answer === undefined) return { kind: 'call', call: ask(data, 'reinit') };
  const { failure } = answer as { failure: string | null };
  if (failure !== null) throw new UnderstudyError('conflict', failure);
  const since = { closeness: notYet(seen.nowMs) };
  return { kind: 'next', step: 'syncing', detail: whoOf(data), data: since };
}

/** The member itself is asked: what it told the others before it forgot would look like the end. */
function syncing(at: At<ReinitData>): Outcome<ReinitData> {
  const { data, answer } = at;
  const member = theGroup(at).members[data.index];
  if (member?.nodeId !== data.node) {
    throw new UnderstudyError('conflict', `${whoOf(data)} was placed elsewhere meanwhile`);
  }
  if (answer === undefined) return { kind: 'call', call: ask(data, 'inspect') };
  const { report } = answer as { report: MemberReport };
  const { state, lastSyncMs, syncedThrough, error } = report;
  if (state === 'quarantined') {
    throw new UnderstudyError('quarantined', `quarantined again: ${error ?? 'no reason known'}`);
  }
  if (lastSyncMs !== null && state !== 'starting') {
    return { kind: 'done', detail: `synced through ${syncedThrough}` };
  }
  const wait = waitForSync(at, whoOf(data), member.sync, memberStillMs);
  if (wait !== null) return wait;
  const last = member.sync === null ? state : `${state}, ${movingText(member.sync)}`;
  const still = `member ${data.index} has not come closer for ${memberStillMs} ms; last: ${last}`;
  throw new UnderstudyError('timeout', `${still}. It goes on by itself: look at the group`);
}

function ask({ group, node }: ReinitData, verb: string): Call {
  return { node, verb, request: { group }, timeoutMs: lookTimeoutMs };
}

export const reinit: OperationKind<ReinitData> = {
  name: 'reinit',
  sees: 'group',
  steps: { started, forgetting, syncing },
  locks: ({ data }) => [memberLock(data, data.index)],
};
