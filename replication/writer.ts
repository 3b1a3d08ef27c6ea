/**
 * The append side of a group's log: one record at a time, fenced, and never in doubt (P1–P3).
 *
 * W1 At most one record is in flight; the next is not sent before its predecessor's fate is known.
 * W2 A record whose fate is unknown is sent again byte for byte with the same expectation, or found
 *    in the log. It is never skipped and never renumbered.
 * W3 Only reading the record that took the expected place decides between "mine" and "fenced".
 * W4 A record of a stranger that does not continue the chain is stepped over, as every reader does.
 */
import { equalBytes } from './bytes.js';
import type { Position } from './ids.js';
import type { AppendOutcome, Hash, ReadOutcome, StoredRecord } from './ports.js';
import { decodeRecord, isRecord, type LogRecord } from './record.js';
import { misfit, type Tip, tipOf } from './replica.js';
import type { Judge } from './signature.js';

interface InFlight {
  readonly record: LogRecord;
  readonly bytes: Uint8Array;
  expected: Position;
  /** Which call we wait for; completions of any other are stale. */
  call: number;
  waiting: 'append' | 'read' | 'pause';
  /** Set while pausing: what to do when the pause is over, and when. */
  then: 'append' | 'read';
  resumeAtMs: number;
  pauses: number;
}

export interface Writer {
  /** The log's end as of the last known fate. */
  tip: Tip;
  inFlight: InFlight | null;
  /** Why appends do not go through at the moment, for people; null while they do. */
  stalled: string | null;
  /** It is in doubt whether the log is what it was: nothing is sent, and nothing that was read decides (E3). */
  isHeld: boolean;
  readonly calls: Calls;
  readonly judge: WriterJudge;
}

export type WriterJudge = Judge & { readonly hash: Hash };

/** What the parts of one member share to ask the outside. */
export interface Calls {
  /** Numbers the calls, so that a completion finds the one who waits for it. */
  next: number;
  /** Nodes that may hold chunks of the group's snapshots. A hint. */
  peers: readonly string[];
}

export type WriterEffect =
  | {
      readonly kind: 'append';
      readonly call: number;
      readonly bytes: Uint8Array;
      readonly expected: Position;
    }
  | { readonly kind: 'read-next'; readonly call: number; readonly after: Position };

/** What became of the record in flight. `fenced` names the record that took its place. */
export type WriterEvent =
  | { readonly kind: 'committed'; readonly record: LogRecord; readonly sizeBytes: number }
  | {
      readonly kind: 'fenced';
      readonly by: LogRecord;
      readonly at: Position;
      readonly bytes: Uint8Array;
    }
  /** What took its place continues the log, but only another version of this program can read it. */
  | { readonly kind: 'outdated'; readonly problem: string }
  | { readonly kind: 'foreign'; readonly at: Position; readonly problem: string };

export interface WriterStep {
  readonly effects: WriterEffect[];
  readonly events: WriterEvent[];
}

/** Pauses between attempts: 5, 10, 20 … ms, capped. Attempts end with a fate or with the member. */
const firstPauseMs = 5;
const longestPauseMs = 250;

export function newWriter(tip: Tip, calls: Calls, judge: WriterJudge): Writer {
  return { tip, inFlight: null, stalled: null, isHeld: false, calls, judge };
}

/** Sends a record that continues the tip. */
export function send(writer: Writer, record: LogRecord, bytes: Uint8Array): WriterStep {
  if (writer.inFlight !== null) throw new Error('W1: a record is already in flight');
  writer.inFlight = {
    record,
    bytes,
    expected: writer.tip.position,
    call: 0,
    waiting: 'append',
    then: 'append',
    resumeAtMs: 0,
    pauses: 0,
  };
  return { effects: [appendNow(writer, writer.inFlight)], events: [] };
}

export function onAppend(
  writer: Writer,
  call: number,
  outcome: AppendOutcome,
  nowMs: number,
): WriterStep {
  const flight = writer.inFlight;
  if (flight === null || flight.call !== call) return nothing();
  switch (outcome.kind) {
    case 'stored':
      return committed(writer, flight, outcome.position);
    case 'not-stored':
    case 'refused':
      writer.stalled = outcome.kind === 'refused' ? outcome.reason : 'the stream has no leader';
      return pause(flight, 'append', nowMs);
    case 'busy':
      return pause(flight, 'read', nowMs);
    case 'wrong-last':
    case 'unknown':
      return { effects: [readNow(writer, flight)], events: [] };
    default:
      throw outcome satisfies never;
  }
}

export function onRead(
  writer: Writer,
  call: number,
  outcome: ReadOutcome,
  nowMs: number,
): WriterStep {
  const flight = writer.inFlight;
  if (flight === null || flight.call !== call) return nothing();
  switch (outcome.kind) {
    case 'record':
      if (writer.isHeld) return pause(flight, 'read', nowMs);
      return decide(writer, flight, outcome.record);
    case 'none':
      // Absent proves nothing: the append may still arrive, so the same record goes again (W2).
      return pause(flight, 'append', nowMs);
    case 'failed':
      writer.stalled = outcome.reason;
      return pause(flight, 'read', nowMs);
    default:
      throw outcome satisfies never;
  }
}

export function onTick(writer: Writer, nowMs: number): WriterStep {
  const flight = writer.inFlight;
  if (writer.isHeld) return nothing();
  if (flight === null || flight.waiting !== 'pause' || nowMs < flight.resumeAtMs) return nothing();
  const effect = flight.then === 'append' ? appendNow(writer, flight) : readNow(writer, flight);
  return { effects: [effect], events: [] };
}

/** When `onTick` wants to run next. */
export function writerWakeAtMs(writer: Writer): number {
  const flight = writer.inFlight;
  return flight !== null && flight.waiting === 'pause' && !writer.isHeld
    ? flight.resumeAtMs
    : Number.POSITIVE_INFINITY;
}

function nothing(): WriterStep {
  return { effects: [], events: [] };
}

function appendNow(writer: Writer, flight: InFlight): WriterEffect {
  flight.call = writer.calls.next++;
  flight.waiting = 'append';
  return { kind: 'append', call: flight.call, bytes: flight.bytes, expected: flight.expected };
}

function readNow(writer: Writer, flight: InFlight): WriterEffect {
  flight.call = writer.calls.next++;
  flight.waiting = 'read';
  return { kind: 'read-next', call: flight.call, after: flight.expected };
}

function pause(flight: InFlight, then: 'append' | 'read', nowMs: number): WriterStep {
  flight.call = 0;
  flight.waiting = 'pause';
  flight.then = then;
  flight.resumeAtMs =
    nowMs + Math.min(longestPauseMs, firstPauseMs * 2 ** Math.min(flight.pauses, 10));
  flight.pauses += 1;
  return nothing();
}

function committed(writer: Writer, flight: InFlight, at: Position): WriterStep {
  writer.inFlight = null;
  writer.stalled = null;
  writer.tip = tipOf(flight.record, flight.bytes, at, writer.judge.hash);
  return {
    effects: [],
    events: [{ kind: 'committed', record: flight.record, sizeBytes: flight.bytes.length }],
  };
}

/** W3: the record after the expected one is mine, my successor's, or a stranger's. */
function decide(writer: Writer, flight: InFlight, found: StoredRecord): WriterStep {
  const decoded = decodeRecord(found.bytes);
  if (equalBytes(found.bytes, flight.bytes)) return committed(writer, flight, found.position);
  if (isRecord(decoded) && misfit(writer.tip, decoded, writer.judge) === undefined) {
    writer.inFlight = null;
    return {
      effects: [],
      events: [{ kind: 'fenced', by: decoded, at: found.position, bytes: found.bytes }],
    };
  }
  if (!isRecord(decoded) && equalBytes(writer.tip.hash, decoded.follows)) {
    writer.inFlight = null;
    return { effects: [], events: [{ kind: 'outdated', problem: decoded.problem }] };
  }
  const problem = isRecord(decoded)
    ? String(misfit(writer.tip, decoded, writer.judge))
    : decoded.problem;
  flight.expected = found.position;
  writer.tip = { ...writer.tip, position: found.position };
  return {
    effects: [appendNow(writer, flight)],
    events: [{ kind: 'foreign', at: found.position, problem }],
  };
}
