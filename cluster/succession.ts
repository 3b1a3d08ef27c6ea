/**
 * When to promote, and who acts first (P7, P8). Pure judgement over what is known; the claim in the
 * log decides in the end, so being wrong here costs time only (D1).
 */
import type { MemberReport } from '../replication/effects.js';
import type { WriterId } from '../replication/ids.js';
import { limits } from '../replication/limits.js';
import { type Membership, type NodeView, unheardSinceMs } from './membership.js';
import type { GroupConfig } from './types.js';

/** The last word of each member of a group, by index. */
export type Reports = ReadonlyMap<number, MemberReport>;

/** Why the writer of an epoch is not coming back. */
export interface Vacancy {
  readonly epoch: number;
  readonly cause: string;
  readonly firstSignMs: number;
  readonly sinceMs: number;
}

export interface Lead {
  readonly epoch: number;
  readonly writer: WriterId | null;
}

const noLead: Lead = { epoch: 0, writer: null };

/** The latest epoch anybody reports, and its writer: nothing is made for it, as it is asked for all the time. */
export function leadOf(reports: Reports): Lead {
  let lead = noLead;
  for (const report of reports.values()) if (report.epoch > lead.epoch) lead = report;
  return lead;
}

/** The member that serves, as far as its node is up: of several, that of the latest epoch. */
export function activeOf(
  { nodes }: Membership,
  { members }: GroupConfig,
  reports: Reports,
): MemberReport | null {
  let active: MemberReport | null = null;
  for (const report of reports.values()) {
    const isUp = nodes.get(members[report.index]?.node ?? '')?.state === 'up';
    if (report.state !== 'active' || !isUp) continue;
    if (active === null || report.epoch > active.epoch) active = report;
  }
  return active;
}

const leading = new Set(['active', 'promoting', 'handing-off']);

/** Whether the group needs a new writer, and since when. */
export function vacancyOf(
  membership: Membership,
  group: GroupConfig,
  reports: Reports,
  nowMs: number,
): Vacancy | null {
  const { epoch, writer } = leadOf(reports);
  if (writer === null) return { epoch, cause: 'created', firstSignMs: nowMs, sinceMs: nowMs };
  const view = membership.nodes.get(writer.node);
  const gone = view === undefined ? neverHeard(membership, nowMs) : nodeGone(view, writer);
  if (gone !== null) return { epoch, ...gone };
  const report = reports.get(writer.index);
  const stands = group.members[writer.index]?.node === writer.node;
  const steppedDown = report !== undefined && report.epoch >= epoch && !leading.has(report.state);
  if (!stands || steppedDown)
    return { epoch, cause: 'vacated', firstSignMs: nowMs, sinceMs: nowMs };
  return null;
}

function neverHeard(membership: Membership, nowMs: number): Omit<Vacancy, 'epoch'> | null {
  const sinceMs = unheardSinceMs(membership);
  if (nowMs < sinceMs) return null;
  return { cause: 'silence', firstSignMs: membership.listeningSinceMs, sinceMs };
}

function nodeGone(view: NodeView, writer: WriterId): Omit<Vacancy, 'epoch'> | null {
  if (view.info.incarnation > writer.incarnation) {
    return { cause: 'restarted', firstSignMs: view.lastHeardMs, sinceMs: view.lastHeardMs };
  }
  if (view.state !== 'down' || view.downSinceMs === null) return null;
  return {
    cause: view.cause ?? 'silence',
    firstSignMs: view.firstSignMs ?? view.downSinceMs,
    sinceMs: view.downSinceMs,
  };
}

/** Who has begun keeps its place: or all behind it would move up, and act at once as well. */
const promotable = new Set(['starting', 'restoring', 'standby', 'promoting']);

export interface Candidate {
  readonly index: number;
  readonly node: string;
  readonly everSynced: boolean;
  readonly syncedThrough: number;
  /** It hears of every record: what it lacks by the last beat it may have by now. */
  readonly follows: boolean;
}

export interface CandidateRules {
  readonly groupId: string;
  readonly priorities: Readonly<Record<string, number>>;
  readonly cordoned: ReadonlySet<string>;
  readonly zoneOf: (node: string) => string | null;
  /** Where the lost active was; null: nowhere, or nothing speaks against it. */
  readonly lostZone: string | null;
}

/**
 * Best first (P7): ever synced before never synced, then those on nodes that are not cordoned, the
 * highest `syncedThrough`, the highest priority, those of other zones than the lost active's, then as
 * the group's id has it, the lowest index at last: or where one node led many groups, one would have to
 * take over all of them, while others look on. Hot standbys that are level count as equal: of two of
 * them each would take itself for the furthest, as it knows its own place to the moment and the other's
 * by its last beat.
 */
export function orderCandidates<One extends Candidate>(
  candidates: readonly One[],
  { groupId, priorities, cordoned, zoneOf, lostZone }: CandidateRules,
): One[] {
  const furthest = Math.max(0, ...candidates.map(({ syncedThrough }) => syncedThrough));
  const place = ({ syncedThrough, follows }: Candidate) => {
    return follows && furthest - syncedThrough <= limits.levelEvents ? furthest : syncedThrough;
  };
  const isClose = ({ node }: Candidate) => lostZone !== null && zoneOf(node) === lostZone;
  return candidates.toSorted(
    (a, b) =>
      Number(b.everSynced) - Number(a.everSynced) ||
      Number(cordoned.has(a.node)) - Number(cordoned.has(b.node)) ||
      place(b) - place(a) ||
      (priorities[b.node] ?? 0) - (priorities[a.node] ?? 0) ||
      Number(isClose(a)) - Number(isClose(b)) ||
      drawOf(groupId, a.index) - drawOf(groupId, b.index) ||
      a.index - b.index,
  );
}

/**
 * The lowest goes first. Each index draws for itself, so that it matters to nobody's order who else is
 * known to be a candidate; every bit of the id has to count, as neighbours draw from the same.
 */
function drawOf(groupId: string, index: number): number {
  let draw = index + 1;
  for (let at = 0; at < groupId.length; at++) {
    draw = Math.imul(draw ^ groupId.charCodeAt(at), 0x01000193);
  }
  draw = Math.imul(draw ^ (draw >>> 16), 0x85ebca6b);
  draw = Math.imul(draw ^ (draw >>> 13), 0xc2b2ae35);
  return (draw ^ (draw >>> 16)) >>> 0;
}

/** A zone is avoided while the node of the last active is not up: its neighbours may be next. */
export function rulesFor(
  { nodes }: Membership,
  { groupId, placement }: GroupConfig,
  reports: Reports,
  cordoned: ReadonlySet<string>,
): CandidateRules {
  const lost = nodes.get(leadOf(reports).writer?.node ?? '');
  return {
    groupId,
    priorities: placement?.priorities ?? {},
    cordoned,
    zoneOf: (node) => nodes.get(node)?.info.zone ?? null,
    lostZone: lost === undefined || lost.state === 'up' ? null : lost.info.zone,
  };
}

/** Candidates that could act now, best first: on draining nodes only where there are no others. */
export function rankCandidates(
  membership: Membership,
  group: GroupConfig,
  reports: Reports,
  cordoned: ReadonlySet<string>,
): MemberReport[] {
  const candidates: (Candidate & { readonly report: MemberReport })[] = [];
  const leaving: typeof candidates = [];
  for (const [index, { node }] of group.members.entries()) {
    const view = membership.nodes.get(node);
    const report = reports.get(index);
    const isUp = view !== undefined && view.state === 'up';
    if (!isUp || report === undefined || !promotable.has(report.state)) continue;
    const { syncedThrough, lastSyncMs, hot: follows } = report;
    const everSynced = lastSyncMs !== null;
    const candidate = { index, node, everSynced, syncedThrough, follows, report };
    (view.info.draining ? leaving : candidates).push(candidate);
  }
  const rules = rulesFor(membership, group, reports, cordoned);
  const some = candidates.length > 0 ? candidates : leaving;
  return orderCandidates(some, rules).map(({ report }) => report);
}
