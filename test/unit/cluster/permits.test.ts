/** How many members of a node work hard at once, and in which order. */
import { describe, expect, it } from 'vitest';
import {
  ask,
  countsOf,
  end,
  lapse,
  newPermits,
  type Permit,
  type Permits,
  works,
} from '../../../cluster/permits.js';
import { sampleSize } from '../../support/sample.js';
import { seededRandom } from '../../support/scheduler.js';

const limits = { all: 4, patient: 2 };
const permit = (id: string, work: Permit['work'], rest: Partial<Permit> = {}): Permit => ({
  id,
  work,
  priority: 0,
  sinceMs: 0,
  ...rest,
});

const isGiven = (permits: Permits, permit: Permit) => ask(permits, permit).includes(permit.id);

describe('permits', () => {
  it('are given while there are any, and then to whoever comes next as one is given back', () => {
    const permits = newPermits(limits);
    const ids = ['a', 'b', 'c', 'd', 'e', 'f'];
    const held = ids.filter((id, sinceMs) =>
      isGiven(permits, permit(id, 'promotion', { sinceMs })),
    );
    expect(held).toEqual(['a', 'b', 'c', 'd']);
    ask(permits, permit('g', 'promotion', { sinceMs: 5 }));
    expect(end(permits, 'b')).toEqual(['e']);
    expect(end(permits, 'a')).toEqual(['f']);
    expect(end(permits, 'a')).toEqual([]);
    // It was there as early as f, and asked later.
    expect(end(permits, 'c')).toEqual(['g']);
  });

  it('are given to promotions first, whoever waits', () => {
    const permits = newPermits(limits);
    for (const id of ['a', 'b']) ask(permits, permit(id, 'cut'));
    expect(isGiven(permits, permit('late', 'restore', { sinceMs: 1 }))).toBe(false);
    expect(isGiven(permits, permit('p1', 'promotion', { sinceMs: 9 }))).toBe(true);
    expect(isGiven(permits, permit('p2', 'promotion', { sinceMs: 9 }))).toBe(true);
    expect(isGiven(permits, permit('p3', 'promotion', { sinceMs: 9 }))).toBe(false);
    expect(end(permits, 'a')).toEqual(['p3']);
    expect(end(permits, 'b')).toEqual(['late']);
  });

  it('are not all given to work that is not urgent', () => {
    const permits = newPermits(limits);
    const held = ['a', 'b', 'c', 'd'].filter((id) => isGiven(permits, permit(id, 'replay')));
    expect(held).toEqual(['a', 'b']);
    expect(isGiven(permits, permit('r', 'rebuild'))).toBe(true);
  });

  it('go by the operator’s priority, then by who has waited for longest', () => {
    const permits = newPermits({ all: 1, patient: 1 });
    ask(permits, permit('first', 'promotion'));
    ask(permits, permit('young', 'promotion', { sinceMs: 30 }));
    ask(permits, permit('old', 'promotion', { sinceMs: 10 }));
    ask(permits, permit('dear', 'promotion', { sinceMs: 40, priority: 1 }));
    ask(permits, permit('cheap', 'promotion', { sinceMs: 0, priority: -1 }));
    const order: string[] = [];
    for (let last = 'first'; ; ) {
      const [next] = end(permits, last);
      if (next === undefined) break;
      order.push(next);
      last = next;
    }
    expect(order).toEqual(['dear', 'old', 'young', 'cheap']);
  });

  it('are one for each: asking again costs no place, and may make it more urgent', () => {
    const permits = newPermits({ all: 1, patient: 1 });
    expect(isGiven(permits, permit('a', 'cut'))).toBe(true);
    expect(isGiven(permits, permit('a', 'promotion'))).toBe(true);
    ask(permits, permit('b', 'restore', { sinceMs: 5 }));
    ask(permits, permit('c', 'restore', { sinceMs: 6 }));
    ask(permits, permit('b', 'restore', { sinceMs: 7 }));
    ask(permits, permit('c', 'promotion', { sinceMs: 8 }));
    expect(countsOf(permits).promotion).toEqual({ held: 1, waiting: 1 });
    expect(countsOf(permits).restore).toEqual({ held: 0, waiting: 1 });
    expect(end(permits, 'a')).toEqual(['c']);
    expect(end(permits, 'c')).toEqual(['b']);
  });

  it('that turn out to be for something urgent make room for who is patient', () => {
    const permits = newPermits({ all: 3, patient: 1 });
    ask(permits, permit('a', 'restore'));
    expect(ask(permits, permit('b', 'restore'))).toEqual([]);
    expect(ask(permits, permit('a', 'promotion'))).toEqual(['a', 'b']);
  });

  it('that are held for too long are given to others, and their holders go on', () => {
    const permits = newPermits({ all: 1, patient: 1 });
    ask(permits, permit('stuck', 'promotion'));
    ask(permits, permit('b', 'promotion', { sinceMs: 1 }));
    ask(permits, permit('c', 'promotion', { sinceMs: 2 }));
    expect(lapse(permits, 'stuck')).toEqual(['b']);
    expect(lapse(permits, 'stuck')).toEqual([]);
    expect(ask(permits, permit('stuck', 'replay'))).toEqual(['stuck']);
    expect(end(permits, 'stuck')).toEqual([]);
    expect(end(permits, 'b')).toEqual(['c']);
    expect(permits.lapsed.size).toBe(0);
  });

  it('of somebody who has ended while waiting are nobody’s', () => {
    const permits = newPermits({ all: 1, patient: 1 });
    ask(permits, permit('a', 'cut'));
    ask(permits, permit('b', 'cut', { sinceMs: 1 }));
    ask(permits, permit('c', 'cut', { sinceMs: 2 }));
    expect(end(permits, 'b')).toEqual([]);
    expect(end(permits, 'a')).toEqual(['c']);
  });

  it('are never more than there are, never idle while wanted, and never lost', () => {
    for (let seed = 0; seed < sampleSize(200, 50); seed++) {
      const random = seededRandom(`permits ${seed}`);
      const permits = newPermits({ all: 1 + random.below(6), patient: 1 + random.below(3) });
      const { all, patient } = permits.limits;
      const want = new Map<string, 'held' | 'waiting'>();
      for (let step = 0; step < 300; step++) {
        const id = `m${random.below(20)}`;
        if (random.next() < 0.55) {
          const work = works[random.below(works.length)] as Permit['work'];
          const wanted = permit(id, work, { priority: random.below(3), sinceMs: step });
          const isHeld = want.get(id) === 'held';
          if (!isHeld) want.set(id, 'waiting');
          const given = ask(permits, wanted);
          expect(given.includes(id) || !isHeld).toBe(true);
          for (const next of given) {
            expect(want.get(next)).toBe(next === id && isHeld ? 'held' : 'waiting');
            want.set(next, 'held');
          }
        } else {
          want.delete(id);
          for (const next of end(permits, id)) {
            expect(want.get(next)).toBe('waiting');
            want.set(next, 'held');
          }
        }
        const counts = Object.values(countsOf(permits));
        const held = counts.reduce((sum, count) => sum + count.held, 0);
        const waiting = counts.reduce((sum, count) => sum + count.waiting, 0);
        expect(held).toBeLessThanOrEqual(all);
        expect(held + waiting).toBe(want.size);
        const patientHeld = ['replay', 'restore', 'cut'] as const;
        const patientCount = patientHeld.reduce((sum, w) => sum + countsOf(permits)[w].held, 0);
        expect(patientCount).toBeLessThanOrEqual(Math.min(all, patient));
        const { promotion, rebuild } = countsOf(permits);
        if (held < all) expect(promotion.waiting + rebuild.waiting).toBe(0);
        if (held < all && patientCount < patient) expect(waiting).toBe(0);
      }
      for (const id of want.keys()) end(permits, id);
      expect(permits.held.size + permits.waiting.size).toBe(0);
    }
  });
});
