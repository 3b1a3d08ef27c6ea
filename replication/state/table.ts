/** A table as a kind sees it: the part of the state of which a snapshot takes only what has changed. */
import { UnderstudyError } from '../errors.js';
import { limits } from '../limits.js';
import { entriesOf, type Range } from './range.js';
import type { StoredValue, Tree } from './tree.js';
import { decode, type Encoder } from './values.js';

declare const held: unique symbol;

/** Declares a table whose values are of type V; made by `table`. */
export interface TableSpec<V = unknown> {
  /** Exists in the type only. */
  readonly [held]?: V;
}

const theSpec: TableSpec = Object.freeze({});

/** For the option `tables` of a kind: `tables: { accounts: table<Account>() }`. */
export function table<V>(): TableSpec<V> {
  return theSpec as TableSpec<V>;
}

export function isTableSpec(value: unknown): boolean {
  return value === theSpec;
}

/** Whether tables may be changed now: only while `apply` runs. */
export interface Access {
  isWritable: boolean;
}

/**
 * Keys are texts of 1 to 1024 UTF-16 code units, which they are ordered by. Values are whatever msgpack
 * keeps. What is read is a copy: a changed value has to be set again.
 */
export class Table<V> {
  readonly #name: string;
  readonly #tree: Tree;
  readonly #encoder: Encoder;
  readonly #access: Access;

  constructor(name: string, tree: Tree, encoder: Encoder, access: Access) {
    this.#name = name;
    this.#tree = tree;
    this.#encoder = encoder;
    this.#access = access;
    refuseCopies(this, name);
  }

  get size(): number {
    return this.#tree.size;
  }

  /** A fresh copy: changing it changes nothing in the table. */
  get(key: string): V | undefined {
    const value = this.#tree.get(key);
    return value === undefined ? undefined : (decode(value) as V);
  }

  has(key: string): boolean {
    return this.#tree.get(key) !== undefined;
  }

  /** Throws for a key or a value that no table takes. In `apply` only. */
  set(key: string, value: V): void {
    this.#requireWritable();
    const problem = problemWithKey(key);
    if (problem !== undefined) throw this.#refusal(problem);
    this.#tree.set(key, this.#encoder.encode(value));
  }

  /** False: there was no such key. In `apply` only. */
  delete(key: string): boolean {
    this.#requireWritable();
    return this.#tree.delete(key);
  }

  /** In the order of the keys, and as they are now: what `apply` does meanwhile is not among them. */
  entries(range: Range = {}): IterableIterator<[string, V]> {
    return mapped(this.#now(range), ([key, value]) => [key, decode(value) as V]);
  }

  keys(range: Range = {}): IterableIterator<string> {
    return mapped(this.#now(range), ([key]) => key);
  }

  values(range: Range = {}): IterableIterator<V> {
    return mapped(this.#now(range), ([, value]) => decode(value) as V);
  }

  #now(range: Range): Iterable<[string, StoredValue]> {
    const problem = problemWithRange(range);
    if (problem !== undefined) throw this.#refusal(problem);
    return entriesOf(this.#access.isWritable ? this.#tree.freeze() : this.#tree.root, range);
  }

  #requireWritable(): void {
    if (this.#access.isWritable) return;
    throw new UnderstudyError(
      'unsupported',
      `table ${this.#name} is changed outside apply: decide and queries only look`,
    );
  }

  #refusal(problem: string): UnderstudyError {
    return new UnderstudyError('bad-request', `table ${this.#name}: ${problem}`);
  }
}

/** Cloned or packed it would become an empty object, and nobody would know. */
function refuseCopies(table: object, name: string): void {
  Object.defineProperty(table, 'contents', {
    enumerable: true,
    get() {
      const detail = `table ${name} cannot be handed out: give what is in it, as an array`;
      throw new UnderstudyError('bad-request', detail);
    },
  });
}

function* mapped<In, Out>(all: Iterable<In>, to: (each: In) => Out): IterableIterator<Out> {
  for (const each of all) yield to(each);
}

/** Of ES2024, and there in every Node that this runs on. */
interface WellFormed {
  isWellFormed(): boolean;
}

/** Without half of a surrogate pair. UTF-8 has no such halves: they would come back as something else. */
export function isWellFormed(text: string): boolean {
  return (text as unknown as WellFormed).isWellFormed();
}

function problemWithKey(key: unknown): string | undefined {
  if (typeof key !== 'string') return `a key is a text, not of type ${typeof key}`;
  if (key.length === 0 || key.length > limits.tableKeyChars) {
    return `a key of ${key.length} characters; it has 1 to ${limits.tableKeyChars}`;
  }
  return isWellFormed(key) ? undefined : 'a key with half of a surrogate pair in it';
}

function problemWithRange(range: Range): string | undefined {
  for (const bound of ['prefix', 'from', 'to'] as const) {
    const given: unknown = range[bound];
    if (given !== undefined && typeof given !== 'string') {
      return `${bound} is a text, not of type ${typeof given}`;
    }
  }
  const { limit } = range;
  const isLimit = limit === undefined || (Number.isSafeInteger(limit) && limit >= 0);
  return isLimit ? undefined : `limit is a number of entries, not ${limit}`;
}
