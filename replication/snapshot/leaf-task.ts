/** A leaf of a snapshot on its way into a tree: what of it is held, and what of it has come. */
import { equalBytes } from '../bytes.js';
import type { Hash } from '../ports.js';
import type { Room } from '../state/leaf-memory.js';
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

/** One of a leaf's segments that is waited for. */
export interface LeafPart {
  readonly task: LeafTask;
  /** Its place among the leaf's segments. */
  readonly at: number;
  readonly segment: Segment;
}

/** Stands for a large value until that is there. */
const noBytes = new Uint8Array(0);

export class LeafTask {
  readonly #place: Place;
  /** Q3 */
  readonly #ground: Leaf | null;
  readonly #skipped: number;
  /** What has come, in its place among the leaf's segments; null: nothing so far. */
  #pages: (Uint8Array | undefined)[] | null = null;
  /** What has come, if that is all of the leaf and stays packed. */
  #packed: PackedLeaf | null = null;
  #lacks: number;

  constructor(place: Place) {
    this.#place = place;
    this.#ground = groundOf(place);
    this.#skipped = isSame(place)
      ? place.name.segments.length
      : (this.#ground?.stored?.segments.length ?? 0);
    this.#lacks = place.name.segments.length - this.#skipped;
  }

  /** What has to be fetched. */
  get missing(): readonly LeafPart[] {
    const { segments } = this.#place.name;
    const parts: LeafPart[] = [];
    for (let at = this.#skipped; at < segments.length; at++) {
      parts.push({ task: this, at, segment: segments[at] as Segment });
    }
    return parts;
  }

  get isReady(): boolean {
    return this.#lacks === 0;
  }

  /** What it costs to build. */
  get sizeBytes(): number {
    return this.#place.name.sizeBytes;
  }

  /**
   * Returns whether that was the last one. What is kept of the page is a copy: its chunk is garbage before V8 takes it
   * for old, and would look at all that is old because of it.
   */
  add(at: number, page: Uint8Array, room: Room): boolean {
    const plain = this.#place.name.segments.length === 1 ? plainPage(page) : null;
    if (plain !== null && !plain.isChange) this.#packed = packedIn(room, plain);
    else {
      this.#pages ??= [];
      this.#pages[at] = new Uint8Array(page);
    }
    this.#lacks -= 1;
    return this.isReady;
  }

  build(hash: Hash, large: LargeValues, uses: ChunkUses, room: Room): Problem | null {
    const { name, held } = this.#place;
    const content = this.#packed ?? this.#putTogether(room);
    if (content === null) return { problem: 'a leaf begins with what was changed of it' };
    if (!equalBytes(hash(leafContent(content)), name.hash))
      return { problem: 'a leaf is not what its name says' };
    const isPacked = content instanceof PackedLeaf;
    const leaf = isPacked ? content : leafOf(content, knownValues(held), large);
    leaf.hash = name.hash;
    // Q6
    const isFound = !isSame(this.#place);
    if (isFound) leaf.stored = name;
    else useSegments(uses, name.segments, -1);
    this.#place.node = leaf;
    return null;
  }

  #putTogether(room: Room): PackedLeaf | Content | null {
    const ground = isSame(this.#place) ? (this.#place.held as Leaf) : this.#ground;
    const pages = (this.#pages ?? []).filter((page) => page !== undefined);
    this.#pages = null;
    return plainContent(ground, pages, room) ?? mergePages(ground, pages);
  }
}

function packedIn(room: Room, { bytes, count, sizeBytes }: PlainPage): PackedLeaf {
  const own = room(bytes.length);
  own.set(bytes);
  return new PackedLeaf({ bytes: own, count, sizeBytes });
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

/** The leaf, put together without taking a page apart; null: that takes more than bytes. */
function plainContent(
  ground: Leaf | null,
  pages: readonly Uint8Array[],
  room: Room,
): PackedLeaf | null {
  const first = ground === null ? [] : [ground.packed ?? null];
  const plain: PlainPage[] = [];
  for (const bytes of [...first, ...pages]) {
    const page = bytes && plainPage(bytes);
    if (page === null) return null;
    plain.push(page);
  }
  const [only, ...changes] = plain as [PlainPage, ...PlainPage[]];
  if (only.isChange) return null;
  if (changes.length === 0) return new PackedLeaf(only);
  const merged = plainPage(mergedPage(plain, room));
  return merged && new PackedLeaf(merged);
}

function mergePages(ground: Leaf | null, pages: readonly Uint8Array[]): Content | null {
  let content: Content | null = ground && {
    keys: ground.keys.slice(),
    values: ground.values.slice(),
  };
  for (const page of pages) {
    const { keys, values } = decodeLeaf(page);
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
