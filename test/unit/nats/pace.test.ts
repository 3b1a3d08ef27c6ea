import { describe, expect, it } from 'vitest';
import { Pace, paceLimits } from '../../../src/nats/pace.js';

const { soonestMs, latestMs } = paceLimits;

describe('how soon a log is asked again', () => {
  it('soon at first, and after every quick answer', () => {
    const pace = new Pace();
    expect(pace.againMs).toBe(soonestMs);
    pace.tooShort();
    pace.answered(3);
    expect(pace.againMs).toBe(soonestMs);
  });

  it('later each time that was too short, up to the time that a broker has', () => {
    const pace = new Pace();
    const waits = Array.from({ length: 4 }, () => {
      pace.tooShort();
      return pace.againMs;
    });
    expect(waits).toEqual([2 * soonestMs, 4 * soonestMs, latestMs, latestMs]);
  });

  it('not sooner than twice what a slow answer took', () => {
    const pace = new Pace();
    pace.answered(400);
    expect(pace.againMs).toBe(800);
    pace.answered(1900);
    expect(pace.againMs).toBe(latestMs);
  });
});
