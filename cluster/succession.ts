/**
 * When to promote, and who acts first (P7, P8). Pure judgement over what is known; the claim in the
 * log decides in the end, so being wrong here costs time only (D1).
 */
import type { MemberReport } from '../replication/effects.js';
import type { WriterId } from '../replication/ids.js';
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

/** The latest epoch anybody reports, and its writer. */
export function leadOf(reports: Reports): { epoch: number; writer: WriterId | null } {
  let lead: { epoch: number; writer: WriterId | null } = { epoch: 0, writer: null };
  for (const { epoch, writer } of reports.values()) {
    if (epoch > lead.epoch) lead = { epoch, writer };
  }
  return lead;
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
  return { cause: 'silence', firstSignMs: membership.startedAtMs, sinceMs };
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

/**
 * Candidates, best first: ever synced before never synced, then the highest `syncedThrough`, then
 * the lowest index (P7).
 */
export function rankCandidates(
  membership: Membership,
  group: GroupConfig,
  reports: Reports,
): MemberReport[] {
  const candidates: MemberReport[] = [];
  for (const [index, { node }] of group.members.entries()) {
    const view = membership.nodes.get(node);
    const report = reports.get(index);
    const isUp = view !== undefined && view.state === 'up' && !view.info.draining;
    if (isUp && report !== undefined && promotable.has(report.state)) candidates.push(report);
  }
  return candidates.sort(
    (a, b) =>
      Number(b.lastSyncMs !== null) - Number(a.lastSyncMs !== null) ||
      b.syncedThrough - a.syncedThrough ||
      a.index - b.index,
  );
}
