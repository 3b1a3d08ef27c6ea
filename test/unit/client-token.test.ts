import { expect, test } from 'vitest';
import type { AnswerRun } from '../../replication/batch.js';
import {
  laterOf,
  nothingSeen,
  parseToken,
  seenIn,
  tokenAfter,
  tokenOf,
} from '../../src/client/token.js';

const run = (parts: Partial<AnswerRun>): AnswerRun => ({
  first: 1,
  count: 3,
  epoch: 2,
  baseSeq: 10,
  eventCounts: null,
  results: null,
  rejections: null,
  duplicate: false,
  ...parts,
});

test.each([
  [0, 0],
  [1, 1],
  [35, 36],
  [12, 3_000_000_000_000_000],
])('epoch %i and seq %i come back out of their token', (epoch, seq) => {
  const token = tokenOf({ epoch, seq });
  expect(parseToken(token)).toEqual({ epoch, seq });
  expect(token.length).toBeLessThanOrEqual(24);
});

test.each(['', '1', '1.1', '1.1.1.1', '2.1.1', '1.1.1 ', '1.A.1', '1.-1.1', '1.1.12345678901'])(
  '"%s" is no token',
  (token) => {
    expect(() => parseToken(token)).toThrow(expect.objectContaining({ code: 'bad-request' }));
  },
);

test('the later of two has the higher of both numbers, wherever they come from', () => {
  expect(laterOf({ epoch: 3, seq: 5 }, { epoch: 2, seq: 9 })).toEqual({ epoch: 3, seq: 9 });
  expect(tokenAfter('1.3.5', { epoch: 2, seq: 9 })).toBe('1.3.9');
  expect(tokenAfter(undefined, { epoch: 2, seq: 9 })).toBe('1.2.9');
});

test('a delivery has seen the seq of its last event', () => {
  expect(seenIn([run({})])).toEqual({ epoch: 2, seq: 13 });
  expect(seenIn([run({ eventCounts: [0, 5, 1] })])).toEqual({ epoch: 2, seq: 16 });
  expect(seenIn([])).toEqual(nothingSeen);
});

test('a rejection has seen the state that it was decided on', () => {
  const rejections = [0, 1, 2].map((offset) => [offset, 'no', 'why'] as const);
  expect(seenIn([run({ rejections })])).toEqual({ epoch: 2, seq: 10 });
  expect(seenIn([run({ rejections: rejections.slice(1) })])).toEqual({ epoch: 2, seq: 11 });
});

test('of several runs the last one counts, be it the first in the answer', () => {
  const old = run({ epoch: 1, baseSeq: 2, duplicate: true });
  expect(seenIn([run({}), old])).toEqual({ epoch: 2, seq: 13 });
});
