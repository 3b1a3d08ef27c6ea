/**
 * Drives one operation on: `stepOperation` is the whole of it. What it wants done comes out as effects,
 * and what became of them goes in again; a crash between any two leaves a checkpoint to go on from.
 *
 *   loading ─▶ claiming ─▶ locking ─▶ rereading ─▶ observing ─▶ (a step) ─▶ calling ─▶ observing …
 *                                                                 │
 *                                        saving ◀─ next, park, end┘
 *
 * The step is put on record before it acts (O1), by compare-and-set (O3), under its locks (O4).
 */
import { errorAdvice, UnderstudyError } from '../../replication/errors.js';
import { limits } from '../../replication/limits.js';
import { advanced, concluded, finished, longParkMs, parkedUntil } from './checkpoint.js';
import {
  backOff,
  type Drive,
  type DriveEffect,
  type DriveInput,
  forgetFormerRun,
  type Loaded,
  type OperationInstant,
  unseen,
} from './drive.js';
import {
  type At,
  type Driver,
  type Ending,
  type Failure,
  holderOf,
  isOver,
  type Operation,
  type OperationKind,
  type Outcome,
  type Seen,
} from './operation.js';

const lockRetryMs = 200;
/** Whoever waits so long for a lock is told so. */
export const lockPatienceMs = 30_000;

export function stepOperation(
  drive: Drive,
  input: DriveInput,
  now: OperationInstant,
): DriveEffect[] {
  const out: DriveEffect[] = [];
  if (drive.phase === 'ended') return out;
  if ('effect' in input && input.effect !== drive.effect) return out;
  switch (input.kind) {
    case 'start':
      drive.from = input.from;
      load(drive, 'loading', out);
      break;
    case 'loaded':
      onLoaded(drive, input.loaded, now, out);
      break;
    case 'saved':
      onSaved(drive, input.revision, out);
      break;
    case 'locked':
      onLocked(drive, input.busy, now, out);
      break;
    case 'observed':
      act(drive, input.seen, now, out);
      break;
    case 'answered':
      drive.answer = input.value ?? null;
      drive.operation = { ...(drive.operation as Operation), retries: 0 };
      observe(drive, out);
      break;
    case 'failed':
      onFailed(drive, input.error, now, out);
      break;
    case 'wake':
      if (drive.phase === 'parked') wake(drive, out);
      break;
    case 'changed':
      onChanged(drive, input, out);
      break;
    default:
      throw input satisfies never;
  }
  return out;
}

function wake(drive: Drive, out: DriveEffect[]): void {
  if (drive.mustReload) load(drive, 'loading', out);
  else secure(drive, out);
}

function load(drive: Drive, phase: 'loading' | 'rereading', out: DriveEffect[]): void {
  drive.phase = phase;
  drive.mustReload = false;
  out.push({ kind: 'load', effect: ++drive.effect, id: drive.id });
}

function save(
  drive: Drive,
  phase: 'claiming' | 'saving',
  operation: Operation,
  out: DriveEffect[],
): void {
  drive.phase = phase;
  drive.operation = operation;
  out.push({ kind: 'save', effect: ++drive.effect, operation, revision: drive.revision });
}

function end(drive: Drive, operation: Operation | null, out: DriveEffect[]): void {
  drive.phase = 'ended';
  out.push({ kind: 'ended', operation });
}

const sameDriver = (a: Driver | null, b: Driver | null): boolean =>
  a?.node === b?.node && a?.incarnation === b?.incarnation;

/** O3: what another wrote meanwhile is what counts, and may be that it is another's. */
function onLoaded(drive: Drive, loaded: Loaded, now: OperationInstant, out: DriveEffect[]): void {
  const before = drive.revision;
  if (loaded === null) return end(drive, null, out);
  const { operation, revision } = loaded;
  // By a replica that lags. To give back what that step did not need would be to lose what this one does.
  if (revision < before) return comeBack(drive, now, out);
  forgetFormerRun(drive, operation);
  drive.operation = operation;
  drive.revision = revision;
  if (isOver(operation)) return release(drive, operation, out);
  const { driver } = operation;
  if (sameDriver(driver, drive.self)) {
    if (drive.phase === 'rereading' && revision === before) return observe(drive, out);
    return secure(drive, out);
  }
  if (driver !== null && !sameDriver(driver, drive.from)) return end(drive, null, out);
  // The former driver's clock may have been days ahead: what it began would never take long.
  const stepAtMs = Math.min(operation.stepAtMs, now.wallMs);
  const claimed = { ...operation, driver: drive.self, stepAtMs, updatedAtMs: now.wallMs };
  save(drive, 'claiming', claimed, out);
}

function onSaved(drive: Drive, revision: number | 'conflict', out: DriveEffect[]): void {
  if (revision === 'conflict') {
    drive.from = null;
    return load(drive, 'loading', out);
  }
  drive.revision = revision;
  const operation = drive.operation as Operation;
  if (isOver(operation)) return release(drive, operation, out);
  const { parkForMs } = drive;
  drive.parkForMs = null;
  if (parkForMs !== null) return rest(drive, parkForMs, out);
  secure(drive, out);
}

/** O4: only what ended in the record gives its locks back; whoever finds it ended may do it again. */
function release(drive: Drive, operation: Operation, out: DriveEffect[]): void {
  out.push({ kind: 'unlock', holder: holderOf(operation), keys: 'all' });
  end(drive, operation, out);
}

/** Takes what the step touches, gives back what it does not any more, then looks. */
function secure(drive: Drive, out: DriveEffect[]): void {
  const operation = drive.operation as Operation;
  const wanted = [...(drive.kinds.get(operation.kind)?.locks(operation) ?? [])];
  const dropped = drive.held.filter((key) => !wanted.includes(key));
  const holder = holderOf(operation);
  if (dropped.length > 0) {
    out.push({ kind: 'unlock', holder, keys: dropped });
    drive.held = drive.held.filter((key) => wanted.includes(key));
  }
  if (wanted.every((key) => drive.held.includes(key))) return observe(drive, out);
  drive.phase = 'locking';
  out.push({ kind: 'lock', effect: ++drive.effect, holder, keys: wanted });
}

function onLocked(
  drive: Drive,
  busy: { readonly key: string; readonly holder: string } | null,
  now: OperationInstant,
  out: DriveEffect[],
): void {
  const operation = drive.operation as Operation;
  const kind = drive.kinds.get(operation.kind);
  if (busy === null) {
    drive.held = kind?.locks(operation) ?? [];
    // What was read before the lock was had may be of a time when another had it.
    return load(drive, 'rereading', out);
  }
  const { key, holder } = busy;
  const detail = `${holder.replace(/#\d+$/, '')} holds ${key}`;
  if (operation.cancelledBy !== null) return finishCancelled(drive, operation, now, out);
  if (now.wallMs - operation.stepAtMs > lockPatienceMs) {
    const waited = `${detail} for ${lockPatienceMs} ms; ask again when it has ended, or cancel it`;
    return fail(drive, { code: 'conflict', detail: waited }, now, out);
  }
  if (kind?.preempts?.includes(holder.slice(0, holder.indexOf('.')))) {
    out.push({ kind: 'cancel', holder, by: operation.id });
  }
  const error: Failure = { code: 'conflict', detail: `waits: ${detail}` };
  settle(drive, { kind: 'park', wakeAfterMs: lockRetryMs, error }, now, out);
}

function observe(drive: Drive, out: DriveEffect[]): void {
  drive.phase = 'observing';
  const operation = drive.operation as Operation;
  out.push({ kind: 'observe', effect: ++drive.effect, operation });
}

function rest(drive: Drive, wakeAfterMs: number, out: DriveEffect[]): void {
  drive.phase = 'parked';
  drive.hops = 0;
  const error = drive.operation?.lastError ?? null;
  out.push({ kind: 'parked', wakeAfterMs, error });
}

// One step.

function act(drive: Drive, seen: Seen, now: OperationInstant, out: DriveEffect[]): void {
  const operation = drive.operation as Operation;
  const kind = drive.kinds.get(operation.kind);
  if (kind === undefined) {
    const detail = `this program knows no operation ${operation.kind}: a later version began it`;
    return fail(drive, { code: 'unsupported', detail }, now, out);
  }
  if (isCancelled(kind, operation)) return finishCancelled(drive, operation, now, out);
  const at: At<unknown> = { operation, data: operation.data, seen, answer: drive.answer };
  drive.answer = undefined;
  settle(drive, decide(kind, at), now, out);
}

const isCancelled = (kind: OperationKind<unknown> | undefined, operation: Operation): boolean =>
  operation.ending === undefined &&
  operation.cancelledBy !== null &&
  kind?.sealed?.includes(operation.step) !== true;

function decide(kind: OperationKind<unknown>, at: At<unknown>): Outcome<unknown> {
  const { step } = at.operation;
  try {
    const advance = kind.steps[step];
    if (advance !== undefined) return advance(at);
    throw new UnderstudyError('unsupported', `a ${kind.name} has no step ${step} in this program`);
  } catch (cause) {
    const error = failureOf(cause);
    return kind.onRejection?.(at, error) ?? { kind: 'failed', error };
  }
}

export function failureOf(cause: unknown): Failure {
  if (cause instanceof UnderstudyError) return { code: cause.code, detail: cause.message };
  return { code: 'internal', detail: cause instanceof Error ? cause.message : String(cause) };
}

/** A node that is not there may come back, and its groups may go elsewhere: what is seen next tells. */
const isRejection = ({ code }: Failure): boolean =>
  errorAdvice[code] !== 'retry' && code !== 'node-not-found';

function onFailed(drive: Drive, error: Failure, now: OperationInstant, out: DriveEffect[]): void {
  const { operation, phase } = drive;
  if (operation !== null && phase === 'locking' && error.code === 'overloaded') {
    return fail(drive, error, now, out);
  }
  if (operation !== null && phase === 'saving' && error.code === 'too-large') {
    drive.operation = { ...operation, data: null };
    return fail(drive, error, now, out);
  }
  if (phase !== 'calling' || operation === null) return comeBack(drive, now, out);
  const kind = drive.kinds.get(operation.kind) as OperationKind<unknown>;
  const at: At<unknown> = { operation, data: operation.data, seen: unseen(now), answer: undefined };
  if (isRejection(error)) {
    return settle(drive, kind.onRejection?.(at, error) ?? { kind: 'failed', error }, now, out);
  }
  const retries = operation.retries + 1;
  drive.operation = { ...operation, retries };
  const tried = { ...at, operation: drive.operation };
  if (kind.onRetry !== undefined) return settle(drive, kind.onRetry(tried, error), now, out);
  if (retries <= limits.operationRetries) {
    const wakeAfterMs = backOff(retries, now.jitter);
    return settle(drive, { kind: 'park', wakeAfterMs, error }, now, out);
  }
  fail(drive, { ...error, detail: `${error.detail}; tried ${retries} times` }, now, out);
}

/** The record cannot be read or written now. Nothing is known to have changed: look again later. */
function comeBack(drive: Drive, now: OperationInstant, out: DriveEffect[]): void {
  drive.hops += 1;
  drive.effect += 1;
  drive.parkForMs = null;
  const wakeAfterMs = backOff(Math.min(drive.hops, limits.operationHops), now.jitter);
  const { hops } = drive;
  rest(drive, wakeAfterMs, out);
  drive.hops = hops;
  drive.mustReload = true;
}

function settle(
  drive: Drive,
  outcome: Outcome<unknown>,
  now: OperationInstant,
  out: DriveEffect[],
): void {
  const operation = drive.operation as Operation;
  drive.hops += 1;
  switch (outcome.kind) {
    case 'next':
      goOn(drive, outcome, now, out);
      break;
    case 'park':
      park(drive, outcome, now, out);
      break;
    case 'call':
      if (drive.hops > limits.operationHops) return circling(drive, now, out);
      drive.phase = 'calling';
      out.push({ kind: 'call', effect: ++drive.effect, call: outcome.call });
      break;
    case 'done':
      save(drive, 'saving', finished(operation, outcome.detail, now.wallMs), out);
      break;
    case 'failed':
      fail(drive, outcome.error, now, out);
      break;
    default:
      throw outcome satisfies never;
  }
}

function circling(drive: Drive, now: OperationInstant, out: DriveEffect[]): void {
  const detail = `step ${drive.operation?.step} asked ${drive.hops} times without waiting`;
  const error: Failure = { code: 'internal', detail };
  park(drive, { kind: 'park', wakeAfterMs: longParkMs, error }, now, out);
}

function goOn(
  drive: Drive,
  outcome: Extract<Outcome<unknown>, { kind: 'next' }>,
  now: OperationInstant,
  out: DriveEffect[],
): void {
  if (drive.hops > limits.operationHops) drive.parkForMs = longParkMs;
  save(drive, 'saving', advanced(drive.operation as Operation, outcome, now.wallMs), out);
}

/** Short parks that tell nothing new are not put on record: a poll is not a history. */
function park(
  drive: Drive,
  outcome: Extract<Outcome<unknown>, { kind: 'park' }>,
  now: OperationInstant,
  out: DriveEffect[],
): void {
  const { wakeAfterMs } = outcome;
  const parked = parkedUntil(drive.operation as Operation, outcome, now.wallMs);
  if (parked === null) return rest(drive, wakeAfterMs, out);
  drive.parkForMs = wakeAfterMs;
  save(drive, 'saving', parked, out);
}

function finishCancelled(
  drive: Drive,
  operation: Operation,
  now: OperationInstant,
  out: DriveEffect[],
): void {
  const detail = `cancelled by ${operation.cancelledBy} at step ${operation.step}`;
  conclude(drive, { state: 'cancelled', error: { code: 'conflict', detail } }, now, out);
}

function fail(drive: Drive, error: Failure, now: OperationInstant, out: DriveEffect[]): void {
  conclude(drive, { state: 'failed', error }, now, out);
}

function conclude(drive: Drive, how: Ending, now: OperationInstant, out: DriveEffect[]): void {
  const operation = drive.operation as Operation;
  const kind = drive.kinds.get(operation.kind);
  save(drive, 'saving', concluded(operation, kind, how, now.wallMs), out);
}

/** Somebody cancelled it, or took it over from a driver that was taken for dead. */
function onChanged(
  drive: Drive,
  { operation, revision }: Extract<DriveInput, { kind: 'changed' }>,
  out: DriveEffect[],
): void {
  if (revision <= drive.revision || drive.operation === null) return;
  const { phase } = drive;
  // The answer to what is under way tells more than a hint.
  if (phase === 'loading' || phase === 'claiming' || phase === 'saving' || phase === 'rereading') {
    return;
  }
  if (!isOver(operation) && !sameDriver(operation.driver, drive.self)) {
    return end(drive, null, out);
  }
  const kind = drive.kinds.get(operation.kind);
  const interrupts = phase === 'parked' || (phase === 'calling' && isCancelled(kind, operation));
  if (isOver(operation) || interrupts || operation.run !== drive.operation.run) {
    drive.from = null;
    return load(drive, 'loading', out);
  }
  drive.operation = { ...operation, retries: drive.operation.retries };
  drive.revision = revision;
}
