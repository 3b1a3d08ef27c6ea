/** Locks of operations. */
import { describe, expect, test } from 'vitest';
import { type Locks, lock, unlock } from '../../../../cluster/operations/locks.js';
import { limits } from '../../../../replication/limits.js';

const live = () => true;
const over = () => false;

describe('locks', () => {
  test('cannot be stolen, and the same holder has them already', () => {
    const held: Locks = { a: 'x#1' };
    expect(lock(held, ['a'], 'y#1', live)).toEqual({ kind: 'busy', key: 'a', holder: 'x#1' });
    expect(lock(held, ['a'], 'x#1', live)).toEqual({ kind: 'locked', locks: held });
  });

  test('of one run are not those of the next', () => {
    expect(lock({ a: 'x#1' }, ['a'], 'x#2', live)).toMatchObject({ kind: 'busy' });
    expect(unlock({ a: 'x#2' }, 'x#1', 'all')).toEqual({ a: 'x#2' });
  });

  test('are taken as a batch or not at all', () => {
    const held: Locks = { c: 'x#1' };
    expect(lock(held, ['a', 'b', 'c'], 'y#1', live)).toMatchObject({ kind: 'busy', key: 'c' });
    expect(held).toEqual({ c: 'x#1' });
    const locks = { a: 'y#1', b: 'y#1', c: 'x#1' };
    expect(lock(held, ['a', 'b'], 'y#1', live)).toEqual({ kind: 'locked', locks });
  });

  test('that somebody left behind who is over are taken', () => {
    expect(lock({ a: 'x#1' }, ['a'], 'y#1', over)).toEqual({
      kind: 'locked',
      locks: { a: 'y#1' },
    });
  });

  test('are released by their holder: those named, or all', () => {
    const held: Locks = { a: 'x#1', b: 'x#1', c: 'y#1' };
    expect(unlock(held, 'x#1', ['a', 'c'])).toEqual({ b: 'x#1', c: 'y#1' });
    expect(unlock(held, 'x#1', 'all')).toEqual({ c: 'y#1' });
    expect(unlock(held, 'z#1', 'all')).toEqual(held);
  });

  test('have a limit, before which those of the dead are swept', () => {
    const full = Object.fromEntries(
      Array.from({ length: limits.operationLocks }, (_, i) => [`k${i}`, `x#${i}`]),
    );
    expect(lock(full, ['a'], 'y#1', live)).toEqual({ kind: 'full' });
    const isLive = (holder: string) => holder !== 'x#7';
    const result = lock(full, ['a'], 'y#1', isLive);
    expect(result).toMatchObject({ kind: 'locked', locks: { a: 'y#1' } });
    expect(result.kind === 'locked' && 'k7' in result.locks).toBe(false);
  });
});
