/** Runs seeds in a thread of its own and reports each. */
import { parentPort, workerData } from 'node:worker_threads';
import { runTwiceNowAndThen } from './determinism.js';
import { runSeed } from './run.js';

interface Work {
  readonly from: number;
  readonly seeds: number;
  readonly step: number;
  readonly minutes: number;
}

const { from, seeds, step, minutes } = workerData as Work;
const endsAtMs = performance.now() + minutes * 60_000;
for (let seed = from; seed < from + seeds && performance.now() < endsAtMs; seed += step) {
  const { violation, digest, answered, epochs } = runTwiceNowAndThen(seed, runSeed);
  parentPort?.postMessage({ seed, violation, digest, answered, epochs });
}
