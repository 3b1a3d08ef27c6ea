/**
 * A member: one copy of a group, and the role it plays.
 *
 *   starting ─▶ restoring ⇄ standby ─▶ promoting ─▶ active ─▶ handing-off ─▶ standby
 *                                          │           │
 *                                          ▼           ▼ (fence lost)
 *                                       standby     starting          any ─▶ quarantined
 *
 * `step` is the whole of it: an input and an instant go in, effects come out, and nothing else
 * happens. What a role does is in active.ts, promotion.ts and recovery.ts; who changes roles and
 * when is here.
 */
import {
  type Active,
  activeWakeAtMs,
  answerInFlight,
  attested,
  chunksLost,
  cutOn,
  deliver,
  dismiss,
  newActive,
  onCommitted,
  openMachines,
  pump,
  read,
  requestHandOff,
  requestSync,
  triggerEnded,
} from './active.js';
import type {
  AlarmCode,
  Effect,
  Input,
  Instant,
  MemberConfig,
  MemberReport,
  MemberState,
  PromotionCause,
  ReadRequest,
} from './effects.js';
import { type Doubt, type End, type Loss, lossText } from './ends.js';
import { UnderstudyError } from './errors.js';
import {
  endFollow,
  type Follow,
  type FollowEvent,
  followWakeAtMs,
  newFollow,
  onEndSeen,
  onTailed,
  stepFill,
  stepMark,
} from './follow.js';
import { position, type Seq, seq } from './ids.js';
import { limits } from './limits.js';
import type { ReadOutcome, StoredRecord } from './ports.js';
import {
  abandonPromotion,
  beginPromotion,
  type Promotion,
  type PromotionResult,
  promote,
  promotionWakeAtMs,
  stepWriter,
} from './promotion.js';
import {
  holdWriter,
  lacksKnown,
  leaveLost,
  noteEnd,
  noteTold,
  proveNow,
  stepProving,
  suspect,
} from './proving.js';
import { decodeRecord, isRecord } from './record.js';
import {
  abandon,
  beginRecovery,
  foreignAlarm,
  newRecovery,
  otherProgram,
  type Recovery,
  type RecoveryResult,
  recover,
  recoveryWakeAtMs,
} from './recovery.js';
import { emptyTip, type Replica, type Tip, tipOf } from './replica.js';
import { newRest, pauseAfterLook, type Rest } from './rest.js';
import { isAuthentic } from './signature.js';
import {
  answerReady,
  expireReads,
  readHere,
  turnReadsAway,
  type WaitingRead,
} from './standby-reads.js';
import { syncProgressOf } from './syncing.js';
import { turnAway } from './turn-away.js';
import { type Calls, type WriterEvent, writerWakeAtMs } from './writer.js';

type Role =
  | { readonly state: 'starting' }
  | { readonly state: 'restoring'; readonly recovery: Recovery }
  | { readonly state: 'standby' }
  | { readonly state: 'promoting'; readonly promotion: Promotion }
  | { readonly state: 'active'; readonly active: Active; rebuild: Recovery | null }
  | { readonly state: 'handing-off'; readonly untilMs: number }
  | { readonly state: 'quarantined' };

/** What a hot standby has not heard of after so long got lost on its way. */
const lackedMs = 100;

export interface Member {
  readonly config: MemberConfig;
  readonly calls: Calls;
  role: Role;
  /** What a standby holds; an active's replica is its own. */
  replica: Replica | null;
  lastSyncMs: number | null;
  /** What it held when it was thrown away: pages of it that are in a snapshot need no fetching again. */
  remains: Replica | null;
  /** A hot standby's; null in any other role. */
  follow: Follow | null;
  /** Reads of a standby that has to come up to their seq first, and until when they wait. */
  reads: WaitingRead[];
  diverged: number;
  /** The newest end of the log this member has heard of: a hint, except to the active. */
  tip: Tip;
  /** The furthest record that the log is known to hold, or to have held. */
  known: End | null;
  /** It may not do so any more: to be found out before anything is built upon it. */
  suspects: boolean;
  doubt: Doubt | null;
  /** Found to be so: this member is quarantined until an operator accepts it. */
  loss: Loss | null;
  /** It was asked to step forward while it was finding out. */
  promoteThen: PromotionCause | null;
  error: string | null;
  /** The read of the log's end that is under way, 0: none; and when the next is due. */
  lookCall: number;
  lookAtMs: number;
  readonly rest: Rest;
  /** The hand-off somebody waits for. */
  handOffRequest: number | null;
}

/** `known`: what a former life knew. */
export function newMember(config: MemberConfig, known: End | null = null): Member {
  return {
    config,
    calls: { next: 1, peers: [] },
    role: { state: 'starting' },
    replica: null,
    remains: null,
    lastSyncMs: null,
    follow: null,
    reads: [],
    diverged: 0,
    tip: emptyTip,
    known: known !== null && known.era >= config.era ? known : null,
    suspects: false,
    doubt: null,
    loss: null,
    promoteThen: null,
    error: null,
    lookCall: 0,
    lookAtMs: Number.POSITIVE_INFINITY,
    rest: newRest(),
    handOffRequest: null,
  };
}

export function step(member: Member, input: Input, now: Instant): Effect[] {
  const out: Effect[] = [];
  const proven = stepProving(member, input, now, out);
  if (proven.kind === 'lost') lose(member, proven.loss, out);
  if (proven.kind === 'stands') promoteNow(member, now, out);
  switch (input.kind) {
    case 'suspect':
      onSuspect(member, out);
      break;
    case 'end-told':
      noteTold(member, input.end);
      break;
    case 'loss-told':
      noteTold(member, input.known);
      waitUnclaimed(member, out);
      proveNow(member, out, input.known);
      break;
    case 'proved':
      break;
    case 'promote':
      onPromote(member, input, now, out);
      break;
    case 'epoch-seen':
      onEpochSeen(member, input, now, out);
      break;
    case 'reinit':
      onReinit(member, input.request, out);
      break;
    case 'peers':
      member.calls.peers = input.nodes;
      stepRole(member, input, now, out);
      break;
    case 'quarantine':
      quarantine(member, new UnderstudyError('quarantined', input.detail), out);
      break;
    default:
      stepRole(member, input, now, out);
  }
  return out;
}

/** When `step` wants a tick at the latest. */
export function wakeAtMs(member: Member): number {
  return Math.min(member.doubt?.resumeAtMs ?? Number.POSITIVE_INFINITY, roleWakeAtMs(member));
}

function roleWakeAtMs(member: Member): number {
  const { role } = member;
  switch (role.state) {
    case 'starting':
    case 'standby':
      return Math.min(
        member.lookAtMs,
        member.follow ? followWakeAtMs(member.follow) : Number.POSITIVE_INFINITY,
        ...member.reads.slice(0, 1).map(({ untilMs }) => untilMs),
      );
    case 'restoring':
      return recoveryWakeAtMs(role.recovery);
    case 'promoting':
      return promotionWakeAtMs(role.promotion);
    case 'active':
      return Math.min(
        writerWakeAtMs(role.active.writer),
        activeWakeAtMs(role.active),
        role.rebuild ? recoveryWakeAtMs(role.rebuild) : Number.POSITIVE_INFINITY,
      );
    case 'handing-off':
      return role.untilMs;
    case 'quarantined':
      return Number.POSITIVE_INFINITY;
    default:
      throw role satisfies never;
  }
}

export function report(member: Member): MemberReport {
  const { role, config, tip } = member;
  const leads = role.state === 'active' ? role.active.writer.tip : tip;
  const syncedThrough =
    role.state === 'active' ? leads.seq : (member.replica?.tip.seq ?? emptyTip.seq);
  return {
    group: config.group,
    index: config.id.index,
    state: role.state satisfies MemberState,
    epoch: leads.epoch,
    syncedThrough,
    lastSyncMs: member.lastSyncMs,
    seq: leads.seq,
    snapshotSeq: leads.snapshotSeq,
    writer: leads.writer,
    fromSeq: seq(role.state === 'active' ? (role.active.replica.history.at(-1)?.fromSeq ?? 0) : 0),
    hot: member.follow !== null,
    diverged: member.diverged,
    sync: syncProgressOf(member),
    error: role.state === 'active' ? role.active.writer.stalled : member.error,
    era: config.era,
    known: member.known,
    loss: member.loss,
  };
}

function stepRole(member: Member, input: Input, now: Instant, out: Effect[]): void {
  const { role } = member;
  if (input.kind === 'read' && answersHere(member, input)) {
    readHere(member, input, now, out);
    return wake(member, input.minSeq, now, out);
  }
  switch (role.state) {
    case 'starting':
    case 'standby':
      stepStandby(member, input, now, out);
      break;
    case 'restoring':
      onRestore(member, recover(role.recovery, input, now, out), now, out);
      break;
    case 'promoting':
      onPromotion(member, promote(role.promotion, input, now, out), now, out);
      break;
    case 'active':
      stepActive(member, role.active, input, now, out);
      break;
    case 'handing-off':
      if (input.kind === 'tick' && now.monoMs >= role.untilMs) rollBack(member, now, out);
      break;
    case 'quarantined':
      break;
    default:
      throw role satisfies never;
  }
  if (member.role.state !== 'active') turnAway(member.config, input, out);
}

// Standby: keeps a verified snapshot at hand, and looks at the log's end to learn of newer ones. A hot
// one follows the log, and looks at its end in case it hears nothing.

function stepStandby(member: Member, input: Input, now: Instant, out: Effect[]): void {
  if (member.follow !== null) stepFollower(member, member.follow, input, now, out);
  if (member.role.state === 'quarantined') return;
  switch (input.kind) {
    case 'start':
      suspect(member, out);
      beginStandby(member, out);
      break;
    case 'tick':
      if (now.monoMs >= member.lookAtMs) look(member, out);
      expireReads(member, now, out);
      break;
    case 'snapshot-seen': {
      const isHot = member.config.standby === 'hot';
      if (!isHot && input.seq > (member.replica?.tip.seq ?? -1)) look(member, out);
      break;
    }
    case 'behind':
      wake(member, input.seq, now, out);
      break;
    case 'read-done':
      if (input.call === member.lookCall) onLook(member, input.outcome, now, out);
      break;
    default:
      break;
  }
}

/** Somebody tells of this seq, or asks for it. Awake it looks by itself. */
function wake(member: Member, through: Seq, now: Instant, out: Effect[]): void {
  const { lookCall, lookAtMs, config, replica, lastSyncMs } = member;
  const isAsleep = lookCall === 0 && lookAtMs - now.monoMs > config.pollMs;
  const held = replica === null || lastSyncMs === null ? -1 : replica.tip.seq;
  if (isAsleep && through > held) look(member, out);
}

function beginStandby(member: Member, out: Effect[]): void {
  if (member.config.standby === 'hot') member.follow ??= newFollow(member.calls, out);
  look(member, out);
}

function endStandby(member: Member, out: Effect[]): void {
  const { role } = member;
  if (role.state === 'restoring') abandon(role.recovery, out);
  if (member.follow !== null) endFollow(member.follow, out);
  member.follow = null;
  turnReadsAway(member, out);
}

function stepFollower(
  member: Member,
  follow: Follow,
  input: Input,
  now: Instant,
  out: Effect[],
): void {
  const events =
    input.kind === 'tailed'
      ? onTailed(member, follow, input, out)
      : [...stepMark(member, follow, input, out), ...stepFill(member, follow, input, now, out)];
  for (const event of events) onFollowed(member, event, now, out);
}

function onFollowed(member: Member, event: FollowEvent, now: Instant, out: Effect[]): void {
  switch (event.kind) {
    case 'gap':
      // One that is under way may tell of the time before.
      look(member, out);
      break;
    case 'level':
      member.lastSyncMs = now.wallMs;
      member.error = null;
      onMoved(member, out);
      break;
    case 'applied':
      onMoved(member, out);
      break;
    case 'poisoned':
      quarantine(member, event.error, out);
      break;
    case 'diverged':
      onDiverged(member, event.detail, out);
      break;
    default:
      throw event satisfies never;
  }
}

function onMoved(member: Member, out: Effect[]): void {
  if (member.replica === null) return;
  noteTip(member, member.replica.tip);
  answerReady(member, out);
}

/** P13 */
function onDiverged(member: Member, detail: string, out: Effect[]): void {
  member.diverged += 1;
  member.lastSyncMs = null;
  member.error = detail;
  turnReadsAway(member, out);
  if (member.diverged < limits.divergences) {
    out.push({ kind: 'alarm', code: 'conflict', detail: `${detail}. This member begins anew.` });
    return;
  }
  const why =
    `this member's state has differed from the group's ${member.diverged} times, at last ${detail}: ` +
    'the kind is not deterministic, or this machine is broken';
  quarantine(member, new UnderstudyError('quarantined', why), out);
}

function answersHere(member: Member, read: ReadRequest): boolean {
  const stands = member.role.state === 'standby' || member.role.state === 'restoring';
  return stands && read.consistency === 'standby' && member.replica !== null;
}

function look(member: Member, out: Effect[]): void {
  if (member.suspects) proveNow(member, out);
  member.lookCall = member.calls.next++;
  member.lookAtMs = Number.POSITIVE_INFINITY;
  out.push({ kind: 'read-last', call: member.lookCall });
}

function onLook(member: Member, outcome: ReadOutcome, now: Instant, out: Effect[]): void {
  member.lookCall = 0;
  const { pollMs } = member.config;
  member.lookAtMs = now.monoMs + (member.follow?.holds ? lackedMs : pollMs);
  if (outcome.kind === 'failed') return;
  if (lacksKnown(member, outcome)) proveNow(member, out);
  const seen = outcome.kind === 'record' ? seenTip(member, outcome.record) : emptyTip;
  if (seen !== null) noteTip(member, seen);
  if (seen !== null && seen.position > 0) noteEnd(member, seen);
  const pauseMs = pauseAfterLook(member.rest, member.tip.position, pollMs);
  if (!member.follow?.holds) member.lookAtMs = now.monoMs + pauseMs;
  member.role = { state: 'standby' };
  if (member.follow === null) return restoreNewest(member, now, out);
  // A replay up to a stranger's record passes it over.
  const position = outcome.kind === 'record' ? outcome.record.position : emptyTip.position;
  const tip = seen ?? { ...member.tip, position };
  for (const event of onEndSeen(member, member.follow, tip, out)) {
    onFollowed(member, event, now, out);
  }
  // Is it still missing in a moment, it is not only on its way.
  const soonMs = member.follow?.lacked == null ? pauseMs : lackedMs;
  member.lookAtMs = Math.min(member.lookAtMs, now.monoMs + soonMs);
}

/** What the log's last record tells; null: nothing, a stranger wrote it. */
function seenTip(member: Member, { bytes, position }: StoredRecord): Tip | null {
  const record = decodeRecord(bytes);
  if (!isRecord(record) || !isAuthentic(member.config, record)) return null;
  return tipOf(record, bytes, position, member.config.hash);
}

function noteTip(member: Member, tip: Tip): void {
  if (tip.position > member.tip.position) member.tip = tip;
}

function restoreNewest(member: Member, now: Instant, out: Effect[]): void {
  const { snapshotPosition, snapshotSeq, writer } = member.tip;
  const holds = member.replica !== null && member.lastSyncMs !== null;
  if (snapshotPosition === 0 || (holds && (member.replica?.tip.seq ?? 0) >= snapshotSeq)) return;
  const goal = { snapshotPosition, snapshotSeq, writer, through: null };
  const held = member.replica ?? member.remains;
  const recovery = newRecovery(member.config, member.calls, null, goal, held);
  member.role = { state: 'restoring', recovery };
  onRestore(member, beginRecovery(recovery, out), now, out);
}

function onRestore(member: Member, result: RecoveryResult, now: Instant, out: Effect[]): void {
  const { role } = member;
  if (role.state !== 'restoring' || result.kind === 'busy') return;
  member.role = { state: 'standby' };
  member.lookAtMs = now.monoMs + member.config.pollMs;
  if (result.kind === 'done' && role.recovery.restored) {
    member.replica = role.recovery.replica;
    member.remains = null;
    member.lastSyncMs = now.wallMs;
    member.error = null;
  }
  if (result.kind === 'no-snapshot') {
    // I7: what it held before stays; the poll tries again, and says so once.
    const detail = `snapshot refused: ${result.problem}`;
    if (member.error !== result.problem) out.push({ kind: 'alarm', code: 'internal', detail });
    member.error = result.problem;
  }
}

// Promotion: from standby to active, or back.

function onPromote(member: Member, cause: PromotionCause, now: Instant, out: Effect[]): void {
  const { state } = member.role;
  if (state === 'active' || state === 'promoting' || state === 'quarantined') return;
  if (state === 'handing-off') return;
  if (member.suspects) proveNow(member, out);
  if (member.doubt === null) startPromotion(member, cause, now, out);
  else member.promoteThen = cause;
}

/** There was a doubt, and it was none. */
function promoteNow(member: Member, now: Instant, out: Effect[]): void {
  const { promoteThen } = member;
  member.promoteThen = null;
  if (promoteThen !== null) onPromote(member, promoteThen, now, out);
}

function startPromotion(member: Member, cause: PromotionCause, now: Instant, out: Effect[]): void {
  const { config, calls, replica } = member;
  endStandby(member, out);
  const promotion = beginPromotion(config, calls, cause, replica, now, out);
  promotion.least = position(member.known?.position ?? 0);
  member.lookCall = 0;
  member.role = { state: 'promoting', promotion };
}

function onPromotion(member: Member, result: PromotionResult, now: Instant, out: Effect[]): void {
  const { role } = member;
  if (role.state !== 'promoting' || result.kind === 'busy') return;
  const held = role.promotion.recovery?.replica ?? role.promotion.replica;
  if (result.kind === 'poisoned') {
    // The others must see that the epoch it claimed has no writer.
    if (role.promotion.writer) noteTip(member, role.promotion.writer.tip);
    return quarantine(member, result.error, out);
  }
  if (result.kind === 'lost') {
    member.replica = held;
    if (result.tip !== null) noteTip(member, result.tip);
    const isTaken = result.tip !== null && result.tip.epoch > role.promotion.cause.endsEpoch;
    answerHandOff(member, isTaken ? null : `nobody is known to lead: ${result.reason}`, out);
    becomeStandby(member, out);
    return;
  }
  answerHandOff(member, 'no claim followed within the budget; the old active serves on', out);
  const active = newActive(member.config, result.replica, result.writer, result.opened, now);
  member.role = { state: 'active', active, rebuild: null };
  member.replica = null;
  member.tip = result.writer.tip;
  noteEnd(member, member.tip);
  holdWriter(member);
  member.lastSyncMs = now.wallMs;
  member.error = null;
  out.push({ kind: 'open', epoch: result.writer.tip.epoch });
  const note = result.replica.history.at(-1);
  if (note) out.push({ kind: 'epoch-noted', note: { ...note, opened: result.opened } });
  openMachines(active, now, out);
  pump(active, now, out);
}

function becomeStandby(member: Member, out: Effect[]): void {
  member.role = { state: 'standby' };
  beginStandby(member, out);
}

function answerHandOff(member: Member, failure: string | null, out: Effect[]): void {
  if (member.handOffRequest === null) return;
  out.push({ kind: 'answer-hand-off', request: member.handOffRequest, failure });
  member.handOffRequest = null;
}

// Active: everything it is told goes to active.ts; what that means for the role is decided here.

function stepActive(
  member: Member,
  active: Active,
  input: Input,
  now: Instant,
  out: Effect[],
): void {
  const role = member.role as Extract<Role, { state: 'active' }>;
  if (role.rebuild !== null) onRebuild(member, recover(role.rebuild, input, now, out), now, out);
  switch (input.kind) {
    case 'deliver':
      deliver(active, input, now, out);
      break;
    case 'read':
      read(active, input, now, out);
      break;
    case 'sync':
      requestSync(active, input.request, now, out);
      break;
    case 'hand-off':
      requestHandOff(active, input, now, out);
      break;
    case 'announced':
    case 'chunk-put':
    case 'pinned':
    case 'work':
      cutOn(active, input, now, out);
      break;
    case 'trigger-ended':
      triggerEnded(active, input, now, out);
      break;
    case 'chunks-lost':
      chunksLost(active, input.hashes, now, out);
      break;
    case 'attested':
      attested(active, input.bytes, now, out);
      break;
    case 'followers':
      active.cutting.followers = input.indexes;
      break;
    default: {
      const writerStep = stepWriter(active.writer, input, now);
      out.push(...writerStep.effects);
      for (const event of writerStep.events) onWriterEvent(member, active, event, now, out);
      if (input.kind === 'tick' && member.role === role) pump(active, now, out);
    }
  }
  if (member.role === role) rebuildIfSpoilt(member, active, now, out);
}

function onWriterEvent(
  member: Member,
  active: Active,
  event: WriterEvent,
  now: Instant,
  out: Effect[],
): void {
  switch (event.kind) {
    case 'foreign':
      out.push(foreignAlarm(event.problem));
      break;
    case 'outdated':
      dismiss(active, out);
      out.push({ kind: 'close' });
      quarantine(member, otherProgram(event.problem), out);
      break;
    case 'committed':
      member.tip = active.writer.tip;
      noteEnd(member, member.tip);
      if (event.record.body.type === 'handoff') leave(member, active, now, out);
      else onCommitted(active, event, now, out);
      break;
    case 'fenced': {
      const { rebuild } = member.role as Extract<Role, { state: 'active' }>;
      if (rebuild !== null) abandon(rebuild, out);
      dismiss(active, out);
      out.push({ kind: 'close' });
      // P5: what was decided ahead is in this state and nowhere else.
      member.replica = null;
      member.remains = active.replica;
      member.lastSyncMs = null;
      member.tip = tipOf(event.by, event.bytes, event.at, member.config.hash);
      noteEnd(member, member.tip);
      member.role = { state: 'starting' };
      beginStandby(member, out);
      break;
    }
    default:
      throw event satisfies never;
  }
}

/** The handoff record is the last of the epoch: the replica is at rest and stays a valid standby. */
function leave(member: Member, active: Active, now: Instant, out: Effect[]): void {
  const handOff = active.handOff as NonNullable<Active['handOff']>;
  active.replica.tip = active.writer.tip;
  member.replica = active.replica;
  member.lastSyncMs = now.wallMs;
  member.handOffRequest = handOff.request;
  member.role = { state: 'handing-off', untilMs: now.monoMs + handOff.budgetMs };
  active.handOff = null;
  answerInFlight(active, out);
  dismiss(active, out);
  out.push({ kind: 'close' });
  const { epoch } = active.writer.tip;
  out.push({ kind: 'announce-handoff', epoch, target: handOff.target });
}

function rollBack(member: Member, now: Instant, out: Effect[]): void {
  const cause: PromotionCause = {
    cause: 'rollback',
    endsEpoch: member.tip.epoch,
    startedAtMs: now.wallMs,
    detectMs: 0,
    decideMs: 0,
    operation: null,
    observeMs: 0,
  };
  if (member.suspects) proveNow(member, out);
  if (member.doubt === null) return startPromotion(member, cause, now, out);
  member.promoteThen = cause;
  becomeStandby(member, out);
}

function rebuildIfSpoilt(member: Member, active: Active, now: Instant, out: Effect[]): void {
  const role = member.role as Extract<Role, { state: 'active' }>;
  if (!active.spoilt || active.writer.inFlight !== null || role.rebuild !== null) return;
  const { position: through, snapshotPosition, snapshotSeq, writer } = active.writer.tip;
  const goal = { snapshotPosition, snapshotSeq, writer, through };
  role.rebuild = newRecovery(member.config, member.calls, null, goal, active.replica);
  onRebuild(member, beginRecovery(role.rebuild, out), now, out);
}

function onRebuild(member: Member, result: RecoveryResult, now: Instant, out: Effect[]): void {
  const { role } = member;
  if (role.state !== 'active' || role.rebuild === null || result.kind === 'busy') return;
  if (result.kind === 'poisoned') {
    dismiss(role.active, out);
    out.push({ kind: 'close' });
    return quarantine(member, result.error, out);
  }
  // Since it was begun only barriers were appended: nothing happened.
  role.active.replica = Object.assign(role.rebuild.replica, { tip: role.active.writer.tip });
  role.active.spoilt = false;
  role.rebuild = null;
  pump(role.active, now, out);
}

function quarantine(
  member: Member,
  error: UnderstudyError,
  out: Effect[],
  code: AlarmCode = 'quarantined',
): void {
  forget(member, out);
  member.role = { state: 'quarantined' };
  member.error = error.message;
  answerHandOff(member, error.message, out);
  out.push({ kind: 'alarm', code, detail: error.message });
}

// Loss: the log does not hold any more what it held.

function onSuspect(member: Member, out: Effect[]): void {
  if (member.known !== null) waitUnclaimed(member, out);
  // M1: the silence may have been our own.
  if ((member.promoteThen?.observeMs ?? 0) > 0) member.promoteThen = null;
  suspect(member, out);
}

/** E3: a claim that is not sent yet is sent when the doubt is over, if it still has a point then. */
function waitUnclaimed(member: Member, out: Effect[]): void {
  const { role } = member;
  if (role.state !== 'promoting' || role.promotion.writer !== null) return;
  abandonPromotion(role.promotion, out);
  member.suspects = true;
  member.promoteThen = role.promotion.cause;
  becomeStandby(member, out);
}

/** What it holds may be all that is left: it is kept, and told of. */
function lose(member: Member, loss: Loss, out: Effect[]): void {
  const { role, config } = member;
  if (role.state === 'active' && role.rebuild !== null) abandon(role.rebuild, out);
  const held = leaveLost(member, out);
  const error = new UnderstudyError('quarantined', lossText(config.group, loss));
  quarantine(member, error, out, 'log-lost');
  member.replica = held;
  member.loss = loss;
  member.promoteThen = null;
}

/** Whatever it holds and whatever is under way for it is of no use any more. */
function forget(member: Member, out: Effect[]): void {
  const { role } = member;
  endStandby(member, out);
  if (role.state === 'promoting') abandonPromotion(role.promotion, out);
  member.replica = null;
  member.remains = null;
  member.lastSyncMs = null;
  member.lookCall = 0;
}

/** The way out of quarantine, once the cause is gone (P15). */
function onReinit(member: Member, request: number, out: Effect[]): void {
  const { state } = member.role;
  const leads = state === 'active' || state === 'handing-off' || state === 'promoting';
  const mayNot = leads ? `member ${member.config.id.index} is ${state}: switch over first` : null;
  const failure = mayNot ?? (member.loss && member.error);
  if (failure === null) {
    forget(member, out);
    member.role = { state: 'starting' };
    member.diverged = 0;
    member.error = null;
    beginStandby(member, out);
  }
  out.push({ kind: 'answer-reinit', request, failure });
}

// Rumours: somebody says the group is in a later epoch.

function onEpochSeen(
  member: Member,
  input: Extract<Input, { kind: 'epoch-seen' }>,
  now: Instant,
  out: Effect[],
): void {
  const { role } = member;
  if (role.state === 'active') {
    if (input.epoch <= role.active.writer.tip.epoch) return;
    role.active.doubted = true;
    pump(role.active, now, out);
    return;
  }
  if (input.epoch <= member.tip.epoch) return;
  if (role.state === 'handing-off') {
    answerHandOff(member, null, out);
    becomeStandby(member, out);
  } else if (role.state === 'standby' || role.state === 'starting') {
    if (member.lookCall === 0) look(member, out);
  }
}
