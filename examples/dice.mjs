/**
 * How a kind must not be written, for `understudy dev --kinds examples/dice.mjs`: `apply` asks chance,
 * so every member throws other dice. In a group with hot standbys the difference is found at the next
 * snapshot: `understudy group NAME` shows the alarm with the first value that differs.
 *
 * Right would be to throw in `decide` and to put the number into the event.
 */
import { defineKind } from 'understudy';

export const dice = defineKind({
  name: 'dice',
  version: 1,
  init: () => ({ throws: 0, sum: 0 }),
  /** @param {{ throws: number, sum: number }} state */
  apply(state, event) {
    state.throws += event.throws;
    state.sum += Math.floor(Math.random() * 1_000_000);
  },
  queries: { get: (state) => state },
});

export const kinds = [dice];
