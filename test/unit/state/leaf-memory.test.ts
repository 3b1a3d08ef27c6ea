import { expect, it } from 'vitest';
import { LeafMemory, stretchSizeBytes } from '../../../replication/state/leaf-memory.js';

const MiB = 1024 * 1024;

function filled(expectedSizeBytes: number, sizes: readonly number[]) {
  const asked: [sizeBytes: number, moreSizeBytes: number][] = [];
  const memory = new LeafMemory((sizeBytes, moreSizeBytes) => {
    asked.push([sizeBytes, moreSizeBytes]);
    return new SharedArrayBuffer(sizeBytes);
  });
  memory.expect(expectedSizeBytes);
  return { rooms: sizes.map(memory.room), asked };
}

it('puts all of a small state into one stretch of its size, one after the other', () => {
  const { rooms, asked } = filled(100, [60, 40]);
  expect(asked).toEqual([[100, 0]]);
  expect(rooms.map(({ byteOffset, length }) => [byteOffset, length])).toEqual([
    [0, 60],
    [60, 40],
  ]);
});

it('asks for no more at a time than a stretch, and says how much more will come', () => {
  const { rooms, asked } = filled(40 * MiB, Array(5).fill(8 * MiB));
  expect(asked).toEqual([
    [stretchSizeBytes, 24 * MiB],
    [stretchSizeBytes, 8 * MiB],
    [8 * MiB, 0],
  ]);
  expect(new Set(rooms.map(({ buffer }) => buffer)).size).toBe(3);
});

it('has room for what is larger than a stretch, or more than was expected', () => {
  const large = filled(20 * MiB, [18 * MiB]);
  expect(large.asked).toEqual([[18 * MiB, 2 * MiB]]);
  const more = filled(10, [10, 7]);
  expect(more.asked.map(([sizeBytes]) => sizeBytes)).toEqual([10, 7]);
  expect(more.rooms.map(({ length }) => length)).toEqual([10, 7]);
});
