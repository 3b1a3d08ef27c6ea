/** What one event of a request body is: a command ready for a batch, or why it is none. */
import { encodeValue, malformedCode } from '../../replication/batch.js';
import type { UnderstudyError } from '../../replication/errors.js';
import { limits } from '../../replication/limits.js';
import type { RawLine } from './ndjson.js';
import { parseJson, problemWithValue } from './values.js';

export interface Command {
  readonly ok: true;
  readonly bytes: Uint8Array;
  readonly key: string | null;
}

/** Refused at the edge: it never reaches the group. */
export interface Refused {
  readonly ok: false;
  readonly code: typeof malformedCode | 'too-large';
  readonly detail: string;
}

export type Incoming = Command | Refused;

function refused(detail: string): Refused {
  return { ok: false, code: malformedCode, detail };
}

function tooLarge(sizeBytes: number): Refused {
  const detail = `${sizeBytes} bytes, and ${limits.eventSizeBytes} are the limit of one event`;
  return { ok: false, code: 'too-large', detail };
}

/** An object of exactly `key` and `event` is an event with its idempotency key. */
function unwrap(value: object): { key: string | null; event: unknown } {
  const { key, event } = value as { key?: unknown; event?: unknown };
  const keyed = typeof key === 'string' && event !== undefined && Object.keys(value).length === 2;
  return keyed ? { key, event } : { key: null, event: value };
}

const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export function readEvent(value: unknown): Incoming {
  if (!isObject(value)) return refused(`an event is a JSON object, this is ${nameOf(value)}`);
  const { key, event } = unwrap(value);
  if (!isObject(event)) return refused(`an event is a JSON object, this is ${nameOf(event)}`);
  if (key !== null && (key.length === 0 || key.length > limits.keySizeBytes)) {
    return refused(`a key has 1 to ${limits.keySizeBytes} characters, this one ${key.length}`);
  }
  const problem = problemWithValue(event);
  if (problem !== undefined) return refused(problem);
  const bytes = encodeValue(event);
  return bytes.length > limits.eventSizeBytes ? tooLarge(bytes.length) : { ok: true, bytes, key };
}

function nameOf(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'an array' : `a ${typeof value}`;
}

/** Details start with the line's number in the body. */
export function readLine(line: RawLine): Incoming {
  const read = 'bytes' in line ? readBytes(line.bytes) : tooLarge(line.sizeBytes);
  return read.ok ? read : { ...read, detail: `line ${line.number}: ${read.detail}` };
}

function readBytes(bytes: Uint8Array): Incoming {
  try {
    return readEvent(parseJson(bytes));
  } catch (error) {
    return refused((error as UnderstudyError).message);
  }
}

/** The items of `{"events": [...]}` if the body is exactly that. */
export function listedEvents(body: unknown): readonly unknown[] | undefined {
  if (!isObject(body) || Object.keys(body).length !== 1) return undefined;
  const { events } = body as { events?: unknown };
  return Array.isArray(events) ? events : undefined;
}

export function readItem(value: unknown, index: number): Incoming {
  const read = readEvent(value);
  return read.ok ? read : { ...read, detail: `events[${index}]: ${read.detail}` };
}
