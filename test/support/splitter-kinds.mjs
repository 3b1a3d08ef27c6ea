/** For `UNDERSTUDY_KINDS`: a command `{ n }` becomes n events, 0 to 3. */
import { defineKind, reject } from 'understudy';

export const kinds = [
  defineKind({
    name: 'splitter',
    version: 1,
    init: () => ({ count: 0, sum: 0 }),
    decide(state, { n }) {
      if (n > 3) return reject('too-many', `at most 3 events, asked for ${n}`);
      const events = Array.from({ length: n }, (_, part) => ({ part }));
      return { events, result: { before: state.count } };
    },
    apply(state, event) {
      state.count += 1;
      state.sum += event.part;
    },
    queries: { get: (state) => ({ ...state }) },
  }),
];
