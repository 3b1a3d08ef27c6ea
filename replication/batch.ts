/**
 * What a client sends to an active and what it gets back, and their bytes on the wire.
 *
 * A batch is the unit of retry: the same session and numbers always travel with the same commands,
 * so whoever receives it again can tell what it has already decided (P4).
 */
import { Packr, Unpackr } from 'msgpackr';
import { joined, plainBytes } from './bytes.js';
import { type ErrorCode, isErrorCode } from './errors.js';
import { limits } from './limits.js';

/** Plain msgpack: maps for objects, nothing that needs state shared between processes. */
const packr = new Packr({ useRecords: false });
const unpackr = new Unpackr({ useRecords: false });
/** `copyBuffers`: a kind may keep a binary field; it must not keep all that came with it. */
const valueUnpackr = new Unpackr({ useRecords: false, copyBuffers: true });

export interface Batch {
  /** Random, chosen once by a client; `null`: the sender does not retry and wants no deduplication. */
  readonly session: string | null;
  /** Every number below it has been answered: the table may forget them. */
  readonly floor: number;
  /** Number of the first command; the rest follow without gaps. Numbers start at 1. */
  readonly first: number;
  readonly count: number;
  /** An idempotency key per command, or `null` where none has one. */
  readonly keys: readonly (string | null)[] | null;
  /** The commands, each one msgpack value, one after the other. */
  readonly blob: Uint8Array;
}

/**
 * The answers to a run of commands with consecutive numbers. This is also what the session table
 * keeps, so a retry gets the first answer word for word.
 */
export interface AnswerRun {
  readonly first: number;
  readonly count: number;
  readonly epoch: number;
  /** The seq before the run's first event. */
  readonly baseSeq: number;
  /** Events each command yielded; `null`: one each. A command's seq is that of its last event. */
  readonly eventCounts: readonly number[] | null;
  /** What `decide` returned for each command; `null`: nothing for any of them. */
  readonly results: readonly unknown[] | null;
  /** Commands that were refused: offset in the run, code, detail. `null`: none. */
  readonly rejections: readonly (readonly [offset: number, code: string, detail: string])[] | null;
  /** True if these answers were decided by an earlier delivery of the same commands. */
  readonly duplicate: boolean;
}

/** One command's answer, unpacked from its run. */
export type CommandAnswer =
  | {
      readonly ok: true;
      readonly seq: number;
      readonly epoch: number;
      readonly result: unknown;
      readonly duplicate: boolean;
    }
  | {
      readonly ok: false;
      readonly code: string;
      readonly detail: string;
      readonly duplicate: boolean;
    };

export type BatchAnswer =
  | { readonly ok: true; readonly runs: readonly AnswerRun[] }
  /** Nothing of the batch was taken. `moved`: the receiver is not the active (any more): send it again. */
  | { readonly ok: false; readonly code: ErrorCode | 'moved'; readonly detail: string };

/** A rejection that came from the command's form and not from the group's state. */
export const malformedCode = 'bad-request';

/** Each command's answer in order, starting with the run's first. */
export function unpackRun(run: AnswerRun): CommandAnswer[] {
  const answers: CommandAnswer[] = [];
  const refused = new Map(
    run.rejections?.map(([offset, code, detail]) => [offset, { code, detail }]),
  );
  let at = run.baseSeq;
  for (let i = 0; i < run.count; i++) {
    const refusal = refused.get(i);
    if (refusal) {
      answers.push({ ok: false, ...refusal, duplicate: run.duplicate });
      continue;
    }
    at += run.eventCounts ? (run.eventCounts[i] ?? 0) : 1;
    answers.push({
      ok: true,
      seq: at,
      epoch: run.epoch,
      result: run.results?.[i],
      duplicate: run.duplicate,
    });
  }
  return answers;
}

/** Joins commands encoded one by one into a batch's blob. */
export function joinCommands(encoded: readonly Uint8Array[]): Uint8Array {
  return joined(encoded);
}

/** One command or event as bytes of its own. */
export function encodeValue(value: unknown): Uint8Array {
  return packr.pack(value);
}

export function decodeValue(bytes: Uint8Array): unknown {
  return valueUnpackr.unpack(plainBytes(bytes));
}

/** Calls `each` with every value of a blob and where its bytes are. Throws on malformed bytes. */
export function eachValue(
  blob: Uint8Array,
  each: (value: unknown, start: number, end: number) => void,
): void {
  if (blob.length === 0) return;
  // The unpacker loses its place if another value is unpacked meanwhile, as reading a table does.
  const found: (readonly [value: unknown, start: number, end: number])[] = [];
  valueUnpackr.unpackMultiple(plainBytes(blob), (value: unknown, start?: number, end?: number) => {
    found.push([value, start ?? 0, end ?? 0]);
  });
  for (const [value, start, end] of found) each(value, start, end);
}

const wireVersion = 1;

/** First byte of every batch and answer on the wire; no JSON text starts with it. */
const arrayOfMany = 0x90;

/** Tells a msgpack batch from JSON text by its first byte. */
export function isPackedBatch(bytes: Uint8Array): boolean {
  return ((bytes[0] ?? 0) & 0xf0) === arrayOfMany;
}

export function encodeBatch(batch: Batch): Uint8Array {
  const { session, floor, first, count, keys, blob } = batch;
  return packr.pack([wireVersion, session, floor, first, count, keys, blob]);
}

const isCount = (value: unknown, least: number): value is number =>
  Number.isSafeInteger(value) && (value as number) >= least;

/** Says what is wrong with a batch, in words a caller can act on, or returns the batch. */
export function decodeBatch(bytes: Uint8Array): Batch | { readonly problem: string } {
  let parts: unknown;
  try {
    parts = unpackr.unpack(bytes);
  } catch (error) {
    return { problem: `not msgpack: ${(error as Error).message}` };
  }
  if (!Array.isArray(parts) || parts.length !== 7) return { problem: 'not an array of 7 fields' };
  const [version, session, floor, first, count, keys, blob] = parts as unknown[];
  if (version !== wireVersion) {
    return { problem: `wire version ${String(version)}; this node speaks ${wireVersion}` };
  }
  if (
    session !== null &&
    (typeof session !== 'string' ||
      session.length === 0 ||
      session.length > limits.sessionSizeChars)
  ) {
    return {
      problem: `session is not null or a string of 1 to ${limits.sessionSizeChars} characters`,
    };
  }
  if (!isCount(first, 1) || !isCount(floor, 1) || floor > first) {
    return { problem: 'first and floor are not positive integers with floor <= first' };
  }
  if (!isCount(count, 1) || count > limits.batchEvents) {
    return { problem: `count is not an integer from 1 to ${limits.batchEvents}` };
  }
  if (!(blob instanceof Uint8Array)) return { problem: 'events are not bytes' };
  const keyProblem = keys === null ? undefined : problemWithKeys(keys, count);
  if (keyProblem) return { problem: keyProblem };
  return { session, floor, first, count, keys: keys as Batch['keys'], blob };
}

function problemWithKeys(keys: unknown, count: number): string | undefined {
  if (!Array.isArray(keys) || keys.length !== count) return 'keys are not one per event';
  const bad = keys.some(
    (key) =>
      key !== null &&
      (typeof key !== 'string' || key.length === 0 || key.length > limits.keySizeBytes),
  );
  return bad
    ? `a key is not null or a string of 1 to ${limits.keySizeBytes} characters`
    : undefined;
}

export function encodeAnswer(answer: BatchAnswer): Uint8Array {
  if (!answer.ok) return packr.pack([wireVersion, answer.code, answer.detail]);
  return packr.pack([
    wireVersion,
    null,
    answer.runs.map((r) => [
      r.first,
      r.count,
      r.epoch,
      r.baseSeq,
      r.eventCounts,
      r.results,
      r.rejections,
      r.duplicate,
    ]),
  ]);
}

export function decodeAnswer(bytes: Uint8Array): BatchAnswer {
  const [version, code, body] = unpackr.unpack(bytes) as [number, string | null, unknown];
  if (version !== wireVersion) {
    return {
      ok: false,
      code: 'unsupported',
      detail: `wire version ${version}, expected ${wireVersion}`,
    };
  }
  if (code !== null) {
    const known = code === 'moved' || isErrorCode(code) ? code : 'internal';
    return { ok: false, code: known, detail: String(body) };
  }
  const runs = (body as unknown[][]).map(
    ([first, count, epoch, baseSeq, eventCounts, results, rejections, duplicate]) =>
      ({ first, count, epoch, baseSeq, eventCounts, results, rejections, duplicate }) as AnswerRun,
  );
  return { ok: true, runs };
}
