/** Cuts a file of events into chunks that can be sent again and again. */
import { UnderstudyError } from '../../replication/errors.js';
import { limits } from '../../replication/limits.js';
import type { RawLine } from '../admin/ndjson.js';
import { parseJson } from '../admin/values.js';

/** A line that was refused here: it is never sent. */
export interface Refusal {
  readonly code: 'bad-request' | 'too-large';
  readonly detail: string;
}

interface Line {
  /** In the file, from 1. */
  readonly number: number;
  readonly content: Buffer | Refusal;
}

export interface Chunk {
  readonly lines: readonly Line[];
  /** NDJSON of the lines that were not refused. */
  readonly text: Buffer;
  readonly count: number;
  /** Number of its first line in the session. */
  readonly first: number;
}

const chunkLines = 2000;
const newline = Buffer.from('\n');

export class Chunker {
  readonly #keyField: string | undefined;
  #waiting: Line[] = [];
  #waitingBytes = 0;
  #next = 1;

  /** `keyField`: the field of each event that is its idempotency key. */
  constructor(keyField: string | undefined) {
    this.#keyField = keyField;
  }

  add(lines: readonly RawLine[]): void {
    for (const line of lines) {
      const content = this.#prepare(line);
      this.#waiting.push({ number: line.number, content });
      this.#waitingBytes += sizeOf(content);
    }
  }

  get full(): boolean {
    return this.#waiting.length >= chunkLines || this.#waitingBytes >= limits.batchSizeBytes;
  }

  /** Whatever there is, up to a full chunk; `null`: nothing. */
  take(): Chunk | null {
    if (this.#waiting.length === 0) return null;
    const lines = this.#waiting.slice(0, this.#countForOne());
    this.#waiting = this.#waiting.slice(lines.length);
    const parts = lines.map(({ content }) => content).filter(isBuffer);
    for (const part of parts) this.#waitingBytes -= part.length;
    const first = this.#next;
    this.#next += parts.length;
    const text = Buffer.concat(parts.flatMap((part) => [part, newline]));
    return { lines, text, count: parts.length, first };
  }

  /** At least one line, however long. */
  #countForOne(): number {
    let sizeBytes = 0;
    const most = Math.min(this.#waiting.length, chunkLines);
    for (let i = 0; i < most; i++) {
      sizeBytes += sizeOf(this.#waiting[i]?.content);
      if (sizeBytes > limits.batchSizeBytes && i > 0) return i;
    }
    return most;
  }

  /** What cannot be an event is kept here: each such line would end a batch on the node. */
  #prepare(line: RawLine): Buffer | Refusal {
    if (!('bytes' in line)) {
      const { eventSizeBytes } = limits;
      const detail = `${line.sizeBytes} bytes, and ${eventSizeBytes} are the limit of one event`;
      return { code: 'too-large', detail };
    }
    const bytes = Buffer.from(line.bytes.buffer, line.bytes.byteOffset, line.bytes.length);
    try {
      const event = parseJson(bytes);
      return this.#keyField === undefined ? bytes : withKey(bytes, keyIn(event, this.#keyField));
    } catch (error) {
      return { code: 'bad-request', detail: (error as UnderstudyError).message };
    }
  }
}

const isBuffer = (content: Buffer | Refusal): content is Buffer => content instanceof Buffer;

function sizeOf(content: Buffer | Refusal | undefined): number {
  return content instanceof Buffer ? content.length : 0;
}

/** The event's own text inside `{"key","event"}`, so that nothing of it changes on the way. */
function withKey(bytes: Buffer, key: string): Buffer {
  const text = bytes.toString().replace(/^\ufeff/, '');
  return Buffer.from(`{"key":${JSON.stringify(key)},"event":${text.trim()}}`);
}

/** Throws `bad-request` unless the field can be a key. */
function keyIn(event: unknown, field: string): string {
  const isObject = typeof event === 'object' && event !== null && Object.hasOwn(event, field);
  const key = isObject ? (event as Record<string, unknown>)[field] : undefined;
  if (typeof key === 'string' && key !== '') return key;
  if (typeof key === 'number') return String(key);
  const found = key === undefined ? 'is missing' : `is ${JSON.stringify(key)}`;
  const detail = `the key field "${field}" ${found}; it must be a string or a number`;
  throw new UnderstudyError('bad-request', detail);
}
