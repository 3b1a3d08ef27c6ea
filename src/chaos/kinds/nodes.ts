/** What nodes under fire load beside the shipped kinds. */
import { trialKind } from './trial.js';

function spin(ms: number): void {
  const untilMs = performance.now() + ms;
  while (performance.now() < untilMs);
}

const isPoisoned = (): boolean => process.env.UNDERSTUDY_TRIAL_POISON === '1';

export const kinds = [trialKind({ spin, isPoisoned })];
