import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { sampleSize } from '../support/sample.js';
import { root } from './bundle.js';
import { twiceEvery } from './determinism.js';
import { runPool, type SeedResult } from './pool.js';
import { runSeed } from './run.js';

/** Some of what `.ci/run` runs, and among them one that is run twice. */
const from = 801;
const seeds = sampleSize(1500, 400);

describe('simulation', () => {
  it(`holds I1-I5 and I9 over ${seeds} seeds`, { timeout: 900_000 }, async () => {
    const results: SeedResult[] = [];
    await runPool({ from, seeds, workers: 2, onResult: (result) => results.push(result) });
    expect(results).toHaveLength(seeds);
    expect(results.filter(({ violation }) => violation !== null)).toEqual([]);
    expect(results.some(({ seed }) => seed % twiceEvery === 0)).toBe(true);
    // Too little traffic or too few changes of the writer would prove nothing.
    const sum = (pick: (result: SeedResult) => number) =>
      results.reduce((total, result) => total + pick(result), 0);
    expect(sum(({ answered }) => answered)).toBeGreaterThan(seeds * 200);
    expect(sum(({ epochs }) => epochs)).toBeGreaterThan(seeds * 2);
  });

  it('holds for every seed that ever failed', async () => {
    const kept = JSON.parse(
      await readFile(join(root, 'test/simulation/seeds.json'), 'utf8'),
    ) as number[];
    for (const seed of kept) expect(runSeed(seed).violation, `seed ${seed}`).toBeNull();
  });

  it('is deterministic: the same seed twice, the same digest', () => {
    for (const seed of [1, 77, 1003]) {
      const first = runSeed(seed);
      const second = runSeed(seed);
      expect(second.digest).toBe(first.digest);
      expect(second.answered).toBe(first.answered);
    }
  });
});
