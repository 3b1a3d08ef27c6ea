import { expect, it } from 'vitest';
import { sampleSize } from '../support/sample.js';
import { runSeed } from './flow-run.js';

const seeds = sampleSize(200, 60);

it(`machines end once, step by step, over ${seeds} seeds of failovers`, {
  timeout: 300_000,
}, () => {
  const results = Array.from({ length: seeds }, (_, i) => ({ seed: i + 1, ...runSeed(i + 1) }));
  const bad = results.filter(({ violation }) => violation !== null);
  expect(bad.map(({ seed, violation }) => `seed ${seed}: ${violation?.message}`)).toEqual([]);
  // Too little of anything would prove nothing.
  const sum = (pick: (result: (typeof results)[number]) => number) =>
    results.reduce((total, result) => total + pick(result), 0);
  expect(sum(({ epochs }) => epochs)).toBeGreaterThan(seeds * 2);
  expect(sum(({ counts }) => counts.ended)).toBe(sum(({ counts }) => counts.started));
  expect(sum(({ counts }) => counts.moved)).toBeGreaterThan(seeds * 50);
  expect(sum(({ counts }) => counts.failed)).toBeGreaterThan(seeds);
  for (const name of ['go', 'slow', 'late', 'told', 'parted', 'closed', 'sooner']) {
    expect(
      sum(({ fired }) => fired.get(name) ?? 0),
      name,
    ).toBeGreaterThan(seeds / 2);
  }
});

it('a seed gives the same run twice', () => {
  expect(runSeed(7)).toEqual(runSeed(7));
});
