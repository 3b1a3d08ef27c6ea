/** Small kinds for tests of what runs kinds. */
import { z } from 'zod';
import { defineKind, reject } from '../../src/kind.js';

/** A command `{ n }` becomes n events, 0 to 3; more are rejected. The state counts events. */
export const splitter = defineKind({
  name: 'splitter',
  version: 1,
  init: () => ({ count: 0, sum: 0 }),
  schema: z.strictObject({ n: z.int().min(0) }),
  decide(state, command) {
    if (command.n > 3) return reject('too-many', `at most 3 events, asked for ${command.n}`);
    const events = Array.from({ length: command.n }, (_, part) => ({ part }));
    return { events, result: { before: state.count } };
  },
  apply(state, event) {
    state.count += 1;
    state.sum += event.part;
  },
  queries: {
    get: (state) => ({ ...state }),
  },
});

/** `apply` throws on `{ boom: true }`, after it has already spoilt the state. */
export const thrower = defineKind({
  name: 'thrower',
  version: 1,
  init: () => ({ count: 0 }),
  schema: z.strictObject({ boom: z.boolean() }),
  apply(state, event) {
    state.count += 1;
    if (event.boom) throw new Error('boom');
  },
  queries: {
    get: (state) => ({ ...state }),
  },
});
