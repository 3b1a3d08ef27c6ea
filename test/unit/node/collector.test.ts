import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { position } from '../../../replication/ids.js';
import type { ChunkGarbage } from '../../../replication/ports.js';
import { Collector } from '../../../src/node/collector.js';

type Mark = Parameters<Parameters<ChunkGarbage['mark']>[0]>[0];

/** A collector of an empty store. `begun`: when collections began, `end`: ends the last of them. */
function setUp() {
  const begun: number[] = [];
  const logged: unknown[] = [];
  let done: (mark: Mark) => void = () => undefined;
  const garbage: ChunkGarbage = {
    mark: (tell) => {
      begun.push(performance.now());
      done = tell;
    },
    pins: (_through, tell) => tell([]),
    chunks: (tell) => tell([]),
    forget: () => {
      throw new Error('there is nothing to forget');
    },
  };
  const collector = new Collector(garbage, { debug: (what: unknown) => void logged.push(what) });
  const end = (mark: Mark = { at: position(1) }) => done(mark);
  return { collector, begun, logged, end };
}

let startMs = 0;
beforeEach(() => {
  vi.useFakeTimers();
  startMs = performance.now();
});

afterEach(() => {
  vi.useRealTimers();
});

describe('a collection', () => {
  test('comes a little after something was retired, and never by itself', () => {
    const { collector, begun } = setUp();
    vi.advanceTimersByTime(600_000);
    expect(begun).toEqual([]);
    collector.nudge();
    vi.advanceTimersByTime(1999);
    expect(begun).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(begun).toHaveLength(1);
  });

  test('is one for all that was retired until it began', () => {
    const { collector, begun, logged, end } = setUp();
    for (let i = 0; i < 10; i++) {
      collector.nudge();
      vi.advanceTimersByTime(150);
    }
    vi.advanceTimersByTime(10_000);
    expect(begun.map((at) => at - startMs)).toEqual([2000]);
    end();
    expect(logged).toEqual([{ chunks: 0, unneeded: 0, pins: 0, open: 0 }]);
    vi.advanceTimersByTime(600_000);
    expect(begun).toHaveLength(1);
  });

  test('comes again for what was retired meanwhile, half a minute after it began', () => {
    const { collector, begun, end } = setUp();
    collector.nudge();
    vi.advanceTimersByTime(2000);
    collector.nudge();
    vi.advanceTimersByTime(5000);
    end();
    vi.advanceTimersByTime(24_999);
    expect(begun).toHaveLength(1);
    vi.advanceTimersByTime(1);
    expect(begun.map((at) => at - startMs)).toEqual([2000, 32_000]);
  });

  test('is one at a time, however long it takes', () => {
    const { collector, begun, end } = setUp();
    collector.nudge();
    vi.advanceTimersByTime(2000);
    for (let i = 0; i < 10; i++) {
      collector.nudge();
      vi.advanceTimersByTime(10_000);
    }
    expect(begun).toHaveLength(1);
    end();
    vi.advanceTimersByTime(2000);
    expect(begun).toHaveLength(2);
  });

  test('that failed comes again by itself, and not at once', () => {
    const { collector, begun, logged, end } = setUp();
    collector.nudge();
    vi.advanceTimersByTime(2000);
    end({ failure: 'no leader' });
    expect(logged).toEqual([{ failure: 'no leader' }]);
    vi.advanceTimersByTime(29_999);
    expect(begun).toHaveLength(1);
    vi.advanceTimersByTime(1);
    expect(begun).toHaveLength(2);
    end();
    vi.advanceTimersByTime(600_000);
    expect(begun).toHaveLength(2);
  });

  test('does not come after the end, whatever is retired, or has failed, by then', () => {
    const { collector, begun } = setUp();
    collector.nudge();
    collector.stop();
    collector.nudge();
    vi.advanceTimersByTime(600_000);
    expect(begun).toEqual([]);
    const other = setUp();
    other.collector.nudge();
    vi.advanceTimersByTime(2000);
    other.collector.stop();
    other.end({ failure: 'closed' });
    expect(vi.getTimerCount()).toBe(0);
    expect(other.begun).toHaveLength(1);
  });
});
