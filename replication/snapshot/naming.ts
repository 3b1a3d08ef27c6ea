/**
 * Gives the nodes of an image their names: the hashes of what they hold, each node once, from the
 * leaves up. A name stays with its node, so the next image only costs what was changed since.
 */
import type { Hash } from '../ports.js';
import { type Branch, type Leaf, largeValuesIn, type Node } from '../state/tree.js';
import { piecesOf, tagged } from './chunk-tags.js';
import { digestOfParts, type Image } from './image.js';
import { branchHash, leafContent } from './pages.js';

/** What looking at one more node costs, as if it were bytes. */
export const lookSizeBytes = 256;

/** By level, leaves first. */
export type Levels = Node[][];

/** The nodes that `wants` says are to be worked on, children before parents; yields what it costs. */
export function* collect(
  nodes: Iterable<Node>,
  wants: (node: Node) => boolean,
): Generator<number, Levels> {
  const levels: Levels = [];
  const waiting = [...nodes];
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    yield lookSizeBytes;
    if (!wants(node)) continue;
    for (let level = levels.length; level <= node.level; level++) levels.push([]);
    (levels[node.level] as Node[]).push(node);
    if (node.level > 0) waiting.push(...(node as Branch).children);
  }
  return levels;
}

/** The digest of the image (P13), in slices: yields how many bytes were worked through. */
export function* digestImage(image: Image, chunkSizeBytes: number): Generator<number, Uint8Array> {
  const { hash, core, tables } = image;
  const unnamed = yield* collect(
    tables.map(([, root]) => root),
    (node) => node.hash === null,
  );
  for (const nodes of unnamed) {
    for (const node of nodes) {
      if (isLeaf(node)) yield* namePieces(hash, node, chunkSizeBytes);
      yield lookSizeBytes + nameNode(hash, node);
    }
  }
  const pieces: Uint8Array[] = [];
  for (const piece of piecesOf(core, chunkSizeBytes)) {
    pieces.push(hash(tagged('core', piece)));
    yield piece.length;
  }
  const roots = tables.map(([name, root]) => [name, root.hash as Uint8Array] as const);
  return digestOfParts(hash, pieces, roots);
}

/** Its children have names. Returns what it cost. */
function nameNode(hash: Hash, node: Node): number {
  if (!isLeaf(node)) return nameBranch(hash, node);
  const content = leafContent(node);
  node.hash = hash(content);
  return content.length;
}

export function nameBranch(hash: Hash, branch: Branch): number {
  const { level, bounds, children } = branch;
  branch.hash ??= branchHash(
    hash,
    level,
    bounds,
    children.map((child) => child.hash as Uint8Array),
  );
  return children.length * lookSizeBytes;
}

/** Before a leaf's content can be packed its large values need names. */
export function* namePieces(
  hash: Hash,
  leaf: Leaf,
  chunkSizeBytes: number,
): Generator<number, void> {
  for (const value of largeValuesIn(leaf)) {
    if (value.pieces !== null) continue;
    const pieces: Uint8Array[] = [];
    for (const piece of piecesOf(value.bytes, chunkSizeBytes)) {
      pieces.push(hash(tagged('value', piece)));
      yield piece.length;
    }
    value.pieces = pieces;
  }
}

export function isLeaf(node: Node): node is Leaf {
  return node.level === 0;
}
