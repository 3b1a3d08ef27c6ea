/** Members give their permits back however their work ends. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { HeavyWork } from '../../../src/node/heavy-work.js';
import { PermitPool } from '../../../src/node/permit-pool.js';
import { seededRandom } from '../../support/scheduler.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const sum = (pool: PermitPool, which: 'held' | 'waiting') =>
  Object.values(pool.counts).reduce((total, count) => total + count[which], 0);

/** What a member begins, and what of it has run. */
function member(pool: PermitPool, id: string) {
  const ran: string[] = [];
  const heavy = new HeavyWork(pool, id, () => 0);
  const begin = (call: number, sinceMs = 0) =>
    heavy.begin(call, { work: 'restore', sinceMs, run: () => ran.push(`call ${call}`) });
  const promote = () =>
    heavy.begin('promotion', { work: 'promotion', sinceMs: 0, run: () => ran.push('promoted') });
  return { heavy, ran, begin, promote };
}

describe('the heavy work of a member', () => {
  it('begins at once while there are permits, and else when it is its turn', () => {
    const pool = new PermitPool({ all: 1, patient: 1 });
    const [a, b] = [member(pool, 'a'), member(pool, 'b')];
    a.begin(1);
    b.begin(1);
    expect([a.ran, b.ran]).toEqual([['call 1'], []]);
    a.heavy.settle(true);
    vi.runAllTicks();
    expect(b.ran).toEqual([]);
    a.heavy.settle(false);
    vi.runAllTimers();
    expect(b.ran).toEqual(['call 1']);
  });

  it('goes on under one permit, whatever it leads to', () => {
    const pool = new PermitPool({ all: 1, patient: 1 });
    const a = member(pool, 'a');
    a.begin(1);
    a.begin(2);
    a.promote();
    expect(a.ran).toEqual(['call 1', 'call 2', 'promoted']);
    expect(pool.counts.promotion.held).toBe(1);
    a.heavy.settle(false);
    expect(sum(pool, 'held')).toBe(0);
  });

  it('that nobody wants any more is not begun, and frees its place in the line', () => {
    const pool = new PermitPool({ all: 1, patient: 1 });
    const [a, b, c] = [member(pool, 'a'), member(pool, 'b'), member(pool, 'c')];
    a.begin(1);
    b.begin(7);
    c.begin(1, 1);
    b.heavy.drop(7);
    expect(sum(pool, 'waiting')).toBe(1);
    a.heavy.end();
    vi.runAllTimers();
    expect([b.ran, c.ran]).toEqual([[], ['call 1']]);
  });

  it('is not begun by whoever ended between its turn and being told', () => {
    const pool = new PermitPool({ all: 1, patient: 1 });
    const [a, b] = [member(pool, 'a'), member(pool, 'b')];
    a.begin(1);
    b.begin(1);
    a.heavy.end();
    b.heavy.end();
    vi.runAllTimers();
    expect(b.ran).toEqual([]);
    expect(sum(pool, 'held')).toBe(0);
  });

  it('that does not come to an end keeps nobody else waiting for ever', () => {
    const pool = new PermitPool({ all: 1, patient: 1 });
    const [stuck, b] = [member(pool, 'stuck'), member(pool, 'b')];
    stuck.begin(1);
    b.begin(1);
    vi.advanceTimersByTime(4000);
    expect(b.ran).toEqual([]);
    vi.advanceTimersByTime(3000);
    expect(b.ran).toEqual(['call 1']);
    stuck.begin(2);
    expect(stuck.ran).toEqual(['call 1', 'call 2']);
    for (const { heavy } of [stuck, b]) heavy.end();
    vi.advanceTimersByTime(2000);
    expect([sum(pool, 'held'), vi.getTimerCount()]).toEqual([0, 0]);
  });

  it('leaves no permit behind, in whatever order things happen', () => {
    for (let seed = 0; seed < 100; seed++) {
      const random = seededRandom(`heavy ${seed}`);
      const pool = new PermitPool({ all: 3, patient: 2 });
      const members = Array.from({ length: 8 }, (_, i) => member(pool, `m${i}`));
      for (let step = 0; step < 200; step++) {
        const { heavy, begin, promote } = members[random.below(8)] as ReturnType<typeof member>;
        const what = random.below(6);
        if (what === 0) begin(random.below(3), step);
        else if (what === 1) promote();
        else if (what === 2) heavy.drop(random.below(3));
        else if (what === 3) heavy.settle(random.next() < 0.5);
        else if (what === 4) heavy.end();
        else vi.runAllTimers();
        expect(sum(pool, 'held')).toBeLessThanOrEqual(3);
      }
      for (const { heavy } of members) heavy.end();
      vi.runAllTimers();
      expect([sum(pool, 'held'), sum(pool, 'waiting')]).toEqual([0, 0]);
    }
  });
});
