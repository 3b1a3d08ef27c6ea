/**
 * Pages: the bytes of a table's nodes, in two forms. Their content, whose hash is a node's name and is
 * the same on every member; and what is stored: a leaf's content or what was changed of it, and for a
 * branch where its children are stored, which differs from one snapshot's cutter to another.
 */
import { Packr, Unpackr } from 'msgpackr';
import { equalBytes, plainBytes } from '../bytes.js';
import type { Hash } from '../ports.js';
import type { Segment } from '../state/stored.js';
import { type Branch, LargeValue, type Leaf, type StoredValue } from '../state/tree.js';

/** Without `copyBuffers`: a restored value is a view of the chunk it came in. */
const options = { useRecords: false } as const;
/** No tree that fits into any memory is as high. */
const mostLevels = 16;
const packr = new Packr(options);
const unpackr = new Unpackr(options);

/** Large values are told from others by being named instead of there: their size, then their pieces. */
type PackedValue = Uint8Array | readonly [sizeBytes: number, ...pieces: Uint8Array[]];

export function leafContent(leaf: LeafPage): Uint8Array {
  return leaf.packed ?? packr.pack([leaf.keys, leaf.values.map(packValue)]);
}

function packValue(value: PageValue | StoredValue): PackedValue | null {
  if (value === null || value instanceof Uint8Array) return value;
  if (!(value instanceof LargeValue)) return [value.sizeBytes, ...value.pieces];
  if (value.pieces === null) throw new Error('a large value is packed before its pieces are named');
  return [value.bytes.length, ...value.pieces];
}

/** A large value, as leaves name it. */
export interface NamedValue {
  readonly sizeBytes: number;
  readonly pieces: readonly Uint8Array[];
}

/** What a page tells of a key: its value, the name of a large one, or null: it is gone. */
export type PageValue = Uint8Array | NamedValue | null;

export interface LeafPage {
  readonly packed?: Uint8Array | null;
  readonly keys: readonly string[];
  readonly values: readonly (PageValue | StoredValue)[];
}

/** Throws if the bytes are no leaf's page. */
export function decodeLeaf(bytes: Uint8Array): {
  readonly keys: string[];
  readonly values: PageValue[];
} {
  const [keys, values] = unpackr.unpack(plainBytes(bytes)) as [unknown, unknown];
  const areKeys = Array.isArray(keys) && keys.every((key) => typeof key === 'string');
  if (!areKeys || !Array.isArray(values) || keys.length !== values.length)
    throw new Error('no leaf');
  return { keys, values: values.map(unpackValue) };
}

function unpackValue(value: unknown): PageValue {
  if (value === null || value instanceof Uint8Array) return value;
  const [sizeBytes, ...pieces] = value as [number, ...Uint8Array[]];
  const areHashes = pieces.length > 0 && pieces.every((piece) => piece instanceof Uint8Array);
  if (!Number.isSafeInteger(sizeBytes) || !areHashes) throw new Error('no value');
  return { sizeBytes, pieces };
}

/** What makes `from` into `leaf`, or null: nothing does in fewer bytes than `mostSizeBytes`. */
export function leafDelta(from: Leaf, leaf: Leaf, mostSizeBytes: number): Uint8Array | null {
  const keys: string[] = [];
  const values: (PackedValue | null)[] = [];
  let sizeBytes = 0;
  const note = (key: string, value: StoredValue | null) => {
    keys.push(key);
    values.push(value === null ? null : packValue(value));
    sizeBytes += key.length + (value instanceof Uint8Array ? value.length : 0);
    return sizeBytes <= mostSizeBytes;
  };
  let i = 0;
  for (let j = 0; j < leaf.keys.length; j++) {
    const key = leaf.keys[j] as string;
    for (; i < from.keys.length && (from.keys[i] as string) < key; i++) {
      if (!note(from.keys[i] as string, null)) return null;
    }
    const isThere = from.keys[i] === key;
    if (isThere && from.values[i] === leaf.values[j]) i += 1;
    else if (!note(key, leaf.values[j] as StoredValue)) return null;
    else if (isThere) i += 1;
  }
  for (; i < from.keys.length; i++) if (!note(from.keys[i] as string, null)) return null;
  const bytes = packr.pack([keys, values]);
  return bytes.length <= mostSizeBytes ? bytes : null;
}

/** A child as its parent knows it, and a table as the manifest does. */
export interface NodeName {
  readonly level: number;
  /** Of its content. */
  readonly hash: Uint8Array;
  readonly entries: number;
  readonly sizeBytes: number;
  /** A leaf's base and changes, oldest first; a branch has one. */
  readonly segments: readonly Segment[];
}

export interface BranchPage {
  readonly level: number;
  readonly bounds: readonly string[];
  readonly children: readonly NodeName[];
}

/** A branch's content does not say where its children are stored. */
export function branchHash(
  hash: Hash,
  level: number,
  bounds: readonly string[],
  children: readonly Uint8Array[],
): Uint8Array {
  return hash(packr.pack([level, bounds, children]));
}

/** Of a branch whose children all have names. */
export function encodeBranch(
  { level, bounds }: Pick<Branch, 'level' | 'bounds'>,
  children: readonly NodeName[],
): Uint8Array {
  const chunks: Uint8Array[] = [];
  const places = new Map<Uint8Array, number>();
  const placeOf = (chunk: Uint8Array): number => {
    const known = places.get(chunk) ?? chunks.findIndex((other) => equalBytes(other, chunk));
    const place = known >= 0 ? known : chunks.push(chunk) - 1;
    places.set(chunk, place);
    return place;
  };
  const rows = children.map(({ hash, entries, sizeBytes, segments }) => [
    hash,
    entries,
    sizeBytes,
    ...segments.flatMap((each) => [placeOf(each.chunk), each.offset, each.sizeBytes]),
  ]);
  return packr.pack([level, bounds, chunks, rows]);
}

/** Throws if the bytes are no branch's page. */
export function decodeBranch(bytes: Uint8Array): BranchPage {
  // A copy, which the names in it are views of: a page is a view of its chunk, which is not to be kept for them.
  const [level, bounds, chunks, rows] = unpackr.unpack(new Uint8Array(bytes)) as [
    number,
    string[],
    Uint8Array[],
    [Uint8Array, number, number, ...number[]][],
  ];
  const areLists = [bounds, chunks, rows].every(Array.isArray);
  if (
    !isWhole(level) ||
    level === 0 ||
    !areLists ||
    bounds.length !== rows.length ||
    bounds[0] !== ''
  ) {
    throw new Error('no branch');
  }
  const children = rows.map(([hash, entries, sizeBytes, ...places]) => {
    return checkedName({
      level: level - 1,
      hash,
      entries,
      sizeBytes,
      segments: segmentsIn(places, chunks),
    });
  });
  return { level, bounds, children };
}

function segmentsIn(places: readonly number[], chunks: readonly Uint8Array[]): Segment[] {
  const segments: Segment[] = [];
  for (let i = 0; i < places.length; i += 3) {
    const [place, offset, sizeBytes] = places.slice(i, i + 3) as [number, number, number];
    segments.push({ chunk: chunks[place] as Uint8Array, offset, sizeBytes });
  }
  return segments;
}

/** For the manifest. */
export function packName({ level, hash, entries, sizeBytes, segments }: NodeName): unknown[] {
  const places = segments.map((each) => [each.chunk, each.offset, each.sizeBytes]);
  return [level, hash, entries, sizeBytes, places];
}

/** Throws if it is none. */
export function unpackName(packed: unknown): NodeName {
  const [level, hash, entries, sizeBytes, places] = packed as [
    number,
    Uint8Array,
    number,
    number,
    [Uint8Array, number, number][],
  ];
  const segments = places.map(([chunk, offset, size]) => ({ chunk, offset, sizeBytes: size }));
  return checkedName({ level, hash, entries, sizeBytes, segments });
}

function checkedName(name: NodeName): NodeName {
  const { level, hash, entries, sizeBytes, segments } = name;
  const areThere = segments.every(
    (each) => each.chunk instanceof Uint8Array && isWhole(each.offset) && isWhole(each.sizeBytes),
  );
  const areNumbers = [level, entries, sizeBytes].every(isWhole) && level <= mostLevels;
  const isNode = areNumbers && hash instanceof Uint8Array;
  if (!isNode || !areThere || segments.length === 0) throw new Error('no name of a node');
  return name;
}

export const isWhole = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0;
