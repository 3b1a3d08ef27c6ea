/**
 * When an active's snapshots are cut, by whom, and what it takes for one to be recorded.
 *
 * U1 The active records one of its own, cut at rest, or one of a follower.
 * U2 A follower's is recorded only if somebody else found the same digest at the same mark: this active
 *    for its own cheap state, or another follower. One that nobody vouches for is cut again here.
 * U3 One at a time; after a failure not again before a pause.
 */
import { type Attestation, decodeAttestation } from '../attestation.js';
import { equalBytes } from '../bytes.js';
import type { Effect, Input, Instant, MemberConfig } from '../effects.js';
import type { Epoch, Position, Seq } from '../ids.js';
import { limits } from '../limits.js';
import type { Mark, SnapshotBody } from '../record.js';
import type { Replica, Tip } from '../replica.js';
import type { Calls } from '../writer.js';
import {
  beginCut,
  beginDigest,
  type Cut,
  cutHasWork,
  type Digesting,
  doubtedIn,
  settleBase,
  snapshotId,
  stepCut,
  stepDigest,
} from './cut.js';
import type { Deposited } from './depositing.js';
import { takeImage } from './image.js';

export interface Cutting {
  readonly config: MemberConfig;
  readonly calls: Calls;
  /** Being cut, and then stored and waiting for its record. */
  cut: Cut | null;
  stored: SnapshotBody | null;
  /** Where the chunks of one that was cut here are: once it is recorded the next builds upon it. */
  deposited: Deposited | null;
  /** Being taken of the mark that is open. */
  digesting: Digesting | null;
  /** `keyOf` chunks of the newest snapshot that somebody could not get: put anew with the next. */
  readonly doubted: Set<string>;
  doubtedAtMs: number;
  /** The place in the log at which followers were asked for their digests. */
  mark: OpenMark | null;
  /** The last mark came to nothing: this time the active cuts by itself. */
  isAlone: boolean;
  /** Hot standbys that follow the log, lowest index first. A hint. */
  followers: readonly number[];
  /** Asked for by operators, and the seq each wants to see covered. */
  requests: { readonly request: number; readonly from: Seq }[];
  lastAtMs: number;
  /** What the last one stored anew whatever was changed, and the records committed since. */
  coreSizeBytes: number;
  loggedSizeBytes: number;
  /** Id of the newest one this active has recorded. */
  newestId: string | null;
  /** Failures since the last success, and not again before this. */
  failures: number;
  notBeforeMs: number;
}

interface OpenMark {
  /** The mark's epoch, its record number in there, its seq, and its position once it is committed. */
  readonly epoch: Epoch;
  readonly number: number;
  readonly seq: Seq;
  position: Position | null;
  readonly cutter: number;
  /** Needs the replica at rest right after the mark. */
  readonly vouches: boolean;
  /** This member's own digest; null: it does not vouch, or the mark is not committed yet. */
  own: Uint8Array | null;
  readonly votes: Map<number, Attestation>;
  readonly untilMs: number;
}

/** How long followers may take to store a snapshot before the active cuts one itself. */
const markMs = 10_000;
/** Packing and storing a byte that is in no table costs about as much as appending this many. */
const costFactor = 4;
/** After a promotion those who have waited are answered first: packing a state takes a while. */
const firstMs = 100;
/** Pauses after failures: 1, 2, 4 … s, capped: each try packs the whole state. */
const retryMs = 1000;
const longestRetryMs = 30_000;

export function newCutting(
  config: MemberConfig,
  calls: Calls,
  { coreSizeBytes }: Replica,
  now: Instant,
): Cutting {
  return {
    config,
    calls,
    cut: null,
    stored: null,
    deposited: null,
    digesting: null,
    doubted: new Set(),
    doubtedAtMs: Number.NEGATIVE_INFINITY,
    mark: null,
    isAlone: false,
    followers: [],
    requests: [],
    // A fresh active soon syncs the standbys (P8): they must not depend on the old epoch's snapshot.
    lastAtMs: Number.NEGATIVE_INFINITY,
    coreSizeBytes,
    loggedSizeBytes: 0,
    newestId: null,
    failures: 0,
    notBeforeMs: now.monoMs + firstMs,
  };
}

export function requestSnapshot(
  { requests }: Cutting,
  request: number,
  from: Seq,
  out: Effect[],
): void {
  if (requests.length >= limits.waitingSyncs) {
    const failure = `${requests.length} requests wait for the next snapshot. Ask again later.`;
    out.push({ kind: 'answer-sync', request, result: { failure } });
    return;
  }
  // What is decided ahead may yet be undone: a snapshot of it might never come.
  requests.push({ request, from });
}

export function isDue(cutting: Cutting, tip: Tip, now: Instant): boolean {
  const { config, lastAtMs, notBeforeMs, requests } = cutting;
  if (isBusy(cutting) || now.monoMs < notBeforeMs) return false;
  const isFirst = lastAtMs === Number.NEGATIVE_INFINITY;
  const behind = tip.seq - tip.snapshotSeq;
  if (isFirst || requests.length > 0) return true;
  if (behind >= config.sync.everyEvents && isWorthIt(cutting)) return true;
  if (behind === 0 || !isCheap(cutting)) return false;
  return now.monoMs - lastAtMs >= config.sync.everyMs;
}

function isBusy({ cut, stored, mark }: Cutting): boolean {
  return cut !== null || stored !== null || mark !== null;
}

/** A large core is cut less often than asked for: it writes at most a quarter of what the log does. */
function isWorthIt({ coreSizeBytes, loggedSizeBytes }: Cutting): boolean {
  return loggedSizeBytes >= costFactor * coreSizeBytes;
}

/** Time alone makes a small one due, however little was logged since the last. */
function isCheap(cutting: Cutting): boolean {
  return cutting.coreSizeBytes <= cutting.config.cheapSizeBytes || isWorthIt(cutting);
}

/** When something is due although nothing arrives. */
export function cuttingWakeAtMs(cutting: Cutting, tip: Tip): number {
  const { mark, cut, requests, lastAtMs, notBeforeMs, config } = cutting;
  if (mark !== null && cut === null) return mark.untilMs;
  if (isBusy(cutting)) return Number.POSITIVE_INFINITY;
  if (requests.length > 0 || lastAtMs === Number.NEGATIVE_INFINITY) return notBeforeMs;
  if (tip.seq === tip.snapshotSeq || !isCheap(cutting)) return Number.POSITIVE_INFINITY;
  return Math.max(notBeforeMs, lastAtMs + config.sync.everyMs);
}

/** The replica is at rest. Returns the mark that has to be appended first, if there are followers. */
export function beginSnapshot(
  cutting: Cutting,
  replica: Replica,
  now: Instant,
  out: Effect[],
): Mark | null {
  const { tip } = replica;
  cutting.lastAtMs = now.monoMs;
  const isThere = tip.snapshotPosition > 0 && tip.snapshotSeq === tip.seq;
  const isInDoubt = cutting.doubted.size > 0 || cutting.isAlone;
  if (isThere && !isInDoubt) announce(cutting, tip, out);
  else if (cutting.config.standby === 'hot') return openMark(cutting, tip, now);
  else cutHere(cutting, replica, null, now, out);
  return null;
}

function cutHere(
  cutting: Cutting,
  replica: Replica,
  mark: number | null,
  now: Instant,
  out: Effect[],
): void {
  const image = takeImage(replica);
  if ('problem' in image) return failed(cutting, image.problem, now, out);
  const { config, calls, doubted } = cutting;
  const cutter = config.id.index;
  const { base } = replica;
  // What is doubted from here on may be in this one already: the next one tells.
  const order = { image, cutter, mark, base, doubted: new Set(doubted) };
  doubted.clear();
  cutting.cut = beginCut(order, calls, out);
}

/**
 * Everybody who follows the log takes the digest of the state as of this record (P13). If one of them
 * can be vouched for (U2), it cuts the snapshot too, so that a large state holds up no command.
 */
function openMark(cutting: Cutting, tip: Tip, now: Instant): Mark {
  const { config, followers } = cutting;
  const isCheapHere = cutting.coreSizeBytes <= config.cheapSizeBytes;
  const isAlone = cutting.isAlone || followers.length < (isCheapHere ? 1 : 2);
  const cutter = isAlone ? config.id.index : (followers[0] as number);
  cutting.mark = {
    epoch: tip.epoch,
    number: tip.number + 1,
    seq: tip.seq,
    position: null,
    cutter,
    vouches: isAlone || isCheapHere,
    own: null,
    votes: new Map(),
    untilMs: now.monoMs + markMs,
  };
  return { cutter };
}

/** From the sending of a mark to its commit nothing may be decided: its state is to be looked at. */
export function vouches({ mark }: Cutting): boolean {
  return mark?.vouches === true && mark.position === null;
}

/** The mark is committed; `replica` is at rest there if this member vouches. */
export function onMarked(cutting: Cutting, replica: Replica, now: Instant, out: Effect[]): void {
  const mark = cutting.mark as OpenMark;
  mark.position = replica.tip.position;
  if (isOwn(cutting, mark)) return cutHere(cutting, replica, mark.number, now, out);
  if (!mark.vouches) return;
  const image = takeImage(replica);
  if ('problem' in image) return failed(cutting, image.problem, now, out);
  cutting.digesting = beginDigest(image);
}

export function cuttingHasWork({ cut, digesting }: Cutting): boolean {
  return digesting !== null || (cut !== null && cutHasWork(cut));
}

/** Whatever a cut goes on with, and time to go on with it or with a digest. */
export function stepCutting(cutting: Cutting, input: Input, now: Instant, out: Effect[]): void {
  const { cut, digesting, mark } = cutting;
  if (digesting !== null && input.kind === 'work') {
    const digest = stepDigest(digesting, input.sizeBytes);
    if (digest === null) return;
    cutting.digesting = null;
    if (mark !== null) mark.own = digest;
    return;
  }
  if (cut === null) return;
  const result = stepCut(cut, input, out);
  if (result.kind === 'failed') return failed(cutting, result.problem, now, out);
  if (result.kind === 'busy') return;
  cutting.stored = result.body;
  cutting.deposited = result.deposited;
  cutting.cut = null;
  cutting.mark = null;
}

/**
 * Somebody could not get these: the next snapshot, which is due now, puts them anew. One that was cut
 * elsewhere, or before this member led, can only be followed by one that is put anew as a whole.
 */
export function doubt(
  cutting: Cutting,
  { base, tip }: Replica,
  hashes: readonly Uint8Array[],
  now: Instant,
): void {
  const found = doubtedIn(base, hashes);
  for (const key of found) cutting.doubted.add(key);
  const isElsewhere = tip.snapshotPosition > 0 && base?.snapshotId !== cutting.newestId;
  if (found.length === 0 && !isElsewhere) return;
  if (found.length === 0) cutting.isAlone = true;
  // Who keeps asking must neither keep the active cutting nor put off what is due already.
  if (cutting.lastAtMs !== Number.NEGATIVE_INFINITY) {
    cutting.notBeforeMs = Math.max(cutting.notBeforeMs, cutting.doubtedAtMs + retryMs);
    cutting.doubtedAtMs = now.monoMs;
  }
  cutting.lastAtMs = Number.NEGATIVE_INFINITY;
}

function isOwn({ config }: Cutting, { cutter }: OpenMark): boolean {
  return cutter === config.id.index;
}

/** A follower has taken its digest, and perhaps cut the snapshot. */
export function onAttested({ mark, config }: Cutting, bytes: Uint8Array, out: Effect[]): void {
  const attestation = decodeAttestation(bytes, config);
  if (attestation === null) {
    out.push({ kind: 'alarm', code: 'forbidden', detail: 'a forged attestation was refused' });
    return;
  }
  const { index, epoch, number } = attestation;
  if (mark?.number === number && mark.epoch === epoch) mark.votes.set(index, attestation);
}

/** U2 */
export function settleMark(cutting: Cutting, now: Instant, out: Effect[]): void {
  const { mark } = cutting;
  if (mark === null || mark.position === null || isOwn(cutting, mark)) return;
  const offer = mark.votes.get(mark.cutter);
  const isContested = offer !== undefined && mark.own !== null && !agrees(mark.own, offer);
  if (isContested || now.monoMs >= mark.untilMs) return cutAlone(cutting, mark, isContested, out);
  if (!offer?.body || !hasWitness(mark, offer)) return;
  if (!fits(mark, offer.body, offer.digest)) return cutAlone(cutting, mark, true, out);
  cutting.mark = null;
  cutting.stored = offer.body;
}

const agrees = (own: Uint8Array, { digest }: Attestation): boolean => equalBytes(own, digest);

/** Another follower that differs is no proof: of two, who is wrong? */
function hasWitness({ own, votes, cutter }: OpenMark, offer: Attestation): boolean {
  if (own !== null) return agrees(own, offer);
  return [...votes].some(([index, vote]) => index !== cutter && agrees(vote.digest, offer));
}

/** What a cutter says of itself is not believed. */
function fits(mark: OpenMark, body: SnapshotBody, digest: Uint8Array): boolean {
  const isThere = body.at === mark.seq && body.position === mark.position;
  const isForIt = body.mark === mark.number && body.cutter === mark.cutter;
  const isCalledSo = body.id === snapshotId(mark);
  return isThere && isForIt && isCalledSo && equalBytes(body.digest, digest);
}

function cutAlone(cutting: Cutting, mark: OpenMark, isContested: boolean, out: Effect[]): void {
  cutting.mark = null;
  cutting.isAlone = true;
  cutting.lastAtMs = Number.NEGATIVE_INFINITY;
  const why = isContested
    ? `it is not that of this active at record ${mark.number} of the epoch`
    : `no other member vouched for one in ${markMs} ms`;
  const detail = `the snapshot of member ${mark.cutter} is not used: ${why}`;
  out.push({ kind: 'alarm', code: 'conflict', detail });
}

/** U3 */
function failed(cutting: Cutting, problem: string, now: Instant, out: Effect[]): void {
  // It was put anew, perhaps, and perhaps not.
  for (const key of cutting.cut?.doubted ?? []) cutting.doubted.add(key);
  cutting.cut = null;
  cutting.mark = null;
  cutting.digesting = null;
  const pauseMs = Math.min(longestRetryMs, retryMs * 2 ** cutting.failures);
  cutting.failures = Math.min(cutting.failures + 1, 10);
  cutting.notBeforeMs = now.monoMs + pauseMs;
  // It stays due, however little happens meanwhile (P8).
  cutting.lastAtMs = Number.NEGATIVE_INFINITY;
  failRequests(cutting, problem, out);
  out.push({ kind: 'alarm', code: 'internal', detail: `no snapshot: ${problem}` });
}

export function failRequests(cutting: Cutting, failure: string, out: Effect[]): void {
  for (const { request } of cutting.requests) {
    out.push({ kind: 'answer-sync', request, result: { failure } });
  }
  cutting.requests = [];
}

/** The snapshot record is committed: it exists (P6). */
export function onRecorded(
  cutting: Cutting,
  { id, coreSizeBytes }: SnapshotBody,
  replica: Replica,
  now: Instant,
  out: Effect[],
): void {
  const { deposited } = cutting;
  if (deposited?.base.snapshotId === id) settleBase(replica, deposited);
  cutting.deposited = null;
  cutting.stored = null;
  cutting.isAlone = false;
  cutting.coreSizeBytes = coreSizeBytes;
  replica.coreSizeBytes = coreSizeBytes;
  cutting.loggedSizeBytes = 0;
  cutting.failures = 0;
  // What was lost meanwhile is not in this one.
  cutting.lastAtMs = cutting.doubted.size > 0 ? Number.NEGATIVE_INFINITY : now.monoMs;
  // The one before stays readable for members that are fetching it.
  if (cutting.newestId !== null) out.push({ kind: 'drop-snapshots', before: cutting.newestId });
  cutting.newestId = id;
  announce(cutting, replica.tip, out);
}

function announce(cutting: Cutting, tip: Tip, out: Effect[]): void {
  const { epoch, snapshotPosition: position, snapshotSeq: through } = tip;
  out.push({ kind: 'announce-snapshot', epoch, position, seq: through });
  // Requests that came after the cut wait for the next one.
  for (const { request, from } of cutting.requests) {
    if (from <= through) out.push({ kind: 'answer-sync', request, result: { through } });
  }
  cutting.requests = cutting.requests.filter(({ from }) => from > through);
}
