/** The documents operators see, put together from what should be and what is reported. */
import {
  type Coordinator,
  type GroupState,
  type NodeInstant,
  pauseOf,
} from '../../cluster/coordinator.js';
import type {
  GroupDocument,
  GroupHealth,
  HistoryEntry,
  LossDocument,
  MemberDocument,
  MemberSync,
  NodeDocument,
  PauseDocument,
  VacancyDocument,
} from '../../cluster/documents.js';
import { holdersOf, lossOf } from '../../cluster/losses.js';
import { heldBy, noHold, type Scope } from '../../cluster/pause.js';
import { activeOf, leadOf, vacancyOf } from '../../cluster/succession.js';
import type { Pause } from '../../cluster/types.js';
import type { MemberReport } from '../../replication/effects.js';
import { lossText } from '../../replication/ends.js';
import { UnderstudyError } from '../../replication/errors.js';
import type { EpochNote } from '../../replication/replica.js';
import type { SyncProgress } from '../../replication/sync/progress.js';

const iso = (ms: number): string => new Date(ms).toISOString();

/** All that were heard of, and those that are cordoned though they were not. */
export function nodeDocuments(coordinator: Coordinator): NodeDocument[] {
  const { nodes } = coordinator.membership;
  const unheard = [...coordinator.cordoned].filter((id) => !nodes.has(id));
  return [...nodes.values()]
    .map(
      ({ info, state }): NodeDocument => ({
        id: info.id,
        incarnation: info.incarnation,
        state: info.draining && state === 'up' ? ('drained' as const) : state,
        cordoned: coordinator.cordoned.has(info.id),
        zone: info.zone,
        adminUrl: info.adminUrl,
        pid: info.pid,
        supervised: info.supervised ?? false,
        members: memberCounts(coordinator, info.id),
      }),
    )
    .concat(unheard.map((id) => unheardNode(coordinator, id)))
    .sort((a, b) => (a.id < b.id ? -1 : 1));
}

function unheardNode(coordinator: Coordinator, id: string): NodeDocument {
  return {
    id,
    incarnation: '',
    state: 'down',
    cordoned: true,
    zone: null,
    adminUrl: null,
    pid: null,
    supervised: false,
    members: memberCounts(coordinator, id),
  };
}

function memberCounts(coordinator: Coordinator, node: string): NodeDocument['members'] {
  let active = 0;
  let standby = 0;
  for (const { config, reports } of coordinator.groups.values()) {
    const index = config.members.findIndex((member) => member.node === node);
    if (index < 0) continue;
    if (isUp(coordinator, node) && reports.get(index)?.state === 'active') active += 1;
    else standby += 1;
  }
  return { active, standby };
}

const isUp = (coordinator: Coordinator, node: string): boolean =>
  coordinator.membership.nodes.get(node)?.state === 'up';

export function groupDocument(
  coordinator: Coordinator,
  group: GroupState,
  origin: string,
  now: NodeInstant,
): GroupDocument {
  const { config, reports } = group;
  const pause = pauseDocument(pauseOf(coordinator, group, now.monoMs));
  const lead = leadOf(reports);
  const active = activeOf(coordinator.membership, config, reports);
  const seq = Math.max(0, ...[...reports.values()].map((report) => report.seq));
  const members = config.members.map((member, index) =>
    memberDocument(coordinator, config, { ...member, index }, reports.get(index), seq),
  );
  const standbys = members.filter(({ index }) => index !== active?.index);
  const synced = standbys.filter((member) => member.healthy).map((m) => m.syncedThrough);
  const isSafe = standbys.every((m) => m.healthy && m.syncedThrough >= (active?.fromSeq ?? 0));
  return {
    name: config.name,
    kind: config.kind,
    groupId: config.groupId,
    origin,
    epoch: lead.epoch,
    health: health(members),
    activeIndex: active?.index ?? null,
    activeNode: active === null ? null : (config.members[active.index]?.node ?? null),
    activeHealthy: active !== null,
    memberCount: members.length,
    standbyCount: standbys.length,
    members,
    seq,
    bufferedEventCount: seq - (synced.length > 0 ? Math.min(...synced) : 0),
    reprotected: active !== null && isSafe,
    paused: pause !== null,
    pause,
    vacancy: active === null ? vacancyDocument(coordinator, group, now) : null,
    placement: config.placement ?? {},
    priority: config.priority ?? 0,
    lost: lossDocument(group),
    losses: (config.losses ?? []).map(({ atMs, ...loss }) => ({ ...loss, at: iso(atMs) })),
    quarantined: members.some(({ state }) => state === 'quarantined'),
    standby: config.standby,
    sync: config.sync,
    createdAt: iso(config.createdAtMs),
  };
}

function lossDocument({ config, reports }: GroupState): LossDocument | null {
  const loss = lossOf(reports);
  if (loss === null) return null;
  const { known, endsAt, found } = loss;
  return {
    fromSeq: Math.min(endsAt.seq + 1, known.seq),
    toSeq: known.seq,
    epoch: known.epoch,
    endsAt,
    found,
    heldBy: holdersOf(reports, loss).map(({ index, syncedThrough }) => ({
      index,
      nodeId: config.members[index]?.node ?? '',
      syncedThrough,
    })),
  };
}

/** Waiting would not help. Throws `quarantined`. */
export function refuseLost({ config, reports }: GroupState): void {
  const loss = lossOf(reports);
  if (loss !== null) throw new UnderstudyError('quarantined', lossText(config.name, loss));
}

function pauseDocument(
  held: { readonly scope: Scope; readonly pause: Pause } | null,
): PauseDocument | null {
  if (held === null) return null;
  const { reason, by, untilMs } = held.pause;
  return { scope: held.scope, reason, by, until: iso(untilMs) };
}

/** Of all groups. */
export function clusterPause({ hold }: Coordinator, now: NodeInstant): PauseDocument | null {
  return pauseDocument(heldBy({ group: noHold, all: hold }, now.monoMs));
}

function vacancyDocument(
  { membership }: Coordinator,
  { config, reports }: GroupState,
  now: NodeInstant,
): VacancyDocument | null {
  const vacancy = vacancyOf(membership, config, reports, now.monoMs);
  if (vacancy === null) return null;
  return { cause: vacancy.cause, since: iso(now.wallMs - (now.monoMs - vacancy.firstSignMs)) };
}

/** A standby counts as healthy from its first sync on (P8). */
function memberDocument(
  coordinator: Coordinator,
  { name, kind }: GroupState['config'],
  { node, publicKey, index }: { node: string; publicKey: string; index: number },
  report: MemberReport | undefined,
  seq: number,
): MemberDocument {
  const reachable = isUp(coordinator, node) && report !== undefined;
  const serves = report?.state === 'active' || report?.state === 'handing-off';
  const stands = report?.state === 'standby' || report?.state === 'restoring';
  const synced = report?.lastSyncMs !== null && report?.lastSyncMs !== undefined;
  const syncedThrough = reachable ? report.syncedThrough : 0;
  return {
    index,
    nodeId: node,
    publicKey,
    role: reachable && report.state === 'active' ? 'active' : 'standby',
    healthy: reachable && (serves || (stands && synced)),
    syncedThrough,
    lastSync: synced && report?.lastSyncMs ? iso(report.lastSyncMs) : null,
    state: reachable ? report.state : 'unreachable',
    lag: Math.max(0, seq - syncedThrough),
    diverged: report?.diverged ?? 0,
    sync: reachable && report.sync ? memberSync(report.sync) : null,
    error: report === undefined ? unfit(coordinator, node, kind) : errorOf(name, report),
  };
}

export function memberSync(progress: SyncProgress): MemberSync {
  const { doneSizeBytes, knownSizeBytes, fromSizeBytes, corrupt } = progress;
  const bytesPerSecond = Math.round(progress.bytesPerSecond);
  const left = Math.ceil((knownSizeBytes - doneSizeBytes) / bytesPerSecond);
  return {
    doneSizeBytes,
    knownSizeBytes,
    bytesPerSecond,
    secondsLeft: bytesPerSecond === 0 ? null : left,
    fromCache: fromSizeBytes.cache,
    fromStore: fromSizeBytes.store,
    fromPeers: fromSizeBytes.peers,
    corrupt,
  };
}

/** What is wrong, and for a quarantined member the way out. */
function errorOf(group: string, { state, index, error, loss }: MemberReport): string | null {
  if (error === null || state !== 'quarantined' || loss !== null) return error;
  return `${error}; once the cause is gone: understudy reinit ${group} ${index}`;
}

/** Why a node that is up says nothing of its member. */
function unfit(coordinator: Coordinator, node: string, kind: string): string | null {
  const view = coordinator.membership.nodes.get(node);
  if (view?.state !== 'up' || view.info.kinds.includes(kind)) return null;
  return `node ${node} does not have kind ${kind}; start it with the module that has it`;
}

function health(members: readonly MemberDocument[]): GroupHealth {
  const healthy = members.filter((member) => member.healthy).length;
  const total = members.length;
  const status = healthy === total ? 'healthy' : healthy > 0 ? 'degraded' : 'dead';
  return { status, healthy, total };
}

export function historyEntry(note: EpochNote): HistoryEntry {
  const { opened } = note;
  const round = (ms: number) => Math.round(ms * 100) / 100;
  return {
    epoch: note.epoch,
    node: note.node,
    index: note.index,
    cause: note.cause,
    operation: note.operation,
    startedAt: iso(note.startedAtMs),
    fromSeq: note.fromSeq,
    phases: opened && {
      detectMs: round(note.detectMs),
      decideMs: round(note.decideMs),
      claimMs: round(opened.claimMs),
      replayMs: round(opened.replayMs),
      openMs: round(opened.openMs),
    },
    replayed: opened?.replayed ?? 0,
    unavailableMs: opened && round(opened.unavailableMs),
  };
}
