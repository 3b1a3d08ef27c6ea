/**
 * Promotion (P7): from "the writer seems gone" to "I am the writer and hold its state".
 *
 * observing → reading → (surveying) → claiming → catching-up → done
 *
 * M1 Nothing is claimed on silence alone while the log still advances under the epoch in question.
 *    Who cannot read it may be cut off, and was so perhaps when it heard nobody.
 * M2 The claim decides. Whoever reads a later epoch in the log gives up at once.
 * M3 It is done only when the replica stands at the claim, and the claim continues the replica's log.
 */
import { equalBytes } from './bytes.js';
import type { Effect, Input, Instant, MemberConfig, PromotionCause } from './effects.js';
import type { UnderstudyError } from './errors.js';
import { epoch, type Position } from './ids.js';
import { limits } from './limits.js';
import type { ReadOutcome } from './ports.js';
import { decodeRecord, encodeRecord, isRecord, type LogRecord, type Opened } from './record.js';
import {
  abandon,
  beginRecovery,
  foreignAlarm,
  newRecovery,
  otherProgram,
  type Recovery,
  type RecoveryResult,
  recover,
  recoveryHasWork,
  recoveryWakeAtMs,
} from './recovery.js';
import { emptyTip, noteEpoch, type Replica, type Tip, tipOf } from './replica.js';
import { isAuthentic, signed } from './signature.js';
import {
  type Calls,
  newWriter,
  onAppend,
  onRead,
  onTick,
  send,
  type Writer,
  type WriterEvent,
  type WriterStep,
  writerWakeAtMs,
} from './writer.js';

export interface Promotion {
  readonly config: MemberConfig;
  readonly calls: Calls;
  readonly cause: PromotionCause;
  phase: 'observing' | 'reading' | 'surveying' | 'claiming' | 'catching-up' | 'pausing';
  call: number;
  /** The log's end when the observation began; null: not read yet. */
  observed: Position | null;
  resumeAtMs: number;
  attempts: number;
  /** The log is known to go as far as this. */
  least: Position;
  replica: Replica | null;
  /** The replica holds nothing that was not read from the log. */
  isFromLog: boolean;
  writer: Writer | null;
  recovery: Recovery | null;
  /** Hash of the record a survey goes through: is it ours after all? */
  surveyed: Uint8Array | null;
  readonly beganAtMs: number;
  claimedAtMs: number;
  /** Position of the record that the claim was to follow. */
  claimedBehind: Position;
}

export type PromotionResult =
  | { readonly kind: 'busy' }
  | {
      readonly kind: 'won';
      readonly writer: Writer;
      readonly replica: Replica;
      readonly opened: Opened;
    }
  /** `tip`: what was read in the log instead. */
  | { readonly kind: 'lost'; readonly reason: string; readonly tip: Tip | null }
  | { readonly kind: 'poisoned'; readonly error: UnderstudyError };

const busy: PromotionResult = { kind: 'busy' };
const pauseMs = 50;
/** So many looks at an end of the log that is too old, before a replay tells why. */
const looksBeforeSurvey = 4;

export function beginPromotion(
  config: MemberConfig,
  calls: Calls,
  cause: PromotionCause,
  replica: Replica | null,
  now: Instant,
  out: Effect[],
): Promotion {
  const promotion: Promotion = {
    config,
    calls,
    cause,
    phase: cause.observeMs > 0 ? 'observing' : 'reading',
    call: 0,
    observed: null,
    resumeAtMs: Number.POSITIVE_INFINITY,
    attempts: 0,
    least: emptyTip.position,
    replica,
    isFromLog: config.standby === 'warm' || replica === null,
    writer: null,
    recovery: null,
    surveyed: null,
    beganAtMs: now.monoMs,
    claimedAtMs: 0,
    claimedBehind: emptyTip.position,
  };
  readLast(promotion, out);
  return promotion;
}

export function promote(
  promotion: Promotion,
  input: Input,
  now: Instant,
  out: Effect[],
): PromotionResult {
  switch (promotion.phase) {
    case 'observing':
    case 'reading':
    case 'pausing':
      if (input.kind === 'tick') return onResume(promotion, now, out);
      if (input.kind !== 'read-done' || input.call !== promotion.call) return busy;
      return onLast(promotion, input.outcome, now, out);
    case 'claiming':
      return onClaiming(promotion, input, now, out);
    case 'surveying':
    case 'catching-up':
      return onRecovery(
        promotion,
        recover(promotion.recovery as Recovery, input, now, out),
        now,
        out,
      );
    default:
      throw promotion.phase satisfies never;
  }
}

export function promotionWakeAtMs(promotion: Promotion): number {
  const { phase, recovery, writer } = promotion;
  if (phase === 'claiming' && writer) return writerWakeAtMs(writer);
  if ((phase === 'catching-up' || phase === 'surveying') && recovery)
    return recoveryWakeAtMs(recovery);
  return promotion.resumeAtMs;
}

export function promotionHasWork({ recovery }: Promotion): boolean {
  return recovery !== null && recoveryHasWork(recovery);
}

/** The member has something else to do. */
export function abandonPromotion({ recovery }: Promotion, out: Effect[]): void {
  if (recovery !== null) abandon(recovery, out);
}

function readLast(promotion: Promotion, out: Effect[]): void {
  promotion.resumeAtMs = Number.POSITIVE_INFINITY;
  promotion.call = promotion.calls.next++;
  out.push({ kind: 'read-last', call: promotion.call });
}

function pause(
  promotion: Promotion,
  now: Instant,
  phase: Promotion['phase'],
  ms: number,
): PromotionResult {
  promotion.phase = phase;
  promotion.call = 0;
  promotion.resumeAtMs = now.monoMs + ms;
  return busy;
}

function onResume(promotion: Promotion, now: Instant, out: Effect[]): PromotionResult {
  if (now.monoMs < promotion.resumeAtMs) return busy;
  if (promotion.phase === 'pausing') promotion.phase = 'reading';
  readLast(promotion, out);
  return busy;
}

function lost(reason: string, tip: Tip | null): PromotionResult {
  return { kind: 'lost', reason, tip };
}

/** One more try, up to a limit: the old writer's last appends may still land. */
function again(promotion: Promotion, reason: string): PromotionResult | null {
  promotion.attempts += 1;
  return promotion.attempts > limits.claimAttempts ? lost(reason, null) : null;
}

function onLast(
  promotion: Promotion,
  outcome: ReadOutcome,
  now: Instant,
  out: Effect[],
): PromotionResult {
  if (outcome.kind === 'failed') {
    if (promotion.phase === 'observing') return lost(outcome.reason, null);
    return again(promotion, outcome.reason) ?? pause(promotion, now, promotion.phase, pauseMs);
  }
  const { hash } = promotion.config;
  if (outcome.kind === 'none') return onTip(promotion, emptyTip, now, out);
  const { bytes, position } = outcome.record;
  const record = decodeRecord(bytes);
  if (!isRecord(record) || !isAuthentic(promotion.config, record)) {
    return survey(promotion, position, hash(bytes), now, out);
  }
  return onTip(promotion, tipOf(record, bytes, position, hash), now, out);
}

function onTip(promotion: Promotion, tip: Tip, now: Instant, out: Effect[]): PromotionResult {
  const { cause } = promotion;
  if (tip.epoch > cause.endsEpoch) return lost(`epoch ${tip.epoch} has begun`, tip);
  if (tip.epoch < cause.endsEpoch) {
    // A read from a replica of the stream that lags: the caller knows of a later epoch.
    const reason = `the log shows epoch ${tip.epoch}, expected ${cause.endsEpoch}`;
    const over = again(promotion, reason);
    if (over === null && promotion.attempts >= looksBeforeSurvey && tip.position > 0) {
      return survey(promotion, tip.position, tip.hash, now, out);
    }
    return over ?? pause(promotion, now, 'pausing', pauseMs);
  }
  if (tip.position < promotion.least) {
    // As above; or the log has lost what it held, which is found out when this comes to nothing.
    const reason = `the log shows position ${tip.position}, it was at ${promotion.least}`;
    return again(promotion, reason) ?? pause(promotion, now, 'pausing', pauseMs);
  }
  if (promotion.phase === 'observing') {
    const { observed } = promotion;
    promotion.observed = tip.position;
    if (observed === null) return pause(promotion, now, 'observing', cause.observeMs);
    if (tip.position > observed) return lost('the log still advances under its epoch', tip);
  }
  return claim(promotion, tip, now, out);
}

/** The last record may be a stranger's: only a replay tells where our log ends. */
function survey(
  promotion: Promotion,
  through: Position,
  hash: Uint8Array,
  now: Instant,
  out: Effect[],
): PromotionResult {
  promotion.phase = 'surveying';
  promotion.surveyed = hash;
  return startRecovery(promotion, emptyTip, through, now, out);
}

function startRecovery(
  promotion: Promotion,
  tip: Tip,
  through: Position,
  now: Instant,
  out: Effect[],
): PromotionResult {
  const { config, calls, replica } = promotion;
  const { snapshotPosition, snapshotSeq, writer } = tip;
  const goal = { snapshotPosition, snapshotSeq, writer, through };
  const recovery = newRecovery(config, calls, replica, goal);
  promotion.recovery = recovery;
  return onRecovery(promotion, beginRecovery(recovery, out), now, out);
}

function claim(promotion: Promotion, tip: Tip, now: Instant, out: Effect[]): PromotionResult {
  const { config, cause, calls } = promotion;
  const writer = newWriter(tip, calls, config);
  const record: LogRecord = {
    epoch: epoch(tip.epoch + 1),
    number: 0,
    writer: config.id,
    previous: tip.hash,
    recordedAtMs: Math.max(now.wallMs, tip.recordedAtMs),
    baseSeq: tip.seq,
    seq: tip.seq,
    snapshotPosition: tip.snapshotPosition,
    snapshotSeq: tip.snapshotSeq,
    body: {
      type: 'claim',
      cause: cause.cause,
      startedAtMs: cause.startedAtMs,
      detectMs: cause.detectMs,
      decideMs: cause.decideMs,
      operation: cause.operation,
    },
    signature: null,
  };
  const own = signed(record, config);
  promotion.phase = 'claiming';
  promotion.claimedBehind = tip.position;
  promotion.writer = writer;
  out.push(...send(writer, own, encodeRecord(own)).effects);
  return busy;
}

function onClaiming(
  promotion: Promotion,
  input: Input,
  now: Instant,
  out: Effect[],
): PromotionResult {
  const step = stepWriter(promotion.writer as Writer, input, now);
  out.push(...step.effects);
  for (const event of step.events) {
    const result = onClaimEvent(promotion, event, now, out);
    if (result.kind !== 'busy') return result;
  }
  return busy;
}

/** Hands an input to a writer; what is not for it changes nothing. */
export function stepWriter(writer: Writer, input: Input, now: Instant): WriterStep {
  if (input.kind === 'appended') return onAppend(writer, input.call, input.outcome, now.monoMs);
  if (input.kind === 'read-done') return onRead(writer, input.call, input.outcome, now.monoMs);
  if (input.kind === 'tick') return onTick(writer, now.monoMs);
  return { effects: [], events: [] };
}

function onClaimEvent(
  promotion: Promotion,
  event: WriterEvent,
  now: Instant,
  out: Effect[],
): PromotionResult {
  switch (event.kind) {
    case 'foreign':
      out.push(foreignAlarm(event.problem));
      return busy;
    case 'outdated':
      return { kind: 'poisoned', error: otherProgram(event.problem) };
    case 'fenced': {
      const tip = tipOf(event.by, event.bytes, event.at, promotion.config.hash);
      // M2: another candidate's claim ends the race; the old writer's last append does not.
      if (event.by.body.type === 'claim') return lost(`epoch ${tip.epoch} has begun`, tip);
      const refused = again(promotion, 'the old writer keeps appending');
      return refused ?? onTip(promotion, tip, now, out);
    }
    case 'committed':
      promotion.claimedAtMs = now.monoMs;
      return onClaimed(promotion, event.record, now, out);
    default:
      throw event satisfies never;
  }
}

/**
 * Whoever stands right before the claim (M3) has nothing to replay, as a hot standby mostly does. The
 * hash alone does not tell: what looked like the log's last record may be a stranger's copy of an
 * older one, with records behind that which this member lacks.
 */
function onClaimed(
  promotion: Promotion,
  claimed: LogRecord,
  now: Instant,
  out: Effect[],
): PromotionResult {
  const { replica } = promotion;
  const writer = promotion.writer as Writer;
  const standsThere = replica !== null && replica.tip.position === promotion.claimedBehind;
  if (standsThere && equalBytes(replica.tip.hash, claimed.previous)) {
    noteEpoch(replica, claimed);
    replica.tip = writer.tip;
    return { kind: 'won', writer, replica, opened: stopwatch(promotion, now) };
  }
  promotion.phase = 'catching-up';
  return startRecovery(promotion, writer.tip, writer.tip.position, now, out);
}

function onRecovery(
  promotion: Promotion,
  result: RecoveryResult,
  now: Instant,
  out: Effect[],
): PromotionResult {
  if (result.kind === 'poisoned') return result;
  if (result.kind !== 'done') return busy;
  const { replica } = promotion.recovery as Recovery;
  promotion.replica = replica;
  if (promotion.phase === 'surveying') return onSurveyed(promotion, replica.tip, now, out);
  const writer = promotion.writer as Writer;
  if (!equalBytes(replica.tip.hash, writer.tip.hash)) {
    // M3: the claim was built on a stranger's record, so every reader passes it over. Or it is what
    // was followed live that is not in the log.
    if (!promotion.isFromLog) return readAnew(promotion, writer.tip, now, out);
    return claimOverStranger(promotion, replica.tip, now, out);
  }
  writer.tip = replica.tip;
  return { kind: 'won', writer, replica, opened: stopwatch(promotion, now) };
}

function readAnew(promotion: Promotion, tip: Tip, now: Instant, out: Effect[]): PromotionResult {
  promotion.isFromLog = true;
  promotion.replica = null;
  return startRecovery(promotion, tip, tip.position, now, out);
}

function onSurveyed(promotion: Promotion, tip: Tip, now: Instant, out: Effect[]): PromotionResult {
  const { cause, surveyed, recovery, isFromLog } = promotion;
  if (!equalBytes(tip.hash, surveyed ?? undefined)) {
    if (!isFromLog) {
      const through = recovery?.goal.through as Position;
      return readAnew(promotion, { ...emptyTip, position: through }, now, out);
    }
    return claimOverStranger(promotion, tip, now, out);
  }
  if (tip.epoch < cause.endsEpoch) {
    return lost(`the log shows epoch ${tip.epoch}, expected ${cause.endsEpoch}`, tip);
  }
  return onTip(promotion, tip, now, out);
}

/** The log was replayed past a stranger's last record: whatever was heard of later epochs is void. */
function claimOverStranger(
  promotion: Promotion,
  tip: Tip,
  now: Instant,
  out: Effect[],
): PromotionResult {
  if (tip.epoch > promotion.cause.endsEpoch) return lost(`epoch ${tip.epoch} has begun`, tip);
  const reason = 'records of strangers keep ending the log';
  return again(promotion, reason) ?? claim(promotion, tip, now, out);
}

function stopwatch(promotion: Promotion, now: Instant): Opened {
  const { cause, beganAtMs, claimedAtMs, recovery } = promotion;
  return {
    claimMs: claimedAtMs - beganAtMs,
    replayMs: now.monoMs - claimedAtMs,
    openMs: 0,
    replayed: recovery?.replayed ?? 0,
    unavailableMs: cause.detectMs + cause.decideMs + (now.monoMs - beganAtMs),
  };
}
