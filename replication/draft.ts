/**
 * The record being put together: commands are decided and applied to the replica one after the
 * other, ahead of the acknowledgement (P5). Nothing in here is visible to anybody until the record
 * is committed.
 */
import { type AnswerRun, decodeValue, eachValue, joinCommands } from './batch.js';
import { utf8SizeBytes } from './bytes.js';
import { decide, decideFiring, messageOf } from './decide.js';
import type { Command, Delivery } from './delivery.js';
import { type Seq, seq } from './ids.js';
import { type EventContext, Rejection } from './kind.js';
import { limits } from './limits.js';
import { malformed } from './malformed.js';
import type { EventsBody, RecordedRun } from './record.js';
import { answerOf, applyEvent, type Replica } from './replica.js';
import {
  allNew,
  findAnswer,
  findKeyed,
  floorMakesRoom,
  type Refusal,
  recordRun,
  refusal,
} from './sessions.js';

export interface Draft {
  readonly baseSeq: Seq;
  seq: Seq;
  readonly recordedAtMs: number;
  readonly runs: RecordedRun[];
  readonly parts: Uint8Array[];
  sizeBytes: number;
  /** Every delivery decided in part or whole in here, and where it stood before. */
  readonly touched: {
    readonly delivery: Delivery;
    readonly decided: number;
    readonly runs: number;
  }[];
  /** Deliveries whose last command is decided here: answered when this record is committed. */
  readonly finished: Delivery[];
}

/**
 * What things cost in the record, at most: P14 counts bytes, and a record the broker finds too large
 * would stop the group for good.
 */
const headerSizeBytes = 2048;
/** A run beside its session, and a command beside its event, key, result or rejection. */
const runSizeBytes = 64;
const commandSizeBytes = 12;
const rejectionSizeBytes = 16;
const utf8PerChar = 3;
/** Room that suffices for any one command, in a run of its own. */
const roomSizeBytes =
  limits.eventSizeBytes +
  runSizeBytes +
  limits.sessionSizeChars * utf8PerChar +
  limits.keySizeBytes * utf8PerChar +
  2 * commandSizeBytes;

export function newDraft(baseSeq: Seq, recordedAtMs: number): Draft {
  return {
    baseSeq,
    seq: baseSeq,
    recordedAtMs,
    runs: [],
    parts: [],
    sizeBytes: headerSizeBytes,
    touched: [],
    finished: [],
  };
}

export function draftBody(draft: Draft, kindVersion: number): EventsBody {
  const { parts } = draft;
  const blob = parts.length === 1 ? (parts[0] as Uint8Array) : joinCommands(parts);
  return { type: 'events', kindVersion, runs: draft.runs, blob };
}

export type DecideOutcome =
  | 'finished'
  /** The record is full; the rest of the delivery belongs into the next one. */
  | 'full'
  /** The batch is not what it says, or comes too late; the rest of it is not decided. */
  | { readonly refused: Refusal }
  /** `apply` threw: the replica is of no use any more, the draft must be thrown away (P15). */
  | 'spoilt';

/** Decides as many commands of the delivery as the record still takes. */
export function decideInto(
  draft: Draft,
  replica: Replica,
  epoch: number,
  delivery: Delivery,
): DecideOutcome {
  const problem = delivery.commands === null ? decodeCommands(delivery) : undefined;
  if (problem !== undefined) return { refused: { code: 'bad-request', detail: problem } };
  if (raisesFloor(replica, delivery)) {
    if (draft.runs.length > 0 && isFull(draft)) return 'full';
    noteFloor(draft, replica, epoch, delivery);
  }
  const refused = refusalNow(draft, replica, delivery);
  if (refused !== undefined) return { refused };
  draft.touched.push({ delivery, decided: delivery.decided, runs: delivery.runs.length });
  while (delivery.decided < delivery.batch.count) {
    if (takeKnown(replica, delivery)) continue;
    if (draft.runs.length > 0 && isFull(draft)) return 'full';
    try {
      decideRun(draft, replica, epoch, delivery);
    } catch (error) {
      delivery.poison.set(delivery.decided, messageOf(error));
      return 'spoilt';
    }
  }
  draft.finished.push(delivery);
  return 'finished';
}

/** Forgets what the draft decided, so that it can be decided again on a rebuilt replica. */
export function undoDraft(draft: Draft): Delivery[] {
  for (const { delivery, decided, runs } of draft.touched) {
    delivery.decided = decided;
    delivery.runs.length = runs;
  }
  return draft.touched.map(({ delivery }) => delivery);
}

function decodeCommands(delivery: Delivery): string | undefined {
  const problem = malformed(delivery.batch.blob);
  if (problem !== undefined) return `the events are not msgpack: ${problem}`;
  const commands: Command[] = [];
  try {
    eachValue(delivery.batch.blob, (value, start, end) => commands.push({ value, start, end }));
  } catch (error) {
    return `the events are not msgpack: ${messageOf(error)}`;
  }
  if (commands.length !== delivery.batch.count) {
    return `the batch says ${delivery.batch.count} events, its bytes hold ${commands.length}`;
  }
  delivery.commands = commands;
  return undefined;
}

/** S4: what it frees must be free on every member, whatever becomes of the delivery itself. */
function raisesFloor(replica: Replica, { batch }: Delivery): boolean {
  const { session, floor, first, count } = batch;
  return session !== null && floorMakesRoom(replica.sessions, { session, floor, first, count });
}

/** A run of no commands, which every member applies like any other. */
function noteFloor(draft: Draft, replica: Replica, epoch: number, delivery: Delivery): void {
  draft.sizeBytes += runSizeBytes + utf8SizeBytes(delivery.batch.session ?? '');
  closeRun(draft, replica, epoch, delivery, openRun(delivery.batch.first, draft.seq));
}

/** S2, S3, S4 again: while the batch waited, its client may have sent a floor above it. */
function refusalNow(draft: Draft, replica: Replica, delivery: Delivery): Refusal | undefined {
  const { batch, decided } = delivery;
  const { session, floor } = batch;
  if (session === null) return undefined;
  const rest = { session, floor, first: batch.first + decided, count: batch.count - decided };
  return refusal(replica.sessions, rest, draft.recordedAtMs);
}

/** Takes over answers given before, for as many commands as they cover (P4). */
function takeKnown(replica: Replica, delivery: Delivery): boolean {
  const { batch, decided } = delivery;
  const number = batch.first + decided;
  const key = batch.keys?.[decided] ?? null;
  const known =
    (batch.session === null ? undefined : findAnswer(replica.sessions, batch.session, number)) ??
    (key === null ? undefined : findKeyed(replica.sessions, key, number));
  if (known === undefined) return false;
  const count = Math.min(known.first + known.count - number, batch.count - decided);
  delivery.runs.push(partOf(known, number, count));
  delivery.decided += count;
  return true;
}

function partOf(run: AnswerRun, first: number, count: number): AnswerRun {
  const from = first - run.first;
  if (from === 0 && count === run.count) return run;
  const refused = run.rejections ?? [];
  const before = run.eventCounts
    ? run.eventCounts.slice(0, from).reduce((sum, n) => sum + n, 0)
    : from - refused.filter(([at]) => at < from).length;
  const rejections = refused
    .filter(([at]) => at >= from && at < from + count)
    .map(([at, code, detail]) => [at - from, code, detail] as const);
  return {
    ...run,
    first,
    count,
    baseSeq: run.baseSeq + before,
    eventCounts: run.eventCounts?.slice(from, from + count) ?? null,
    results: run.results?.slice(from, from + count) ?? null,
    rejections: rejections.length > 0 ? rejections : null,
  };
}

function isFull(draft: Draft): boolean {
  return limits.recordSizeBytes - draft.sizeBytes < roomSizeBytes;
}

/** Consecutive new commands; the arrays appear only once something needs them. */
interface OpenRun {
  readonly first: number;
  readonly baseSeq: Seq;
  count: number;
  eventCounts: number[] | null;
  results: unknown[] | null;
  rejections: [number, string, string][] | null;
  readonly keys: Set<string>;
  /** The stretch of the batch's blob that goes into the record as it is. */
  from: number;
  to: number;
  readonly parts: Uint8Array[];
}

/** Decides commands until one is known already, the record is full, or the batch ends. */
function decideRun(draft: Draft, replica: Replica, epoch: number, delivery: Delivery): void {
  const { batch } = delivery;
  const first = batch.first + delivery.decided;
  const run = openRun(first, draft.seq);
  const fresh =
    batch.keys === null &&
    (batch.session === null || allNew(replica.sessions, batch.session, first));
  draft.sizeBytes += runSizeBytes + utf8SizeBytes(batch.session ?? '');
  while (delivery.decided < batch.count) {
    if (run.count > 0 && (isFull(draft) || (!fresh && isKnown(replica, delivery, run)))) {
      break;
    }
    const key = batch.keys?.[delivery.decided] ?? null;
    if (key !== null) {
      run.keys.add(key);
      draft.sizeBytes += utf8SizeBytes(key);
    }
    draft.sizeBytes += commandSizeBytes;
    decideOne(draft, replica, run, delivery);
    run.count += 1;
    delivery.decided += 1;
  }
  closeRun(draft, replica, epoch, delivery, run);
}

function openRun(first: number, baseSeq: Seq): OpenRun {
  return {
    first,
    baseSeq,
    count: 0,
    eventCounts: null,
    results: null,
    rejections: null,
    keys: new Set(),
    from: 0,
    to: 0,
    parts: [],
  };
}

/** A key may repeat within the run, before the table knows it. */
function isKnown(replica: Replica, delivery: Delivery, run: OpenRun): boolean {
  const { batch, decided } = delivery;
  const key = batch.keys?.[decided] ?? null;
  if (key !== null && (run.keys.has(key) || replica.sessions.byKey.has(key))) return true;
  const { session } = batch;
  return (
    session !== null && findAnswer(replica.sessions, session, batch.first + decided) !== undefined
  );
}

function decideOne(draft: Draft, replica: Replica, run: OpenRun, delivery: Delivery): void {
  const command = delivery.commands?.[delivery.decided] as Command;
  const poison = delivery.poison.get(delivery.decided);
  const context = { seq: draft.seq + 1, recordedAtMs: draft.recordedAtMs };
  const decision =
    poison === undefined
      ? decided(replica, delivery, command, context)
      : new Rejection('apply-failed', poison);
  if (decision instanceof Rejection) return refuse(draft, run, decision);
  const { encoded, result, resultSizeBytes } = decision;
  if (result !== undefined) {
    run.results ??= new Array<unknown>(run.count).fill(null);
    run.results.push(result);
    draft.sizeBytes += resultSizeBytes;
  }
  if (encoded === null) acceptAsSent(draft, replica, run, delivery, command);
  else acceptEncoded(draft, replica, run, delivery, encoded);
}

function decided(
  replica: Replica,
  { firing }: Delivery,
  { value, start, end }: Command,
  context: EventContext,
) {
  return firing === null
    ? decide(replica, value, end - start, context)
    : decideFiring(replica, value, context);
}

function refuse(draft: Draft, run: OpenRun, rejection: Rejection): void {
  const code = String(rejection.code).slice(0, limits.rejectionCodeChars);
  const detail = String(rejection.detail).slice(0, limits.rejectionDetailChars);
  run.rejections ??= [];
  run.rejections.push([run.count, code, detail]);
  run.eventCounts?.push(0);
  run.results?.push(null);
  draft.sizeBytes += utf8SizeBytes(code) + utf8SizeBytes(detail) + rejectionSizeBytes;
}

/**
 * The command is its own single event: its bytes go into the record as they came. What is applied is
 * what those bytes say, whatever `decide` did to its argument (I5).
 */
function acceptAsSent(
  draft: Draft,
  replica: Replica,
  run: OpenRun,
  delivery: Delivery,
  command: Command,
): void {
  const { blob } = delivery.batch;
  const isTouched = replica.kind.decide !== undefined;
  const event = isTouched ? decodeValue(blob.subarray(command.start, command.end)) : command.value;
  applyNext(draft, replica, event);
  if (run.results !== null && run.results.length === run.count) run.results.push(null);
  run.eventCounts?.push(1);
  if (command.start !== run.to) closeStretch(run, delivery);
  if (run.to === run.from) run.from = command.start;
  run.to = command.end;
  draft.sizeBytes += command.end - command.start;
}

function acceptEncoded(
  draft: Draft,
  replica: Replica,
  run: OpenRun,
  delivery: Delivery,
  encoded: readonly Uint8Array[],
): void {
  closeStretch(run, delivery);
  for (const bytes of encoded) {
    applyNext(draft, replica, decodeValue(bytes));
    run.parts.push(bytes);
    draft.sizeBytes += bytes.length;
  }
  if (run.results !== null && run.results.length === run.count) run.results.push(null);
  run.eventCounts ??= countsSoFar(run);
  run.eventCounts.push(encoded.length);
}

function countsSoFar(run: OpenRun): number[] {
  const counts = new Array<number>(run.count).fill(1);
  for (const [at] of run.rejections ?? []) counts[at] = 0;
  return counts;
}

function applyNext(draft: Draft, replica: Replica, event: unknown): void {
  applyEvent(replica, event, draft.seq + 1, draft.recordedAtMs);
  draft.seq = seq(draft.seq + 1);
}

function closeStretch(run: OpenRun, delivery: Delivery): void {
  if (run.to > run.from) run.parts.push(delivery.batch.blob.subarray(run.from, run.to));
  run.from = 0;
  run.to = 0;
}

function closeRun(
  draft: Draft,
  replica: Replica,
  epoch: number,
  delivery: Delivery,
  run: OpenRun,
): void {
  closeStretch(run, delivery);
  for (const part of run.parts) draft.parts.push(part);
  const { session, floor, first, keys } = delivery.batch;
  const from = run.first - first;
  const recorded: RecordedRun = {
    session,
    floor,
    first: run.first,
    count: run.count,
    keys: run.keys.size > 0 ? (keys?.slice(from, from + run.count) ?? null) : null,
    eventCounts: run.eventCounts,
    results: run.results,
    rejections: run.rejections,
  };
  const answer = answerOf(recorded, epoch, run.baseSeq);
  draft.runs.push(recorded);
  recordRun(replica.sessions, recorded, answer, draft.recordedAtMs);
  if (run.count > 0) delivery.runs.push(answer);
}
