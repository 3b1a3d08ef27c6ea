/**
 * Fetches what an assembly wants from whoever has it: one coordinator for each kind of work, many
 * sources, every chunk verified before anybody looks into it (I7).
 *
 * Y1 A result counts only for the request that is under way: by call and by generation. What was
 *    drained, is late, or belongs to a former sync changes nothing and says nothing about its source.
 * Y2 What is completed stays completed, whatever is drained: content addresses are the cursors, and what
 *    the cache has is not fetched again.
 * Y3 It has failed only when nothing can come any more: every source has been asked for what is lacking
 *    or is left out. Who merely rests is waited for, and nobody is asked in a loop.
 * Y4 Progress is measured in verified bytes. What the watchdog counts is reset by them and by nothing
 *    that it does itself.
 * Y5 It is done exactly when nothing is pending, nothing active, and nothing left to work on.
 */
import { equalBytes, tagOf } from '../bytes.js';
import type { Effect, Input, Instant } from '../effects.js';
import { limits } from '../limits.js';
import type { Fetched } from '../ports.js';
import type { Assembly } from './assembly.js';
import { bury, complete, type Request, requeue } from './coordinator.js';
import { dispatch } from './dispatch.js';
import { meter, quicken, slow } from './pace.js';
import {
  type Account,
  accountsOf,
  aliveBits,
  isNetwork,
  nextCoolMs,
  noteTurn,
  onUseful,
  storeBit,
  storyOf,
  strike,
  tellPeers,
} from './sources.js';
import {
  alarm,
  coordinatorOf,
  coordinatorsOf,
  fail,
  neverMs,
  requestOf,
  requestsOf,
  type Sync,
  type SyncResult,
  totalPending,
  want,
} from './sync.js';

/** For a chunk of 512 KiB: what takes longer is better asked of somebody else. */
const answerMs = 5000;
const stallMs = 10_000;
const stallsToFail = 3;
const deathsToFail = 3;
/** Real failures of one source to give one chunk. */
const failuresToBar = 3;
/** The store may lag behind the record that names a chunk: so often it is asked again, less and less. */
const repeats = 3;
const repeatPauseMs = 500;

const busy: SyncResult = { kind: 'busy' };

export function beginSync(sync: Sync, now: Instant, out: Effect[]): SyncResult {
  sync.isGoing = true;
  sync.startedAt = now;
  sync.nowMs = now.monoMs;
  sync.pace.roundAtMs = now.monoMs;
  proceed(sync, () => sync.assembly.begin());
  return settle(sync, out);
}

/** Feeds the sync; inputs that are not for it change nothing. */
export function stepSync(sync: Sync, input: Input, now: Instant, out: Effect[]): SyncResult {
  if (!sync.isGoing || sync.result.kind !== 'busy') return sync.result;
  switch (input.kind) {
    case 'fetched': {
      const request = requestOf(sync, input.call);
      if (input.generation !== sync.generation || request === undefined) return busy;
      sync.nowMs = now.monoMs;
      onFetched(sync, request, input.result, out);
      break;
    }
    case 'peers':
      sync.nowMs = now.monoMs;
      for (const gone of tellPeers(sync.ledger, input.nodes)) drain(sync, gone);
      break;
    case 'tick':
      sync.nowMs = now.monoMs;
      watch(sync, out);
      expire(sync, out);
      break;
    case 'work':
      if (!sync.assembly.hasWork) return busy;
      sync.nowMs = now.monoMs;
      proceed(sync, () => sync.assembly.work(input.sizeBytes));
      break;
    default:
      return busy;
  }
  return settle(sync, out);
}

/**
 * When `stepSync` wants a tick next. Only ticks tell that somebody is late: after a standstill the answers
 * that are here already come first.
 */
export function syncWakeAtMs(sync: Sync): number {
  if (!sync.isGoing || sync.result.kind !== 'busy') return neverMs;
  const sent = coordinatorsOf(sync).flatMap(({ active }) =>
    [...active.values()].slice(0, 1).map(({ sentAtMs }) => sentAtMs),
  );
  const stallAtMs = sync.quietSinceMs === null ? neverMs : sync.quietSinceMs + stallMs;
  const coolAtMs = totalPending(sync) > 0 ? nextCoolMs(sync.ledger, sync.nowMs) : neverMs;
  return Math.min(stallAtMs, coolAtMs, sync.storeWakeMs, ...sent.map((ms) => ms + answerMs));
}

/** Abandoned: what still comes is nobody's. */
export function endSync(sync: Sync): void {
  sync.isGoing = false;
  for (const { pending, active, workers } of coordinatorsOf(sync)) {
    active.clear();
    pending.length = 0;
    workers.length = 0;
  }
}

function onFetched(sync: Sync, request: Request, result: Fetched, out: Effect[]): void {
  switch (result.kind) {
    case 'chunk':
      return onChunk(sync, request, result.bytes, out);
    case 'none':
      return onNone(sync, request);
    case 'failed':
      return onFailed(sync, request, result.reason, out);
    default:
      throw result satisfies never;
  }
}

function onChunk(sync: Sync, request: Request, bytes: Uint8Array, out: Effect[]): void {
  const { task, from, sentAtMs, among } = request;
  const { hash, sizeBytes } = task.want;
  const found = sync.config.hash(bytes);
  if (!equalBytes(found, hash)) return onWrong(sync, request, found, out);
  onUseful(from, sizeBytes, (sync.nowMs - sentAtMs) / among);
  if (isNetwork(from)) quicken(sync.pace, sizeBytes, sync.nowMs);
  sync.quietSinceMs = sync.nowMs;
  sync.stalls = 0;
  const wants = tried(() => sync.assembly.accept(hash, bytes));
  if ('thrown' in wants) return onDeath(sync, request, wants.thrown, out);
  if ('problem' in wants) return fail(sync, wants.problem);
  complete(coordinatorOf(sync, task), request);
  sync.doneSizeBytes += sizeBytes;
  meter(sync.pace, sizeBytes, sync.nowMs);
  if (isNetwork(from)) out.push({ kind: 'keep-chunk', hash, bytes });
  want(sync, wants);
}

type Accepted = ReturnType<Assembly['accept']> | { readonly thrown: string };

function tried(run: () => ReturnType<Assembly['accept']>): Accepted {
  try {
    return run();
  } catch (error) {
    return { thrown: String(error) };
  }
}

/** What is done without a worker: nobody else could do it better. */
function proceed(sync: Sync, run: () => ReturnType<Assembly['accept']>): void {
  const wants = tried(run);
  if ('thrown' in wants) fail(sync, `what came cannot be put together: ${wants.thrown}`);
  else if ('problem' in wants) fail(sync, wants.problem);
  else want(sync, wants);
}

/** The bytes are right, so this is a fault of ours: it must not take the member along. */
function onDeath(sync: Sync, request: Request, thrown: string, out: Effect[]): void {
  const { task, from } = request;
  bury(coordinatorOf(sync, task), request);
  task.shunned |= from.bit;
  const chunk = tagOf(task.want.hash);
  const detail = `chunk ${chunk} from ${from.name} could not be taken in: ${thrown}`;
  if (task.deaths >= deathsToFail) return fail(sync, `${detail}, ${task.deaths} times`);
  alarm(sync, 'death', 'internal', detail, out);
}

/** Whatever the reason, these bytes are never what was asked for: no strikes are counted. */
function onWrong(sync: Sync, request: Request, hash: Uint8Array, out: Effect[]): void {
  const { task, from } = request;
  sync.corrupt += 1;
  from.said.wrong += 1;
  task.barred |= from.bit;
  requeue(coordinatorOf(sync, task), request);
  const wrong =
    `${from.name} gave other bytes for chunk ${tagOf(task.want.hash)}, ` +
    `with the hash ${tagOf(hash)}`;
  // The cache and the store are shared: one bad chunk says nothing about the others.
  if (from.source.kind !== 'peer') {
    return alarm(sync, `wrong ${from.bit}`, 'conflict', `${wrong}. Others are asked for it`, out);
  }
  from.excluded = 'gave other bytes than those asked for';
  drain(sync, from);
  alarm(sync, `wrong ${from.bit}`, 'conflict', `${wrong}. It is not asked any more`, out);
}

/** L2 */
function onNone(sync: Sync, request: Request): void {
  const { task, from } = request;
  from.said.none += 1;
  requeue(coordinatorOf(sync, task), request);
  if (from.bit === storeBit) task.absences += 1;
  if (from.bit === storeBit && task.absences <= repeats) {
    task.storeAfterMs = sync.nowMs + repeatPauseMs * task.absences;
  } else {
    task.barred |= from.bit;
  }
}

function onFailed(sync: Sync, request: Request, reason: string, out: Effect[]): void {
  const { task, from, sentAtMs } = request;
  from.said.failed += 1;
  requeue(coordinatorOf(sync, task), request);
  // That the store cannot be reached says nothing about the chunk.
  if (from.bit !== storeBit) {
    const failures = (task.failures.get(from.bit) ?? 0) + 1;
    task.failures.set(from.bit, failures);
    if (failures >= failuresToBar) task.barred |= from.bit;
  }
  blame(sync, from, sentAtMs, `it failed: ${reason}`, out);
}

function blame(sync: Sync, from: Account, sentAtMs: number, last: string, out: Effect[]): void {
  if (!strike(from, sentAtMs, sync.nowMs)) return;
  drain(sync, from);
  const detail = `${from.name} is not asked any more, ${from.excluded}; at last ${last}`;
  alarm(sync, `excluded ${from.bit}`, 'internal', detail, out);
}

/** Whoever was asked, nobody is blamed and no budget is spent (Y1). */
function drain(sync: Sync, from: Account | null): void {
  for (const request of requestsOf(sync)) {
    if (from !== null && request.from !== from) continue;
    requeue(coordinatorOf(sync, request.task), request);
  }
}

/** Y4 Looks before `expire`: what is drained here is nobody's fault. */
function watch(sync: Sync, out: Effect[]): void {
  const { quietSinceMs, nowMs } = sync;
  if (quietSinceMs === null || nowMs - quietSinceMs < stallMs) return;
  sync.stalls += 1;
  sync.quietSinceMs = null;
  drain(sync, null);
  const detail = `no byte has come for ${stallMs / 1000} s, though chunks are asked for`;
  if (sync.stalls >= stallsToFail) fail(sync, `${detail}, ${sync.stalls} times in a row`);
  else alarm(sync, 'stall', 'internal', `${detail}. All of them are asked for anew`, out);
}

function expire(sync: Sync, out: Effect[]): void {
  for (const request of requestsOf(sync)) {
    const { from, sentAtMs, task, call } = request;
    const coordinator = coordinatorOf(sync, task);
    // Blaming the source of another one may have drained this one already.
    if (sync.nowMs - sentAtMs < answerMs || !coordinator.active.has(call)) continue;
    from.said.late += 1;
    noteTurn(from, (sync.nowMs - sentAtMs) / request.among);
    requeue(coordinator, request);
    if (isNetwork(from)) slow(sync.pace, sentAtMs, sync.nowMs);
    blame(sync, from, sentAtMs, `it did not answer within ${answerMs / 1000} s`, out);
  }
}

/** After everything that has happened: on with it, and what has become of it. */
function settle(sync: Sync, out: Effect[]): SyncResult {
  if (sync.result.kind !== 'busy') return sync.result;
  dispatch(sync, out);
  if (requestsOf(sync).length > 0) {
    sync.quietSinceMs ??= sync.nowMs;
    return busy;
  }
  sync.quietSinceMs = null;
  if (sync.assembly.hasWork) return busy;
  if (totalPending(sync) === 0) sync.result = { kind: 'done' };
  else giveUpOnLost(sync);
  return sync.result;
}

/** Y3 */
function giveUpOnLost(sync: Sync): void {
  const alive = aliveBits(sync.ledger);
  const tasks = coordinatorsOf(sync).flatMap(({ pending }) => pending);
  if (tasks.some(({ barred }) => (alive & ~barred) !== 0)) return;
  const problem =
    `${tasks.length} of ${sync.wants} chunks cannot be had, ${sync.doneSizeBytes} of ` +
    `${sync.knownSizeBytes} bytes are here: ${accountsOf(sync.ledger).map(storyOf).join('; ')}`;
  // Its writer can help only with what is not right in the store.
  const missing = tasks.filter(({ barred }) => (barred & storeBit) !== 0);
  const lost = missing.slice(0, limits.syncLost).map(({ want: { hash } }) => hash);
  fail(sync, problem, lost);
}
