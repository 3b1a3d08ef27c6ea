import { expect } from 'vitest';
import {
  entriesIn,
  entriesOf,
  isLeaf,
  LargeValue,
  type Layout,
  type Leaf,
  type Node,
  type StoredValue,
} from '../../../replication/state/tree.js';
import type { Random } from '../../support/scheduler.js';

/** Some entries to a leaf, and some levels for a few hundred of them. */
export const tiny: Layout = { leafSizeBytes: 120, branchChildren: 4, largeValueSizeBytes: 100 };
export const small: Layout = { leafSizeBytes: 200, branchChildren: 8, largeValueSizeBytes: 100 };

export const bytesOf = (length: number, fill: number) => new Uint8Array(length).fill(fill);

/** Short keys over few characters, among them half a pair and the last code unit there is. */
export function randomKey(random: Random): string {
  const letters = ['a', 'b', 'c', 'é', '\ud83d', '\uffff'];
  const length = 1 + random.below(4);
  return Array.from({ length }, () => letters[random.below(letters.length)]).join('');
}

export function randomValue(random: Random): StoredValue {
  const fill = random.below(256);
  if (random.chance(0.05)) return new LargeValue(bytesOf(200, fill));
  return bytesOf(random.chance(0.1) ? 100 : random.below(30), fill);
}

/** Everything that members have to agree on, and nothing else. */
export function shapeOf(node: Node): unknown {
  if (isLeaf(node)) {
    const values = node.values.map((value) =>
      value instanceof LargeValue ? { large: [...value.bytes] } : [...value],
    );
    return { keys: [...node.keys], values, sizeBytes: node.sizeBytes };
  }
  const { level, bounds, entries, sizeBytes, children } = node;
  return { level, bounds: [...bounds], entries, sizeBytes, children: children.map(shapeOf) };
}

export function nodesOf(node: Node): Node[] {
  return isLeaf(node) ? [node] : [node, ...node.children.flatMap(nodesOf)];
}

export const leavesOf = (node: Node): Leaf[] => nodesOf(node).filter(isLeaf);

export function contentOf(root: Node): [string, StoredValue][] {
  return [...entriesOf(root, {})];
}

/** Throws unless the tree is what N1 and the layout say. */
export function checkTree(root: Node, layout: Layout): void {
  if (!isLeaf(root)) expect(root.children.length).toBeGreaterThan(1);
  check(root, layout, '', undefined, true);
}

function check(
  node: Node,
  layout: Layout,
  low: string,
  high: string | undefined,
  isRoot: boolean,
): void {
  if (isLeaf(node)) return checkLeaf(node, layout, low, high, isRoot);
  const { bounds, children, level } = node;
  const inOrder = bounds.every((bound, i) => i === 0 || (bounds[i - 1] as string) < bound);
  const within = bounds.slice(1).every((each) => each > low && (high === undefined || each < high));
  const isWhole = bounds[0] === '' && bounds.length === children.length && inOrder && within;
  const isRight =
    isWhole &&
    children.length > 0 &&
    children.length <= layout.branchChildren &&
    children.every((child) => child.level === level - 1) &&
    node.entries === children.reduce((sum, child) => sum + entriesIn(child), 0) &&
    node.sizeBytes === children.reduce((sum, child) => sum + child.sizeBytes, 0);
  if (!isRight) throw new Error(`a wrong branch: ${JSON.stringify(shapeOf(node))}`);
  children.forEach((child, i) => {
    check(child, layout, i === 0 ? low : (bounds[i] as string), bounds[i + 1] ?? high, false);
  });
}

function checkLeaf(
  leaf: Leaf,
  layout: Layout,
  low: string,
  high: string | undefined,
  isRoot: boolean,
): void {
  const { keys, values, sizeBytes } = leaf;
  const sizes = keys.map((key, i) => {
    const value = values[i];
    return key.length + 8 + (value instanceof LargeValue ? 40 : (value?.length ?? Number.NaN));
  });
  const isRight =
    keys.length === values.length &&
    (isRoot || keys.length > 0) &&
    keys.every((key, i) => i === 0 || (keys[i - 1] as string) < key) &&
    keys.every((key) => key >= low && (high === undefined || key < high)) &&
    sizeBytes === sizes.reduce((sum, size) => sum + size, 0) &&
    (sizeBytes <= layout.leafSizeBytes || keys.length === 1);
  if (!isRight) throw new Error(`a wrong leaf: ${JSON.stringify(shapeOf(leaf))}`);
}
