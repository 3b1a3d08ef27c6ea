/**
 * The record: one JetStream message, the unit of commit.
 *
 * A record names its predecessor by hash, so a log is a chain: a reader can tell a record that
 * belongs from one that a stranger put on the subject, and two members that have applied the same
 * tip have applied the same bytes.
 */
import { Packr, Unpackr } from 'msgpackr';
import { plainBytes } from './bytes.js';
import { type Epoch, epoch, type Position, position, type Seq, seq, type WriterId } from './ids.js';

/** `copyBuffers`: a kind may keep a binary field; it must not keep the whole record with it. */
const packr = new Packr({ useRecords: false });
const unpackr = new Unpackr({ useRecords: false, copyBuffers: true });

export const recordVersion = 3;

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
  /** Hash and size of the chunk that names everything else the snapshot consists of. */
  readonly manifest: Uint8Array;
  readonly manifestSizeBytes: number;
  /** What is in no table, and so stored anew with every snapshot. */
  readonly coreSizeBytes: number;
  /** All of the state. */
  readonly sizeBytes: number;
  /** Of the state and the session table: equal on every member that stands here (P13). */
  readonly digest: Uint8Array;
  /** Number, in this epoch, of the mark that the digest belongs to; null: nobody was to compare. */
  readonly mark: number | null;
  /** The member that cut it. */
  readonly cutter: number;
}

/** Changes nothing; proves that its writer still was the writer (P5, P11). */
export interface BarrierBody {
  readonly type: 'barrier';
  /** The first barrier of an epoch carries the stopwatch of its promotion. */
  readonly opened: Opened | null;
  /** Members that follow take the digest of their state here, and one of them cuts a snapshot. */
  readonly mark: Mark | null;
}

export interface Mark {
  /** The member that cuts; it may be the writer itself. */
  readonly cutter: number;
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
  /** The writer's, on claims and snapshot records; null on all others. See signature.ts. */
  readonly signature: Uint8Array | null;
}

const types = ['events', 'claim', 'snapshot', 'barrier', 'handoff'] as const;

export function encodeRecord(record: LogRecord): Uint8Array {
  return packr.pack([...partsOf(record), record.signature]);
}

function partsOf(record: LogRecord): unknown[] {
  const { writer, body } = record;
  return [
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
  ];
}

/** What a record's signature is over: all of it but the signature, in this group. */
export function statementOf(groupId: string, record: LogRecord): Uint8Array {
  return packr.pack([groupId, ...partsOf(record)]);
}

export interface Undecodable {
  readonly problem: string;
  /**
   * The predecessor named by what another version of this program may have written: every version
   * keeps the version first and this hash sixth. If it continues the chain, it is no stranger's.
   */
  readonly follows?: Uint8Array;
}

/** The record in these bytes, or what is wrong with them. Never throws: strangers may write too. */
export function decodeRecord(bytes: Uint8Array): LogRecord | Undecodable {
  try {
    const parts = unpackr.unpack(plainBytes(bytes)) as unknown;
    if (!Array.isArray(parts) || parts.length < 12) return { problem: 'not a record' };
    const [version, type] = parts as unknown[];
    const previous: unknown = parts[5];
    if (!(previous instanceof Uint8Array)) return { problem: 'no hash of the previous record' };
    if (version !== recordVersion) {
      const problem = `record version ${String(version)}, this program reads ${recordVersion}`;
      return isWhole(version) && version > 0 ? { problem, follows: previous } : { problem };
    }
    const signature: unknown = parts[12];
    const isSigned = signature instanceof Uint8Array;
    if (parts.length !== 13 || !(isSigned || signature === null)) return { problem: 'no record' };
    const name = types[isWhole(type) ? type : -1];
    if (name === undefined) return { problem: `record type ${String(type)} is unknown` };
    return fromParts(parts, name, previous, signature);
  } catch (error) {
    return { problem: `not a record: ${error instanceof Error ? error.message : String(error)}` };
  }
}

export function isRecord(decoded: LogRecord | Undecodable): decoded is LogRecord {
  return !('problem' in decoded);
}

const isWhole = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0;
const isTime = (value: unknown): value is number => Number.isFinite(value);

function fromParts(
  parts: readonly unknown[],
  type: Body['type'],
  previous: Uint8Array,
  signature: Uint8Array | null,
): LogRecord | Undecodable {
  const numbers = [parts[2], parts[3], parts[7], parts[8], parts[9], parts[10]];
  if (!numbers.every(isWhole) || !isTime(parts[6])) return { problem: 'a number is off' };
  const [index, node, incarnation] = parts[4] as [number, string, string];
  if (!isWhole(index) || typeof node !== 'string' || typeof incarnation !== 'string') {
    return { problem: 'the writer is off' };
  }
  return {
    epoch: epoch(parts[2] as number),
    number: parts[3] as number,
    writer: { index, node, incarnation },
    previous,
    recordedAtMs: parts[6] as number,
    baseSeq: seq(parts[7] as number),
    seq: seq(parts[8] as number),
    snapshotPosition: position(parts[9] as number),
    snapshotSeq: seq(parts[10] as number),
    body: unpackBody(type, parts[11] as unknown[]),
    signature,
  };
}

function packBody(body: Body): unknown[] {
  switch (body.type) {
    case 'events':
      return [body.kindVersion, body.runs.map(packRun), body.blob];
    case 'claim':
      return [body.cause, body.startedAtMs, body.detectMs, body.decideMs, body.operation];
    case 'snapshot':
      return packSnapshot(body);
    case 'barrier':
      return [body.opened, body.mark && [body.mark.cutter]];
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
      if (!isWhole(kindVersion) || !(blob instanceof Uint8Array)) throw new Error('bad events');
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
      if (typeof cause !== 'string' || ![startedAtMs, detectMs, decideMs].every(isTime)) {
        throw new Error('bad claim');
      }
      return { type, cause, startedAtMs, detectMs, decideMs, operation };
    }
    case 'snapshot':
      return unpackSnapshot(parts);
    case 'barrier':
      return { type, opened: (parts[0] ?? null) as Opened | null, mark: unpackMark(parts[1]) };
    case 'handoff':
      return { type, target: parts[0] as number };
    default:
      throw type satisfies never;
  }
}

/** Also how a member tells the writer of a snapshot that it has cut. */
export function packSnapshot(body: SnapshotBody): unknown[] {
  const { id, at, position: where, manifest, manifestSizeBytes, digest, mark, cutter } = body;
  const { coreSizeBytes, sizeBytes } = body;
  const sizes = [manifestSizeBytes, coreSizeBytes, sizeBytes];
  return [id, at, where, manifest, ...sizes, digest, mark, cutter];
}

/** Throws if the parts are no snapshot's. */
export function unpackSnapshot(parts: readonly unknown[]): SnapshotBody {
  const [id, at, where, manifest, manifestSizeBytes, coreSizeBytes, sizeBytes, digest, ...rest] =
    parts as [string, number, number, Uint8Array, number, number, number, Uint8Array, ...unknown[]];
  const [mark, cutter] = rest as [number | null, number];
  const areHashes = [manifest, digest].every((hash) => hash instanceof Uint8Array);
  const sizes = { manifestSizeBytes, coreSizeBytes, sizeBytes };
  const areNumbers = [at, where, ...Object.values(sizes), cutter, mark ?? 0].every(isWhole);
  if (typeof id !== 'string' || !areNumbers || !areHashes) throw new Error('bad snapshot');
  const place = { at: seq(at), position: position(where) };
  return { type: 'snapshot', id, ...place, manifest, ...sizes, digest, mark, cutter };
}

function unpackMark(part: unknown): Mark | null {
  if (part === null) return null;
  const [cutter] = part as [number];
  if (!isWhole(cutter)) throw new Error('bad mark');
  return { cutter };
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
