import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Pacer } from '../../../src/node/pacer.js';

/** How long all slices took so far; a slice takes time although no timer fires meanwhile. */
let workedMs = 0;
vi.mock('../../../src/node/clock.js', () => ({
  instant: () => ({ monoMs: performance.now() + workedMs, wallMs: 0 }),
}));

const KiB = 1024;

/** Has so many slices to work on, each of which takes so long. */
class Load {
  readonly sizes: number[] = [];
  readonly atMs: number[] = [];
  restFactor = 0;
  tookMs = 1;
  during: () => void = () => undefined;
  readonly pacer: Pacer;

  constructor(public slices: number) {
    this.pacer = new Pacer({
      work: (sizeBytes) => {
        this.atMs.push(performance.now());
        this.sizes.push(sizeBytes);
        this.slices -= 1;
        workedMs += this.tookMs;
        this.during();
      },
      hasWork: () => this.slices > 0,
      restFactor: () => this.restFactor,
    });
  }

  /** Nudged, and worked on for so long at most. */
  run(forMs = 60_000): this {
    this.pacer.nudge();
    vi.advanceTimersByTime(forMs);
    return this;
  }
}

beforeEach(() => {
  vi.useFakeTimers();
  workedMs = 0;
});

afterEach(() => {
  vi.useRealTimers();
});

describe('a slice', () => {
  test('comes when there is work, once whoever nudged has gone on', () => {
    const load = new Load(1);
    load.pacer.nudge();
    expect(load.sizes).toEqual([]);
    vi.advanceTimersByTime(0);
    expect(load.sizes).toEqual([256 * KiB]);
  });

  test('does not come without work, nor once there is none any more', () => {
    const idle = new Load(0).run();
    expect(idle.sizes).toEqual([]);
    const load = new Load(3).run();
    expect(load.sizes).toHaveLength(3);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('is one at a time, however often it is asked for', () => {
    const load = new Load(4);
    let depth = 0;
    load.during = () => {
      depth += 1;
      expect(depth).toBe(1);
      load.pacer.nudge();
      load.pacer.nudge();
      depth -= 1;
    };
    for (let i = 0; i < 5; i++) load.pacer.nudge();
    expect(vi.getTimerCount()).toBe(1);
    load.run();
    expect(load.sizes).toHaveLength(4);
  });

  test('comes again after a pause without work', () => {
    const load = new Load(1).run();
    load.slices = 2;
    load.run();
    expect(load.sizes).toHaveLength(3);
  });

  test('does not come after the end', () => {
    const begun = new Load(5);
    begun.pacer.nudge();
    begun.pacer.stop();
    const resting = new Load(5);
    resting.restFactor = 3;
    resting.run(0);
    expect(vi.getTimerCount()).toBe(1);
    resting.pacer.stop();
    vi.advanceTimersByTime(60_000);
    expect([begun.sizes.length, resting.sizes.length]).toEqual([0, 1]);
  });
});

describe('between slices', () => {
  test('whoever only syncs rests not at all', () => {
    const load = new Load(10);
    load.tookMs = 5;
    load.run();
    const restsMs = load.atMs.slice(1).map((at, i) => at - (load.atMs[i] ?? 0));
    // For the fake clock an immediate takes one.
    expect(restsMs).toEqual(new Array(9).fill(1));
  });

  test('whoever is to rests so many times as long as it has worked', () => {
    const load = new Load(4);
    load.restFactor = 3;
    load.tookMs = 5;
    load.run();
    const restsMs = load.atMs.slice(1).map((at, i) => at - (load.atMs[i] ?? 0));
    expect(restsMs).toEqual([15, 15, 15]);
  });

  test('the rest is owed even if there was nothing to do for a while', () => {
    const load = new Load(1);
    load.restFactor = 3;
    load.tookMs = 100;
    load.run(0);
    vi.advanceTimersByTime(50);
    load.slices = 1;
    load.run(249);
    expect(load.sizes).toHaveLength(1);
    vi.advanceTimersByTime(1);
    expect(load.sizes).toHaveLength(2);
    load.slices = 1;
    vi.advanceTimersByTime(1000);
    load.run(0);
    expect(load.sizes).toHaveLength(3);
  });
});

describe('the size of a slice', () => {
  /** What it comes to if each slice takes so long. */
  const sizesFor = (tookMs: number, count: number) => {
    const load = new Load(count);
    load.tookMs = tookMs;
    return load.run().sizes;
  };

  test('is halved while it takes longer than it should, down to a limit', () => {
    expect(sizesFor(2.5, 4)).toEqual([256, 128, 128, 128].map((each) => each * KiB));
  });

  test('does not care for a single slice that took long, nor does the rest after it', () => {
    const load = new Load(6);
    load.restFactor = 3;
    load.during = () => {
      workedMs += load.sizes.length % 3 === 0 ? 50 : 0;
    };
    load.tookMs = 0.4;
    load.run();
    expect(new Set(load.sizes)).toEqual(new Set([256 * KiB]));
    const restsMs = load.atMs.slice(1).map((at, i) => at - (load.atMs[i] ?? 0));
    expect(Math.max(...restsMs)).toBe(2);
  });

  test('grows a little while it takes about as long as it should, up to a limit', () => {
    const sizes = sizesFor(1, 40);
    expect(sizes[1]).toBeCloseTo(1.1 * 256 * KiB);
    expect(sizes[2]).toBeCloseTo(1.21 * 256 * KiB);
    expect(sizes.at(-1)).toBe(2048 * KiB);
  });

  test('says nothing when it takes no time at all', () => {
    expect(new Set(sizesFor(0.4, 20))).toEqual(new Set([256 * KiB]));
  });
});
