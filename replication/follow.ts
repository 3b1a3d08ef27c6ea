/**
 * A hot standby follows the log: what is stored it applies within milliseconds, so that little or
 * nothing is left to replay when it is promoted.
 *
 * F1 Only the record that is stored next and continues the log is applied: one that continues it from
 *    further on may be a stranger's copy. Whatever else arrives is settled by a look at the log's end
 *    and a replay up to there; what arrives meanwhile is held back, up to a limit.
 * F2 Silence proves nothing: who lacks the log's end at two looks in a row listens anew and replays.
 * F3 After a mark has been applied an image of the state is taken, which is exactly the mark's. Its digest,
 *    found in slices, is kept until the snapshot record comes that tells what the group's is (P13).
 * F4 What was heard live counts until the log goes on without it: so many records in a row that do not
 *    fit are not strangers', it is the member that left the log, and begins anew.
 */
import { tagOf } from './bytes.js';
import { firstDifference } from './difference.js';
import type { Effect, Input, Instant, MemberConfig } from './effects.js';
import type { UnderstudyError } from './errors.js';
import type { Position } from './ids.js';
import { limits } from './limits.js';
import {
  beginMark,
  type Difference,
  forgetMarks,
  type Marks,
  marksHaveWork,
  newMarks,
  onSnapshotRecord,
  stepMarks,
} from './marks.js';
import type { TailedRecord } from './ports.js';
import { isRecord, type LogRecord, type SnapshotBody } from './record.js';
import {
  abandon,
  applyBytes,
  asQuarantine,
  beginRecovery,
  type Goal,
  newRecovery,
  type Recovery,
  type RecoveryResult,
  recover,
  recoveryHasWork,
  recoveryWakeAtMs,
} from './recovery.js';
import { blankReplica, type Replica, type Tip } from './replica.js';
import type { Calls } from './writer.js';

const strangersBeforeDoubt = 3;

/** The member that follows. */
export interface Follower {
  readonly config: MemberConfig;
  readonly calls: Calls;
  replica: Replica | null;
  /** What of a state that was thrown away a snapshot need not bring again. */
  remains: Replica | null;
}

/** What following has led to, while it lasts. */
export interface Follow {
  /** The tail that is listened to. */
  call: number;
  /** Records are held back: something is missing before them. */
  holds: boolean;
  backlog: TailedRecord[];
  backlogSizeBytes: number;
  fill: Recovery | null;
  /** The replica holds nothing that was not read from the log. */
  isFromLog: boolean;
  /** Records that did not fit since the last that did (F4). */
  strangers: number;
  /** The log's end at the last look, if it was lacking then (F2). */
  lacked: Position | null;
  readonly marks: Marks;
  /** The state that was found to differ, until it can be compared. */
  evidence: { readonly state: unknown; readonly position: Position } | null;
}

export type FollowEvent =
  /** The replica has moved on. */
  | { readonly kind: 'applied' }
  /** Something is missing: look at the log's end, and tell. */
  | { readonly kind: 'gap' }
  /** All that was missing is there. */
  | { readonly kind: 'level' }
  | { readonly kind: 'poisoned'; readonly error: UnderstudyError }
  /** The group's state at a mark was another than here: the member holds nothing any more. */
  | { readonly kind: 'diverged'; readonly detail: string };

export function newFollow(calls: Calls, out: Effect[]): Follow {
  const follow: Follow = {
    call: 0,
    holds: true,
    backlog: [],
    backlogSizeBytes: 0,
    fill: null,
    isFromLog: false,
    strangers: 0,
    lacked: null,
    marks: newMarks(),
    evidence: null,
  };
  listen(follow, calls, out);
  return follow;
}

function listen(follow: Follow, calls: Calls, out: Effect[]): void {
  if (follow.call !== 0) out.push({ kind: 'stop', call: follow.call });
  follow.call = calls.next++;
  out.push({ kind: 'tail', call: follow.call });
}

export function endFollow(follow: Follow, out: Effect[]): void {
  out.push({ kind: 'stop', call: follow.call });
  if (follow.fill !== null) abandon(follow.fill, out);
}

/** A record came live. */
export function onTailed(
  follower: Follower,
  follow: Follow,
  input: Extract<Input, { kind: 'tailed' }>,
  out: Effect[],
): FollowEvent[] {
  if (input.call !== follow.call) return [];
  if (follow.holds) {
    holdBack(follow, input.record);
    return [];
  }
  return take(follower, follow, input.record, out);
}

/** What does not fit any more is read again. */
function holdBack(follow: Follow, record: TailedRecord): void {
  if (follow.backlogSizeBytes + record.bytes.length > limits.tailBacklogSizeBytes) {
    follow.backlog = [];
    follow.backlogSizeBytes = 0;
  }
  follow.backlog.push(record);
  follow.backlogSizeBytes += record.bytes.length;
}

/** F1 */
function take(
  follower: Follower,
  follow: Follow,
  stored: TailedRecord,
  out: Effect[],
): FollowEvent[] {
  const replica = follower.replica as Replica;
  const { position, previous, bytes } = stored;
  if (position <= replica.tip.position) return [];
  try {
    const isNext = previous === replica.tip.position;
    const applied = isNext ? applyBytes(follower.config, replica, bytes, position) : null;
    if (applied !== null && isRecord(applied)) {
      follow.isFromLog = false;
      follow.strangers = 0;
      return onApplied(follower, follow, applied, out);
    }
  } catch (error) {
    return [{ kind: 'poisoned', error: asQuarantine(error) }];
  }
  follow.holds = true;
  holdBack(follow, stored);
  return [{ kind: 'gap' }];
}

function onApplied(
  follower: Follower,
  follow: Follow,
  record: LogRecord,
  out: Effect[],
): FollowEvent[] {
  const { body } = record;
  if (body.type === 'barrier' && body.mark !== null) beginMark(follower, follow.marks, record, out);
  if (body.type !== 'snapshot') return [{ kind: 'applied' }];
  const difference = onSnapshotRecord(follower, follow.marks, record);
  return difference === null ? [{ kind: 'applied' }] : diverge(follower, follow, difference, out);
}

export function followHasWork({ marks, fill: recovery }: Follow): boolean {
  return marksHaveWork(marks) || (recovery !== null && recoveryHasWork(recovery));
}

/** Goes on with the image of the last mark. */
export function stepMark(
  follower: Follower,
  follow: Follow,
  input: Input,
  out: Effect[],
): FollowEvent[] {
  const difference = stepMarks(follower, follow.marks, input, out);
  return difference === null ? [] : diverge(follower, follow, difference, out);
}

/** A look has told where the log ends. */
export function onEndSeen(
  follower: Follower,
  follow: Follow,
  tip: Tip,
  out: Effect[],
): FollowEvent[] {
  if (follow.fill !== null) return [];
  const at = follower.replica?.tip.position ?? 0;
  const isDeaf = follow.lacked !== null && at < follow.lacked;
  follow.lacked = tip.position > at ? tip.position : null;
  if (follow.lacked !== null && (isDeaf || follow.holds)) {
    if (isDeaf) listen(follow, follower.calls, out);
    return fill(follower, follow, { ...tip, through: tip.position }, out);
  }
  // Nothing is missing as far as the log tells: what was held back belongs nowhere, or comes again.
  if (follow.holds) return release(follower, follow, [], out);
  return isDeaf ? [] : [{ kind: 'level' }];
}

function fill(follower: Follower, follow: Follow, goal: Goal, out: Effect[]): FollowEvent[] {
  follow.holds = true;
  follow.isFromLog ||= follower.replica === null;
  const { config, calls, replica, remains } = follower;
  follow.fill = newRecovery(config, calls, replica, goal, replica ?? remains);
  follow.fill.strangers = follow.strangers;
  return onFilled(follower, follow, beginRecovery(follow.fill, out), out);
}

/** Feeds what fills the gap; inputs that are not for it change nothing. */
export function stepFill(
  follower: Follower,
  follow: Follow,
  input: Input,
  now: Instant,
  out: Effect[],
): FollowEvent[] {
  if (follow.fill === null) return [];
  return onFilled(follower, follow, recover(follow.fill, input, now, out), out);
}

export function followWakeAtMs({ fill: recovery }: Follow): number {
  return recovery === null ? Number.POSITIVE_INFINITY : recoveryWakeAtMs(recovery);
}

function onFilled(
  follower: Follower,
  follow: Follow,
  result: RecoveryResult,
  out: Effect[],
): FollowEvent[] {
  if (result.kind === 'poisoned') return [result];
  if (result.kind !== 'done') return [];
  const { replica, strangers, goal } = follow.fill as Recovery;
  follow.strangers = strangers;
  if (strangers >= strangersBeforeDoubt && !follow.isFromLog) {
    return doubt(follower, follow, goal, out);
  }
  follower.replica = replica;
  follower.remains = null;
  follow.fill = null;
  tellDifference(follow, replica, out);
  return release(follower, follow, follow.backlog, out);
}

/** F4 */
function doubt(follower: Follower, follow: Follow, goal: Goal, out: Effect[]): FollowEvent[] {
  const detail =
    'the log does not continue what this member has heard live: somebody else than the broker ' +
    'published it, or the log has lost it. This member begins anew';
  out.push({ kind: 'alarm', code: 'conflict', detail });
  forgetMarks(follow.marks);
  follower.replica = null;
  follow.strangers = 0;
  return fill(follower, follow, { ...goal, distrust: true }, out);
}

/** The member stands where the log ended when it looked: on with what came since. */
function release(
  follower: Follower,
  follow: Follow,
  held: readonly TailedRecord[],
  out: Effect[],
): FollowEvent[] {
  follower.replica ??= blankReplica(follower.config.kind, follower.config.hash);
  follow.holds = false;
  follow.backlog = [];
  follow.backlogSizeBytes = 0;
  follow.lacked = null;
  const events: FollowEvent[] = [{ kind: 'level' }];
  for (const record of held) {
    if (follow.holds) holdBack(follow, record);
    else events.push(...take(follower, follow, record, out));
    if (events.at(-1)?.kind === 'poisoned') return events;
  }
  return events;
}

/** P13: what is here is thrown away, but kept as evidence until the group's state is here too. */
function diverge(
  follower: Follower,
  follow: Follow,
  { record: { body, writer }, mine }: Difference,
  out: Effect[],
): FollowEvent[] {
  const { at, cutter, digest } = body as SnapshotBody;
  const { state, tip } = follower.replica as Replica;
  const detail =
    `at seq ${at} the digest of the state here is ${tagOf(mine)}, member ${cutter} recorded ` +
    `${tagOf(digest)} through member ${writer.index}`;
  follow.evidence = { state, position: tip.position };
  forgetMarks(follow.marks);
  follower.replica = null;
  const { position: through, snapshotPosition, snapshotSeq } = tip;
  const goal = { snapshotPosition, snapshotSeq, writer: tip.writer, through, distrust: true };
  return [{ kind: 'diverged', detail }, ...fill(follower, follow, goal, out)];
}

function tellDifference(follow: Follow, { state, tip }: Replica, out: Effect[]): void {
  const { evidence } = follow;
  follow.evidence = null;
  if (evidence === null || evidence.position !== tip.position) return;
  const difference = firstDifference(evidence.state, state);
  const detail =
    difference === null
      ? `the states at seq ${tip.seq} differ in nothing that can be shown`
      : `the first difference at seq ${tip.seq} is ${difference}`;
  out.push({ kind: 'alarm', code: 'conflict', detail });
}
