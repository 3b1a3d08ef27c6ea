import { z } from 'zod';
import { defineKind } from '../kind.js';

export interface CounterState {
  total: number;
  /** Events so far. */
  count: number;
}

/** Adds up. Beyond ±(2^53 − 1) the total loses precision, the same way on every member. */
export const counter = defineKind({
  name: 'counter',
  version: 1,
  init: (): CounterState => ({ total: 0, count: 0 }),
  schema: z.strictObject({ by: z.int('expected a safe integer') }),
  apply(state, event) {
    state.total += event.by;
    state.count += 1;
  },
  queries: {
    get: (state): CounterState => ({ ...state }),
  },
});
