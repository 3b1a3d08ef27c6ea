/**
 * The active: takes deliveries, decides them, commits them, answers (P2, P4, P5, P11).
 *
 * A1 An answer leaves only after a record appended after its decision is acknowledged.
 * A2 Reads see the replica only at rest: nothing decided that is not committed.
 * A3 While one record is in flight the next is drafted, unless reads wait for a rest.
 * A4 Losing the fence ends everything here; whatever was not acknowledged was not answered.
 */
import { type Attestation, decodeAttestation } from './attestation.js';
import type { BatchAnswer } from './batch.js';
import { equalBytes } from './bytes.js';
import {
  type Delivery,
  type Draft,
  decideInto,
  draftBody,
  newDelivery,
  newDraft,
  undoDraft,
} from './draft.js';
import type { Effect, Input, Instant, MemberConfig, ReadRequest, ReadResult } from './effects.js';
import { type Position, type Seq, seq } from './ids.js';
import { limits } from './limits.js';
import {
  type Body,
  encodeRecord,
  type LogRecord,
  type Opened,
  type SnapshotBody,
} from './record.js';
import { noteEpoch, type Replica } from './replica.js';
import { refusal } from './sessions.js';
import { signed } from './signature.js';
import { type Cut, cutSnapshot, digestOf } from './snapshot/snapshot.js';
import { send, type Writer, type WriterEvent } from './writer.js';

interface WaitingRead extends ReadRequest {
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
  snapshot: SnapshotWork;
  /** Hot standbys that follow the log, lowest index first. A hint. */
  followers: readonly number[];
  handOff: HandOff | null;
  /** Somebody spoke of a later epoch: the next append tells. */
  doubted: boolean;
}

interface SnapshotWork {
  /** Being stored. */
  cut: Cut | null;
  call: number;
  /** Stored, and waiting for its record. */
  stored: SnapshotBody | null;
  /** The place in the log at which followers were asked for their digests. */
  mark: OpenMark | null;
  /** The last mark came to nothing: this time the active cuts by itself. */
  cutsAlone: boolean;
  /** Asked for by operators, and the seq each wants to see covered. */
  requests: { readonly request: number; readonly from: Seq }[];
  lastAtMs: number;
  /** Size of the last one, and of the records committed since it was cut. */
  sizeBytes: number;
  loggedSizeBytes: number;
  /** Id of the newest one this active has recorded. */
  newestId: string | null;
  /** Failures since the last success, and not again before this. */
  failures: number;
  notBeforeMs: number;
}

interface OpenMark {
  /** The mark's record number in this epoch, its seq, and its position once it is committed. */
  readonly number: number;
  readonly at: Seq;
  position: Position | null;
  readonly cutter: number;
  /** Needs the replica at rest right after the mark. */
  readonly takesPart: boolean;
  /** This member's own digest; null: it does not take part, or the mark is not committed yet. */
  own: Uint8Array | null;
  readonly votes: Map<number, Attestation>;
  readonly untilMs: number;
}

/** How long followers may take to store a snapshot before the active cuts one itself. */
const markMs = 10_000;
/** Packing, storing and restoring a byte of state costs about as much as appending this many. */
const snapshotCostFactor = 4;
/** After a promotion those who have waited are answered first: packing a state takes a while. */
const firstSnapshotMs = 100;
/** Pauses after failures: 1, 2, 4 … s, capped: each try packs the whole state. */
const snapshotRetryMs = 1000;
const longestSnapshotRetryMs = 30_000;

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
    // A fresh active soon syncs the standbys (P8): they must not depend on the old epoch's snapshot.
    snapshot: {
      cut: null,
      call: 0,
      stored: null,
      mark: null,
      cutsAlone: false,
      requests: [],
      lastAtMs: Number.NEGATIVE_INFINITY,
      sizeBytes: 0,
      loggedSizeBytes: 0,
      newestId: null,
      failures: 0,
      notBeforeMs: now.monoMs + firstSnapshotMs,
    },
    followers: [],
    handOff: null,
    doubted: false,
  };
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
  if (active.reads.length >= limits.waitingReads) {
    const detail = `${active.reads.length} reads wait already. Ask again later.`;
    out.push({
      kind: 'answer-read',
      request: read.request,
      result: { ok: false, code: 'overloaded', detail },
    });
    return;
  }
  active.reads.push({ ...read, coveredBy: null });
  pump(active, now, out);
}

export function requestSync(active: Active, request: number, now: Instant, out: Effect[]): void {
  const { requests } = active.snapshot;
  if (requests.length >= limits.waitingSyncs) {
    const failure = `${requests.length} requests wait for the next snapshot. Ask again later.`;
    out.push({ kind: 'answer-sync', request, result: { failure } });
    return;
  }
  // What is decided ahead may yet be undone: a snapshot of it might never come.
  requests.push({ request, from: active.writer.tip.seq });
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
  active.snapshot.loggedSizeBytes += sizeBytes;
  answerInFlight(active, out);
  if (record.body.type === 'snapshot') snapshotCommitted(active, record.body, now, out);
  if (record.body.type === 'barrier' && record.body.mark !== null) markCommitted(active, now, out);
  pump(active, now, out);
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
  { request, batch }: Delivery,
  answer: BatchAnswer,
  out: Effect[],
): void {
  active.intakeSizeBytes -= batch.blob.length;
  active.intakeEvents -= batch.count;
  out.push({ kind: 'answer', request, answer });
}

/** Moves everything on as far as it goes now. Called after every change; the only scheduler here. */
export function pump(active: Active, now: Instant, out: Effect[]): void {
  const { writer } = active;
  settleMark(active, now, out);
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

/** Nothing is in flight and nothing decided: the replica is exactly the committed state (A2). */
function isAtRest({ writer, draft }: Active): boolean {
  return writer.inFlight === null && draft === null;
}

/** While something waits for the replica to be at rest, nothing is decided ahead (A3). */
function wantsRest(active: Active, now: Instant): boolean {
  const { mark } = active.snapshot;
  const isAtMark = mark?.takesPart === true && mark.position === null;
  const waits = active.reads.length > 0 || urgentRecord(active) !== null;
  return waits || isAtMark || snapshotDue(active, now);
}

function rest(active: Active, now: Instant, out: Effect[]): void {
  if (active.spoilt) return;
  answerReads(active, out);
  if (snapshotDue(active, now)) startSnapshot(active, now, out);
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
    if (outcome !== 'finished') answer(active, delivery, { ok: false, ...outcome.refused }, out);
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
  if (active.snapshot.stored !== null) return active.snapshot.stored;
  if (active.handOff !== null) return { type: 'handoff', target: active.handOff.target };
  return null;
}

/** Reads wait for a record and no command is there to give them one; or the fence is in doubt. */
function needsBarrier(active: Active): boolean {
  const waits = active.reads.some((read) => read.coveredBy === null);
  return !active.spoilt && (waits || active.doubted);
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
function answerReads(active: Active, out: Effect[]): void {
  if (active.reads.length === 0) return;
  const committed = active.writer.tip.number;
  const waiting: WaitingRead[] = [];
  for (const read of active.reads) {
    const covered = read.coveredBy !== null && read.coveredBy <= committed;
    if (read.consistency !== 'linearizable' || covered) {
      out.push({
        kind: 'answer-read',
        request: read.request,
        result: readReplica(active.replica, read),
      });
    } else waiting.push(read);
  }
  active.reads = waiting;
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

function snapshotDue(active: Active, now: Instant): boolean {
  const { snapshot, config, writer } = active;
  if (isBusy(snapshot)) return false;
  if (now.monoMs < snapshot.notBeforeMs) return false;
  const isFirst = snapshot.lastAtMs === Number.NEGATIVE_INFINITY;
  const behind = writer.tip.seq - writer.tip.snapshotSeq;
  if (isFirst || snapshot.requests.length > 0) return true;
  if (behind >= config.sync.everyEvents && isWorthIt(snapshot)) return true;
  if (behind === 0 || !isCheap(active)) return false;
  return now.monoMs - snapshot.lastAtMs >= config.sync.everyMs;
}

function isBusy({ cut, stored, mark }: SnapshotWork): boolean {
  return cut !== null || stored !== null || mark !== null;
}

/** A large state is cut less often than asked for: they write at most a quarter of what the log does. */
function isWorthIt({ sizeBytes, loggedSizeBytes }: SnapshotWork): boolean {
  return loggedSizeBytes >= snapshotCostFactor * sizeBytes;
}

/** Time alone makes a small one due, however little was logged since the last. */
function isCheap({ snapshot, config }: Active): boolean {
  return snapshot.sizeBytes <= config.cheapSizeBytes || isWorthIt(snapshot);
}

/** When `pump` has something to do although nothing arrives. */
export function activeWakeAtMs(active: Active): number {
  const { snapshot, config, writer } = active;
  // A snapshot needs a rest, and whatever ends in one pumps.
  if (writer.inFlight !== null || active.spoilt) return Number.POSITIVE_INFINITY;
  if (snapshot.mark !== null && snapshot.cut === null) return snapshot.mark.untilMs;
  if (isBusy(snapshot)) return Number.POSITIVE_INFINITY;
  if (snapshot.requests.length > 0) return snapshot.notBeforeMs;
  if (snapshot.lastAtMs === Number.NEGATIVE_INFINITY) return snapshot.notBeforeMs;
  if (writer.tip.seq === writer.tip.snapshotSeq) return Number.POSITIVE_INFINITY;
  if (!isCheap(active)) return Number.POSITIVE_INFINITY;
  return Math.max(snapshot.notBeforeMs, snapshot.lastAtMs + config.sync.everyMs);
}

function startSnapshot(active: Active, now: Instant, out: Effect[]): void {
  const { snapshot, writer, config } = active;
  snapshot.lastAtMs = now.monoMs;
  if (writer.tip.snapshotPosition > 0 && writer.tip.snapshotSeq === writer.tip.seq) {
    return announceSnapshot(active, out);
  }
  if (config.standby === 'hot') return openMark(active, now, out);
  cut(active, null, now, out);
}

function cut(active: Active, mark: number | null, now: Instant, out: Effect[]): void {
  const { snapshot, writer, config } = active;
  const taken = cutSnapshot(active.replica, config.id.index, mark);
  if ('problem' in taken) return snapshotFailed(active, taken.problem, now, out);
  snapshot.cut = taken;
  snapshot.call = writer.calls.next++;
  out.push({ kind: 'put-snapshot', call: snapshot.call, id: taken.body.id, chunks: taken.chunks });
}

/**
 * Everybody who follows the log takes the digest of the state as of this record (P13). If two of them
 * can vouch for each other, or this member for its own cheap state, one of them cuts the snapshot
 * too, so that a large state does not hold up the commands.
 */
function openMark(active: Active, now: Instant, out: Effect[]): void {
  const { snapshot, writer, config, followers } = active;
  const isCheapHere = snapshot.sizeBytes <= config.cheapSizeBytes;
  const others = isCheapHere ? 1 : 2;
  const isAlone = snapshot.cutsAlone || followers.length < others;
  const cutter = isAlone ? config.id.index : (followers[0] as number);
  snapshot.mark = {
    number: writer.tip.number + 1,
    at: writer.tip.seq,
    position: null,
    cutter,
    takesPart: isAlone || isCheapHere,
    own: null,
    votes: new Map(),
    untilMs: now.monoMs + markMs,
  };
  sendMark(active, { type: 'barrier', opened: active.opened, mark: { cutter } }, now, out);
}

/** If this member takes part, nothing has been decided since (A3): its state is that of the mark. */
function markCommitted(active: Active, now: Instant, out: Effect[]): void {
  const mark = active.snapshot.mark as OpenMark;
  mark.position = active.writer.tip.position;
  if (mark.cutter === active.config.id.index) return cut(active, mark.number, now, out);
  if (!mark.takesPart) return;
  const own = digestOf(active.replica);
  if ('problem' in own) return snapshotFailed(active, own.problem, now, out);
  mark.own = own.digest;
}

/** A follower has taken its digest, and perhaps cut the snapshot. */
export function onAttested(active: Active, bytes: Uint8Array, now: Instant, out: Effect[]): void {
  const { mark } = active.snapshot;
  const attestation = decodeAttestation(bytes, active.config);
  if (attestation === null) {
    out.push({ kind: 'alarm', code: 'forbidden', detail: 'a forged attestation was refused' });
    return;
  }
  const { index, epoch, number } = attestation;
  if (mark === null || number !== mark.number || epoch !== active.writer.tip.epoch) return;
  if (attestation.body !== null && index !== mark.cutter) return;
  mark.votes.set(index, attestation);
  pump(active, now, out);
}

/** The snapshot of a follower exists if somebody else found the same digest. */
function settleMark(active: Active, now: Instant, out: Effect[]): void {
  const { snapshot, config } = active;
  const { mark } = snapshot;
  if (mark === null || mark.position === null || mark.cutter === config.id.index) return;
  const offer = mark.votes.get(mark.cutter);
  const isContested = offer !== undefined && mark.own !== null && !agrees(mark.own, offer);
  if (isContested || now.monoMs >= mark.untilMs) return cutAlone(active, mark, isContested, out);
  if (!offer?.body || !hasWitness(mark, offer)) return;
  if (!fits(mark, offer.body, offer.digest)) return cutAlone(active, mark, true, out);
  snapshot.mark = null;
  snapshot.stored = offer.body;
}

const agrees = (own: Uint8Array, { digest }: Attestation): boolean => equalBytes(own, digest);

/** One that differs is no witness, but no proof either: of two, who is wrong? */
function hasWitness({ own, votes, cutter }: OpenMark, offer: Attestation): boolean {
  if (own !== null) return agrees(own, offer);
  return [...votes].some(([index, vote]) => index !== cutter && agrees(vote.digest, offer));
}

/** What a cutter says of itself is not believed. */
function fits(mark: OpenMark, body: SnapshotBody, digest: Uint8Array): boolean {
  const isThere = body.at === mark.at && body.position === mark.position;
  const isForIt = body.mark === mark.number && body.cutter === mark.cutter;
  return isThere && isForIt && equalBytes(body.digest, digest);
}

function cutAlone(active: Active, mark: OpenMark, isContested: boolean, out: Effect[]): void {
  const { snapshot } = active;
  snapshot.mark = null;
  snapshot.cutsAlone = true;
  snapshot.lastAtMs = Number.NEGATIVE_INFINITY;
  const why = isContested
    ? `it is not that of this active at record ${mark.number} of the epoch`
    : `no other member vouched for one in ${markMs} ms`;
  const detail = `the snapshot of member ${mark.cutter} is not used: ${why}`;
  out.push({ kind: 'alarm', code: 'conflict', detail });
}

export function onSnapshotPut(
  active: Active,
  input: Extract<Input, { kind: 'snapshot-put' }>,
  now: Instant,
  out: Effect[],
): void {
  const { snapshot } = active;
  if (snapshot.cut === null || snapshot.call !== input.call) return;
  if (input.failure !== null) return snapshotFailed(active, input.failure, now, out);
  snapshot.stored = snapshot.cut.body;
  snapshot.cut = null;
  snapshot.mark = null;
  pump(active, now, out);
}

function snapshotFailed(active: Active, problem: string, now: Instant, out: Effect[]): void {
  const { snapshot } = active;
  snapshot.cut = null;
  snapshot.mark = null;
  const pauseMs = Math.min(longestSnapshotRetryMs, snapshotRetryMs * 2 ** snapshot.failures);
  snapshot.failures = Math.min(snapshot.failures + 1, 10);
  snapshot.notBeforeMs = now.monoMs + pauseMs;
  // It stays due, however little happens meanwhile (P8).
  snapshot.lastAtMs = Number.NEGATIVE_INFINITY;
  for (const { request } of snapshot.requests) {
    out.push({ kind: 'answer-sync', request, result: { failure: problem } });
  }
  snapshot.requests = [];
  out.push({ kind: 'alarm', code: 'internal', detail: `no snapshot: ${problem}` });
}

function snapshotCommitted(
  active: Active,
  { id, sizeBytes }: SnapshotBody,
  now: Instant,
  out: Effect[],
): void {
  const { snapshot } = active;
  snapshot.stored = null;
  snapshot.cutsAlone = false;
  snapshot.sizeBytes = sizeBytes;
  snapshot.loggedSizeBytes = 0;
  snapshot.failures = 0;
  snapshot.lastAtMs = now.monoMs;
  // The one before stays readable for members that are fetching it.
  if (snapshot.newestId !== null) out.push({ kind: 'drop-snapshots', before: snapshot.newestId });
  snapshot.newestId = id;
  announceSnapshot(active, out);
}

function announceSnapshot(active: Active, out: Effect[]): void {
  const { epoch, snapshotPosition, snapshotSeq } = active.writer.tip;
  out.push({
    kind: 'announce-snapshot',
    epoch,
    position: snapshotPosition,
    seq: snapshotSeq,
  });
  answerSyncs(active, snapshotSeq, out);
}

/** Requests that came after the cut wait for the next one. */
function answerSyncs(active: Active, through: Seq, out: Effect[]): void {
  const { snapshot } = active;
  for (const { request, from } of snapshot.requests) {
    if (from <= through) out.push({ kind: 'answer-sync', request, result: { through } });
  }
  snapshot.requests = snapshot.requests.filter(({ from }) => from > through);
}

/** The role is lost or left: everybody who waits is told to ask again (A4). */
export function dismiss(active: Active, out: Effect[]): void {
  const detail = 'this member is not the active any more; send the same batch again';
  const moved = { ok: false, code: 'moved', detail } as const;
  const deliveries = [...active.inFlight, ...(active.draft?.finished ?? []), ...active.intake];
  for (const { request } of deliveries) out.push({ kind: 'answer', request, answer: moved });
  for (const { request } of active.reads) out.push({ kind: 'answer-read', request, result: moved });
  for (const { request } of active.snapshot.requests) {
    out.push({ kind: 'answer-sync', request, result: { failure: detail } });
  }
  if (active.handOff !== null) {
    const { request } = active.handOff;
    out.push({ kind: 'answer-hand-off', request, failure: 'the fence was lost to another member' });
  }
  active.handOff = null;
  active.intake = [];
  active.reads = [];
  active.inFlight = [];
  active.draft = null;
}
