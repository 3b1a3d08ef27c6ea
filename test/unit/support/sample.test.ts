import { expect, test } from 'vitest';
import { sampleOf } from '../../support/sample.js';

const all = ['a', 'b', 'c'];

test('a sample is what was chosen, or all there is', () => {
  expect(sampleOf(all, ['b'], false)).toEqual(['b']);
  expect(sampleOf(all, ['b'], true)).toEqual(all);
});

test.each([true, false])('what is not there is no sample, nor is nothing: %s', (wholly) => {
  expect(() => sampleOf(all, ['a', 'd'], wholly)).toThrow('[d]');
  expect(() => sampleOf(all, [], wholly)).toThrow('a sample has to be');
});
