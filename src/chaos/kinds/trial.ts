/** A kind that does what no kind should: it takes long, and it throws. */
import { z } from 'zod';
import { defineKind } from '../../kind.js';

export interface TrialState {
  total: number;
  count: number;
}

const command = z.strictObject({
  by: z.int(),
  /** How long nobody on the deciding node gets to do anything. */
  spinMs: z.int().optional(),
  /** `everywhere`: it cannot be applied. `here`: only where `isPoisoned` says so. */
  poison: z.enum(['everywhere', 'here']).optional(),
  padding: z.string().optional(),
});

export interface Trials {
  spin(ms: number): void;
  isPoisoned(): boolean;
}

export const trialKind = ({ spin, isPoisoned }: Trials) =>
  defineKind({
    name: 'trial',
    version: 1,
    init: (): TrialState => ({ total: 0, count: 0 }),
    schema: command,
    decide: (_, asked) => {
      if (asked.spinMs !== undefined) spin(asked.spinMs);
      return [asked];
    },
    apply(state, { by, poison }: z.infer<typeof command>) {
      if (poison === 'everywhere' || (poison === 'here' && isPoisoned())) throw new Error('poison');
      state.total += by;
      state.count += 1;
    },
    queries: { get: (state): TrialState => ({ ...state }) },
  });

/** For the checks, which only want to know what comes of it. */
export const harmless: Trials = { spin: () => undefined, isPoisoned: () => false };
