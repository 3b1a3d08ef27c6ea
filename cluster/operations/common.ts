/** What the kinds of operations have in common. */
import { UnderstudyError } from '../../replication/errors.js';
import type { GroupDocument, MemberDocument, MemberSync } from '../documents.js';
import { movingText } from '../sizes.js';
import { orderCandidates } from '../succession.js';
import type { At, Outcome, Seen } from './operation.js';

/** How often something is looked at that ought to happen at once. */
export const lookMs = 50;
/** How long a member that begins anew may come no closer. */
export const memberStillMs = 50_000;
/** How often a member is looked at that fetches a state. */
export const syncLookMs = 100;
/** How often an operation tells of the bytes that have come. */
const tellEveryMs = 1000;
/** For a promotion, from the request to the open active. */
export const promoteTimeoutMs = 10_000;

/** A group that was deleted and made anew under its old name is another one. */
export interface OfGroup {
  readonly group: string;
  readonly life: string;
}

export function lifeOf({ name, createdAt }: GroupDocument): string {
  return `${name}.${createdAt.replaceAll(/\D/g, '')}`;
}

export const groupLock = ({ life }: OfGroup): string => `group.${life}`;
export const memberLock = ({ life }: OfGroup, index: number): string => `member.${life}.${index}`;
export const nodeLock = (node: string): string => `node.${node}`;

/** Throws `group-not-found`. */
export function theGroup({ data, seen }: At<OfGroup>): GroupDocument {
  const { group } = seen;
  if (group !== null && lifeOf(group) === data.life) return group;
  throw new UnderstudyError('group-not-found', `group ${data.group} was deleted meanwhile`);
}

export const isReachable = ({ state }: MemberDocument): boolean =>
  state !== 'unreachable' && state !== 'quarantined';

/** Throws `member-not-found`, and `conflict` for the active: what begins anew must not lead. */
export function standbyOf(
  { name, members, activeIndex }: GroupDocument,
  index: number,
): MemberDocument {
  const member = members[index];
  if (member === undefined) {
    const detail = `${name} has no member ${index}; its members are 0 to ${members.length - 1}`;
    throw new UnderstudyError('member-not-found', detail);
  }
  if (index === activeIndex) {
    const detail = `member ${index} is the active of ${name}, on ${member.nodeId}; switch over first`;
    throw new UnderstudyError('conflict', detail);
  }
  return member;
}

/** What a choice among standbys depends on beside the group. */
export type Around = Pick<Seen, 'nodes' | 'lostZone'>;

/** As an automatic failover would choose (P7). A node that is emptied is no better than a cordoned one. */
export function pickStandby(
  group: GroupDocument,
  { nodes, lostZone }: Around,
  node: string | null | undefined,
  isFit: (member: MemberDocument) => boolean = ({ healthy, lastSync }) =>
    healthy && lastSync !== null,
): MemberDocument | null {
  const candidates = group.members
    .filter((member) => isFit(member) && member.index !== group.activeIndex)
    .filter(({ nodeId }) => node == null || nodeId === node)
    .map((member) => ({
      index: member.index,
      node: member.nodeId,
      everSynced: member.lastSync !== null,
      syncedThrough: member.syncedThrough,
      follows: group.standby === 'hot',
      member,
    }));
  const closed = nodes.filter(({ cordoned, state }) => cordoned || state === 'drained');
  const rules = {
    groupId: group.groupId,
    priorities: group.placement.priorities ?? {},
    cordoned: new Set(closed.map(({ id }) => id)),
    zoneOf: (of: string) => nodes.find(({ id }) => id === of)?.zone ?? null,
    lostZone,
  };
  return orderCandidates(candidates, rules)[0]?.member ?? null;
}

/** That automatic failover is off keeps no operator from anything but what is planned. */
export function pauseWords({ name, pause }: GroupDocument): string {
  if (pause === null) return 'not paused';
  const { scope, by, until, reason } = pause;
  const why = reason === null ? '' : ` (${reason})`;
  const resume = `understudy resume ${scope === 'all' ? '--all' : name}`;
  return `paused by ${by} until ${until}${why}; ${resume} ends that`;
}

/** How long a member has come no closer, as far as the record tells. */
export interface Closeness {
  /** Bytes that are fetched a second time are no progress. */
  readonly mostSizeBytes: number;
  readonly closerAtMs: number;
  readonly toldAtMs: number;
}

export const notYet = (nowMs: number): Closeness => ({
  mostSizeBytes: 0,
  closerAtMs: nowMs,
  toldAtMs: 0,
});

/** Waits on, and tells how far the member is; null: it has come no closer for `stillMs`. */
export function waitForSync<Data extends { readonly closeness: Closeness }>(
  { data, seen }: Pick<At<Data>, 'data' | 'seen'>,
  who: string,
  sync: MemberSync | null,
  stillMs: number,
): Outcome<Data> | null {
  const { closeness } = data;
  const { nowMs } = seen;
  const sizeBytes = sync?.doneSizeBytes ?? 0;
  const isCloser = sizeBytes > closeness.mostSizeBytes;
  const park = { kind: 'park', wakeAfterMs: syncLookMs } as const;
  if (Math.max(closeness.closerAtMs, closeness.toldAtMs) > nowMs) {
    // By a former driver's clock, which may be days ahead: the wait begins anew by ours.
    const anew = { ...closeness, closerAtMs: nowMs, toldAtMs: nowMs };
    return { ...park, data: { closeness: anew } as Data };
  }
  if (!isCloser && nowMs - closeness.closerAtMs >= stillMs) return null;
  if (sync === null || nowMs - closeness.toldAtMs < tellEveryMs) return park;
  const next: Closeness = {
    mostSizeBytes: Math.max(sizeBytes, closeness.mostSizeBytes),
    closerAtMs: isCloser ? nowMs : closeness.closerAtMs,
    toldAtMs: nowMs,
  };
  return { ...park, detail: `${who}: ${movingText(sync)}`, data: { closeness: next } as Data };
}

export const placeOf = ({ index, nodeId }: MemberDocument): string =>
  `member ${index} on ${nodeId}`;
