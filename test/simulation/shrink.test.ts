import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sampleOf } from '../support/sample.js';
import { root } from './bundle.js';
import { runTwiceNowAndThen, twiceEvery } from './determinism.js';
import { mutants } from './mutants.js';
import { loadMutant } from './mutate.js';
import { type RunResult, type RunSeed, runSeed } from './run.js';
import { shrink } from './shrink.js';
import { describeRun, goldenOf, overridesOf } from './transcript.js';

describe('shrinking a failing seed', () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(root, 'node_modules/.shrink-'));
  });
  afterAll(() => rm(dir, { recursive: true, force: true }));

  function breakWith(name: string): Promise<RunSeed> {
    const mutant = mutants.find((each) => each.name.startsWith(name));
    if (mutant === undefined) throw new Error(`no mutant is called ${name}`);
    return loadMutant(mutant, dir);
  }

  function firstFailing(run: RunSeed, isWanted: (result: RunResult) => boolean): RunResult {
    for (let seed = 1; seed <= 500; seed++) {
      const result = run(seed);
      if (result.violation !== null && isWanted(result)) return result;
    }
    throw new Error('no seed is fit for shrinking');
  }

  /** Many faults, and so late that some of them must have struck before. */
  const isLarge = ({ schedule, endedMs }: RunResult) => schedule.length >= 6 && endedMs > 3000;

  const damages = [
    { mutant: 'a restored member knows no key', invariant: 'I2' },
    { mutant: 'a deposed active keeps', invariant: 'I5' },
  ] as const;

  it.each(sampleOf(damages, [damages[0]]))(
    'leaves few faults of "$mutant"',
    { timeout: 120_000 },
    async ({ mutant, invariant }) => {
      const broken = await breakWith(mutant);
      const failing = firstFailing(
        broken,
        (result) => isLarge(result) && result.violation?.invariant === invariant,
      );
      const { result } = shrink(failing, broken, 200);
      expect(result.violation?.invariant).toBe(invariant);
      expect(result.schedule.length).toBeLessThanOrEqual(failing.schedule.length / 3);
      const transcript = describeRun(result);
      expect(transcript).toContain(`violation: ${result.violation?.message}`);
      for (const { atMs, kind } of result.schedule)
        expect(transcript).toContain(`${atMs} ms: ${kind}`);
      // What is kept of it fails the same way, and not without the mutant.
      const golden = goldenOf(result, mutant);
      const again = broken(golden.seed, overridesOf(JSON.parse(JSON.stringify(golden))));
      expect(again.violation).toEqual(result.violation);
      expect(again.digest).toBe(result.digest);
      expect(runSeed(golden.seed, overridesOf(golden)).violation).toBeNull();
    },
  );

  it('runs no more candidates than it may', { timeout: 120_000 }, async () => {
    const broken = await breakWith('a deposed active keeps');
    const failing = firstFailing(broken, isLarge);
    const { result, runs } = shrink(failing, broken, 5);
    expect(runs).toBeLessThanOrEqual(6);
    expect(result.violation?.invariant).toBe(failing.violation?.invariant);
  });

  it('refuses a run that violates nothing', () => {
    expect(() => shrink(runSeed(1), runSeed)).toThrow(RangeError);
  });
});

describe('determinism', () => {
  it('runs every thousandth seed twice and takes a difference for a violation', {
    timeout: 120_000,
  }, () => {
    let runs = 0;
    const restless: RunSeed = (seed, how) => {
      runs += 1;
      const result = runSeed(seed, how);
      return { ...result, digest: result.digest + runs, lines: [`run ${runs}`] };
    };
    expect(runTwiceNowAndThen(twiceEvery - 1, restless).violation).toBeNull();
    expect(runs).toBe(1);
    const { violation } = runTwiceNowAndThen(twiceEvery, restless);
    expect(violation?.invariant).toBe('determinism');
    expect(violation?.message).toContain(`part at "run 4" and "run 5"`);
  });
});
