/**
 * What a tree is made of. Here a node is a node of a tree, not a process.
 *
 * N1 A node's content depends on the keys and values that were set and deleted, and on their order,
 *    alone: every member that has applied the same records holds the same nodes (I5).
 * N2 `hash` and `stored` speak of exactly what the node holds now: they go when it changes.
 */
import { limits } from '../limits.js';
import type { StoredBranch, StoredLeaf } from './stored.js';

/** Part of the replicated state: members with different layouts have different digests. */
export interface Layout {
  /** A leaf beyond it is split. */
  readonly leafSizeBytes: number;
  /** A branch with more is split. At least 4. */
  readonly branchChildren: number;
  /** Values beyond it are stored apart from their leaf. */
  readonly largeValueSizeBytes: number;
  /** Of snapshots; a digest is made of the hashes of such pieces. Default `limits.chunkSizeBytes`. */
  readonly chunkSizeBytes?: number;
  /** Of the table of idempotency keys. Default 32, fewer if they are large. */
  readonly answersInPage?: number;
  /** So much of a snapshot's chunks may be unused. Default: as much as is used, and 8 chunks. */
  readonly unusedSizeBytes?: number;
}

export const defaultLayout: Layout = {
  leafSizeBytes: limits.leafSizeBytes,
  branchChildren: limits.branchChildren,
  largeValueSizeBytes: limits.largeValueSizeBytes,
};

/** A value beyond `largeValueSizeBytes`, stored apart from its leaf. */
export class LargeValue {
  constructor(
    readonly bytes: Uint8Array,
    /** Hashes of its chunks once known: found from its bytes, no part of the state. */
    public pieces: readonly Uint8Array[] | null = null,
  ) {}
}

/** Never changed once it is in a tree: frozen trees and their successors share it. */
export type StoredValue = Uint8Array | LargeValue;

/** A token; only which one it is counts. */
export type Owner = object;

export interface Leaf {
  readonly level: 0;
  owner: Owner;
  /** Known without taking its entries out, which a packed one does when somebody looks at them. */
  readonly count?: number;
  /** Its content, as long as it is packed: then all values are plain bytes. */
  readonly packed?: Uint8Array | null;
  keys: string[];
  values: StoredValue[];
  sizeBytes: number;
  hash: Uint8Array | null;
  stored: StoredLeaf | null;
  /** The last stored leaf that this one came from by changes of single entries. */
  origin: Leaf | null;
}

export interface Branch {
  readonly level: number;
  owner: Owner;
  /** Lower bound of each child; the first is ''. */
  bounds: string[];
  children: Node[];
  entries: number;
  sizeBytes: number;
  hash: Uint8Array | null;
  stored: StoredBranch | null;
}

export type Node = Leaf | Branch;

export function isLeaf(node: Node): node is Leaf {
  return node.level === 0;
}

export function entriesIn(node: Node): number {
  return isLeaf(node) ? (node.count ?? node.keys.length) : node.entries;
}

/** Without taking a packed leaf apart: it has none. */
export function largeValuesIn(leaf: Leaf): readonly LargeValue[] {
  if (leaf.packed) return [];
  return leaf.values.filter((value) => value instanceof LargeValue);
}

/** What a large value leaves in its leaf, about: its size and the hash of one chunk. */
const largeValueNameSizeBytes = 40;
const entryOverheadSizeBytes = 8;

/** What an entry adds to its leaf, reckoned: the same on every member, unlike its place in memory. */
export function entrySizeBytes(key: string, value: StoredValue): number {
  const valueSizeBytes = value instanceof LargeValue ? largeValueNameSizeBytes : value.length;
  return key.length + valueSizeBytes + entryOverheadSizeBytes;
}

/** Takes the arrays over. A leaf nobody owns yet cannot be changed in place. */
export function newLeaf(keys: string[], values: StoredValue[], owner: Owner = {}): Leaf {
  let sizeBytes = 0;
  for (let i = 0; i < keys.length; i++) {
    sizeBytes += entrySizeBytes(keys[i] as string, values[i] as StoredValue);
  }
  return { level: 0, owner, keys, values, sizeBytes, hash: null, stored: null, origin: null };
}

/** Takes the arrays over. There is at least one child, and all are of the same level. */
export function newBranch(bounds: string[], children: Node[], owner: Owner = {}): Branch {
  const level = (children[0]?.level ?? 0) + 1;
  let entries = 0;
  let sizeBytes = 0;
  for (const child of children) {
    entries += entriesIn(child);
    sizeBytes += child.sizeBytes;
  }
  return { level, owner, bounds, children, entries, sizeBytes, hash: null, stored: null };
}

export function copyLeaf(leaf: Leaf, owner: Owner): Leaf {
  const { keys, values, sizeBytes, stored } = leaf;
  const origin = stored === null ? leaf.origin : leaf;
  // Without an end, the chain of origins would hold all versions there ever were.
  if (stored !== null) leaf.origin = null;
  return {
    level: 0,
    owner,
    keys: keys.slice(),
    values: values.slice(),
    sizeBytes,
    hash: null,
    stored: null,
    origin,
  };
}

export function copyBranch(branch: Branch, owner: Owner): Branch {
  const { level, bounds, children, entries, sizeBytes } = branch;
  return {
    level,
    owner,
    bounds: bounds.slice(),
    children: children.slice(),
    entries,
    sizeBytes,
    hash: null,
    stored: null,
  };
}

/** The first index whose key is not below `key`. */
export function indexIn(keys: readonly string[], key: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((keys[middle] as string) < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The child that `key` belongs to. */
export function childIn(bounds: readonly string[], key: string): number {
  let low = 1;
  let high = bounds.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((bounds[middle] as string) <= key) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** Leaves that are within the limit, or of a single entry. */
export function splitLeaf(leaf: Leaf, mostSizeBytes: number, owner: Owner): Leaf[] {
  if (leaf.sizeBytes <= mostSizeBytes || leaf.keys.length < 2) return [leaf];
  const at = boundaryNearestHalf(leaf);
  const left = newLeaf(leaf.keys.slice(0, at), leaf.values.slice(0, at), owner);
  const right = newLeaf(leaf.keys.slice(at), leaf.values.slice(at), owner);
  return [...splitLeaf(left, mostSizeBytes, owner), ...splitLeaf(right, mostSizeBytes, owner)];
}

/** Of two that are as near, the lower one. Neither half is empty. */
function boundaryNearestHalf({ keys, values, sizeBytes }: Leaf): number {
  let before = 0;
  let i = 0;
  for (; i < keys.length - 1; i++) {
    const after = before + entrySizeBytes(keys[i] as string, values[i] as StoredValue);
    if (2 * after >= sizeBytes) {
      const isLowerNearer = sizeBytes - 2 * before <= 2 * after - sizeBytes;
      return Math.max(1, isLowerNearer ? i : i + 1);
    }
    before = after;
  }
  return i;
}

/** Two branches, and the lower bound of the second. */
export function splitBranch(
  { bounds, children }: Branch,
  owner: Owner,
): [left: Branch, bound: string, right: Branch] {
  const at = children.length >>> 1;
  const left = newBranch(bounds.slice(0, at), children.slice(0, at), owner);
  const right = newBranch(['', ...bounds.slice(at + 1)], children.slice(at), owner);
  return [left, bounds[at] as string, right];
}

/** Of two neighbours of the same level; `bound` is the second one's. */
export function merged(left: Node, bound: string, right: Node, owner: Owner): Node {
  if (isLeaf(left) && isLeaf(right)) {
    return newLeaf([...left.keys, ...right.keys], [...left.values, ...right.values], owner);
  }
  const [a, b] = [left as Branch, right as Branch];
  const bounds = [...a.bounds, bound, ...b.bounds.slice(1)];
  return newBranch(bounds, [...a.children, ...b.children], owner);
}
