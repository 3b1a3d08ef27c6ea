import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { HeapRoom } from '../../../src/node/heap-room.js';

const MiB = 1024 * 1024;

function roomIn(usedSizeBytes: number) {
  const set: number[] = [];
  const heap = {
    usedSizeBytes: () => usedSizeBytes,
    setGrowth: (percent: number) => void set.push(percent),
  };
  return { room: new HeapRoom(heap), set };
}

it('gives room while members sync, from the first to the last, and takes it away once', () => {
  const { room, set } = roomIn(48 * MiB);
  for (const group of ['a', 'b', 'a']) room.note(group, true);
  expect(set).toEqual([200]);
  room.note('a', false);
  room.note('c', false);
  expect(set).toEqual([200]);
  room.note('b', false);
  room.note('b', false);
  expect(set).toEqual([200, 0]);
});

it('gives a large heap no more than it has', () => {
  const { room, set } = roomIn(192 * MiB);
  room.note('a', true);
  expect(set).toEqual([0]);
});

it('sets a flag that this V8 knows: one that it does not know it only complains about', () => {
  const node = (flag: string) => spawnSync(process.execPath, [flag, '-e', '']).status;
  expect(node('--heap-growing-percent=200')).toBe(0);
  expect(node('--heap-growing-percents=200')).not.toBe(0);
});
