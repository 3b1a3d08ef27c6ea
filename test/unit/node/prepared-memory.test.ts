import { expect, it } from 'vitest';
import { stretchSizeBytes } from '../../../replication/state/leaf-memory.js';
import {
  PreparedMemory,
  startThread,
  type ThreadEvents,
} from '../../../src/node/prepared-memory.js';

/** Threads that touch what they are given when they are told to, the first of it first. */
function memoryBesideThreads() {
  const threads: { events: ThreadEvents; given: SharedArrayBuffer[]; isStopped: boolean }[] = [];
  const memory = new PreparedMemory((events) => {
    const thread = { events, given: [] as SharedArrayBuffer[], isStopped: false };
    threads.push(thread);
    return {
      touch: (stretch) => void thread.given.push(stretch),
      stop: () => {
        thread.isStopped = true;
      },
    };
  });
  const take = (more: number) => memory.stretches(stretchSizeBytes, more * stretchSizeBytes);
  const finish = (i: number) => {
    const { events, given } = threads[i] as (typeof threads)[number];
    const stretch = given.shift() as SharedArrayBuffer;
    events.touched(stretch);
    return stretch;
  };
  return { memory, threads, take, finish };
}

it('prepares what is needed next, two stretches ahead at most, and hands that out', () => {
  const { threads, take, finish } = memoryBesideThreads();
  expect(take(9).byteLength).toBe(stretchSizeBytes);
  const [thread] = threads;
  expect(thread?.given).toHaveLength(2);
  const touched = finish(0);
  expect(take(8)).toBe(touched);
  expect(thread?.given).toHaveLength(2);
  // Not ready in time.
  expect(thread?.given).not.toContain(take(7));
  expect(thread?.given).toHaveLength(2);
  expect(threads).toHaveLength(1);
});

it('prepares no more than is needed, and nothing for what is small', () => {
  const { memory, threads, take } = memoryBesideThreads();
  expect(memory.stretches(1000, 10 * stretchSizeBytes).byteLength).toBe(1000);
  take(0.9);
  expect(threads).toEqual([]);
  take(1.9);
  expect(threads[0]?.given).toHaveLength(1);
});

it('gives thread and memory back, and hands out nothing of theirs afterwards', () => {
  const { memory, threads, take, finish } = memoryBesideThreads();
  take(9);
  const ready = finish(0);
  memory.rest();
  expect(threads[0]?.isStopped).toBe(true);
  const late = finish(0);
  const next = [take(9), take(8), take(7)];
  expect(next).not.toContain(ready);
  expect(next).not.toContain(late);
  expect(threads[1]?.given).toHaveLength(2);
});

it('does without a thread that dies, and tries another the next time', () => {
  const { threads, take } = memoryBesideThreads();
  take(9);
  threads[0]?.events.died();
  expect(take(8).byteLength).toBe(stretchSizeBytes);
  expect(threads).toHaveLength(2);
});

it('does without threads where none can be started', () => {
  const memory = new PreparedMemory(() => {
    throw new Error('denied');
  });
  const take = () => memory.stretches(stretchSizeBytes, 9 * stretchSizeBytes).byteLength;
  expect([take(), take()]).toEqual([stretchSizeBytes, stretchSizeBytes]);
});

it('has a thread that gives back what it is given', async () => {
  const stretch = new SharedArrayBuffer(1024 * 1024);
  const touched = await new Promise<SharedArrayBuffer>((resolve, reject) => {
    const thread = startThread({
      touched: (back) => {
        thread.stop();
        resolve(back);
      },
      died: () => reject(new Error('it died')),
    });
    thread.touch(stretch);
  });
  new Uint8Array(stretch)[4096] = 7;
  expect(new Uint8Array(touched)[4096]).toBe(7);
});
