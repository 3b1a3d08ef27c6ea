/** What of a snapshot's memory is kept: never a chunk for what is a part of it. */
import { expect, it } from 'vitest';
import type { Replica } from '../../../replication/replica.js';
import { treesOf } from '../../../replication/snapshot/image.js';
import { isLeaf, type Leaf, type Node } from '../../../replication/state/tree.js';
import { keyFor, Rows } from './rows.js';

function* leavesOf(node: Node): Generator<Leaf> {
  if (isLeaf(node)) yield node;
  else for (const child of node.children) yield* leavesOf(child);
}

const leavesIn = (replica: Replica) =>
  [...treesOf(replica).values()].flatMap(({ root }) => [...leavesOf(root)]);
const pagesIn = (replica: Replica) => leavesIn(replica).flatMap(({ packed }) => packed ?? []);
const buffersOf = (all: readonly Uint8Array[]) => new Set<unknown>(all.map(({ buffer }) => buffer));
const chunksOf = ({ store }: Rows) => buffersOf([...store.chunks.values()]);

it('is one stretch for all leaves of a state that comes in as a whole, merged ones as well', () => {
  const group = new Rows().fill(400);
  group.cut();
  for (let i = 0; i < 400; i += 40) group.apply(keyFor(i), 'changed');
  const { body } = group.cut();
  const pages = pagesIn(group.restore(body));
  expect(pages.length).toBeGreaterThan(50);
  const [stretch, ...others] = buffersOf(pages);
  expect(others).toEqual([]);
  expect(stretch).toBeInstanceOf(SharedArrayBuffer);
  // Sizes are reckoned a little above what they are.
  const usedSizeBytes = pages.reduce((sum, { length }) => sum + length, 0);
  expect((stretch as SharedArrayBuffer).byteLength).toBeLessThan(usedSizeBytes * 1.3);
});

it('is a buffer of its own for what comes in the place of something that is held', () => {
  const group = new Rows().fill(400);
  const held = group.restore(group.cut().body);
  const before = buffersOf(pagesIn(held));
  for (let i = 0; i < 400; i += 40) group.apply(keyFor(i), 'changed');
  const pages = pagesIn(group.restore(group.cut().body, held));
  const chunks = chunksOf(group);
  const fresh = pages.filter(({ buffer }) => !before.has(buffer));
  expect(fresh.length).toBeGreaterThanOrEqual(10);
  for (const { buffer, length } of fresh) {
    expect(buffer.byteLength).toBe(length);
    expect(chunks).not.toContain(buffer);
  }
});

it('is not kept for values, once somebody has looked at the leaf', () => {
  const group = new Rows().fill(400);
  const restored = group.restore(group.cut().body);
  const [stretch] = buffersOf(pagesIn(restored));
  for (const leaf of leavesIn(restored)) {
    const values = leaf.values.filter((value) => value instanceof Uint8Array);
    expect(buffersOf(values)).not.toContain(stretch);
    expect(buffersOf(values).size).toBeLessThanOrEqual(1);
  }
});

it('is not a chunk for leaves that are no plain bytes', () => {
  const group = new Rows();
  for (let i = 0; i < 400; i++) group.apply(`ключ-${keyFor(i)}`, `value ${i} `.repeat(4));
  const restored = group.restore(group.cut().body);
  const chunks = chunksOf(group);
  for (const { packed, values } of leavesIn(restored)) {
    expect(packed ?? null).toBeNull();
    for (const value of values) expect(chunks).not.toContain((value as Uint8Array).buffer);
  }
});
