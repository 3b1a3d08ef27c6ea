/** A leaf of a snapshot on its way into a tree: what of it is held, and what of it has come. */
import { equalBytes } from '../bytes.js';
import type { Hash } from '../ports.js';
import { childIn } from '../state/nodes.js';
import { PackedLeaf } from '../state/packed-leaf.js';
import { mergedPage, type PlainPage, plainPage } from '../state/plain-page.js';
import type { Segment } from '../state/stored.js';
import {
  type Branch,
  LargeValue,
  type Leaf,
  largeValuesIn,
  type Node,
  newLeaf,
  type StoredValue,
} from '../state/tree.js';
import type { Problem } from './image.js';
import type { LargeValues } from './large-values.js';
import { type ChunkUses, useSegments } from './packing.js';
import {
  decodeLeaf,
  leafContent,
  type NamedValue,
  type NodeName,
  type PageValue,
} from './pages.js';

/** Where a node of the snapshot belongs. */
export interface Place {
  readonly name: NodeName;
  /** The least key that may be below it. */
  readonly bound: string;
  /** The tree of the same table that is held, and the node in it that is at this place. */
  readonly tree: Node | null;
  readonly held: Node | null;
  /** Null: not made yet. */
  node: Node | null;
}

/** The node of this level whose least key is `bound`; null: there is none. */
export function nodeAt(tree: Node | null, level: number, bound: string): Node | null {
  let node = tree;
  let least = '';
  while (node !== null && node.level > level) {
    const { bounds, children } = node as Branch;
    const at = childIn(bounds, bound);
    if (at > 0) least = bounds[at] as string;
    node = children[at] as Node;
  }
  return node?.level === level && least === bound ? node : null;
}

/** Q2: the same content, and stored in the same place. */
export function isHeldAs({ name, held }: Place): boolean {
  if (held === null || held.hash === null || held.stored === null) return false;
  const segments = 'segment' in held.stored ? [held.stored.segment] : held.stored.segments;
  return equalBytes(held.hash, name.hash) && startsWith(name.segments, segments, segments.length);
}

function startsWith(all: readonly Segment[], first: readonly Segment[], least: number): boolean {
  if (first.length > all.length || first.length < least) return false;
  return first.every(({ chunk, offset }, i) => {
    const other = all[i] as Segment;
    return offset === other.offset && equalBytes(chunk, other.chunk);
  });
}

/** Stands for a large value until that is there. */
const noBytes = new Uint8Array(0);

export class LeafTask {
  readonly #place: Place;
  /** Q3 */
  readonly #ground: Leaf | null;
  readonly #skipped: number;
  readonly #pages: (Uint8Array | undefined)[] = [];
  #lacks: number;

  constructor(place: Place) {
    this.#place = place;
    this.#ground = groundOf(place);
    this.#skipped = isSame(place)
      ? place.name.segments.length
      : (this.#ground?.stored?.segments.length ?? 0);
    this.#lacks = place.name.segments.length - this.#skipped;
  }

  /** What has to be fetched, by its place among the leaf's segments. */
  get missing(): readonly (readonly [number, Segment])[] {
    return [...this.#place.name.segments.entries()].slice(this.#skipped);
  }

  get isReady(): boolean {
    return this.#lacks === 0;
  }

  /** What it costs to build. */
  get sizeBytes(): number {
    return this.#place.name.sizeBytes;
  }

  /** Returns whether that was the last one. */
  add(at: number, page: Uint8Array): boolean {
    this.#pages[at] = page;
    this.#lacks -= 1;
    return this.isReady;
  }

  build(hash: Hash, large: LargeValues, uses: ChunkUses): Problem | null {
    const { name, held } = this.#place;
    const ground = isSame(this.#place) ? (held as Leaf) : this.#ground;
    const pages = this.#pages.filter((page) => page !== undefined);
    const content = plainContent(ground, pages) ?? mergePages(ground, pages);
    if (content === null) return { problem: 'a leaf begins with what was changed of it' };
    const isPlain = 'bytes' in content;
    if (!equalBytes(hash(isPlain ? content.bytes : leafContent(content)), name.hash))
      return { problem: 'a leaf is not what its name says' };
    const leaf = isPlain ? new PackedLeaf(content) : leafOf(content, knownValues(held), large);
    // Q6
    const isFound = !isSame(this.#place);
    if (!isFound) useSegments(uses, name.segments, -1);
    const stored = isFound ? { segments: name.segments } : null;
    this.#place.node = Object.assign(leaf, { hash: name.hash, stored });
    return null;
  }
}

function leafOf(content: Content, known: readonly LargeValue[], large: LargeValues): Leaf {
  const named: [at: number, value: NamedValue][] = [];
  const values = content.values.map((value, at): StoredValue => {
    if (value instanceof Uint8Array || value instanceof LargeValue) return value;
    named.push([at, value as NamedValue]);
    return new LargeValue(noBytes, (value as NamedValue).pieces);
  });
  const leaf = newLeaf(content.keys, values);
  for (const [at, value] of named) {
    large.add(value, known, (whole) => {
      leaf.values[at] = whole;
    });
  }
  return leaf;
}

/** Its content is held, only stored elsewhere. */
function isSame({ name, held }: Place): boolean {
  return held?.level === 0 && held.hash !== null && equalBytes(held.hash, name.hash);
}

/** The held leaf as it was stored, if the snapshot's leaf was made by changing that one. */
function groundOf({ name, held }: Place): Leaf | null {
  if (held?.level !== 0) return null;
  const leaf = held as Leaf;
  const ground = leaf.stored === null ? leaf.origin : leaf;
  const segments = ground?.stored?.segments;
  return ground && segments && startsWith(name.segments, segments, 1) ? ground : null;
}

interface Content {
  keys: string[];
  values: (PageValue | StoredValue)[];
}

/**
 * The leaf's page, put together without taking one apart; null: that takes more than bytes. It has memory of its
 * own, as what follows from `mergePages` has: chunks are not to be kept for what they are a part of.
 */
function plainContent(ground: Leaf | null, pages: readonly Uint8Array[]): PlainPage | null {
  const first = ground === null ? [] : [ground.packed ?? null];
  const plain: PlainPage[] = [];
  for (const bytes of [...first, ...pages]) {
    const page = bytes && plainPage(bytes);
    if (page === null) return null;
    plain.push(page);
  }
  const [only, ...changes] = plain as [PlainPage, ...PlainPage[]];
  if (only.isChange) return null;
  if (changes.length > 0) return plainPage(mergedPage(plain));
  return { ...only, bytes: copied(only.bytes, ground) };
}

/** What is held has its own already. */
function copied(bytes: Uint8Array, ground: Leaf | null): Uint8Array {
  return ground === null ? new Uint8Array(bytes) : bytes;
}

function mergePages(ground: Leaf | null, pages: readonly Uint8Array[]): Content | null {
  let content: Content | null = ground && {
    keys: ground.keys.slice(),
    values: ground.values.slice(),
  };
  for (const page of pages) {
    const { keys, values } = decodeLeaf(new Uint8Array(page));
    content = content === null ? { keys, values } : merged(content, { keys, values });
  }
  return content?.values.includes(null) ? null : content;
}

function merged(older: Content, newer: Content): Content {
  const out: Content = { keys: [], values: [] };
  let i = 0;
  const take = (key: string, value: PageValue | StoredValue) => {
    out.keys.push(key);
    out.values.push(value);
  };
  for (const [j, key] of newer.keys.entries()) {
    for (; i < older.keys.length && (older.keys[i] as string) < key; i++) {
      take(older.keys[i] as string, older.values[i] as PageValue);
    }
    if (older.keys[i] === key) i += 1;
    const value = newer.values[j] as PageValue;
    if (value !== null) take(key, value);
  }
  for (; i < older.keys.length; i++) take(older.keys[i] as string, older.values[i] as PageValue);
  return out;
}

function knownValues(held: Node | null): readonly LargeValue[] {
  if (held?.level !== 0) return [];
  return largeValuesIn(held as Leaf);
}
