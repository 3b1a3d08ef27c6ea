/** JSON at the edge: what is let in, and how values of a kind are shown. */
import { UnderstudyError } from '../../replication/errors.js';
import { limits } from '../../replication/limits.js';

const strictUtf8 = new TextDecoder('utf-8', { fatal: true });

/** Throws `bad-request` with the parser's reason. */
export function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(strictUtf8.decode(bytes));
  } catch (error) {
    const reason = error instanceof SyntaxError ? error.message : 'the bytes are not UTF-8';
    throw new UnderstudyError('bad-request', `not JSON: ${reason}`);
  }
}

/** Why a parsed JSON value may not enter, or nothing. `constructor` and the like are plain data. */
export function problemWithValue(
  value: unknown,
  depth: number = limits.valueDepth,
): string | undefined {
  if (typeof value === 'number' && !Number.isFinite(value)) {
    return 'a number is beyond the range of a 64-bit float; send it as a string';
  }
  if (typeof value !== 'object' || value === null) return undefined;
  if (depth === 0) return `nested deeper than ${limits.valueDepth} levels; flatten it`;
  for (const name of Object.keys(value)) {
    if (name === '__proto__') return 'the key "__proto__" is not allowed; rename it';
    const problem = problemWithValue((value as Record<string, unknown>)[name], depth - 1);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/**
 * JSON of any value a kind can hold: Map → object, Set → array, bigint → decimal string,
 * bytes → base64, undefined → null at the top.
 */
export function toJson(value: unknown): string {
  return JSON.stringify(value, replace) ?? 'null';
}

function replace(this: unknown, name: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null) return value;
  // A Buffer has a toJSON of its own, so `value` is no longer what the kind held.
  const held = (this as Record<string, unknown>)[name];
  if (held instanceof Uint8Array) return Buffer.from(held).toString('base64');
  if (value instanceof Map) return Object.fromEntries(value);
  if (value instanceof Set) return [...value];
  return value;
}
