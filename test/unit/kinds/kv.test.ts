import { describe, expect, test } from 'vitest';
import { newTables } from '../../../replication/state/tables.js';
import { type KvRangeArgs, type KvState, kv } from '../../../src/kinds/kv.js';
import { badRequest, deliver } from './support.js';

const set = (key: string, value: unknown) => ({ type: 'set', key, value });
const remove = (key: string) => ({ type: 'delete', key });

/** A state, and what sends commands through the kind to it. */
function blank() {
  const tables = newTables(kv);
  const state = tables.attach(kv.init()) as KvState;
  const apply: typeof kv.apply = (...given) => tables.write(() => kv.apply(...given));
  const send = (commands: readonly unknown[]) => deliver({ ...kv, apply }, state, commands);
  return { state, send };
}

function holding(entries: Record<string, unknown>) {
  const group = blank();
  group.send(Object.entries(entries).map(([key, value]) => set(key, value)));
  return group;
}

describe('set and delete', () => {
  test('the last value counts, deleting an absent key changes nothing', () => {
    const { state, send } = holding({ a: 1, b: { deep: [1, 'x', null, true] } });
    expect(kv.queries.get(state, { key: 'b' })).toEqual({ deep: [1, 'x', null, true] });
    send([set('a', 2), remove('b'), remove('b'), remove('never')]);
    expect(kv.queries.size(state)).toBe(1);
    expect(kv.queries.get(state, { key: 'a' })).toBe(2);
    expect(kv.queries.get(state, { key: 'b' })).toBeNull();
  });

  test.each(['__proto__', 'constructor', ' ', '🐘', 'x'.repeat(1024)])('%j is a key', (key) => {
    const { state, send } = blank();
    expect(kv.queries.get(state, { key })).toBeNull();
    send([set(key, 'v')]);
    expect(kv.queries.get(state, { key })).toBe('v');
  });

  test.each([
    [set('', 1), /^key: /],
    [set('x'.repeat(1025), 1), /^key: /],
    [set('a\ud83d', 1), /^key: has half of a surrogate pair/],
    [remove('\udc18'), /^key: has half of a surrogate pair/],
    [{ type: 'set', key: 'a' }, 'value: expected a JSON value, received nothing'],
    [set('a', Number.NaN), 'value: expected a JSON value, received NaN'],
    [set('a', [1, { b: Number.POSITIVE_INFINITY }]), 'value: expected a JSON value'],
    [set('a', { b: undefined }), /^value: /],
    [set('a', 1n), /^value: /],
    [set('a', new Date(0)), /^value: /],
    [set('a', new Map()), /^value: /],
    [set('a', new Uint8Array(1)), /^value: /],
    [set('a', nested(65)), /^value: /],
    [{ ...set('a', 1), ttl: 1 }, /"ttl"/],
    [{ ...remove('a'), value: 1 }, /"value"/],
    [{ type: 'get', key: 'a' }, /^type: /],
  ])('refuses %o', (command, problem) => {
    expect(kv.problemWith?.(command)).toMatch(problem);
  });

  test('takes values nested as deep as the limit', () => {
    expect(kv.problemWith?.(set('a', nested(64)))).toBeUndefined();
  });
});

describe('range', () => {
  const keysOf = (state: KvState, args: KvRangeArgs) => {
    return kv.queries.range(state, args).map((entry) => entry.key);
  };

  test('gives the entries under a prefix in order of their keys', () => {
    const { state } = holding({ b: 1, 'a/2': 2, 'a/10': 3, A: 4, é: 5 });
    expect(kv.queries.range(state, { prefix: 'a/' })).toEqual([
      { key: 'a/10', value: 3 },
      { key: 'a/2', value: 2 },
    ]);
    expect(keysOf(state, {})).toEqual(['A', 'a/10', 'a/2', 'b', 'é']);
    expect(keysOf(state, { limit: 2 })).toEqual(['A', 'a/10']);
    expect(keysOf(state, { prefix: 'none' })).toEqual([]);
  });

  test.each([1, 2, 7, 100, 1000])('of thousands of keys gives the first %i', (limit) => {
    const { state, send } = blank();
    const keys = Array.from({ length: 5000 }, (_, i) => `k${(i * 7919) % 5003}`);
    send(keys.map((key) => set(key, 0)));
    expect(keysOf(state, { limit })).toEqual(keys.sort().slice(0, limit));
  });

  test('gives a hundred unless told', () => {
    const { state } = holding(
      Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`k${i}`, i])),
    );
    expect(keysOf(state, {})).toHaveLength(100);
  });

  test.each([
    [undefined, /expected object/],
    [{ limit: 0 }, /^limit: /],
    [{ limit: 1001 }, /^limit: /],
    [{ limit: 1.5 }, /^limit: /],
    [{ prefix: 7 }, /^prefix: /],
    [{ from: 'a' }, /"from"/],
  ])('refuses %j', (args, problem) => {
    expect(badRequest(() => kv.queries.range(blank().state, args as KvRangeArgs))).toMatch(problem);
  });
});

test('get checks its arguments', () => {
  expect(badRequest(() => kv.queries.get(blank().state, {} as { key: string }))).toMatch(/^key: /);
});

test("what a query gives out is nobody else's", () => {
  const { state } = holding({ a: { list: [1] } });
  (kv.queries.get(state, { key: 'a' }) as { list: number[] }).list.push(2);
  expect(kv.queries.get(state, { key: 'a' })).toEqual({ list: [1] });
});

/** Arrays in arrays. */
function nested(depth: number): unknown {
  return depth === 0 ? 0 : [nested(depth - 1)];
}
