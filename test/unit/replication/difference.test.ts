import { describe, expect, it, test } from 'vitest';
import { firstDifference } from '../../../replication/difference.js';

const long = 'x'.repeat(100);

test.each<[string, unknown, unknown, string]>([
  ['numbers', 5, 6, "state: 5 here, 6 in the group's"],
  ['numbers of two kinds', 5n, 5, "state: 5 here, 5 in the group's"],
  ['zeros', 0, -0, "state: 0 here, 0 in the group's"],
  ['text and a number', '5', 5, "state: 5 here, 5 in the group's"],
  [
    'nothing and null',
    { a: undefined },
    { a: null },
    "state.a: undefined here, null in the group's",
  ],
  ['a field', { a: { b: [1, 2] } }, { a: { b: [1, 3] } }, "state.a.b.1: 2 here, 3 in the group's"],
  ['a field more', { a: 1, b: 2 }, { a: 1 }, "state.b: 2 here, nothing in the group's"],
  ['a field less', { a: 1 }, { a: 1, b: 2 }, "state.b: nothing here, 2 in the group's"],
  ['an element less', [1], [1, { a: 2 }], `state.1: nothing here, {"a":2} in the group's`],
  ['entries of maps', new Map([[7, 1]]), new Map([[7, 2]]), "state.7: 1 here, 2 in the group's"],
  ['keys of maps', new Map([['a', 1]]), new Map(), "state.a: 1 here, nothing in the group's"],
  [
    'keys that are objects',
    new Map([[{ k: 1 }, 'a']]),
    new Map([[{ k: 1 }, 'b']]),
    `state.{"k":1}: a here, b in the group's`,
  ],
  ['members of sets', new Set([1, 2]), new Set([1]), "state.2: 2 here, nothing in the group's"],
  [
    'members of sets that are objects',
    new Set([{ a: 1 }]),
    new Set([{ a: 2 }]),
    `state.{"a":1}: {"a":1} here, nothing in the group's`,
  ],
  [
    'the order of a map',
    new Map([
      ['a', 1],
      ['b', 2],
    ]),
    new Map([
      ['b', 2],
      ['a', 1],
    ]),
    'state: the same entries in another order, from a on',
  ],
  [
    'the order of fields',
    { deep: { a: 1, b: 2, c: 3 } },
    { deep: { a: 1, c: 3, b: 2 } },
    'state.deep: the same entries in another order, from b on',
  ],
  [
    'the order of a set',
    new Set([1, 2]),
    new Set([2, 1]),
    'state: the same entries in another order, from 1 on',
  ],
  [
    'dates',
    { at: new Date(5) },
    { at: new Date(6) },
    `state.at: "1970-01-01T00:00:00.005Z" here, "1970-01-01T00:00:00.006Z" in the group's`,
  ],
  [
    'bytes',
    { bytes: Uint8Array.of(1, 2) },
    { bytes: Uint8Array.of(1, 3) },
    `state.bytes: {"0":1,"1":2} here, {"0":1,"1":3} in the group's`,
  ],
  ['a value and an object', { a: 1 }, { a: { b: 1 } }, `state.a: 1 here, {"b":1} in the group's`],
])('%s', (_, mine, theirs, difference) => {
  expect(firstDifference(mine, theirs)).toBe(difference);
});

describe('what is long', () => {
  it('is cut short for people', () => {
    const difference = firstDifference({ a: `${long}1` }, { a: 2 });
    expect(difference).toBe(`state.a: ${long.slice(0, 60)}… here, 2 in the group's`);
  });

  test.each<[string, (end: string) => unknown, RegExp]>([
    ['text', (end) => ({ a: long + end }), /^state\.a: x+… here, x+… in the group's$/],
    ['bytes', (end) => new TextEncoder().encode(long + end), /^state: .*… here, /],
    ['a key', (end) => new Map([[long + end, 1]]), /^state\.x+…: 1 here, nothing in the group's$/],
    ['a member of a set', (end) => new Set([long + end]), /here, nothing in the group's$/],
  ])('and differs at its end is told: %s', (_, value, difference) => {
    expect(firstDifference(value('1'), value('2'))).toMatch(difference);
  });

  it('and begins alike is not taken for one: the keys of a map', () => {
    const table = (last: number) =>
      new Map([
        [`${long}1`, last],
        [`${long}2`, 5],
      ]);
    expect(firstDifference(table(1), table(2))).toMatch(/: 1 here, 2 in the group's$/);
  });
});

test.each<[string, () => unknown]>([
  ['plain values', () => ({ a: [1, 'two', null, undefined, Number.NaN, 7n, true] })],
  ['maps and sets', () => new Map([[1, new Set(['a', { b: 2 }])]])],
  ['dates and bytes', () => [new Date(5), Uint8Array.of(1, 2, 3)]],
])('equal %s differ in nothing', (_, value) => {
  expect(firstDifference(value(), value())).toBeNull();
});
