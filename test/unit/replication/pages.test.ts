import { Packr } from 'msgpackr';
import { describe, expect, it, test } from 'vitest';
import {
  type BranchPage,
  branchHash,
  decodeBranch,
  decodeLeaf,
  encodeBranch,
  leafContent,
  leafDelta,
  type NodeName,
} from '../../../replication/snapshot/pages.js';
import {
  LargeValue,
  type Leaf,
  newLeaf,
  type StoredValue,
} from '../../../replication/state/tree.js';
import { seededRandom } from '../../support/scheduler.js';
import { hash } from './support.js';

const packr = new Packr({ useRecords: false });
const bytesOf = (...bytes: number[]) => Uint8Array.from(bytes);

const leaf = newLeaf(
  ['a', 'b', 'c'],
  [bytesOf(1), bytesOf(), new LargeValue(new Uint8Array(9), [hash(bytesOf(1)), hash(bytesOf(2))])],
);

const child = (n: number): NodeName => ({
  level: 1,
  hash: hash(bytesOf(n)),
  entries: n,
  sizeBytes: 10 * n,
  segments: [{ chunk: hash(bytesOf(n % 2)), offset: n, sizeBytes: 5 }],
});
const branch = {
  level: 2,
  bounds: ['', 'm', 't'],
  children: [child(1), child(2), child(3)],
} satisfies BranchPage;
const branchBytes = encodeBranch(branch, branch.children);
const branchParts = packr.unpack(branchBytes) as unknown[];
const rows = branchParts[3] as unknown[][];

const withPart = (at: number, value: unknown) =>
  packr.pack(branchParts.map((part, i) => (i === at ? value : part)));
const withRow = (row: unknown) => withPart(3, [row, ...rows.slice(1)]);
const withField = (at: number, value: unknown) =>
  withRow((rows[0] as unknown[]).map((field, i) => (i === at ? value : field)));

describe("a leaf's page", () => {
  it('reads as it was written', () => {
    const { keys, values } = decodeLeaf(leafContent(leaf));
    expect(keys).toEqual(['a', 'b', 'c']);
    const pieces = [hash(bytesOf(1)), hash(bytesOf(2))];
    expect(values).toEqual([bytesOf(1), bytesOf(), { sizeBytes: 9, pieces }]);
  });

  it('is not written before its large values have names', () => {
    expect(() => leafContent(newLeaf(['a'], [new LargeValue(bytesOf(1))]))).toThrow(/named/);
  });

  test.each<[string, unknown]>([
    ['a number', 7],
    ['null', null],
    ['keys alone', [['a']]],
    ['more keys than values', [['a', 'b'], [bytesOf(1)]]],
    ['a key that is a number', [[1], [bytesOf(1)]]],
    ['keys that are text', ['ab', [bytesOf(1), bytesOf(2)]]],
    ['values that are text', [['a'], 'a']],
    ['a value that is text', [['a'], ['value']]],
    ['a value that is a number', [['a'], [7]]],
    ['a large value of no pieces', [['a'], [[9]]]],
    ['a large value of no size', [['a'], [[null, bytesOf(1)]]]],
    ['a large value whose piece is no hash', [['a'], [[9, 'abc']]]],
  ])('is not %s', (_, value) => {
    expect(() => decodeLeaf(packr.pack(value))).toThrow();
  });

  it('is not cut off', () => {
    const content = leafContent(leaf);
    for (let length = 0; length < content.length; length++) {
      expect(() => decodeLeaf(content.subarray(0, length))).toThrow();
    }
  });
});

describe('what was changed of a leaf', () => {
  const random = seededRandom('deltas');
  const randomLeaf = (from: Leaf | null): Leaf => {
    const held = new Map<string, StoredValue>(
      from?.keys.map((key, i) => [key, from.values[i] as StoredValue]),
    );
    for (let i = 0; i < 4; i++) {
      const key = `k${random.below(12)}`;
      if (random.chance(0.3)) held.delete(key);
      else held.set(key, bytesOf(random.below(256)));
    }
    const keys = [...held.keys()].sort();
    return newLeaf(
      keys,
      keys.map((key) => held.get(key) as StoredValue),
    );
  };

  it('makes one leaf of another', () => {
    for (let i = 0; i < 500; i++) {
      const from = randomLeaf(null);
      const to = randomLeaf(from);
      const delta = decodeLeaf(leafDelta(from, to, 1000) as Uint8Array);
      const held = new Map<string, unknown>(from.keys.map((key, at) => [key, from.values[at]]));
      for (const [at, key] of delta.keys.entries()) {
        if (delta.values[at] === null) held.delete(key);
        else held.set(key, delta.values[at]);
      }
      const made = [...held].sort(([a], [b]) => (a < b ? -1 : 1));
      expect(made).toEqual(to.keys.map((key, at) => [key, to.values[at]]));
      expect(delta.keys.length).toBeLessThanOrEqual(4);
    }
  });

  it('is nothing if it would take more than it may', () => {
    const from = newLeaf(['a', 'b'], [bytesOf(1), bytesOf(2)]);
    const to = newLeaf(['a', 'b'], [bytesOf(1), new Uint8Array(100)]);
    const delta = leafDelta(from, to, 1000) as Uint8Array;
    expect(leafDelta(from, to, delta.length)).toEqual(delta);
    expect(leafDelta(from, to, delta.length - 1)).toBeNull();
    expect(leafDelta(from, newLeaf([], []), 1)).toBeNull();
  });
});

describe("a branch's page", () => {
  it('reads as it was written', () => {
    expect(decodeBranch(branchBytes)).toEqual(branch);
  });

  it('has a name that does not tell where its children are stored', () => {
    const name = (level: number, bounds: readonly string[], children: readonly NodeName[]) =>
      branchHash(
        hash,
        level,
        bounds,
        children.map((each) => each.hash),
      );
    const { level, bounds, children } = branch;
    const moved = children.map((each) => ({ ...each, segments: child(7).segments }));
    expect(name(level, bounds, moved)).toEqual(name(level, bounds, children));
    expect(name(level + 1, bounds, children)).not.toEqual(name(level, bounds, children));
    expect(name(level, ['', 'm', 'u'], children)).not.toEqual(name(level, bounds, children));
    expect(name(level, bounds, children.toReversed())).not.toEqual(name(level, bounds, children));
  });

  test.each<[string, Uint8Array]>([
    ['nothing', new Uint8Array(0)],
    ['a leaf', leafContent(leaf)],
    ['of level 0', withPart(0, 0)],
    ['of no level', withPart(0, 'one')],
    ['above all trees', withPart(0, 18)],
    ['without bounds', withPart(1, null)],
    ['with a bound too few', withPart(1, ['', 'm'])],
    ['with a first bound', withPart(1, ['a', 'm', 't'])],
    ['without chunks', withPart(2, null)],
    ['with a chunk that has no hash', withPart(2, ['abc', hash(bytesOf(0))])],
    ['with a chunk of a length alone', withPart(2, [{ length: 8 }, hash(bytesOf(0))])],
    ['without children', withPart(3, null)],
    ['with a child that is null', withRow(null)],
    ['with a child that is stored nowhere', withRow((rows[0] as unknown[]).slice(0, 3))],
    ['with a child that is stored half', withRow((rows[0] as unknown[]).slice(0, 5))],
    ['with a child without a hash', withField(0, null)],
    ['with a child whose hash has a length alone', withField(0, { length: 8 })],
    ['with a child of half an entry', withField(1, 0.5)],
    ['with a child of a negative size', withField(2, -1)],
    ['with a child in a chunk that it does not name', withField(3, 2)],
    ['with a child before the beginning of a chunk', withField(4, -1)],
    ['with a child of an infinite page', withField(5, Number.POSITIVE_INFINITY)],
  ])('is not %s', (_, bytes) => {
    expect(() => decodeBranch(bytes)).toThrow();
  });
});
