import { expect, test } from 'vitest';
import { type DeliveryOutcome, newHistory } from '../../../src/chaos/history.js';
import { Told } from '../../../src/chaos/workload/told.js';

test('the last that anybody was told of, however late who was told less is noted', () => {
  const history = newHistory('g');
  const note = (outcome: DeliveryOutcome) => {
    const who = { client: 'c', door: 'http', tries: 1, calledAt: 0, returnedAt: 1 } as const;
    history.deliveries.push({ ...who, id: 'k', command: {}, outcome });
  };
  const told = new Told();
  expect(told.of(history)).toBe(0);
  note({ kind: 'accepted', seq: 7, epoch: 1, result: null });
  expect(told.of(history)).toBe(7);
  note({ kind: 'accepted', seq: 5, epoch: 1, result: null });
  note({ kind: 'unknown', code: 'timeout' });
  expect([told.of(history), told.of(newHistory('other'))]).toEqual([7, 0]);
  note({ kind: 'accepted', seq: 8, epoch: 1, result: null });
  expect(told.of(history)).toBe(8);
});
