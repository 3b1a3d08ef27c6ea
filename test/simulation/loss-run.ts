/** One run of a world whose store comes back: older than it was mostly, with the nodes or under them. */
import { Violation } from './checker.js';
import { runLoss } from './loss.js';
import type { RunResult } from './run.js';

export function runSeed(seed: number): Pick<RunResult, 'violation'> {
  try {
    runLoss(seed, { withNodes: seed % 2 === 0, loses: seed % 4 < 3 });
    return { violation: null };
  } catch (error) {
    const invariant = error instanceof Violation ? error.invariant : 'crash';
    return { violation: { invariant, message: (error as Error).message } };
  }
}
