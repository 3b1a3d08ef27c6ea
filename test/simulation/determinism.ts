/** The gate that keeps a seed worth its name: now and then one runs twice and must end the same. */
import type { RunResult, RunSeed } from './run.js';

/** So many seeds are run once for one that is run twice. */
export const twiceEvery = 1000;

export function runTwiceNowAndThen(seed: number, runSeed: RunSeed): RunResult {
  const first = runSeed(seed);
  if (seed % twiceEvery !== 0 || first.violation !== null) return first;
  const second = runSeed(seed);
  if (isSame(first, second)) return first;
  const message = `determinism: ${firstDifference(seed, runSeed)}`;
  return { ...first, violation: { invariant: 'determinism', message } };
}

function isSame(first: RunResult, second: RunResult): boolean {
  return (
    second.digest === first.digest &&
    second.answered === first.answered &&
    second.endedMs === first.endedMs &&
    second.violation === first.violation
  );
}

/** Two more runs, with traces, to say where they part. */
function firstDifference(seed: number, runSeed: RunSeed): string {
  const [one, other] = [runSeed(seed, { trace: true }), runSeed(seed, { trace: true })];
  const at = one.lines.findIndex((line, i) => line !== other.lines[i]);
  if (at < 0) return `two runs of seed ${seed} differ, their traces do not`;
  return `two runs of seed ${seed} part at "${one.lines[at]}" and "${other.lines[at]}"`;
}
