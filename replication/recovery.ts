/**
 * Brings a replica to where it has to be: restores a snapshot if that is the shorter way, then
 * replays the log. Standbys use it to sync, candidates to catch up, actives to rebuild.
 *
 * V1 A snapshot replaces the replica only after every chunk was verified (I7); one that cannot be
 *    used is reported and the log is replayed instead: slower, never wrong.
 * V2 It is done only when the replica stands at exactly the position asked for (P7).
 * V3 A gap in what was delivered is never taken for a stranger's record, nor the other way round.
 * V4 What is held already is never written to while a snapshot is put together beside it.
 */
import { equalBytes } from './bytes.js';
import type { Effect, Input, Instant, MemberConfig } from './effects.js';
import { UnderstudyError } from './errors.js';
import type { Position, Seq, WriterId } from './ids.js';
import type { ReadOutcome } from './ports.js';
import { decodeRecord, isRecord, type LogRecord, type SnapshotBody } from './record.js';
import { applyRecord, blankReplica, misfit, type Replica } from './replica.js';
import { isAuthentic, type Judge } from './signature.js';
import { Restoring } from './snapshot/restoring.js';
import { beginSync, endSync, stepSync, syncWakeAtMs } from './sync/controller.js';
import { generationOf, newSync, type Sync, type SyncResult } from './sync/sync.js';
import type { Calls } from './writer.js';

/** What to bring the replica to. */
export interface Goal {
  /** The newest snapshot record, 0: there is none. */
  readonly snapshotPosition: Position;
  readonly snapshotSeq: Seq;
  /** Who writes the log now, and so is the one that can store lost chunks anew, whoever cut them. */
  readonly writer: WriterId | null;
  /** Replay up to here; null: the snapshot alone is the goal. */
  readonly through: Position | null;
  /** Restore the snapshot even if a replay would be short: what the kind computes is in doubt. */
  readonly distrust?: boolean;
}

export interface Recovery {
  readonly config: MemberConfig;
  readonly calls: Calls;
  readonly goal: Goal;
  replica: Replica;
  /** What the member has of the group's state, be it ever so old: only what differs is fetched (V4). */
  readonly held: Replica | null;
  phase: 'finding' | 'fetching' | 'replaying' | 'verifying' | 'pausing';
  call: number;
  /** The snapshot that is being fetched. */
  fetch: { readonly sync: Sync; readonly restoring: Restoring } | null;
  attempts: number;
  resumeAtMs: number;
  replayed: number;
  restored: boolean;
  /** Records of strangers passed over since the last that fitted, begun from what the caller knows. */
  strangers: number;
  /** A replayed record that did not fit, while it is found out why. */
  misfit: { readonly at: Position; readonly problem: string } | null;
}

export type RecoveryResult =
  | { readonly kind: 'busy' }
  | { readonly kind: 'done' }
  /** The snapshot cannot be used and nothing else was asked for. */
  | { readonly kind: 'no-snapshot'; readonly problem: string }
  | { readonly kind: 'poisoned'; readonly error: UnderstudyError };

const longestPauseMs = 1000;

const busy: RecoveryResult = { kind: 'busy' };
const done: RecoveryResult = { kind: 'done' };

export function newRecovery(
  config: MemberConfig,
  calls: Calls,
  replica: Replica | null,
  goal: Goal,
  held: Replica | null = replica,
): Recovery {
  return {
    config,
    calls,
    goal,
    replica: replica ?? blankReplica(config.kind, config.hash),
    held: goal.distrust ? null : held,
    phase: 'finding',
    call: 0,
    fetch: null,
    attempts: 0,
    resumeAtMs: 0,
    replayed: 0,
    restored: false,
    strangers: 0,
    misfit: null,
  };
}

export function beginRecovery(recovery: Recovery, out: Effect[]): RecoveryResult {
  const { goal, replica, config } = recovery;
  const missing = goal.snapshotSeq - replica.tip.seq;
  const behind = goal.snapshotPosition > replica.tip.position;
  const wants = goal.through === null || goal.distrust === true || missing > config.replayEvents;
  if (goal.snapshotPosition > 0 && behind && wants) return findSnapshot(recovery, out);
  return replay(recovery, out);
}

function findSnapshot(recovery: Recovery, out: Effect[]): RecoveryResult {
  recovery.phase = 'finding';
  recovery.call = recovery.calls.next++;
  out.push({ kind: 'read-at', call: recovery.call, at: recovery.goal.snapshotPosition });
  return busy;
}

function replay(recovery: Recovery, out: Effect[]): RecoveryResult {
  const { through } = recovery.goal;
  const after = recovery.replica.tip.position;
  if (through === null || after >= through) return done;
  recovery.phase = 'replaying';
  recovery.call = recovery.calls.next++;
  out.push({ kind: 'replay', call: recovery.call, after, through });
  return busy;
}

/** Feeds the recovery; inputs that are not for it change nothing. */
export function recover(
  recovery: Recovery,
  input: Input,
  now: Instant,
  out: Effect[],
): RecoveryResult {
  if (recovery.phase === 'fetching') return fetching(recovery, input, now, out);
  if (input.kind === 'tick') return resume(recovery, now, out);
  if (!('call' in input) || input.call !== recovery.call) return busy;
  switch (input.kind) {
    case 'read-done':
      if (recovery.phase === 'verifying') return onVerified(recovery, input.outcome, now, out);
      return onFound(recovery, input, now, out);
    case 'replayed':
      return onReplayed(recovery, input, out);
    case 'replay-ended':
      return onReplayEnded(recovery, now);
    default:
      return busy;
  }
}

export function recoveryWakeAtMs(recovery: Recovery): number {
  if (recovery.phase === 'fetching' && recovery.fetch) return syncWakeAtMs(recovery.fetch.sync);
  return recovery.phase === 'pausing' ? recovery.resumeAtMs : Number.POSITIVE_INFINITY;
}

function resume(recovery: Recovery, now: Instant, out: Effect[]): RecoveryResult {
  if (recovery.phase !== 'pausing' || now.monoMs < recovery.resumeAtMs) return busy;
  return replay(recovery, out);
}

function pause(recovery: Recovery, now: Instant): RecoveryResult {
  recovery.phase = 'pausing';
  recovery.call = 0;
  recovery.resumeAtMs =
    now.monoMs + Math.min(longestPauseMs, 10 * 2 ** Math.min(recovery.attempts, 7));
  recovery.attempts += 1;
  return busy;
}

function onFound(
  recovery: Recovery,
  input: Extract<Input, { kind: 'read-done' }>,
  now: Instant,
  out: Effect[],
): RecoveryResult {
  const { outcome } = input;
  const at = recovery.goal.snapshotPosition;
  if (outcome.kind !== 'record') return withoutSnapshot(recovery, `no record at ${at}`, out);
  const record = decodeRecord(outcome.record.bytes);
  const isOurs = isRecord(record) && isAuthentic(recovery.config, record);
  if (!isOurs || record.body.type !== 'snapshot') {
    return withoutSnapshot(
      recovery,
      `the record at ${at} is no snapshot record of this group`,
      out,
    );
  }
  return fetch(recovery, record, record.body, now, out);
}

function fetch(
  recovery: Recovery,
  { epoch }: LogRecord,
  body: SnapshotBody,
  now: Instant,
  out: Effect[],
): RecoveryResult {
  const { config, calls, held } = recovery;
  const { kind, hash, stretches, groupId } = config;
  const restoring = new Restoring({ kind, hash, stretches, body, held });
  const generation = generationOf(groupId, epoch, body.at);
  const sync = newSync({ hash }, calls, generation, restoring, calls.peers);
  recovery.phase = 'fetching';
  recovery.call = 0;
  recovery.fetch = { sync, restoring };
  return onSync(recovery, beginSync(sync, now, out), out);
}

function fetching(recovery: Recovery, input: Input, now: Instant, out: Effect[]): RecoveryResult {
  const { sync } = recovery.fetch as NonNullable<Recovery['fetch']>;
  return onSync(recovery, stepSync(sync, input, now, out), out);
}

/** There is something to do as soon as there is time, beside waiting. */
export function recoveryHasWork({ phase, fetch }: Recovery): boolean {
  return phase === 'fetching' && fetch !== null && fetch.restoring.hasWork;
}

function onSync(recovery: Recovery, result: SyncResult, out: Effect[]): RecoveryResult {
  if (result.kind === 'busy') return busy;
  const { restoring } = recovery.fetch as NonNullable<Recovery['fetch']>;
  if (result.kind === 'failed') {
    const { problem, lost } = result;
    const node = recovery.goal.writer?.node;
    if (lost.length > 0 && node !== undefined)
      out.push({ kind: 'report-lost', node, hashes: lost });
    return withoutSnapshot(recovery, problem, out);
  }
  recovery.replica = restoring.finish();
  recovery.restored = true;
  return replay(recovery, out);
}

/** Nobody wants it any more. */
export function abandon({ phase, call, fetch: fetched }: Recovery, out: Effect[]): void {
  if (phase === 'replaying') out.push({ kind: 'stop', call });
  if (fetched !== null) endSync(fetched.sync);
}

/** V1 */
function withoutSnapshot(recovery: Recovery, problem: string, out: Effect[]): RecoveryResult {
  if (recovery.goal.through === null) return { kind: 'no-snapshot', problem };
  out.push({ kind: 'alarm', code: 'internal', detail: `replaying the whole log: ${problem}` });
  return replay(recovery, out);
}

function onReplayed(
  recovery: Recovery,
  input: Extract<Input, { kind: 'replayed' }>,
  out: Effect[],
): RecoveryResult {
  const { replica } = recovery;
  for (const { position: at, bytes } of input.records) {
    if (at <= replica.tip.position) continue;
    const before = replica.tip.seq;
    try {
      const applied = applyBytes(recovery.config, replica, bytes, at);
      if (!isRecord(applied)) return verify(recovery, { at, problem: applied.problem }, out);
    } catch (error) {
      return { kind: 'poisoned', error: asQuarantine(error) };
    }
    recovery.replayed += replica.tip.seq - before;
    recovery.attempts = 0;
    recovery.strangers = 0;
  }
  return busy;
}

/**
 * Applies the record in these bytes if it is the next one, or says why it is not. Throws if the kind
 * does (P15), and if another version of this program wrote it.
 */
export function applyBytes(
  judge: Judge,
  replica: Replica,
  bytes: Uint8Array,
  at: Position,
): LogRecord | { readonly problem: string } {
  const record = decodeRecord(bytes);
  if (!isRecord(record)) {
    if (equalBytes(replica.tip.hash, record.follows)) throw otherProgram(record.problem);
    return record;
  }
  const problem = misfit(replica.tip, record, judge);
  if (problem !== undefined) return { problem };
  applyRecord(replica, record, bytes, at);
  return record;
}

/** Passing over it as a stranger's would fork the log (P1). */
export function otherProgram(problem: string): UnderstudyError {
  return new UnderstudyError(
    'unsupported',
    `another version of this program writes the log: ${problem}. Run the same version on every node.`,
  );
}

/** V3: what really comes next? The rest of the replay is dropped, its call is not ours any more. */
function verify(
  recovery: Recovery,
  found: { readonly at: Position; readonly problem: string },
  out: Effect[],
): RecoveryResult {
  out.push({ kind: 'stop', call: recovery.call });
  recovery.phase = 'verifying';
  recovery.misfit = found;
  recovery.call = recovery.calls.next++;
  out.push({ kind: 'read-next', call: recovery.call, after: recovery.replica.tip.position });
  return busy;
}

function onVerified(
  recovery: Recovery,
  outcome: ReadOutcome,
  now: Instant,
  out: Effect[],
): RecoveryResult {
  const { misfit: found, replica } = recovery;
  recovery.misfit = null;
  if (found === null || outcome.kind !== 'record') return pause(recovery, now);
  if (outcome.record.position === found.at) {
    replica.tip = { ...replica.tip, position: found.at };
    recovery.strangers += 1;
    out.push(foreignAlarm(found.problem));
  }
  return replay(recovery, out);
}

export function foreignAlarm(problem: string): Effect {
  const detail = `a foreign record on the log's subject was passed over: it ${problem}`;
  return { kind: 'alarm', code: 'conflict', detail };
}

export function asQuarantine(error: unknown): UnderstudyError {
  if (error instanceof UnderstudyError) return error;
  return new UnderstudyError('quarantined', `replay failed: ${String(error)}`, undefined, error);
}

/** V2: an early end comes from a failure, or from a replica of the stream that lags. */
function onReplayEnded(recovery: Recovery, now: Instant): RecoveryResult {
  const through = recovery.goal.through as Position;
  return recovery.replica.tip.position >= through ? done : pause(recovery, now);
}
