/**
 * Delivers a file exactly once. Every line has a number in one session, so a chunk whose answer
 * got lost is sent again, to whichever node answers, and no line is taken twice.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { UnderstudyError } from '../../replication/errors.js';
import { convey } from '../admin/conveyor.js';
import type { RawLine } from '../admin/ndjson.js';
import {
  type AdminClient,
  type Delivered,
  type DeliveredResult,
  Unreachable,
} from '../client/admin.js';
import { laterOf, parseToken, tokenOf } from '../client/token.js';
import { type Chunk, Chunker, type Refusal } from './chunks.js';

export interface Tally {
  accepted: number;
  rejected: number;
  /** In the log before this run began, or twice in the file under one key. */
  duplicate: number;
  /** The highest seq among the answers. */
  seq: number | null;
  /** For a read that has to see all of it. */
  token: string | null;
}

export interface UploadOptions {
  readonly client: AdminClient;
  readonly group: string;
  readonly keyField: string | undefined;
  /** How long to repeat a chunk that nobody answers. */
  readonly timeoutMs: number;
  /** Called in the order of the file. */
  readonly onRejected: (line: number, code: string, detail: string) => Promise<void>;
  readonly onChunk: (chunk: Chunk) => void;
}

const nothing: Delivered = { results: [], seq: null, epoch: null, duplicate: false, token: null };

/** Counts into `tally`, which stays true if this throws midway. */
export async function upload(
  source: AsyncIterator<RawLine[]>,
  tally: Tally,
  options: UploadOptions,
): Promise<void> {
  const { client, group, keyField } = options;
  const session = randomUUID();
  const counter = new Counter(tally, await lastSeq(client, group));
  // The node that is asked may die: know the others before.
  await client.nodes();
  const send = (chunk: Chunk) => (chunk.count === 0 ? nothing : sendChunk(session, chunk, options));
  const conveyed = convey(source, new Chunker(keyField), async (chunk: Chunk) => send(chunk));
  for await (const { parcel, answer } of conveyed) {
    tally.token = laterToken(tally.token, answer.token);
    let next = 0;
    for (const { number, content } of parcel.lines) {
      const result = content instanceof Buffer ? answer.results[next++] : content;
      const rejection = counter.count(result as DeliveredResult | Refusal);
      if (rejection) await options.onRejected(number, rejection.code, rejection.detail);
    }
    options.onChunk(parcel);
  }
}

function laterToken(a: string | null, b: string | null): string | null {
  return a === null || b === null ? (a ?? b) : tokenOf(laterOf(parseToken(a), parseToken(b)));
}

/** How long a node looks for the group's active before it says so. */
const nodeTimeoutMs = 5000;
const pauseMs = { least: 100, most: 2000 };

async function sendChunk(
  session: string,
  chunk: Chunk,
  options: UploadOptions,
): Promise<Delivered> {
  const { client, group, timeoutMs } = options;
  const { first, text, count } = chunk;
  // One chunk is on its way at a time, so all numbers before it have their answers.
  const numbers = { session, first, floor: first };
  const endMs = performance.now() + timeoutMs;
  for (let attempt = 0; ; attempt++) {
    try {
      const answer = await client.deliverLines(group, text, numbers, { timeoutMs: nodeTimeoutMs });
      if (answer.results.length === count) return answer;
      const detail = `${count} lines were sent and ${answer.results.length} answers came back`;
      throw new UnderstudyError('internal', detail);
    } catch (error) {
      const restMs = endMs - performance.now();
      const nextMs = Math.min(pauseMs.least * 2 ** Math.min(attempt, 10), pauseMs.most);
      if (!isWorthRepeating(error) || restMs < nextMs) throw error;
      await sleep(nextMs);
    }
  }
}

function isWorthRepeating(error: unknown): boolean {
  if (error instanceof UnderstudyError) return error.advice === 'retry';
  return error instanceof Unreachable;
}

const pageEvents = 1000;
const mostPages = 1000;

/** Where the log ends now. The group's document may be a moment behind. */
async function lastSeq(client: AdminClient, group: string): Promise<number> {
  let { seq } = await client.group(group);
  for (let pages = 0; pages < mostPages; pages++) {
    const { events, next } = await client.events(group, { from: seq + 1, limit: pageEvents });
    seq = events.at(-1)?.seq ?? seq;
    if (next === null) break;
  }
  return seq;
}

/**
 * Tells lines that were known before from lines of this run that had to be sent twice: the group
 * calls both duplicates.
 */
class Counter {
  readonly #tally: Tally;
  readonly #startSeq: number;
  readonly #seen: SeqSet;

  constructor(tally: Tally, startSeq: number) {
    this.#tally = tally;
    this.#startSeq = startSeq;
    this.#seen = new SeqSet(startSeq);
  }

  /** Returns the rejection, if it is one. */
  count(result: DeliveredResult | Refusal): { code: string; detail: string } | undefined {
    if ('code' in result) {
      this.#tally.rejected += 1;
      // The node counts the lines of a chunk, the reader those of the file.
      return { code: result.code, detail: result.detail.replace(/^line \d+: /, '') };
    }
    const { seq, duplicate } = result;
    const known = duplicate === true && (seq <= this.#startSeq || this.#seen.has(seq));
    if (known) this.#tally.duplicate += 1;
    else this.#tally.accepted += 1;
    this.#seen.add(seq);
    this.#tally.seq = Math.max(this.#tally.seq ?? 0, seq);
    return undefined;
  }
}

/** Seqs above a start, a bit for each. */
class SeqSet {
  readonly #start: number;
  #bits = new Uint8Array(1024);

  constructor(start: number) {
    this.#start = start;
  }

  add(seq: number): void {
    const at = seq - this.#start - 1;
    if (at < 0) return;
    const index = at >> 3;
    if (index >= this.#bits.length) {
      const larger = new Uint8Array(Math.max(index + 1, this.#bits.length * 2));
      larger.set(this.#bits);
      this.#bits = larger;
    }
    this.#bits[index] = (this.#bits[index] ?? 0) | (1 << (at & 7));
  }

  has(seq: number): boolean {
    const at = seq - this.#start - 1;
    return at >= 0 && ((this.#bits[at >> 3] ?? 0) & (1 << (at & 7))) !== 0;
  }
}
