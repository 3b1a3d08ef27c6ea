/** What was taken away with the store counts as lost exactly as far as the group itself has named it. */
import { expect, test } from 'vitest';
import type { ReadLog } from '../../../src/chaos/check/log.js';
import { checkNamed, withoutLost } from '../../../src/chaos/check/lost.js';
import type { DeliveryOutcome, History, ReadCall } from '../../../src/chaos/history.js';

const told = (seq: number): DeliveryOutcome => ({
  kind: 'accepted',
  seq,
  epoch: 1,
  result: undefined,
});

const calls: readonly (readonly [string, number, DeliveryOutcome])[] = [
  ['kept', 100, told(5)],
  ['lost', 200, told(8)],
  ['refused-early', 50, { kind: 'rejected', code: 'no' }],
  ['refused-between', 180, { kind: 'rejected', code: 'no' }],
  ['refused-and-there', 190, { kind: 'rejected', code: 'no' }],
  ['unanswered', Number.POSITIVE_INFINITY, { kind: 'unknown', code: 'timeout' }],
  ['after', 400, told(8)],
];

function read(returnedAt: number, seq: number): ReadCall {
  const who = { client: 'r', door: 'program', epoch: 1, member: 0 } as const;
  const asked = { query: 'get', args: undefined, consistency: 'local', minSeq: 0 } as const;
  return { ...who, ...asked, calledAt: returnedAt - 1, returnedAt, seq, value: 0 };
}

const history: History = {
  group: 'g',
  deliveries: calls.map(([id, returnedAt, outcome]) => {
    const who = { client: 'c', door: 'http', tries: 1 } as const;
    return { ...who, id, command: {}, outcome, calledAt: returnedAt - 5, returnedAt };
  }),
  reads: [read(90, 5), read(210, 8), read(410, 8)],
  unansweredReads: 0,
};

const decided = ['kept', 'refused-and-there', 'after'].map((id, i) => ({
  ...{ id, seq: i, epoch: 1, recordedAtMs: 0, events: [], result: undefined, rejection: null },
}));
const log: ReadLog = { decided, epochs: [], records: 3, strangers: [], seq: 8 };

const loss = { group: 'g', fromMs: 150, toMs: 300, keptSeq: 6, namedSeq: 8 };
const ids = ({ deliveries }: History) => deliveries.map(({ id }) => id);

test('only what was told before and is behind what was kept is void', () => {
  const left = withoutLost(history, log, [loss]);
  expect(ids(left)).toEqual(['kept', 'refused-early', 'refused-and-there', 'unanswered', 'after']);
  expect(left.reads.map(({ returnedAt }) => returnedAt)).toEqual([90, 410]);
});

test('without a loss everything stands', () => {
  expect(withoutLost(history, log, [])).toBe(history);
});

test('what was lost and not named as lost is a violation', () => {
  expect(checkNamed(history, [loss])).toEqual([]);
  const [found, ...more] = checkNamed(history, [{ ...loss, namedSeq: 7 }]);
  expect(found).toMatchObject({
    check: 'acknowledged-in-log',
    group: 'g',
    detail: 'lost was acknowledged at seq 8 and is lost; the group says it has lost 7 to 7',
  });
  expect(more).toEqual([]);
});
