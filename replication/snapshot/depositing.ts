/**
 * Turns an image into chunks, in slices, so that what is stored anew is what was changed since the
 * snapshot before: its base.
 *
 * D1 A page that the base holds is not stored again. A leaf that was changed is stored as what was
 *    changed, on top of what the base holds of it, until that is half as large as the leaf.
 * D2 Only what the base names may be built upon: its chunks stand, any other may be gone.
 * D3 A chunk of which less than half is used is given up, once the unused outweighs the used.
 */
import { keyOf } from '../bytes.js';
import { limits } from '../limits.js';
import { childIn } from '../state/nodes.js';
import type { Segment, StoredBranch, StoredLeaf } from '../state/stored.js';
import {
  type Branch,
  entriesIn,
  type LargeValue,
  type Leaf,
  largeValuesIn,
  type Node,
} from '../state/tree.js';
import { piecesOf, tagged } from './chunk-tags.js';
import { digestOfParts, type Image, type Problem } from './image.js';
import { encodeManifest, type Manifest } from './manifest.js';
import { collect, isLeaf, type Levels, lookSizeBytes, nameBranch, namePieces } from './naming.js';
import { type Chunk, type ChunkUses, copyUses, Packer, useSegments } from './packing.js';
import { encodeBranch, leafContent, leafDelta, type NodeName } from './pages.js';

/** A snapshot that is recorded, and where its chunks and pages are. */
export interface Base {
  readonly snapshotId: string;
  /** Names all that follows, and is a chunk itself. */
  readonly manifest: Uint8Array;
  readonly uses: ChunkUses;
  /** Chunks that hold its core. */
  readonly core: readonly Uint8Array[];
  readonly roots: readonly Node[];
}

export interface DepositOptions {
  readonly image: Image;
  readonly snapshotId: string;
  readonly base: Base | null;
  /** `keyOf` the chunks that somebody could not get: nothing may be built upon them. */
  readonly doubted: ReadonlySet<string>;
  readonly chunkSizeBytes: number;
}

/** Where pages were put; on the nodes themselves only once the snapshot is recorded (D2). */
export type Placed = Map<Node, StoredLeaf | StoredBranch>;

export interface Deposited {
  readonly digest: Uint8Array;
  readonly manifest: Uint8Array;
  readonly manifestSizeBytes: number;
  readonly coreSizeBytes: number;
  /** Of the core and all tables, as if nothing were stored anew. */
  readonly sizeBytes: number;
  readonly placed: Placed;
  readonly base: Base;
  /** Whose nodes were placed. */
  readonly of: Image['of'];
}

/** So many changes on top of a leaf's base. */
const mostDeltas = 4;
/** D3: as much as so many chunks hold is not worth the trouble. */
const sparedChunks = 8;

interface Deposit extends DepositOptions {
  readonly uses: ChunkUses;
  readonly placed: Placed;
  /** Chunks to be given up. */
  readonly avoided: ReadonlySet<string>;
  /** Nodes of the base that are nodes of this image, too. */
  readonly kept: Set<Node>;
}

/** Yields chunks to put, and how many bytes it has worked through. */
export function* depositImage(
  options: DepositOptions,
): Generator<number | Chunk, Deposited | Problem> {
  const { image, base } = options;
  const deposit: Deposit = {
    ...options,
    uses: base === null ? new Map() : copyUses(base.uses),
    placed: new Map(),
    avoided: avoidedChunks(options),
    kept: new Set(),
  };
  const core = yield* depositCore(deposit);
  const roots = image.tables.map(([, root]) => root);
  const tables: Levels[] = [];
  for (const root of roots) {
    tables.push(yield* collect([root], (node) => isDirty(deposit, node)));
  }
  const height = Math.max(0, ...tables.map(({ length }) => length));
  for (let level = 0; level < height; level++) {
    const packer = newPacker(deposit, level === 0 ? 'ranges' : 'healing');
    for (const [at, levels] of [...tables.entries()].reverse()) {
      yield* depositLevel(deposit, levels[level] ?? [], base?.roots[at] ?? null, packer);
    }
    yield* closed(deposit, packer);
  }
  yield* releaseBase(deposit);
  return yield* finish(deposit, core, roots);
}

/** `before`: the base's root of the same table. */
function* depositLevel(
  deposit: Deposit,
  nodes: readonly Node[],
  before: Node | null,
  packer: Packer,
): Generator<number | Chunk, void> {
  for (const node of nodes) {
    if (isLeaf(node)) yield* depositLeaf(deposit, node, before, packer);
    else yield* depositBranch(deposit, node as Branch, packer);
  }
}

function newPacker({ image, chunkSizeBytes }: Deposit, work: Packer['work']): Packer {
  return new Packer(work, image.hash, chunkSizeBytes);
}

/** D3 */
function avoidedChunks(options: DepositOptions): ReadonlySet<string> {
  const { image, base, doubted, chunkSizeBytes } = options;
  if (base === null) return doubted;
  let [sizeBytes, usedSizeBytes] = [0, 0];
  for (const use of base.uses.values()) {
    sizeBytes += use.sizeBytes;
    usedSizeBytes += use.usedSizeBytes;
  }
  const mostSizeBytes =
    image.kind.layout?.unusedSizeBytes ?? usedSizeBytes + sparedChunks * chunkSizeBytes;
  if (sizeBytes - usedSizeBytes <= mostSizeBytes) return doubted;
  const sparse = [...base.uses].filter(([, use]) => use.usedSizeBytes < use.sizeBytes / 2);
  return new Set([...doubted, ...sparse.map(([key]) => key)]);
}

/** While chunks are avoided every node is looked at, otherwise only what was changed. */
function isDirty({ base, avoided, kept }: Deposit, node: Node): boolean {
  if (base === null || avoided.size > 0 || node.stored === null) return true;
  kept.add(node);
  return false;
}

function* depositCore(deposit: Deposit): Generator<number | Chunk, Uint8Array[]> {
  const { image, base, chunkSizeBytes, uses } = deposit;
  for (const hash of base?.core ?? []) useWhole(uses, hash, -1);
  const hashes: Uint8Array[] = [];
  for (const piece of piecesOf(image.core, chunkSizeBytes)) {
    const chunk = tagged('core', piece);
    const hash = image.hash(chunk);
    yield* depositPiece(deposit, hash, () => chunk);
    hashes.push(hash);
  }
  return hashes;
}

/** A chunk of its own, unless it is there. */
function* depositPiece(
  { uses, avoided }: Deposit,
  hash: Uint8Array,
  make: () => Uint8Array,
): Generator<number | Chunk, void> {
  const key = keyOf(hash);
  const isThere = uses.has(key) && !avoided.has(key);
  if (!isThere) yield* put(uses, { hash, bytes: make(), work: 'values' });
  useWhole(uses, hash, 1);
}

function* put(uses: ChunkUses, chunk: Chunk): Generator<number | Chunk, void> {
  const { hash, bytes, work } = chunk;
  const usedSizeBytes = uses.get(keyOf(hash))?.usedSizeBytes ?? 0;
  uses.set(keyOf(hash), { hash, sizeBytes: bytes.length, work, usedSizeBytes });
  yield bytes.length;
  yield chunk;
}

function useWhole(uses: ChunkUses, hash: Uint8Array, sign: 1 | -1): void {
  const use = uses.get(keyOf(hash));
  if (use !== undefined) use.usedSizeBytes += sign * use.sizeBytes;
}

function* closed(deposit: Deposit, packer: Packer): Generator<number | Chunk, void> {
  const chunk = packer.close();
  if (chunk === null) return;
  yield* put(deposit.uses, chunk);
  for (const { chunk: hash, sizeBytes } of chunk.segments) {
    useSegments(deposit.uses, [{ chunk: hash, offset: 0, sizeBytes }], 1);
  }
}

function* depositLeaf(
  deposit: Deposit,
  leaf: Leaf,
  before: Node | null,
  packer: Packer,
): Generator<number | Chunk, void> {
  const { image, chunkSizeBytes, placed } = deposit;
  if (staysAt(deposit, leaf)) return;
  yield* namePieces(image.hash, leaf, chunkSizeBytes);
  const ground = groundOf(deposit, before && formerOf(leaf, before));
  const content = leafContent(leaf);
  leaf.hash ??= image.hash(content);
  yield content.length + lookSizeBytes;
  const delta = ground && leafDelta(ground.leaf, leaf, ground.roomSizeBytes(content.length));
  const page = delta ?? content;
  if (packer.isFullFor(page.length)) yield* closed(deposit, packer);
  const below = delta ? ground.segments : [];
  useSegments(deposit.uses, below, 1);
  placed.set(leaf, { segments: [...below, packer.add(page)] });
  for (const value of largeValuesIn(leaf)) yield* depositLarge(deposit, value);
}

function* depositLarge(deposit: Deposit, { bytes, pieces }: LargeValue) {
  const parts = [...piecesOf(bytes, deposit.chunkSizeBytes)];
  for (const [i, hash] of (pieces ?? []).entries()) {
    yield* depositPiece(deposit, hash, () => tagged('value', parts[i] as Uint8Array));
  }
}

/** Stored as it is, in chunks that are not to be given up. */
function staysAt({ base, avoided, kept }: Deposit, leaf: Leaf): boolean {
  if (base === null || leaf.stored === null) return false;
  if (touches(avoided, leaf.stored.segments) || hasPieceIn(avoided, leaf)) return false;
  kept.add(leaf);
  return true;
}

function hasPieceIn(chunks: ReadonlySet<string>, leaf: Leaf): boolean {
  if (chunks.size === 0) return false;
  return largeValuesIn(leaf).some(({ pieces }) =>
    pieces?.some((piece) => chunks.has(keyOf(piece))),
  );
}

function touches(chunks: ReadonlySet<string>, segments: readonly Segment[]): boolean {
  return chunks.size > 0 && segments.some(({ chunk }) => chunks.has(keyOf(chunk)));
}

interface Ground {
  readonly leaf: Leaf;
  readonly segments: readonly Segment[];
  /** How many bytes of changes are worth it, for a leaf of this size. */
  roomSizeBytes(leafSizeBytes: number): number;
}

/**
 * The leaf that the base has where this one is now. Whoever holds the base has this one, and not what its
 * origin was: a leaf that was changed while the base was being cut does not come from there.
 */
function formerOf(leaf: Leaf, before: Node): Leaf | null {
  const { keys, origin } = leaf;
  const [first] = keys;
  if (origin === null || first === undefined) return origin;
  let node = before;
  while (!isLeaf(node)) node = node.children[childIn(node.bounds, first)] as Node;
  return node.keys[0] === first && node !== leaf ? node : origin;
}

/** D1, D2: what a leaf was before it was changed, if the base holds that. */
function groundOf({ base, avoided }: Deposit, former: Leaf | null): Ground | null {
  const segments = former?.stored?.segments;
  if (!former || !segments || segments.length > mostDeltas || touches(avoided, segments))
    return null;
  if (!segments.every(({ chunk }) => base?.uses.has(keyOf(chunk)))) return null;
  const changed = segments.slice(1).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const roomSizeBytes = (leafSizeBytes: number) => Math.floor(leafSizeBytes / 2) - changed;
  return { leaf: former, segments, roomSizeBytes };
}

function* depositBranch(
  deposit: Deposit,
  branch: Branch,
  packer: Packer,
): Generator<number | Chunk, void> {
  const { image, base, avoided, placed, kept } = deposit;
  const { stored, children } = branch;
  const isMoved = children.some((child) => placed.has(child));
  if (base !== null && stored !== null && !isMoved && !touches(avoided, [stored.segment])) {
    kept.add(branch);
    return;
  }
  yield nameBranch(image.hash, branch) + lookSizeBytes;
  const page = encodeBranch(
    branch,
    children.map((child) => nameOf(placed, child)),
  );
  if (packer.isFullFor(page.length)) yield* closed(deposit, packer);
  placed.set(branch, { segment: packer.add(page) });
}

export function nameOf(placed: Placed, node: Node): NodeName {
  const { level, hash, sizeBytes } = node;
  const stored = (placed.get(node) ?? node.stored) as StoredLeaf | StoredBranch;
  const segments = 'segment' in stored ? [stored.segment] : stored.segments;
  return { level, hash: hash as Uint8Array, entries: entriesIn(node), sizeBytes, segments };
}

/** What of the base is no part of the image any more is not used any more. */
function* releaseBase({ base, kept, uses }: Deposit): Generator<number, void> {
  const gone = yield* collect(base?.roots ?? [], (node) => !kept.has(node));
  for (const node of gone.flat()) {
    yield lookSizeBytes;
    if (!isLeaf(node)) {
      const { stored } = node as Branch;
      if (stored !== null) useSegments(uses, [stored.segment], -1);
      continue;
    }
    // Where a leaf is not known to be stored, nothing is counted as used.
    if (node.stored !== null) useSegments(uses, node.stored.segments, -1);
    for (const { pieces } of largeValuesIn(node)) {
      for (const piece of pieces ?? []) useWhole(uses, piece, -1);
    }
  }
}

function* finish(
  deposit: Deposit,
  core: readonly Uint8Array[],
  roots: readonly Node[],
): Generator<number | Chunk, Deposited | Problem> {
  const { image, snapshotId, uses, placed } = deposit;
  for (const [key, use] of uses) if (use.usedSizeBytes <= 0) uses.delete(key);
  if (uses.size + 1 > limits.snapshotChunks) {
    const problem = `the state takes ${uses.size} chunks, at most ${limits.snapshotChunks - 1}`;
    return { problem };
  }
  const tables = image.tables.map(([name, root]) => [name, nameOf(placed, root)] as const);
  const { kind } = image;
  const manifest: Manifest = {
    snapshotId,
    kind: kind.name,
    kindVersion: kind.version,
    core,
    coreSizeBytes: image.core.length,
    tables,
    uses,
  };
  const bytes = encodeManifest(manifest);
  if (bytes.length > limits.chunkSizeBytes) {
    return {
      problem: `the manifest takes ${bytes.length} bytes, at most ${limits.chunkSizeBytes}`,
    };
  }
  const hash = image.hash(bytes);
  yield { hash, bytes, work: 'healing' };
  const names = tables.map(([name, root]) => [name, root.hash] as const);
  return {
    digest: digestOfParts(image.hash, core, names),
    manifest: hash,
    manifestSizeBytes: bytes.length,
    coreSizeBytes: image.core.length,
    sizeBytes: roots.reduce((sum, { sizeBytes }) => sum + sizeBytes, image.core.length),
    placed,
    of: image.of,
    base: { snapshotId, manifest: hash, uses, core, roots },
  };
}
