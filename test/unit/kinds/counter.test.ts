import { expect, test } from 'vitest';
import { counter } from '../../../src/kinds/counter.js';
import { deliver } from './support.js';

test('adds up and counts', () => {
  const state = counter.init();
  deliver(counter, state, [{ by: 1 }, { by: -5 }, { by: 0 }]);
  expect(counter.queries.get(state)).toEqual({ total: -4, count: 3 });
});

test('what get answers stays as it was', () => {
  const state = counter.init();
  const before = counter.queries.get(state);
  deliver(counter, state, [{ by: 1 }]);
  expect(before).toEqual({ total: 0, count: 0 });
});

test.each([
  [{ by: 1.5 }, 'by: expected a safe integer, received 1.5'],
  [{ by: 2 ** 53 }, /^by: /],
  [{ by: '1' }, 'by: expected a safe integer, received "1"'],
  [{ by: 1, also: 2 }, 'Unrecognized key: "also"'],
  [{}, 'by: expected a safe integer, received nothing'],
  [null, /received null/],
])('refuses %j', (command, problem) => {
  expect(counter.problemWith?.(command)).toMatch(problem);
});
