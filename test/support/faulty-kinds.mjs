/**
 * For `UNDERSTUDY_KINDS`: a counter that throws on the node whose id the file `faulty` names, in the
 * directory the nodes run in. So a test can break a member of a group, and mend it.
 */
import { existsSync, readFileSync } from 'node:fs';
import { defineKind } from 'understudy';

const isFaultyHere = () =>
  existsSync('faulty') && readFileSync('faulty', 'utf8') === process.env.UNDERSTUDY_NODE_ID;

export const kinds = [
  defineKind({
    name: 'faulty',
    version: 1,
    init: () => ({ total: 0 }),
    apply(state, event) {
      if (isFaultyHere()) throw new Error('this node cannot apply it');
      state.total += event.by;
    },
    queries: { get: (state) => ({ ...state }) },
  }),
];
