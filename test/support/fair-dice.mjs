/** What `examples/dice.mjs` should have been, by the same name: the same events give the same state. */
import { defineKind } from 'understudy';

export const kinds = [
  defineKind({
    name: 'dice',
    version: 1,
    init: () => ({ throws: 0, sum: 0 }),
    apply(state, event) {
      state.throws += event.throws;
      state.sum += event.throws;
    },
    queries: { get: (state) => ({ ...state }) },
  }),
];
