/** Settings that a variable's text stands for. */
import { expect, test } from 'vitest';
import { loadConfig } from '../../../src/node/config.js';

const supervised = (text: string) =>
  loadConfig(undefined, { UNDERSTUDY_NODE_ID: 'n', UNDERSTUDY_SUPERVISED: text }).supervised;

test.each([
  ['1', true],
  ['true', true],
  ['0', false],
  ['false', false],
  ['', false],
])('a node with UNDERSTUDY_SUPERVISED=%s counts on a supervisor: %s', (text, expected) => {
  expect(supervised(text)).toBe(expected);
});

test('a text that says neither yes nor no is refused', () => {
  const refusal = { code: 'invalid-config', message: expect.stringMatching(/^supervised: /) };
  expect(() => supervised('perhaps')).toThrow(expect.objectContaining(refusal));
});
