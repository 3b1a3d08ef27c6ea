import { expect, it, test } from 'vitest';
import { decodeLeaf, leafContent, leafDelta } from '../../../replication/snapshot/pages.js';
import { ownRoom } from '../../../replication/state/leaf-memory.js';
import { PackedLeaf } from '../../../replication/state/packed-leaf.js';
import {
  entriesOfPage,
  mergedPage,
  type PlainPage,
  plainPage,
} from '../../../replication/state/plain-page.js';
import { LargeValue, type Leaf, largeValuesIn, newLeaf } from '../../../replication/state/tree.js';
import { type Random, seededRandom } from '../../support/scheduler.js';
import { bytesOf, randomKey, randomValue } from './support.js';

type Content = Map<string, Uint8Array>;

const leafOf = (content: Content): Leaf => {
  const entries = [...content].sort(([a], [b]) => (a < b ? -1 : 1));
  return newLeaf(
    entries.map(([key]) => key),
    entries.map(([, value]) => value),
  );
};
const pageOf = (content: Content) => new Uint8Array(leafContent(leafOf(content)));
const areEqual = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;
const plain = (page: Uint8Array): PlainPage => {
  const found = plainPage(page);
  if (found === null) throw new Error('not plain');
  return found;
};

const asciiKey = (random: Random) => String(random.below(1000));

/** Lengths at which msgpack writes other heads. */
const keyLengths = [1, 2, 5, 31, 32, 255, 256, 300];
const valueLengths = [0, 1, 40, 255, 256, 65_535, 65_536];

function plainContent(random: Random, count: number): Content {
  const content: Content = new Map();
  for (let i = 0; i < count; i++) {
    const length = keyLengths[random.below(keyLengths.length)] as number;
    const key = String(random.below(40)).padStart(2, '0').padEnd(length, '-');
    const most = random.chance(0.05) ? valueLengths.length : 5;
    content.set(key, bytesOf(valueLengths[random.below(most)] as number, random.below(256)));
  }
  return content;
}

test.each([0, 1, 15, 16, 60, 70_000])('%i entries are what a msgpack reader finds', (count) => {
  const random = seededRandom(`plain ${count}`);
  const content =
    count > 1000
      ? new Map(Array.from({ length: count }, (_, i) => [`key ${i}`, bytesOf(i % 3, 1)]))
      : plainContent(random, count);
  const page = pageOf(content);
  const { sizeBytes, isChange, count: found } = plain(page);
  const leaf = leafOf(content);
  expect({ sizeBytes, isChange, found }).toEqual({
    sizeBytes: leaf.sizeBytes,
    isChange: false,
    found: content.size,
  });
  const { keys, values } = entriesOfPage(page);
  expect(keys).toEqual(leaf.keys);
  expect(values.every((value, i) => areEqual(value, leaf.values[i] as Uint8Array))).toBe(true);
});

it('puts together what each of 500 chains of changes comes to, byte for byte', () => {
  let changes = 0;
  for (let seed = 0; seed < 500; seed++) {
    const random = seededRandom(`plain ${seed}`);
    let content = plainContent(random, random.below(20));
    const pages = [plain(pageOf(content))];
    for (let left = random.below(5); left > 0; left--) {
      const next = new Map(content);
      for (const key of content.keys()) if (random.chance(0.3)) next.delete(key);
      for (const [key, value] of plainContent(random, random.below(4))) next.set(key, value);
      const delta = leafDelta(leafOf(content), leafOf(next), Number.POSITIVE_INFINITY);
      pages.push(plain(new Uint8Array(delta as Uint8Array)));
      content = next;
      changes += 1;
    }
    expect(areEqual(mergedPage(pages, ownRoom), pageOf(content)), `seed ${seed}`).toBe(true);
  }
  expect(changes).toBeGreaterThan(500);
});

it('takes no page for plain that is not, and none that is broken, in 2000 tries', () => {
  let taken = 0;
  for (let seed = 0; seed < 2000; seed++) {
    const random = seededRandom(`plain ${seed}`);
    const keyOf = random.chance(0.5) ? randomKey : asciiKey;
    const keys = [...new Set(Array.from({ length: 4 }, () => keyOf(random)))].sort();
    const values = keys.map(() => randomValue(random));
    for (const value of values) if (value instanceof LargeValue) value.pieces = [bytesOf(32, 1)];
    const leaf = newLeaf(keys, values);
    const page = new Uint8Array(leafContent(leaf));
    const isAscii = keys.every((key) => /^[\0-\x7f]*$/.test(key));
    const isPlain = isAscii && largeValuesIn(leaf).length === 0;
    expect(plainPage(page) !== null, `seed ${seed}`).toBe(isPlain);
    expect(plainPage(page.subarray(0, random.below(page.length)))).toBeNull();
    if (random.chance(0.5)) page[random.below(page.length)] = random.below(256);
    const spoilt = plainPage(page);
    if (spoilt === null || spoilt.isChange) continue;
    const { keys: found, values: read } = decodeLeaf(page);
    expect(entriesOfPage(page)).toEqual({ keys: found, values: read });
    taken += 1;
  }
  expect(taken).toBeGreaterThan(300);
});

it('knows a page that tells of keys that are gone', () => {
  const before = new Map([
    ['a', bytesOf(1, 1)],
    ['b', bytesOf(1, 2)],
  ]);
  const after = new Map([['b', bytesOf(1, 2)]]);
  const delta = leafDelta(leafOf(before), leafOf(after), 100) as Uint8Array;
  expect(plain(delta).isChange).toBe(true);
});

test('a packed leaf says what it counts without being taken apart, and then forgets its page', () => {
  const content = new Map([['a', bytesOf(3, 7)]]);
  const page = pageOf(content);
  const leaf = new PackedLeaf(plain(page));
  expect([leaf.count, leaf.sizeBytes]).toEqual([1, leafOf(content).sizeBytes]);
  expect(largeValuesIn(leaf)).toEqual([]);
  expect(leaf.packed).toBe(page);
  expect(leaf.keys).toEqual(['a']);
  expect(leaf.values).toEqual([bytesOf(3, 7)]);
  expect(leaf.packed).toBeNull();
});
