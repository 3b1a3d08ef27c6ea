import { expect, test } from 'vitest';
import { decodeValue } from '../../replication/batch.js';
import { limits } from '../../replication/limits.js';
import { checkKey, checkTimeout, encodeCommand } from '../../src/client/encode.js';
import { BadRequest, TooLarge } from '../../src/client/errors.js';

test.each([
  { by: 1, note: 'ü€😀', list: [1, [2, null]], none: null },
  { not: Number.NaN, endless: Number.POSITIVE_INFINITY },
  'text',
  0,
  null,
])('plain data comes back as it was: %j', (command) => {
  expect(decodeValue(encodeCommand(command))).toEqual(command);
});

test('bytes are one value, however many', () => {
  const bytes = new Uint8Array(limits.eventSizeBytes - 64);
  expect(encodeCommand({ bytes }).length).toBeGreaterThan(bytes.length);
});

test.each([
  ['a function', { run: () => 1 }],
  ['a symbol', { tag: Symbol('tag') }],
  ['a function in a list', [1, [() => 2]]],
  ['an integer beyond 64 bits', { big: 2n ** 70n }],
])('what has no encoding is a bad request: %s', (_what, command) => {
  expect(() => encodeCommand(command)).toThrow(BadRequest);
});

function nested(levels: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < levels; level++) value = [value];
  return value;
}

test('nesting has a limit, and so has a value that holds itself', () => {
  expect(() => encodeCommand(nested(limits.valueDepth))).not.toThrow();
  expect(() => encodeCommand(nested(limits.valueDepth + 1))).toThrow(BadRequest);
  const loop: { self?: unknown } = {};
  loop.self = loop;
  expect(() => encodeCommand(loop)).toThrow(BadRequest);
});

test('a value that shares its parts endlessly is refused without walking it endlessly', () => {
  let bush: unknown = 1;
  for (let level = 0; level < limits.valueDepth; level++) bush = [bush, bush];
  expect(() => encodeCommand(bush)).toThrow(TooLarge);
});

test('an event has a largest size', () => {
  expect(encodeCommand('x'.repeat(limits.eventSizeBytes - 5)).length).toBe(limits.eventSizeBytes);
  expect(() => encodeCommand('x'.repeat(limits.eventSizeBytes - 4))).toThrow(TooLarge);
});

test('keys and timeouts have their range', () => {
  for (const key of ['k', 'k'.repeat(limits.keySizeBytes)])
    expect(() => checkKey(key)).not.toThrow();
  for (const key of ['', 'k'.repeat(limits.keySizeBytes + 1)]) {
    expect(() => checkKey(key)).toThrow(BadRequest);
  }
  for (const ms of [0, -1, Number.NaN, limits.sessionEvictMs + 1]) {
    expect(() => checkTimeout(ms)).toThrow(BadRequest);
  }
  expect(() => checkTimeout(limits.sessionEvictMs)).not.toThrow();
});
