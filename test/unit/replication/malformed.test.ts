import { Packr } from 'msgpackr';
import { expect, test } from 'vitest';
import { eachValue, encodeValue, joinCommands } from '../../../replication/batch.js';
import { limits } from '../../../replication/limits.js';
import { malformed } from '../../../replication/malformed.js';

const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)]);
const values: readonly unknown[] = [
  ...[0, 127, 128, 255, 65_535, 2 ** 31, 2 ** 40, -1, -32, -33, -129, -40_000, -(2 ** 35), 0.5],
  ...[null, undefined, true, false, 5n, -5n],
  ...[0, 1, 31, 32, 255, 256, 65_536].map((length) => 'x'.repeat(length)),
  ...[0, 255, 256, 65_536].map((length) => new Uint8Array(length)),
  ...[0, 15, 16, 65_536].map((length) => new Array(length).fill(1)),
  ...[15, 16, 65_535].map((length) => Object.fromEntries(Array.from({ length }, (_, i) => [i, i]))),
  new Date(1_700_000_000_123),
  nested(limits.valueDepth),
  { deep: [{ er: 'x' }, [[]], {}] },
];

test('plain values are taken, one or many', () => {
  for (const value of values) expect(malformed(encodeValue(value)), String(value)).toBeUndefined();
  expect(malformed(joinCommands(values.map((value) => encodeValue(value))))).toBeUndefined();
});

test('values cut short are not', () => {
  for (const value of values) {
    const bytes = encodeValue(value);
    for (const cut of new Set([1, 2, bytes.length >> 1, bytes.length - 1])) {
      if (cut <= 0 || cut >= bytes.length) continue;
      expect(malformed(bytes.subarray(0, cut)), `${String(value)} cut at ${cut}`).toMatch(/end in/);
    }
  }
});

test.each<[string, Uint8Array, RegExp]>([
  ['a record of msgpackr', new Packr().pack({ by: 1 }), /extension 114 .* without records/],
  ['a pointer', new Packr({ structuredClone: true }).pack(loop()), /extension 105/],
  ['a byte that begins nothing', Uint8Array.of(0xc1), /0xc1/],
  ['an extension of anybody’s', Uint8Array.of(0xc7, 1, 40, 0), /extension 40/],
  ['too deep a value', encodeValue(nested(limits.valueDepth + 1)), /deeper than 64/],
  ['an array of four billion', Uint8Array.of(0xdd, 255, 255, 255, 255), /end in the middle/],
  ['text of four billion', Uint8Array.of(0xdb, 255, 255, 255, 255, 65), /end in the middle/],
])('%s is refused', (_, bytes, problem) => {
  expect(malformed(bytes)).toMatch(problem);
});

function loop(): unknown {
  const value: { self?: unknown } = {};
  value.self = value;
  return value;
}

test('the danger is real: a record of one client changes how the next one’s event reads', () => {
  const blob = joinCommands([new Packr().pack({ by: 1 }), encodeValue(64)]);
  const read: unknown[] = [];
  try {
    eachValue(blob, (value) => read.push(value));
  } catch {
    read.push('nothing');
  }
  expect(read).not.toEqual([{ by: 1 }, 64]);
});
