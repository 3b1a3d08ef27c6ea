import { z } from 'zod';
import { limits } from '../../replication/limits.js';
import { isWellFormed, type Table } from '../../replication/state/table.js';
import { defineKind, query, table } from '../kind.js';

export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue };

export interface KvState {
  readonly entries: Table<JsonValue>;
}

export interface KvEntry {
  readonly key: string;
  readonly value: JsonValue;
}

const rangeLimit = { most: 1000, default: 100 };
const key = z
  .string()
  .min(1)
  .max(limits.tableKeyChars)
  .refine(isWellFormed, 'has half of a surrogate pair in it');
/** Written by hand: a recursive zod schema costs 2 µs per command, this a tenth. */
const value = z.custom<JsonValue>((given) => isJson(given, 1), 'expected a JSON value');

const command = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('set'), key, value }),
  z.strictObject({ type: z.literal('delete'), key }),
]);
const rangeArgs = z.strictObject({
  prefix: z.string().max(1024).optional(),
  limit: z.int().min(1).max(rangeLimit.most).optional(),
});

export type KvCommand = z.input<typeof command>;
export type KvRangeArgs = z.input<typeof rangeArgs>;

/** Keys and JSON values. Nothing is rejected: deleting an absent key is an event that changes nothing. */
export const kv = defineKind({
  name: 'kv',
  version: 2,
  tables: { entries: table<JsonValue>() },
  schema: command,
  apply(state, event) {
    if (event.type === 'set') state.entries.set(event.key, event.value);
    else state.entries.delete(event.key);
  },
  queries: {
    /** The value; null: no such key, or a stored null. */
    get: query(
      z.strictObject({ key }),
      (state: KvState, args): JsonValue => state.entries.get(args.key) ?? null,
    ),
    size: (state: KvState) => state.entries.size,
    range: query(rangeArgs, range),
  },
});

/** The first `limit` entries, by key in UTF-16 order, whose key starts with `prefix`. */
function range(state: KvState, args: KvRangeArgs): KvEntry[] {
  const { prefix, limit = rangeLimit.default } = args;
  return Array.from(state.entries.entries({ prefix, limit }), ([key, value]) => ({ key, value }));
}

function isJson(value: unknown, depth: number): boolean {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return true;
  if (typeof value === 'number') return Number.isFinite(value);
  if (typeof value !== 'object' || depth > limits.valueDepth) return false;
  if (Array.isArray(value)) return value.every((item) => isJson(item, depth + 1));
  if (Object.getPrototypeOf(value) !== Object.prototype) return false;
  for (const key of Object.keys(value)) {
    if (!isJson((value as Record<string, unknown>)[key], depth + 1)) return false;
  }
  return true;
}
