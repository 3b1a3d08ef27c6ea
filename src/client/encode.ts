import { encodeValue } from '../../replication/batch.js';
import { limits } from '../../replication/limits.js';
import { BadRequest, TooLarge } from './errors.js';

/** Values left to look at: a value that shares its parts has few objects and endless paths. */
let valuesLeft = 0;

/**
 * A command as one msgpack value. Throws `TooLarge`, or `BadRequest` if it holds something that has
 * no encoding. What it means is for the kind's schema to judge.
 */
export function encodeCommand(command: unknown): Uint8Array {
  // Every value takes at least a byte, so more values than bytes can never fit.
  valuesLeft = limits.eventSizeBytes;
  check(command, 0);
  const bytes = tryEncode(command);
  if (bytes.length > limits.eventSizeBytes) throw tooLarge(`is ${bytes.length} bytes encoded`);
  return bytes;
}

function tryEncode(command: unknown): Uint8Array {
  try {
    return encodeValue(command);
  } catch (error) {
    throw new BadRequest(`the command cannot be encoded: ${(error as Error).message}`);
  }
}

function check(value: unknown, depth: number): void {
  if (--valuesLeft < 0) throw tooLarge('holds more values than that');
  const type = typeof value;
  if (type === 'object') {
    if (value !== null) checkParts(value as object, depth);
  } else if (type === 'function' || type === 'symbol') {
    throw new BadRequest(`the command holds a ${type}, which has no encoding; send plain data`);
  }
}

function checkParts(value: object, depth: number): void {
  if (ArrayBuffer.isView(value)) return;
  if (depth >= limits.valueDepth) {
    throw new BadRequest(
      `the command is nested deeper than ${limits.valueDepth} levels, or holds itself; flatten it`,
    );
  }
  if (Array.isArray(value)) {
    for (const part of value) check(part, depth + 1);
    return;
  }
  for (const name in value) check((value as Record<string, unknown>)[name], depth + 1);
}

function tooLarge(what: string): TooLarge {
  return new TooLarge(
    `the command ${what}, and ${limits.eventSizeBytes} bytes are the limit; ` +
      'split it, or keep bulk data elsewhere and its name in the event',
  );
}

/** Throws `BadRequest` unless `key` can be an idempotency key. */
export function checkKey(key: string): void {
  if (typeof key === 'string' && key.length > 0 && key.length <= limits.keySizeBytes) return;
  throw new BadRequest(`a key is a string of 1 to ${limits.keySizeBytes} characters`);
}

/** Throws `BadRequest` unless a retry would end before the group may forget the session (P4). */
export function checkTimeout(timeoutMs: number): void {
  if (timeoutMs > 0 && timeoutMs <= limits.sessionEvictMs) return;
  throw new BadRequest(
    `timeoutMs is ${timeoutMs}; it must be more than 0 and at most ${limits.sessionEvictMs}`,
  );
}
