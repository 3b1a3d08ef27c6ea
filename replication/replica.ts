/**
 * The fold: what a member knows after applying the log up to some record. Active, standby and
 * promotion all hold one of these and change it only here.
 *
 * R1 Records are applied one after the other, each naming the hash of the one before (I3).
 * R2 A record that does not continue the chain changes nothing, on any member.
 * R3 The state, the session table and the history are functions of the applied records alone (I5).
 */
import { type AnswerRun, eachValue } from './batch.js';
import { equalBytes } from './bytes.js';
import { UnderstudyError } from './errors.js';
import {
  type Epoch,
  epoch,
  type Position,
  position,
  type Seq,
  sameWriter,
  seq,
  type WriterId,
} from './ids.js';
import type { Kind } from './kind.js';
import { limits } from './limits.js';
import type { Hash } from './ports.js';
import type { EventsBody, LogRecord, Opened, RecordedRun } from './record.js';
import { emptySessions, recordRun, type Sessions } from './sessions.js';
import { isAuthentic, type Judge } from './signature.js';
import type { Base } from './snapshot/depositing.js';
import { newTables, type Tables } from './state/tables.js';

/** Where a log ends, as far as its holder knows: all that is needed to append the next record. */
export interface Tip {
  readonly epoch: Epoch;
  /** Number of the last record within its epoch. */
  readonly number: number;
  readonly writer: WriterId | null;
  readonly seq: Seq;
  /** Hash of the last record's bytes. */
  readonly hash: Uint8Array;
  readonly position: Position;
  readonly recordedAtMs: number;
  readonly snapshotPosition: Position;
  readonly snapshotSeq: Seq;
  /** True after a handoff record: the epoch's writer has left on purpose. */
  readonly handedOff: boolean;
}

export interface EpochNote {
  readonly epoch: number;
  readonly node: string;
  readonly index: number;
  readonly cause: string;
  readonly startedAtMs: number;
  readonly fromSeq: number;
  readonly detectMs: number;
  readonly decideMs: number;
  readonly operation: string | null;
  opened: Opened | null;
}

export interface Replica {
  readonly kind: Kind;
  readonly hash: Hash;
  readonly tables: Tables;
  /** With a handle for each table; `tables.plainPart` is the rest. */
  state: unknown;
  sessions: Sessions;
  history: EpochNote[];
  tip: Tip;
  /** Of the newest snapshot it knows of; 0: none. What packing the rest of the state will cost. */
  coreSizeBytes: number;
  /** The newest recorded snapshot that it was restored from or cut; the next builds upon it. */
  base: Base | null;
}

const noHash = new Uint8Array(0);

export const emptyTip: Tip = {
  epoch: epoch(0),
  number: 0,
  writer: null,
  seq: seq(0),
  hash: noHash,
  position: position(0),
  recordedAtMs: 0,
  snapshotPosition: position(0),
  snapshotSeq: seq(0),
  handedOff: false,
};

export function blankReplica(kind: Kind, hash: Hash): Replica {
  const tables = newTables(kind);
  return {
    kind,
    hash,
    tables,
    state: tables.attach(kind.init()),
    sessions: emptySessions(kind.layout),
    history: [],
    tip: emptyTip,
    coreSizeBytes: 0,
    base: null,
  };
}

/** Why this record does not continue the log that ends at `tip`, or nothing (R1). */
export function misfit(tip: Tip, record: LogRecord, judge: Judge): string | undefined {
  if (!equalBytes(record.previous, tip.hash)) {
    return `names another predecessor than the record at seq ${tip.seq} of epoch ${tip.epoch}`;
  }
  const claims = record.body.type === 'claim';
  const expectedEpoch = claims ? tip.epoch + 1 : tip.epoch;
  const expectedNumber = claims ? 0 : tip.number + 1;
  if (record.epoch !== expectedEpoch || record.number !== expectedNumber) {
    return (
      `is record ${record.number} of epoch ${record.epoch}, ` +
      `expected ${expectedNumber} of ${expectedEpoch}`
    );
  }
  if (!claims && tip.writer !== null && !sameWriter(record.writer, tip.writer)) {
    return `is by ${nameOf(record.writer)}, epoch ${tip.epoch} belongs to ${nameOf(tip.writer)}`;
  }
  if (record.baseSeq !== tip.seq) return `starts after seq ${record.baseSeq}, not ${tip.seq}`;
  if (!isAuthentic(judge, record)) {
    return `is a ${record.body.type} that ${nameOf(record.writer)} did not sign: it is forged`;
  }
  return undefined;
}

function nameOf({ index, node, incarnation }: WriterId): string {
  return `member ${index} on ${node} (life ${incarnation})`;
}

/** The tip after this record. Read from the log's end it is a hint, until a claim proves it. */
export function tipOf(record: LogRecord, bytes: Uint8Array, at: Position, hash: Hash): Tip {
  const { body } = record;
  const cutsSnapshot = body.type === 'snapshot';
  return {
    epoch: record.epoch,
    number: record.number,
    writer: record.writer,
    seq: record.seq,
    hash: hash(bytes),
    position: at,
    recordedAtMs: record.recordedAtMs,
    snapshotPosition: cutsSnapshot ? at : record.snapshotPosition,
    snapshotSeq: cutsSnapshot ? body.at : record.snapshotSeq,
    handedOff: body.type === 'handoff',
  };
}

/**
 * Applies a record that fits (R1, R2: the caller has asked `misfit`). Throws `quarantined` if the
 * kind throws (P15): the replica is then of no use to anybody.
 */
export function applyRecord(
  replica: Replica,
  record: LogRecord,
  bytes: Uint8Array,
  at: Position,
): void {
  const { body } = record;
  if (body.type === 'events') replayEvents(replica, record, body);
  if (body.type === 'snapshot') replica.coreSizeBytes = body.coreSizeBytes;
  noteEpoch(replica, record);
  replica.tip = tipOf(record, bytes, at, replica.hash);
}

function replayEvents(replica: Replica, record: LogRecord, body: EventsBody): void {
  const { kind } = replica;
  if (body.kindVersion > kind.version) throw newerKind(kind, body.kindVersion, record.baseSeq);
  const older = body.kindVersion !== kind.version ? kind.upcast?.bind(kind) : undefined;
  let at: number = record.baseSeq;
  eachValue(body.blob, (value) => {
    at += 1;
    try {
      const event = older ? older(value, body.kindVersion) : value;
      applyEvent(replica, event, at, record.recordedAtMs);
    } catch (error) {
      throw poison(kind.name, at, error);
    }
  });
  if (at !== record.seq) {
    throw new UnderstudyError(
      'internal',
      `a record says it ends at seq ${record.seq} but holds events up to ${at}`,
    );
  }
  let base: number = record.baseSeq;
  for (const run of body.runs) {
    recordRun(replica.sessions, run, answerOf(run, record.epoch, base), record.recordedAtMs);
    base += eventsIn(run);
  }
}

function newerKind(kind: Kind, version: number, after: number): UnderstudyError {
  return new UnderstudyError(
    'unsupported',
    `the events after seq ${after} were recorded by version ${version} of kind ${kind.name}, this ` +
      `node runs version ${kind.version}. Upgrade the node, then reinitialise the member.`,
    { seq: after },
  );
}

function poison(kind: string, at: number, error: unknown): UnderstudyError {
  const reason = error instanceof Error ? error.message : String(error);
  return new UnderstudyError(
    'quarantined',
    `kind ${kind} threw while applying the event at seq ${at}: ${reason}. ` +
      'Every member stops here; fix the kind, then reinitialise the members.',
    { seq: at },
    error,
  );
}

/** Folds one event into the state. Whatever the kind throws passes through. */
export function applyEvent(replica: Replica, event: unknown, at: number, atMs: number): void {
  const { kind, tables, state } = replica;
  const context = { seq: at, recordedAtMs: atMs };
  const next = tables.write(() => kind.apply(state, event, context));
  if (next !== undefined) replica.state = tables.kept(next);
}

/** Events a run put into the log. */
export function eventsIn(run: RecordedRun): number {
  if (run.eventCounts !== null) return run.eventCounts.reduce((sum, n) => sum + n, 0);
  return run.count - (run.rejections?.length ?? 0);
}

/** What the clients of a recorded run were or will be told. */
export function answerOf(run: RecordedRun, inEpoch: number, baseSeq: number): AnswerRun {
  const { first, count, eventCounts, results, rejections } = run;
  return {
    first,
    count,
    epoch: inEpoch,
    baseSeq,
    eventCounts,
    results,
    rejections,
    duplicate: false,
  };
}

/** Keeps the history: which epochs there were, and how their promotions went. */
export function noteEpoch(replica: Replica, record: LogRecord): void {
  const { body } = record;
  if (body.type === 'claim') {
    replica.history.push({
      epoch: record.epoch,
      node: record.writer.node,
      index: record.writer.index,
      cause: body.cause,
      startedAtMs: body.startedAtMs,
      fromSeq: record.baseSeq,
      detectMs: body.detectMs,
      decideMs: body.decideMs,
      operation: body.operation,
      opened: null,
    });
    if (replica.history.length > limits.historyEpochs) replica.history.shift();
  }
  if (body.type === 'barrier' && body.opened) {
    const note = replica.history.at(-1);
    if (note) note.opened = body.opened;
  }
}
