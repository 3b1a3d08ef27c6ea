/**
 * The coordinator of one node: which members run here, what is known of the other nodes, and when a
 * standby of ours should step forward. `stepNode` is the whole of it, as `step` is of a member.
 *
 * The registry says what should be (level-triggered: every sighting of a group is compared with what
 * runs); beats say what is; the log decides.
 */
import type { MemberReport, PromotionCause } from '../replication/effects.js';
import { type End, isSameEnd } from '../replication/ends.js';
import { type Epoch, epoch, type Seq, sameWriter, type WriterId } from '../replication/ids.js';
import { type Attention, forgetGroup, newAttention, takeDue, vacantAtEase } from './attention.js';
import { type Draining, notDraining } from './draining.js';
import { eraOf, lossOf } from './losses.js';
import {
  brokerBack,
  brokerLost,
  disconnected,
  downForMs,
  echoed,
  heard,
  judges,
  judgesSilence,
  type Membership,
  newMembership,
  type ProbeResult,
  probed,
  tickMembership,
} from './membership.js';
import { type Hold, heldBy, noHold, noteHold } from './pause.js';
import { allowedNodes, place } from './placement.js';
import { leadOf, rankCandidates, type Vacancy, vacancyOf } from './succession.js';
import { newTelling, type Telling, takeReports } from './telling.js';
import type { Beat, ClusterConfig, ClusterTimings, GroupConfig, NodeInfo } from './types.js';

export interface GroupState {
  config: GroupConfig;
  /** Revision of the registry entry, for compare-and-set. */
  revision: number;
  /** Index of the member that belongs here; null: none. */
  ownIndex: number | null;
  readonly reports: Map<number, MemberReport>;
  vacancy: Vacancy | null;
  /** Its own pause; there may be one of all groups beside it. */
  hold: Hold;
  /** After an attempt: not again before this. */
  actAtMs: number;
  replaceAtMs: number;
  /** What our active was last told of its followers, as text. */
  followers: string;
  /** Whom our member was last told it may ask for chunks. */
  peers: readonly string[];
  /** The furthest record of the log that our member was told of. */
  endTold: End | null;
}

export interface Coordinator {
  info: NodeInfo;
  readonly membership: Membership;
  readonly groups: Map<string, GroupState>;
  readonly cordoned: Set<string>;
  readonly draining: Draining;
  readonly attention: Attention;
  readonly telling: Telling;
  /** Groups of whose log a member has told another end since they were last taken. */
  readonly newEnds: Set<string>;
  /** The pause of all groups. */
  hold: Hold;
  /** Of what the registry holds for the cluster as a whole. */
  clusterRevision: number;
  nextBeatAtMs: number;
}

export type NodeInput =
  | { readonly kind: 'tick' }
  /** Something was reported: there may be a beat that should not wait for the next tick. */
  | { readonly kind: 'flush' }
  | { readonly kind: 'beat'; readonly beat: Beat }
  | { readonly kind: 'disconnected'; readonly node: string; readonly incarnation: string }
  | {
      readonly kind: 'probed';
      readonly node: string;
      readonly incarnation: string;
      readonly result: ProbeResult;
    }
  | { readonly kind: 'broker'; readonly connected: boolean }
  | { readonly kind: 'group'; readonly config: GroupConfig; readonly revision: number }
  | { readonly kind: 'group-gone'; readonly name: string }
  | { readonly kind: 'cluster'; readonly config: ClusterConfig; readonly revision: number }
  | { readonly kind: 'own-report'; readonly report: MemberReport }
  | {
      readonly kind: 'handed-off';
      readonly group: string;
      readonly epoch: Epoch;
      readonly target: number;
    };

export type NodeEffect =
  /** Another process has this node's id and started later: one of them is misconfigured. */
  | { readonly kind: 'superseded'; readonly by: NodeInfo }
  | { readonly kind: 'beat'; readonly beat: Beat }
  | { readonly kind: 'probe'; readonly node: string; readonly incarnation: string }
  | { readonly kind: 'start-member'; readonly config: GroupConfig; readonly index: number }
  | { readonly kind: 'stop-member'; readonly group: string }
  | { readonly kind: 'promote'; readonly group: string; readonly cause: PromotionCause }
  | { readonly kind: 'epoch-seen'; readonly group: string; readonly epoch: Epoch }
  /** The group's active tells of more than our standby has. */
  | { readonly kind: 'behind'; readonly group: string; readonly seq: Seq }
  /** The log was out of reach: it may not come back as what it was. */
  | { readonly kind: 'suspect'; readonly group: string }
  /** Another member had more from the log than ours. */
  | { readonly kind: 'end-told'; readonly group: string; readonly end: End }
  /** Another member says that the log has lost this record. */
  | { readonly kind: 'loss-told'; readonly group: string; readonly known: End }
  /** Another node goes by a later entry of the group, which no watch has told us of. */
  | { readonly kind: 'entry-outdated'; readonly group: string }
  /** Our active has these hot standbys, lowest index first. */
  | { readonly kind: 'followers'; readonly group: string; readonly indexes: readonly number[] }
  /** Nodes of other members that hold a state, and so perhaps chunks of it. */
  | { readonly kind: 'peers'; readonly group: string; readonly nodes: readonly string[] }
  /** Write the registry entry with this member on another node, if it is still at `revision`. */
  | {
      readonly kind: 'replace-member';
      readonly group: string;
      readonly revision: number;
      readonly index: number;
      readonly node: string;
    };

export interface NodeInstant {
  readonly monoMs: number;
  readonly wallMs: number;
}

const retryMs = 500;
/** An active is more to carry than a standby: they should not all be on one node. */
const activeLoad = 1.5;

export function newCoordinator(
  info: NodeInfo,
  timings: ClusterTimings,
  now: NodeInstant,
): Coordinator {
  const membership = newMembership(info.id, timings, now.monoMs);
  heard(membership, info, now.monoMs);
  return {
    info,
    membership,
    groups: new Map(),
    cordoned: new Set(),
    draining: notDraining(),
    attention: newAttention(),
    telling: newTelling(),
    newEnds: new Set(),
    hold: noHold,
    clusterRevision: 0,
    nextBeatAtMs: now.monoMs,
  };
}

export function stepNode(node: Coordinator, input: NodeInput, now: NodeInstant): NodeEffect[] {
  const out: NodeEffect[] = [];
  const { membership } = node;
  switch (input.kind) {
    case 'tick':
      onTick(node, now, out);
      break;
    case 'flush':
      if (now.monoMs >= node.nextBeatAtMs) beat(node, now, out);
      break;
    case 'beat':
      onBeat(node, input.beat, now, out);
      break;
    case 'disconnected':
      if (disconnected(membership, input.node, input.incarnation, now.monoMs)) {
        out.push({ kind: 'probe', node: input.node, incarnation: input.incarnation });
      }
      break;
    case 'probed':
      probed(membership, input.node, input.incarnation, input.result, now.monoMs);
      considerAll(node, now, out);
      break;
    case 'broker':
      if (input.connected) brokerBack(membership, now.monoMs);
      else brokerLost(membership);
      onBroker(node, input.connected, out);
      break;
    case 'group':
      onGroup(node, input, now, out);
      break;
    case 'group-gone':
      onGroupGone(node, input.name, out);
      break;
    case 'cluster':
      onCluster(node, input.config, input.revision, now);
      break;
    case 'own-report':
      onOwnReport(node, input.report, now, out);
      break;
    case 'handed-off':
      onHandedOff(node, input, now, out);
      break;
    default:
      throw input satisfies never;
  }
  return byPriority(node, out);
}

/** Permits go to whoever asks while there are any, so those with a priority have to be the first to ask. */
function byPriority({ groups }: Coordinator, effects: NodeEffect[]): NodeEffect[] {
  if (effects.length < 2) return effects;
  const promotions = effects.filter((effect) => effect.kind === 'promote');
  if (promotions.length < 2) return effects;
  const priorityOf = (group: string) => groups.get(group)?.config.priority ?? 0;
  promotions.sort((a, b) => priorityOf(b.group) - priorityOf(a.group));
  return [...effects.filter(({ kind }) => kind !== 'promote'), ...promotions];
}

/** The broker's store may be an older one when it is back: of the registry too. */
function onBroker(node: Coordinator, connected: boolean, out: NodeEffect[]): void {
  node.clusterRevision = 0;
  for (const group of node.groups.values()) {
    group.revision = 0;
    const isOurs = group.ownIndex !== null && !connected;
    if (isOurs) out.push({ kind: 'suspect', group: group.config.name });
  }
}

function onTick(node: Coordinator, now: NodeInstant, out: NodeEffect[]): void {
  for (const id of tickMembership(node.membership, now.monoMs)) {
    const view = node.membership.nodes.get(id);
    if (view) out.push({ kind: 'probe', node: id, incarnation: view.info.incarnation });
  }
  for (const name of takeDue(node.attention, node.membership, node.groups, now.monoMs)) {
    const group = node.groups.get(name);
    if (group === undefined) continue;
    consider(node, group, now, out);
    considerReplacement(node, group, now, out);
    tellFollowers(node, group, out);
    tellPeers(node, group, out);
  }
  if (now.monoMs >= node.nextBeatAtMs) beat(node, now, out);
}

function beat(node: Coordinator, now: NodeInstant, out: NodeEffect[]): void {
  const { info, groups } = node;
  node.nextBeatAtMs = now.monoMs + node.membership.timings.beatMs;
  heard(node.membership, info, now.monoMs);
  const own = (name: string) => ownReport(groups.get(name));
  for (const reports of takeReports(node.telling, groups, own)) {
    out.push({ kind: 'beat', beat: { info, reports } });
  }
}

function ownReport(group: GroupState | undefined): MemberReport | undefined {
  const index = group?.ownIndex ?? null;
  return index === null ? undefined : group?.reports.get(index);
}

function onBeat(
  node: Coordinator,
  { info, reports }: Beat,
  now: NodeInstant,
  out: NodeEffect[],
): void {
  if (info.id === node.info.id) {
    if (info.incarnation > node.info.incarnation) out.push({ kind: 'superseded', by: info });
    else if (info.incarnation === node.info.incarnation) echoed(node.membership, now.monoMs);
    return;
  }
  const known = node.membership.nodes.get(info.id);
  if (known !== undefined && info.incarnation < known.info.incarnation) return;
  if (heard(node.membership, info, now.monoMs)) {
    forgetReports(node, info.id);
    for (const name of node.groups.keys()) node.telling.untold.add(name);
  }
  for (const report of reports) {
    const group = node.groups.get(report.group);
    if (group === undefined || group.config.members[report.index]?.node !== info.id) continue;
    // What is told from before a loss was accepted, or after one that we have not heard of, is of another log.
    const ownEra = eraOf(group.config);
    if (report.era > ownEra) out.push({ kind: 'entry-outdated', group: report.group });
    if (report.era !== ownEra) continue;
    const before = group.reports.get(report.index);
    if (before === undefined || !isRepetition(before, report)) {
      keepReport(node, group, report);
    }
    const isOpening = report.state === 'active' && before?.state !== 'active';
    if (isOpening) node.attention.openedAtMs.set(info.id, now.monoMs);
    passOnEpoch(group, report, out);
    passOnEnd(group, report, out);
    wake(group, report, out);
    if (before !== undefined && saysTheSame(before, report)) continue;
    node.attention.due.add(report.group);
    consider(node, group, now, out);
  }
}

function keepReport(
  node: Coordinator,
  { config, reports }: GroupState,
  report: MemberReport,
): void {
  const before = reports.get(report.index)?.known ?? null;
  if (!isSameEnd(before, report.known)) node.newEnds.add(config.name);
  reports.set(report.index, report);
}

/** Whoever keeps them asks often: a thousand idle groups cost nothing. */
export function takeNewEnds({ newEnds, groups }: Coordinator): GroupState[] {
  const taken = [...newEnds].flatMap((name) => groups.get(name) ?? []);
  newEnds.clear();
  return taken;
}

/** In everything: what is known already stays, and its like is gone at once. */
function isRepetition(a: MemberReport, b: MemberReport): boolean {
  const isLevel = a.seq === b.seq && a.snapshotSeq === b.snapshotSeq && a.fromSeq === b.fromSeq;
  const isSound = a.error === b.error && a.diverged === b.diverged;
  const isSettled = [a, b].every(({ sync, loss }) => sync === null && loss === null);
  return isSettled && saysTheSame(a, b) && isLevel && isSound && isSameEnd(a.known, b.known);
}

/** In all that anybody judges by. */
function saysTheSame(a: MemberReport, b: MemberReport): boolean {
  const isSameWriter = a.writer === null ? b.writer === null : isBy(b, a.writer);
  const isLevel = a.syncedThrough === b.syncedThrough && a.lastSyncMs === b.lastSyncMs;
  return isSameWriter && isLevel && a.state === b.state && a.epoch === b.epoch && a.hot === b.hot;
}

const isBy = ({ writer }: MemberReport, other: WriterId): boolean =>
  writer !== null && sameWriter(writer, other);

/** A new life of a node knows nothing of what the former one reported. */
function forgetReports(node: Coordinator, id: string): void {
  for (const { config, reports } of node.groups.values()) {
    for (const [index, member] of config.members.entries()) {
      if (member.node === id) reports.delete(index);
    }
  }
}

function passOnEpoch(group: GroupState, report: MemberReport, out: NodeEffect[]): void {
  const own = ownReport(group);
  if (own === undefined || report.epoch <= own.epoch) return;
  out.push({ kind: 'epoch-seen', group: group.config.name, epoch: report.epoch });
}

/** Who steps forward has to know how far the log went, and nobody may go on when it does not any more. */
function passOnEnd(group: GroupState, report: MemberReport, out: NodeEffect[]): void {
  const own = ownReport(group);
  const { name } = group.config;
  if (own === undefined || own.loss !== null) return;
  if (report.loss !== null) {
    return void out.push({ kind: 'loss-told', group: name, known: report.loss.known });
  }
  const { known: end } = report;
  const toldAt = Math.max(own.known?.position ?? 0, group.endTold?.position ?? 0);
  if (end === null || end.position <= toldAt) return;
  group.endTold = end;
  out.push({ kind: 'end-told', group: name, end });
}

/** A standby of an idle group sleeps, and what it was told of a new snapshot may be lost. */
function wake(group: GroupState, report: MemberReport, out: NodeEffect[]): void {
  const own = ownReport(group);
  if (own?.state !== 'standby' || report.state !== 'active' || report.epoch < own.epoch) return;
  const { name, standby } = group.config;
  const seq = standby === 'hot' ? report.seq : report.snapshotSeq;
  if (own.lastSyncMs !== null && own.syncedThrough >= seq) return;
  out.push({ kind: 'behind', group: name, seq });
}

function onOwnReport(
  node: Coordinator,
  report: MemberReport,
  now: NodeInstant,
  out: NodeEffect[],
): void {
  const group = node.groups.get(report.group);
  if (group === undefined || group.ownIndex !== report.index) return;
  const before = group.reports.get(report.index);
  keepReport(node, group, report);
  if (report !== before) {
    node.telling.untold.add(report.group);
    node.attention.due.add(report.group);
  }
  const isNews = before?.state !== report.state || before.epoch !== report.epoch;
  // What follows the log is level all the time, until it holds nothing any more.
  const wasLevel = before?.hot && before.lastSyncMs !== null;
  const isLevel = report.hot && report.lastSyncMs !== null;
  const synced = before?.lastSyncMs !== report.lastSyncMs && !(wasLevel && isLevel);
  if (isNews) consider(node, group, now, out);
  // Others choose successors by these: they should not wait for the next beat.
  if (isNews || synced) node.nextBeatAtMs = Math.min(node.nextBeatAtMs, now.monoMs);
}

function onCluster(
  node: Coordinator,
  { cordons, pause }: ClusterConfig,
  revision: number,
  now: NodeInstant,
): void {
  if (revision <= node.clusterRevision) return;
  node.clusterRevision = revision;
  node.cordoned.clear();
  for (const id of Object.keys(cordons)) node.cordoned.add(id);
  node.hold = noteHold(node.hold, pause, now);
}

function onGroup(
  node: Coordinator,
  { config, revision }: { readonly config: GroupConfig; readonly revision: number },
  now: NodeInstant,
  out: NodeEffect[],
): void {
  const known = node.groups.get(config.name);
  if (known !== undefined && revision <= known.revision) return;
  if (known !== undefined && known.config.groupId !== config.groupId) {
    onGroupGone(node, config.name, out);
  }
  const index = config.members.findIndex((member) => member.node === node.info.id);
  const ownIndex = index < 0 ? null : index;
  const group = node.groups.get(config.name);
  node.attention.due.add(config.name);
  if (group === undefined) {
    node.groups.set(config.name, {
      config,
      revision,
      ownIndex,
      reports: new Map(),
      vacancy: null,
      hold: noteHold(noHold, config.pause ?? null, now),
      actAtMs: 0,
      replaceAtMs: 0,
      followers: '',
      peers: [],
      endTold: null,
    });
    if (ownIndex !== null) out.push({ kind: 'start-member', config, index: ownIndex });
    return;
  }
  if (eraOf(config) === eraOf(group.config)) moveMembers(group, config, ownIndex, out);
  else beginAnew(group, config, ownIndex, out);
  group.hold = noteHold(group.hold, config.pause ?? null, now);
  group.config = config;
  group.revision = revision;
  group.ownIndex = ownIndex;
}

function moveMembers(
  group: GroupState,
  config: GroupConfig,
  ownIndex: number | null,
  out: NodeEffect[],
): void {
  for (const [index, member] of group.config.members.entries()) {
    if (config.members[index]?.node !== member.node) group.reports.delete(index);
  }
  if (ownIndex === group.ownIndex) return;
  if (group.ownIndex !== null) out.push({ kind: 'stop-member', group: config.name });
  if (ownIndex !== null) out.push({ kind: 'start-member', config, index: ownIndex });
  group.peers = [];
}

/** A loss was accepted: whatever was held and told is of a log that is no more. */
function beginAnew(
  group: GroupState,
  config: GroupConfig,
  ownIndex: number | null,
  out: NodeEffect[],
): void {
  group.reports.clear();
  group.vacancy = null;
  group.actAtMs = 0;
  group.endTold = null;
  group.followers = '';
  group.peers = [];
  if (group.ownIndex !== null) out.push({ kind: 'stop-member', group: config.name });
  if (ownIndex !== null) out.push({ kind: 'start-member', config, index: ownIndex });
}

function onGroupGone(node: Coordinator, name: string, out: NodeEffect[]): void {
  const group = node.groups.get(name);
  if (group === undefined) return;
  node.groups.delete(name);
  forgetGroup(node.attention, name);
  node.telling.untold.delete(name);
  if (group.ownIndex !== null) out.push({ kind: 'stop-member', group: name });
}

function considerAll(node: Coordinator, now: NodeInstant, out: NodeEffect[]): void {
  for (const group of node.groups.values()) consider(node, group, now, out);
}

/** Until when the group's own pause, or that of all groups, keeps automatic failover off. */
function heldUntilMs(node: Coordinator, group: GroupState): number {
  return Math.max(group.hold.untilMs, node.hold.untilMs);
}

/** Null: nothing keeps automatic failover of the group off. */
export function pauseOf(node: Coordinator, group: GroupState, monoMs: number) {
  return heldBy({ group: group.hold, all: node.hold }, monoMs);
}

/**
 * P7: the best candidate acts at once, each further one a rank delay later. While the group is paused
 * nobody does, and then they begin at its end; a group that nobody ever led is no failover.
 */
function consider(node: Coordinator, group: GroupState, now: NodeInstant, out: NodeEffect[]): void {
  if (group.ownIndex === null || !judges(node.membership, now.monoMs)) return;
  noteVacancy(node, group, now);
  const { vacancy } = group;
  if (vacancy === null || now.monoMs < group.actAtMs) return;
  if (!mayActOn(node, vacancy.cause, now.monoMs)) return;
  // Whoever went on from what is left would give seqs away a second time.
  if (lossOf(group.reports) !== null) return;
  const ranked = rankCandidates(node.membership, group.config, group.reports, node.cordoned);
  const place = ranked.findIndex(({ index }) => index === group.ownIndex);
  if (place < 0 || ranked[place]?.state === 'promoting') return;
  // At creation nobody knows who else is there yet, but everybody knows that index 0 goes first.
  const rank = vacancy.cause === 'created' ? group.ownIndex : place;
  const better = ranked.slice(0, place).map(({ index }) => group.config.members[index]?.node ?? '');
  const heldMs = vacancy.cause === 'created' ? 0 : heldUntilMs(node, group);
  const sinceMs = Math.max(vacancy.sinceMs, heldMs);
  if (now.monoMs < turnAtMs(node, sinceMs, rank, better)) return;
  group.actAtMs = now.monoMs + retryMs;
  const { observeMs } = node.membership.timings;
  const cause = promotionCause(vacancy, vacancy.cause === 'silence' ? observeMs : 0, now);
  out.push({ kind: 'promote', group: group.config.name, cause });
}

/** D4: asked anew right before the promotion begins, if it had to wait. */
export function mayActOn({ membership }: Coordinator, cause: string, monoMs: number): boolean {
  return cause !== 'silence' || judgesSilence(membership, monoMs);
}

/**
 * Many groups at once take longer, and if everybody acted on them after the same delay, all work would be
 * done several times over when there is most of it. Whoever is seen to get on with it is left to it.
 */
function turnAtMs(
  { attention, membership }: Coordinator,
  sinceMs: number,
  rank: number,
  better: readonly string[],
): number {
  const { rankDelayMs } = membership.timings;
  const crowd = attention.vacant.size / vacantAtEase;
  if (crowd <= 1) return sinceMs + rank * rankDelayMs;
  const openedAtMs = better.map((id) => attention.openedAtMs.get(id) ?? 0);
  return Math.max(sinceMs, ...openedAtMs) + rank * rankDelayMs * crowd;
}

/** A vacancy keeps the time of its first sighting while epoch and cause stay the same. */
function noteVacancy(node: Coordinator, group: GroupState, now: NodeInstant): void {
  const seen = vacancyOf(node.membership, group.config, group.reports, now.monoMs);
  const known = group.vacancy;
  const same = seen !== null && known?.epoch === seen.epoch && known.cause === seen.cause;
  if (!same) group.vacancy = seen;
  if (seen === null) group.actAtMs = 0;
  const { vacant } = node.attention;
  if (seen === null) vacant.delete(group.config.name);
  else vacant.add(group.config.name);
}

function promotionCause(vacancy: Vacancy, observeMs: number, now: NodeInstant): PromotionCause {
  return {
    cause: vacancy.cause,
    endsEpoch: epoch(vacancy.epoch),
    startedAtMs: now.wallMs - (now.monoMs - vacancy.firstSignMs),
    detectMs: vacancy.sinceMs - vacancy.firstSignMs,
    decideMs: now.monoMs - vacancy.sinceMs,
    operation: null,
    observeMs,
  };
}

function onHandedOff(
  node: Coordinator,
  input: Extract<NodeInput, { kind: 'handed-off' }>,
  now: NodeInstant,
  out: NodeEffect[],
): void {
  const group = node.groups.get(input.group);
  if (group === undefined || group.ownIndex !== input.target) return;
  group.actAtMs = now.monoMs + retryMs;
  const vacancy: Vacancy = {
    epoch: input.epoch,
    cause: 'switchover',
    firstSignMs: now.monoMs,
    sinceMs: now.monoMs,
  };
  out.push({ kind: 'promote', group: input.group, cause: promotionCause(vacancy, 0, now) });
}

/** An active lets its snapshots be cut by those who follow the log anyway. */
function tellFollowers({ membership }: Coordinator, group: GroupState, out: NodeEffect[]): void {
  const { config, ownIndex, reports } = group;
  if (config.standby !== 'hot' || ownIndex === null) return;
  const own = reports.get(ownIndex);
  if (own?.state !== 'active') {
    group.followers = '';
    return;
  }
  const indexes = [...reports.values()]
    .filter(({ index, hot, state, lastSyncMs }) => {
      const isUp = membership.nodes.get(config.members[index]?.node ?? '')?.state === 'up';
      return isUp && hot && state === 'standby' && lastSyncMs !== null;
    })
    .map(({ index }) => index)
    .sort((a, b) => a - b);
  const told = `${own.epoch}: ${indexes.join(' ')}`;
  if (group.followers === told) return;
  group.followers = told;
  out.push({ kind: 'followers', group: config.name, indexes });
}

/** Asked for every group again and again: nothing is made unless there is something to tell. */
function tellPeers({ membership }: Coordinator, group: GroupState, out: NodeEffect[]): void {
  const { config, ownIndex, peers } = group;
  if (ownIndex === null) return;
  let count = 0;
  let isSame = true;
  for (let index = 0; index < config.members.length; index++) {
    if (!isPeer(membership, group, index)) continue;
    if (peers[count] !== config.members[index]?.node) isSame = false;
    count += 1;
  }
  if (isSame && count === peers.length) return;
  const nodes = config.members.map(({ node }) => node);
  group.peers = nodes.filter((_, index) => isPeer(membership, group, index));
  out.push({ kind: 'peers', group: config.name, nodes: group.peers });
}

function isPeer({ nodes }: Membership, group: GroupState, index: number): boolean {
  const report = group.reports.get(index);
  const holds = report?.state === 'active' || typeof report?.lastSyncMs === 'number';
  const node = group.config.members[index]?.node ?? '';
  return holds && index !== group.ownIndex && nodes.get(node)?.state === 'up';
}

/** P8: the active's node places a member anew whose node has been down for long. */
function considerReplacement(
  node: Coordinator,
  group: GroupState,
  now: NodeInstant,
  out: NodeEffect[],
): void {
  const { writer } = leadOf(group.reports);
  const leads = writer !== null && writer.index === group.ownIndex && writer.node === node.info.id;
  if (!leads || now.monoMs < group.replaceAtMs) return;
  if (!judgesSilence(node.membership, now.monoMs)) return;
  const { membership } = node;
  const { members } = group.config;
  for (let index = 0; index < members.length; index++) {
    const member = members[index] as GroupConfig['members'][number];
    const goneMs = downForMs(membership, member.node, now.monoMs);
    if (goneMs < membership.timings.replaceAfterMs) continue;
    const target = placeOne(node, group, index);
    if (target === null) return;
    group.replaceAtMs = now.monoMs + retryMs;
    const { revision } = group;
    const { name } = group.config;
    out.push({ kind: 'replace-member', group: name, revision, index, node: target });
    return;
  }
}

/** Where the members that stay are not; a zone that only the lost one was in is free again. */
function placeOne(node: Coordinator, { config }: GroupState, lost: number): string | null {
  const taken = config.members
    .filter((_, index) => index !== lost)
    .map(({ node: id }) => ({ id, zone: zoneOf(node, id), load: 0 }));
  const { placement, kind } = config;
  const nodes = allowedNodes(placeableNodes(node, kind), placement);
  return place({ nodes, count: 1, taken, spread: placement?.spread ?? 'node' })?.[0] ?? null;
}

function zoneOf(node: Coordinator, id: string): string | null {
  return node.membership.nodes.get(id)?.info.zone ?? null;
}

/** Nodes that may be given a member of this kind now, with what they host already. */
export function placeableNodes(
  node: Coordinator,
  kind: string,
): { id: string; zone: string | null; load: number }[] {
  const loads = new Map<string, number>();
  for (const { config, reports } of node.groups.values()) {
    // Before anybody has led, index 0 is about to.
    const leader = leadOf(reports).writer?.index ?? 0;
    for (const [index, { node: id }] of config.members.entries()) {
      loads.set(id, (loads.get(id) ?? 0) + (index === leader ? activeLoad : 1));
    }
  }
  return [...node.membership.nodes.values()]
    .filter(({ state, info }) => {
      const takes = !info.draining && !node.cordoned.has(info.id) && info.kinds.includes(kind);
      return state === 'up' && takes;
    })
    .map(({ info }) => ({ id: info.id, zone: info.zone, load: loads.get(info.id) ?? 0 }));
}
