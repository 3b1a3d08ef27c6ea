import { describe, expect, it } from 'vitest';
import { seededRandom, virtualScheduler } from '../../support/scheduler.js';

describe('virtual scheduler', () => {
  it('runs events by time, then in the order in which they were scheduled', () => {
    const scheduler = virtualScheduler(1);
    const dice = seededRandom('times');
    const ran: [number, number][] = [];
    for (let i = 0; i < 500; i++) {
      const ms = dice.below(20);
      scheduler.after(ms, () => ran.push([ms, i]));
    }
    while (scheduler.step()) expect(scheduler.now()).toBe(ran.at(-1)?.[0]);
    expect(ran).toHaveLength(500);
    expect(ran).toEqual(ran.toSorted(([a, i], [b, j]) => a - b || i - j));
  });

  it('stops exactly at the given time', () => {
    const scheduler = virtualScheduler(1);
    const ran: string[] = [];
    scheduler.after(10, () => {
      ran.push('ten');
      scheduler.after(0, () => ran.push('ten again'));
      scheduler.after(0.5, () => ran.push('later'));
    });
    scheduler.run(10);
    expect(ran).toEqual(['ten', 'ten again']);
    expect(scheduler.now()).toBe(10);
    expect(scheduler.pending).toBe(1);
    scheduler.run(100);
    expect(ran).toEqual(['ten', 'ten again', 'later']);
    expect(scheduler.now()).toBe(100);
  });

  it('never runs a cancelled event, and cancelling late does nothing', () => {
    const scheduler = virtualScheduler(1);
    const ran: string[] = [];
    const cancel = scheduler.after(1, () => ran.push('cancelled'));
    const late = scheduler.after(2, () => ran.push('ran'));
    cancel();
    cancel();
    scheduler.run(5);
    late();
    expect(ran).toEqual(['ran']);
    expect(scheduler.pending).toBe(0);
    expect(scheduler.step()).toBe(false);
  });
});

describe('seeded random', () => {
  const draw = (random: { next(): number }) => Array.from({ length: 8 }, () => random.next());

  it('repeats for the same seed and differs for another', () => {
    expect(draw(seededRandom('7'))).toEqual(draw(seededRandom('7')));
    expect(draw(seededRandom('7'))).not.toEqual(draw(seededRandom('8')));
  });

  it('forks independently of what was drawn before', () => {
    const used = seededRandom('7');
    draw(used);
    expect(draw(used.fork('faults'))).toEqual(draw(seededRandom('7').fork('faults')));
    expect(draw(used.fork('faults'))).not.toEqual(draw(used.fork('workload')));
  });

  it('spreads evenly over neighbouring seeds', () => {
    const counts = new Array<number>(10).fill(0);
    for (let seed = 0; seed < 10_000; seed++) {
      const bucket = seededRandom(String(seed)).below(10);
      counts[bucket] = (counts[bucket] ?? 0) + 1;
    }
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(150);
  });
});
