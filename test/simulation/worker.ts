/** Runs seeds in a thread of its own and reports each. */
import { parentPort, workerData } from 'node:worker_threads';
import { runTwiceNowAndThen } from './determinism.js';
import { runSeed } from './run.js';

const { from, seeds, step } = workerData as { from: number; seeds: number; step: number };
for (let seed = from; seed < from + seeds; seed += step) {
  const { violation, digest, answered, epochs } = runTwiceNowAndThen(seed, runSeed);
  parentPort?.postMessage({ seed, violation, digest, answered, epochs });
}
