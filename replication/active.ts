/**
 * The active: takes deliveries, decides them, commits them, answers (P2, P4, P5, P11).
 *
 * A1 An answer leaves only after a record appended after its decision is acknowledged.
 * A2 Reads see the replica only at rest: nothing decided that is not committed.
 * A3 While one record is in flight the next is drafted, unless reads wait for a rest.
 * A4 Losing the fence ends everything here; whatever was not acknowledged was not answered.
 * A5 What machines have fired comes in as deliveries do, and is answered to `machines/arming.ts`.
 */
import type { BatchAnswer } from './batch.js';
import { type Delivery, newDelivery } from './delivery.js';
import { type Draft, decideInto, draftBody, newDraft, undoDraft } from './draft.js';
import type { Effect, Input, Instant, MemberConfig, ReadRequest, ReadResult } from './effects.js';
import { type Seq, seq } from './ids.js';
import { limits } from './limits.js';
import {
  type Arming,
  armAll,
  disarmAll,
  type MachineTime,
  newArming,
  onCommittedEvents,
  onSettled,
  onTime,
  onTriggerEnded,
  triggersOf,
} from './machines/arming.js';
import {
  expired,
  type HeldReads,
  type Holdable,
  heldWakeAtMs,
  hold,
  woken,
} from './machines/held-reads.js';
import { triggersQuery } from './machines/queries.js';
import type { MachineState } from './machines/tables.js';
import { type Body, type EventsBody, encodeRecord, type LogRecord, type Opened } from './record.js';
import { noteEpoch, type Replica } from './replica.js';
import { refusal } from './sessions.js';
import { signed } from './signature.js';
import {
  beginSnapshot,
  type Cutting,
  cuttingWakeAtMs,
  doubt,
  failRequests,
  isDue,
  newCutting,
  onAttested,
  onMarked,
  onRecorded,
  requestSnapshot,
  settleMark,
  stepCutting,
  vouches,
} from './snapshot/cutting.js';
import { send, type Writer, type WriterEvent } from './writer.js';

interface WaitingRead extends Holdable {
  /** Number of the record whose commit makes the answer honest; null: none sent yet. */
  coveredBy: number | null;
}

interface HandOff {
  readonly request: number;
  readonly target: number;
  readonly budgetMs: number;
}

export interface Active {
  readonly config: MemberConfig;
  replica: Replica;
  readonly writer: Writer;
  /** Waiting to be decided. */
  intake: Delivery[];
  /** Of every delivery without an answer, wherever it waits (P14). */
  intakeSizeBytes: number;
  intakeEvents: number;
  draft: Draft | null;
  /** Deliveries to answer when the record in flight is committed (A1). */
  inFlight: Delivery[];
  reads: WaitingRead[];
  /** What the first barrier of this epoch tells. */
  opened: Opened | null;
  /** The kind threw: the replica must be rebuilt before anything else is decided (P15). */
  spoilt: boolean;
  readonly cutting: Cutting;
  handOff: HandOff | null;
  /** Somebody spoke of a later epoch: the next append tells. */
  doubted: boolean;
  /** Null: the kind has no machines. */
  readonly arming: Arming | null;
  readonly held: HeldReads<WaitingRead>;
}

export function newActive(
  config: MemberConfig,
  replica: Replica,
  writer: Writer,
  opened: Opened | null,
  now: Instant,
): Active {
  return {
    config,
    replica,
    writer,
    intake: [],
    intakeSizeBytes: 0,
    intakeEvents: 0,
    draft: null,
    inFlight: [],
    reads: [],
    opened,
    spoilt: false,
    cutting: newCutting(config, writer.calls, replica, now),
    handOff: null,
    doubted: false,
    arming: config.kind.machines ? newArming(config.kind.machines, writer.calls) : null,
    held: { reads: [] },
  };
}

/** The epoch has begun: what machines wait for is waited for from here on (I6). */
export function openMachines(active: Active, now: Instant, out: Effect[]): void {
  const { arming, replica } = active;
  if (arming === null) return;
  armAll(arming, replica.state as MachineState, timeOfMachines(active, now), out);
}

function timeOfMachines(active: Active, now: Instant): MachineTime {
  return { monoMs: now.monoMs, recordedAtMs: notBefore(active, now) };
}

/** A run of a trigger has ended, well or not. */
export function triggerEnded(
  active: Active,
  input: Extract<Input, { kind: 'trigger-ended' }>,
  now: Instant,
  out: Effect[],
): void {
  const { arming, intakeSizeBytes } = active;
  if (arming === null) return;
  const isFull = intakeSizeBytes + limits.triggerOutputSizeBytes > limits.intakeSizeBytes;
  const result = isFull ? { failure: 'the group has too much to decide already' } : input.result;
  const time = timeOfMachines(active, now);
  takeFired(active, onTriggerEnded(arming, { ...input, result }, time, out));
  pump(active, now, out);
}

/** P14: machines are limited in number, and each tells one thing at a time. */
function takeFired(active: Active, delivery: Delivery | null): void {
  if (delivery === null) return;
  active.intake.push(delivery);
  active.intakeSizeBytes += delivery.batch.blob.length;
  active.intakeEvents += delivery.batch.count;
}

/** Takes a batch in, or refuses it at once (P14). */
export function deliver(
  active: Active,
  input: Extract<Input, { kind: 'deliver' }>,
  now: Instant,
  out: Effect[],
): void {
  const { request, batch } = input;
  const refused = admission(active, batch, now);
  if (refused !== undefined) {
    out.push({ kind: 'answer', request, answer: { ok: false, ...refused } });
    return;
  }
  active.intake.push(newDelivery(request, batch));
  active.intakeSizeBytes += batch.blob.length;
  active.intakeEvents += batch.count;
  pump(active, now, out);
}

type Refused = Omit<BatchAnswer & { ok: false }, 'ok'>;

function admission(active: Active, batch: Delivery['batch'], now: Instant): Refused | undefined {
  if (batch.blob.length > limits.batchSizeBytes || batch.count > limits.batchEvents) {
    const detail =
      `${batch.count} events in ${batch.blob.length} bytes; a batch may have ` +
      `${limits.batchEvents} in ${limits.batchSizeBytes}`;
    return { code: 'too-large', detail };
  }
  const { intakeSizeBytes, intakeEvents } = active;
  if (
    intakeSizeBytes + batch.blob.length > limits.intakeSizeBytes ||
    intakeEvents + batch.count > limits.intakeEvents
  ) {
    const waiting = `${intakeEvents} events in ${intakeSizeBytes} bytes wait for their answers`;
    const reason =
      active.writer.stalled === null ? '' : `; the log is stalled: ${active.writer.stalled}`;
    return { code: 'overloaded', detail: `${waiting}${reason}. Send again later.` };
  }
  if (batch.session === null) return undefined;
  return refusal(active.replica.sessions, { ...batch, session: batch.session }, now.wallMs);
}

export function read(active: Active, read: ReadRequest, now: Instant, out: Effect[]): void {
  const waiting = active.reads.length + active.held.reads.length;
  if (waiting >= limits.waitingReads) {
    const detail = `${waiting} reads wait already. Ask again later.`;
    out.push({
      kind: 'answer-read',
      request: read.request,
      result: { ok: false, code: 'overloaded', detail },
    });
    return;
  }
  active.reads.push({ ...read, coveredBy: null, heldUntilMs: null });
  pump(active, now, out);
}

export function requestSync(active: Active, request: number, now: Instant, out: Effect[]): void {
  requestSnapshot(active.cutting, request, active.writer.tip.seq, out);
  pump(active, now, out);
}

export function requestHandOff(
  active: Active,
  handOff: HandOff,
  now: Instant,
  out: Effect[],
): void {
  if (active.handOff !== null) {
    const failure = `member ${active.handOff.target} is being handed the role already`;
    out.push({ kind: 'answer-hand-off', request: handOff.request, failure });
    return;
  }
  active.handOff = handOff;
  pump(active, now, out);
}

/** The seq the replica stands at, decided but perhaps not committed. */
function seqOf(active: Active): Seq {
  return active.draft?.seq ?? active.writer.inFlight?.record.seq ?? active.writer.tip.seq;
}

/** The record in flight is committed: answer, then go on. */
export function onCommitted(
  active: Active,
  { record, sizeBytes }: Extract<WriterEvent, { kind: 'committed' }>,
  now: Instant,
  out: Effect[],
): void {
  active.replica.tip = active.writer.tip;
  noteEpoch(active.replica, record);
  active.cutting.loggedSizeBytes += sizeBytes;
  answerInFlight(active, out);
  const { body } = record;
  if (body.type === 'events') noteMoved(active, record, body, now, out);
  if (body.type === 'snapshot') onRecorded(active.cutting, body, active.replica, now, out);
  // If this member is to vouch, nothing has been decided since (A3): its state is the mark's.
  if (body.type === 'barrier' && body.mark !== null) {
    onMarked(active.cutting, active.replica, now, out);
  }
  pump(active, now, out);
}

/** D2: triggers are armed by what is committed. */
function noteMoved(
  active: Active,
  record: LogRecord,
  { blob }: EventsBody,
  now: Instant,
  out: Effect[],
): void {
  const { arming, reads, held } = active;
  if (arming === null) return;
  const moved = onCommittedEvents(arming, blob, record, timeOfMachines(active, now), out);
  reads.push(...woken(held, moved));
}

export function answerInFlight(active: Active, out: Effect[]): void {
  for (const delivery of active.inFlight) answerRuns(active, delivery, out);
  active.inFlight = [];
}

function answerRuns(active: Active, delivery: Delivery, out: Effect[]): void {
  answer(active, delivery, { ok: true, runs: delivery.runs }, out);
}

function answer(
  active: Active,
  { request, batch, firing }: Delivery,
  answer: BatchAnswer,
  out: Effect[],
): void {
  active.intakeSizeBytes -= batch.blob.length;
  active.intakeEvents -= batch.count;
  if (firing === null) out.push({ kind: 'answer', request, answer });
  else if (active.arming !== null) {
    takeFired(active, onSettled(active.arming, firing, answer, out));
  }
}

/** Moves everything on as far as it goes now. Called after every change; the only scheduler here. */
export function pump(active: Active, now: Instant, out: Effect[]): void {
  const { writer } = active;
  if (writer.isHeld) return;
  settleMark(active.cutting, now, out);
  if (active.arming !== null) onTimeOfMachines(active, active.arming, now, out);
  if (isAtRest(active)) rest(active, now, out);
  if (isAtRest(active)) {
    const urgent = urgentRecord(active);
    if (urgent !== null) sendMark(active, urgent, now, out);
    else fillDraft(active, now, out);
  }
  if (writer.inFlight === null && active.draft !== null) sendDraft(active, out);
  if (writer.inFlight === null && needsBarrier(active)) {
    sendMark(active, { type: 'barrier', opened: null, mark: null }, now, out);
  }
  if (writer.inFlight !== null && !wantsRest(active, now)) fillDraft(active, now, out);
}

/** Deadlines that are due, triggers to run again, questions that were held for long enough. */
function onTimeOfMachines(active: Active, arming: Arming, now: Instant, out: Effect[]): void {
  const time = timeOfMachines(active, now);
  for (const fired of onTime(arming, time, out)) takeFired(active, fired);
  active.reads.push(...expired(active.held, now));
}

/** Nothing is in flight and nothing decided: the replica is exactly the committed state (A2). */
function isAtRest({ writer, draft }: Active): boolean {
  return writer.inFlight === null && draft === null;
}

/** While something waits for the replica to be at rest, nothing is decided ahead (A3). */
function wantsRest(active: Active, now: Instant): boolean {
  const { cutting, reads, writer } = active;
  const waits = reads.length > 0 || urgentRecord(active) !== null;
  return waits || vouches(cutting) || isDue(cutting, writer.tip, now);
}

function rest(active: Active, now: Instant, out: Effect[]): void {
  if (active.spoilt) return;
  answerReads(active, now, out);
  const { cutting, replica, writer } = active;
  if (!isDue(cutting, writer.tip, now)) return;
  const mark = beginSnapshot(cutting, replica, now, out);
  if (mark !== null) sendMark(active, { type: 'barrier', opened: active.opened, mark }, now, out);
}

function fillDraft(active: Active, now: Instant, out: Effect[]): void {
  if (active.spoilt || active.handOff !== null) return;
  while (active.intake.length > 0) {
    const delivery = active.intake[0] as Delivery;
    active.draft ??= newDraft(seqOf(active), notBefore(active, now));
    const outcome = decideInto(active.draft, active.replica, active.writer.tip.epoch, delivery);
    if (outcome === 'full') break;
    if (outcome === 'spoilt') return spoil(active);
    active.intake.shift();
    if (outcome !== 'finished') {
      answer(active, delivery, { ok: false, ...outcome.refused }, out);
    }
  }
  if (active.draft !== null && active.draft.runs.length === 0) answerKnown(active, out);
}

/** Only answers given before: they wait for what is in flight, and need no record of their own. */
function answerKnown(active: Active, out: Effect[]): void {
  const { finished } = active.draft as Draft;
  active.draft = null;
  for (const delivery of finished) {
    if (active.writer.inFlight !== null) active.inFlight.push(delivery);
    else answerRuns(active, delivery, out);
  }
}

/** P15: what was drafted is undone and decided again on a rebuilt replica, without the poison. */
function spoil(active: Active): void {
  const draft = active.draft as Draft;
  // The last of them is the one with the poison, which is still the first of the intake.
  active.intake = [...undoDraft(draft), ...active.intake.slice(1)];
  active.draft = null;
  active.spoilt = true;
}

function sendDraft(active: Active, out: Effect[]): void {
  const draft = active.draft as Draft;
  active.draft = null;
  for (const delivery of draft.finished) active.inFlight.push(delivery);
  const body = draftBody(draft, active.config.kind.version);
  sendRecord(active, body, draft.seq, draft.recordedAtMs, out);
}

/** Appends a record that holds no events. */
function sendMark(active: Active, body: Body, now: Instant, out: Effect[]): void {
  if (body.type === 'barrier') active.opened = null;
  sendRecord(active, body, active.writer.tip.seq, notBefore(active, now), out);
}

/** The wall clock may jump back; what is recorded does not. */
function notBefore(active: Active, now: Instant): number {
  const { inFlight, tip } = active.writer;
  return Math.max(now.wallMs, inFlight?.record.recordedAtMs ?? tip.recordedAtMs);
}

/** Marks that go before any waiting command. */
function urgentRecord(active: Active): Body | null {
  if (active.spoilt) return null;
  if (active.opened !== null) return { type: 'barrier', opened: active.opened, mark: null };
  if (active.cutting.stored !== null) return active.cutting.stored;
  if (active.handOff !== null) return { type: 'handoff', target: active.handOff.target };
  return null;
}

/**
 * Reads wait for a record and no command is there to give them one; or the fence is in doubt: then it is
 * found out before a state is rebuilt that may be of no use any more.
 */
function needsBarrier({ reads, spoilt, doubted }: Active): boolean {
  return doubted || (!spoilt && reads.some((read) => read.coveredBy === null));
}

function sendRecord(
  active: Active,
  body: Body,
  upTo: number,
  recordedAtMs: number,
  out: Effect[],
): void {
  const { tip } = active.writer;
  const record: LogRecord = {
    epoch: tip.epoch,
    number: tip.number + 1,
    writer: active.config.id,
    previous: tip.hash,
    recordedAtMs,
    baseSeq: tip.seq,
    seq: seq(upTo),
    snapshotPosition: tip.snapshotPosition,
    snapshotSeq: tip.snapshotSeq,
    body,
    signature: null,
  };
  const own = body.type === 'snapshot' ? signed(record, active.config) : record;
  active.doubted = false;
  for (const read of active.reads) read.coveredBy ??= record.number;
  out.push(...send(active.writer, own, encodeRecord(own)).effects);
}

/**
 * A local read is honest at any rest, and so is one that any standby might have answered; a
 * linearizable one after a record sent since it came (P11).
 */
function answerReads(active: Active, now: Instant, out: Effect[]): void {
  if (active.reads.length === 0) return;
  const committed = active.writer.tip.number;
  const waiting: WaitingRead[] = [];
  for (const read of active.reads) {
    const covered = read.coveredBy !== null && read.coveredBy <= committed;
    if (read.consistency === 'linearizable' && !covered) waiting.push(read);
    else {
      const result = readActive(active, read, now);
      if (hold(active.held, read, result, now)) continue;
      out.push({ kind: 'answer-read', request: read.request, result });
    }
  }
  active.reads = waiting;
}

/** What runs is no part of the state: only the active knows it. */
function readActive({ arming, replica }: Active, read: WaitingRead, now: Instant): ReadResult {
  if (arming === null || read.query !== triggersQuery) return readReplica(replica, read);
  const place = readReplica(replica, { ...read, query: null });
  const { operation } = (read.args ?? {}) as { readonly operation?: string };
  return place.ok ? { ...place, value: triggersOf(arming, operation, now.monoMs) } : place;
}

/** The value is a copy: the state goes on changing before the answer is on its way (A2). */
export function readReplica(
  replica: Replica,
  read: Pick<ReadRequest, 'query' | 'args' | 'minSeq'>,
): ReadResult {
  const { seq: at, epoch } = replica.tip;
  if (at < read.minSeq) {
    const detail = `this member is at seq ${at}, asked for at least ${read.minSeq}. Ask again.`;
    return { ok: false, code: 'not-ready', detail };
  }
  if (read.query === null) return { ok: true, value: null, seq: at, epoch };
  const queries = replica.kind.queries ?? {};
  const query = Object.hasOwn(queries, read.query) ? queries[read.query] : undefined;
  if (query === undefined) {
    const known = Object.keys(queries).join(', ') || 'none';
    const detail = `kind ${replica.kind.name} has no query ${read.query}; it has: ${known}`;
    return { ok: false, code: 'bad-request', detail };
  }
  try {
    const value = query(replica.state, read.args as never);
    return { ok: true, value: structuredClone(value), seq: at, epoch };
  } catch (error) {
    const detail = `query ${read.query}: ${error instanceof Error ? error.message : String(error)}`;
    return { ok: false, code: 'bad-request', detail };
  }
}

/** When `pump` has something to do although nothing arrives. */
export function activeWakeAtMs({ cutting, writer, spoilt, arming, held }: Active): number {
  const machinesAtMs = Math.min(
    arming?.queue.nextAtMs ?? Number.POSITIVE_INFINITY,
    heldWakeAtMs(held),
  );
  if (writer.isHeld) return Number.POSITIVE_INFINITY;
  // A snapshot needs a rest, and whatever ends in one pumps.
  if (writer.inFlight !== null || spoilt) return machinesAtMs;
  return Math.min(machinesAtMs, cuttingWakeAtMs(cutting, writer.tip));
}

export function cutOn(active: Active, input: Input, now: Instant, out: Effect[]): void {
  stepCutting(active.cutting, input, now, out);
  pump(active, now, out);
}

export function chunksLost(
  active: Active,
  hashes: readonly Uint8Array[],
  now: Instant,
  out: Effect[],
): void {
  doubt(active.cutting, active.replica, hashes, now);
  pump(active, now, out);
}

export function attested(active: Active, bytes: Uint8Array, now: Instant, out: Effect[]): void {
  onAttested(active.cutting, bytes, out);
  pump(active, now, out);
}

/** The role is lost or left: everybody who waits is told to ask again (A4). */
export function dismiss(active: Active, out: Effect[]): void {
  const detail = 'this member is not the active any more; send the same batch again';
  const moved = { ok: false, code: 'moved', detail } as const;
  const deliveries = [...active.inFlight, ...(active.draft?.finished ?? []), ...active.intake];
  for (const { request, firing } of deliveries) {
    if (firing === null) out.push({ kind: 'answer', request, answer: moved });
  }
  const reads = [...active.reads, ...active.held.reads];
  for (const { request } of reads) out.push({ kind: 'answer-read', request, result: moved });
  failRequests(active.cutting, detail, out);
  if (active.handOff !== null) {
    const { request } = active.handOff;
    out.push({ kind: 'answer-hand-off', request, failure: 'the fence was lost to another member' });
  }
  if (active.arming !== null) disarmAll(active.arming, out);
  active.held.reads = [];
  active.handOff = null;
  active.intake = [];
  active.reads = [];
  active.inFlight = [];
  active.draft = null;
}
