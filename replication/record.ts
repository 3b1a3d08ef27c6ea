/**
 * The record: one JetStream message, the unit of commit.
 *
 * A record names its predecessor by hash, so a log is a chain: a reader can tell a record that
 * belongs from one that a stranger put on the subject, and two members that have applied the same
 * tip have applied the same bytes.
 */
import { Packr, Unpackr } from 'msgpackr';
import { type Epoch, epoch, type Position, position, type Seq, seq, type WriterId } from './ids.js';

/** `copyBuffers`: a kind may keep a binary field; it must not keep the whole record with it. */
const packr = new Packr({ useRecords: false });
const unpackr = new Unpackr({ useRecords: false, copyBuffers: true });

export const recordVersion = 1;

/** What was decided about consecutive commands of one session; goes into the session table (P4). */
export interface RecordedRun {
  readonly session: string | null;
  readonly floor: number;
  readonly first: number;
  readonly count: number;
  readonly keys: readonly (string | null)[] | null;
  readonly eventCounts: readonly number[] | null;
  readonly results: readonly unknown[] | null;
  readonly rejections: readonly (readonly [number, string, string])[] | null;
}

export interface EventsBody {
  readonly type: 'events';
  readonly kindVersion: number;
  readonly runs: readonly RecordedRun[];
  /** The events, each one msgpack value, as the client sent them. */
  readonly blob: Uint8Array;
}

/** With this a candidate becomes the writer of its epoch (P1). */
export interface ClaimBody {
  readonly type: 'claim';
  readonly cause: string;
  /** Wall clock of the first sign that the old writer was gone. */
  readonly startedAtMs: number;
  readonly detectMs: number;
  readonly decideMs: number;
  /** The operation that asked for it, if one did. */
  readonly operation: string | null;
}

/** Makes a stored snapshot exist (P6). */
export interface SnapshotBody {
  readonly type: 'snapshot';
  readonly id: string;
  /** State, sessions and seq as of this seq … */
  readonly at: Seq;
  /** … which is the record at this position. */
  readonly position: Position;
  readonly chunks: readonly Uint8Array[];
  readonly sizeBytes: number;
}

/** Changes nothing; proves that its writer still was the writer (P5, P11). */
export interface BarrierBody {
  readonly type: 'barrier';
  /** The first barrier of an epoch carries the stopwatch of its promotion. */
  readonly opened: Opened | null;
}

export interface Opened {
  readonly claimMs: number;
  readonly replayMs: number;
  readonly openMs: number;
  readonly replayed: number;
  readonly unavailableMs: number;
}

/** The writer's last record of its epoch: it will not append again, the target may claim at once. */
export interface HandoffBody {
  readonly type: 'handoff';
  readonly target: number;
}

export type Body = EventsBody | ClaimBody | SnapshotBody | BarrierBody | HandoffBody;

export interface LogRecord {
  readonly epoch: Epoch;
  /** 0 for the claim, then 1, 2, 3 … within the epoch. */
  readonly number: number;
  readonly writer: WriterId;
  /** Hash of the previous record's bytes; empty in the first record of a log. */
  readonly previous: Uint8Array;
  /** The writer's wall clock, never less than the previous record's. */
  readonly recordedAtMs: number;
  readonly baseSeq: Seq;
  /** Seq after this record. */
  readonly seq: Seq;
  /** Where the newest snapshot record before this one is, 0: none, and the seq it was cut at. */
  readonly snapshotPosition: Position;
  readonly snapshotSeq: Seq;
  readonly body: Body;
}

const types = ['events', 'claim', 'snapshot', 'barrier', 'handoff'] as const;

export function encodeRecord(record: LogRecord): Uint8Array {
  const { writer, body } = record;
  return packr.pack([
    recordVersion,
    types.indexOf(body.type),
    record.epoch,
    record.number,
    [writer.index, writer.node, writer.incarnation],
    record.previous,
    record.recordedAtMs,
    record.baseSeq,
    record.seq,
    record.snapshotPosition,
    record.snapshotSeq,
    packBody(body),
  ]);
}

/** The record in these bytes, or what is wrong with them. Never throws: strangers may write too. */
export function decodeRecord(bytes: Uint8Array): LogRecord | { readonly problem: string } {
  try {
    const parts = unpackr.unpack(bytes) as unknown;
    if (!Array.isArray(parts) || parts.length !== 12) return { problem: 'not a record' };
    if (parts[0] !== recordVersion) {
      return { problem: `record version ${String(parts[0])}, this program reads ${recordVersion}` };
    }
    return fromParts(parts);
  } catch (error) {
    return { problem: `not a record: ${(error as Error).message}` };
  }
}

export function isRecord(decoded: LogRecord | { readonly problem: string }): decoded is LogRecord {
  return !('problem' in decoded);
}

function fromParts(parts: readonly unknown[]): LogRecord | { readonly problem: string } {
  const type = types[parts[1] as number];
  if (type === undefined) return { problem: `record type ${String(parts[1])} is unknown` };
  const numbers = [parts[2], parts[3], parts[6], parts[7], parts[8], parts[9], parts[10]];
  if (!numbers.every((n) => typeof n === 'number' && n >= 0)) return { problem: 'a number is off' };
  if (!(parts[5] instanceof Uint8Array)) return { problem: 'no hash of the previous record' };
  const [index, node, incarnation] = parts[4] as [number, string, string];
  return {
    epoch: epoch(parts[2] as number),
    number: parts[3] as number,
    writer: { index, node, incarnation },
    previous: parts[5],
    recordedAtMs: parts[6] as number,
    baseSeq: seq(parts[7] as number),
    seq: seq(parts[8] as number),
    snapshotPosition: position(parts[9] as number),
    snapshotSeq: seq(parts[10] as number),
    body: unpackBody(type, parts[11] as unknown[]),
  };
}

function packBody(body: Body): unknown[] {
  switch (body.type) {
    case 'events':
      return [body.kindVersion, body.runs.map(packRun), body.blob];
    case 'claim':
      return [body.cause, body.startedAtMs, body.detectMs, body.decideMs, body.operation];
    case 'snapshot':
      return [body.id, body.at, body.position, body.chunks, body.sizeBytes];
    case 'barrier':
      return [body.opened];
    case 'handoff':
      return [body.target];
    default:
      throw body satisfies never;
  }
}

function unpackBody(type: Body['type'], parts: readonly unknown[]): Body {
  switch (type) {
    case 'events': {
      const [kindVersion, runs, blob] = parts as [number, unknown[][], Uint8Array];
      return { type, kindVersion, runs: runs.map(unpackRunParts), blob };
    }
    case 'claim': {
      const [cause, startedAtMs, detectMs, decideMs, operation] = parts as [
        string,
        number,
        number,
        number,
        string | null,
      ];
      return { type, cause, startedAtMs, detectMs, decideMs, operation };
    }
    case 'snapshot': {
      const [id, at, where, chunks, sizeBytes] = parts as [
        string,
        number,
        number,
        Uint8Array[],
        number,
      ];
      return { type, id, at: seq(at), position: position(where), chunks, sizeBytes };
    }
    case 'barrier':
      return { type, opened: (parts[0] ?? null) as Opened | null };
    case 'handoff':
      return { type, target: parts[0] as number };
    default:
      throw type satisfies never;
  }
}

function packRun(run: RecordedRun): unknown[] {
  return [
    run.session,
    run.floor,
    run.first,
    run.count,
    run.keys,
    run.eventCounts,
    run.results,
    run.rejections,
  ];
}

function unpackRunParts(parts: readonly unknown[]): RecordedRun {
  const [session, floor, first, count, keys, eventCounts, results, rejections] = parts;
  return { session, floor, first, count, keys, eventCounts, results, rejections } as RecordedRun;
}
