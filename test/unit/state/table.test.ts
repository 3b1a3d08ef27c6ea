import { describe, expect, test } from 'vitest';
import { UnderstudyError } from '../../../replication/errors.js';
import { limits } from '../../../replication/limits.js';
import { type Access, Table } from '../../../replication/state/table.js';
import { LargeValue, type Range, Tree } from '../../../replication/state/tree.js';
import { Encoder } from '../../../replication/state/values.js';
import { tiny } from './support.js';

function newTable<V>(entries: readonly (readonly [string, V])[] = []) {
  const access: Access = { isWritable: true };
  const tree = new Tree(tiny);
  const table = new Table<V>('accounts', tree, new Encoder(tiny), access);
  for (const [key, value] of entries) table.set(key, value);
  return { table, tree, access };
}

const nameOf = (i: number) => `k${String(i).padStart(3, '0')}`;
const numbered = (count: number) =>
  Array.from({ length: count }, (_, i) => [nameOf(i), i] as const);

function refusal(run: () => unknown): [code: string, message: string] {
  try {
    run();
  } catch (error) {
    if (error instanceof UnderstudyError) return [error.code, error.message];
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('what a table holds', () => {
  test('is there until it is deleted', () => {
    const { table } = newTable([['a', 1]]);
    expect([table.get('a'), table.has('a'), table.size]).toEqual([1, true, 1]);
    expect([table.get('b'), table.has('b'), table.get('')]).toEqual([undefined, false, undefined]);
    table.set('a', 2);
    expect([table.get('a'), table.size]).toEqual([2, 1]);
    expect([table.delete('a'), table.delete('a'), table.size]).toEqual([true, false, 0]);
  });

  test.each([
    null,
    0,
    '',
    false,
    -1.5,
    2 ** 53 - 1,
    12n,
    '🐘',
    [1, [2, [3]]],
    { a: { b: [null, { c: 'd' }] }, constructor: 1 },
    new Date(5),
    new Set([1, 'x']),
    new Uint8Array([1, 2, 3]),
  ])('comes back as it was: %o', (value) => {
    expect(newTable([['key', value]]).table.get('key')).toEqual(value);
  });

  test('comes back as it was, though it has many parts', () => {
    const large = { text: 'x'.repeat(10_000), map: Object.fromEntries(numbered(500)) };
    expect(newTable([['key', large]]).table.get('key')).toEqual(large);
  });

  test('changes with set alone: what is read and what was set are copies', () => {
    const given = { list: [1], bytes: new Uint8Array([1]) };
    const { table } = newTable([['a', given]]);
    given.list.push(2);
    const read = table.get('a');
    read?.list.push(3);
    read?.bytes.fill(9);
    for (const value of table.values()) value.list.push(4);
    expect(table.get('a')).toEqual({ list: [1], bytes: new Uint8Array([1]) });
  });

  test('keeps its bytes whatever is encoded, read or overwritten afterwards', () => {
    const { table } = newTable<string>();
    const textOf = (i: number) => String.fromCharCode(97 + (i % 26)).repeat(1 + ((i * 37) % 6000));
    for (let i = 0; i < 300; i++) {
      table.set(nameOf(i), 'a first value');
      table.set(nameOf(i), textOf(i));
      table.get(nameOf(i >>> 1));
    }
    for (let i = 0; i < 300; i++) expect(table.get(nameOf(i)) === textOf(i)).toBe(true);
  });

  test("is a large value beyond the layout's limit, to be stored apart", () => {
    const { table, tree } = newTable([
      ['at', 'x'.repeat(98)],
      ['beyond', 'x'.repeat(99)],
    ]);
    expect(tree.get('at')).toHaveLength(100);
    expect(tree.get('beyond')).toBeInstanceOf(LargeValue);
    expect(table.get('beyond')).toBe('x'.repeat(99));
  });
});

describe('a table refuses', () => {
  test.each([
    ['', /a key of 0 characters; it has 1 to 1024/],
    ['x'.repeat(1025), /a key of 1025 characters/],
    ['a\ud83d', /half of a surrogate pair/],
    ['\udc18a', /half of a surrogate pair/],
    [7, /a key is a text, not of type number/],
    [undefined, /not of type undefined/],
  ])('the key %j', (key, message) => {
    const { table } = newTable<number>();
    expect(refusal(() => table.set(key as string, 1))).toEqual([
      'bad-request',
      expect.stringMatching(message),
    ]);
    expect(table.size).toBe(0);
  });

  test('no key that is as long as it may be, or has whole pairs', () => {
    const { table } = newTable<number>();
    for (const key of ['x'.repeat(1024), '🐘', '__proto__', ' ', '\0']) table.set(key, 1);
    expect(table.size).toBe(5);
  });

  test('undefined, functions, and what msgpack does not keep', () => {
    const { table } = newTable<unknown>([['a', 1]]);
    expect(refusal(() => table.set('a', undefined))[1]).toMatch(/holds no undefined; delete/);
    expect(refusal(() => table.set('a', () => 1))[1]).toMatch(/holds no function/);
    expect(() => table.set('a', { s: Symbol('s') })).toThrow();
    expect(table.get('a')).toBe(1);
    table.set('a', { still: 'works' });
    expect(table.get('a')).toEqual({ still: 'works' });
  });

  test('values beyond their limit, and goes on', () => {
    const { table } = newTable<Uint8Array>();
    const headSizeBytes = 7;
    table.set('a', new Uint8Array(limits.tableValueSizeBytes - headSizeBytes));
    expect(table.get('a')).toHaveLength(limits.tableValueSizeBytes - headSizeBytes);
    expect(refusal(() => table.set('b', new Uint8Array(limits.tableValueSizeBytes)))).toEqual([
      'too-large',
      expect.stringMatching(/16777223 bytes, at most 16777216/),
    ]);
    expect(table.has('b')).toBe(false);
  });

  test('changes outside apply, and answers all the same', () => {
    const { table, access } = newTable([['a', 1]]);
    access.isWritable = false;
    for (const change of [
      () => table.set('a', 2),
      () => table.delete('a'),
      () => table.delete('b'),
    ]) {
      expect(refusal(change)).toEqual([
        'unsupported',
        'table accounts is changed outside apply: decide and queries only look',
      ]);
    }
    expect([table.get('a'), [...table.entries()]]).toEqual([1, [['a', 1]]]);
  });

  test.each([
    [{ limit: -1 }, /limit is a number of entries, not -1/],
    [{ limit: 1.5 }, /limit/],
    [{ limit: Number.NaN }, /limit/],
    [{ from: 7 }, /from is a text, not of type number/],
    [{ to: null }, /to is a text/],
    [{ prefix: ['a'] }, /prefix is a text/],
  ])('the range %j, before anybody iterates', (range, message) => {
    const { table } = newTable([['a', 1]]);
    expect(refusal(() => table.keys(range as Range))).toEqual([
      'bad-request',
      expect.stringMatching(message),
    ]);
  });

  test('to be handed out, with a word about it', () => {
    const { table } = newTable([['a', 1]]);
    expect(() => structuredClone({ deep: [table] })).toThrow(/accounts cannot be handed out/);
    expect(() => new Encoder(tiny).encode({ table })).toThrow(/accounts cannot be handed out/);
  });
});

describe('a range', () => {
  const { table } = newTable(numbered(100));

  test.each<[Range, readonly string[]]>([
    [{ limit: 2 }, ['k000', 'k001']],
    [{ limit: 2, reverse: true }, ['k099', 'k098']],
    [{ limit: 0 }, []],
    [{ from: 'k004', to: 'k006' }, ['k004', 'k005']],
    [{ from: 'k004', to: 'k006', reverse: true }, ['k005', 'k004']],
    [{ from: 'k0045', to: 'k0055' }, ['k005']],
    [{ from: 'k006', to: 'k004' }, []],
    [{ from: 'k006', to: 'k006' }, []],
    [{ from: 'k098' }, ['k098', 'k099']],
    [{ to: 'k001' }, ['k000']],
    [{ to: '' }, []],
    [{ prefix: 'k09', limit: 1 }, ['k090']],
    [{ prefix: 'k09', limit: 1, reverse: true }, ['k099']],
    [{ prefix: 'k09', from: 'k098' }, ['k098', 'k099']],
    [{ prefix: 'k09', to: 'k091' }, ['k090']],
    [{ prefix: 'k09', from: 'k1' }, []],
    [{ prefix: 'none' }, []],
    [{ prefix: 'k100' }, []],
  ])('%j', (range, keys) => {
    expect([...table.keys(range)]).toEqual(keys);
    expect([...table.values(range)].map(nameOf)).toEqual(keys);
    expect([...table.entries(range)]).toEqual([...keys].map((key) => [key, table.get(key)]));
  });

  test('is in the order of UTF-16 code units', () => {
    // By code points '🐘' would be last, by a dictionary 'é' before 'z'.
    const keys = ['A', 'a', 'z', 'é', '🐘', '\uffee'];
    const { table } = newTable(keys.toReversed().map((key) => [key, 0] as const));
    expect([...table.keys()]).toEqual(keys);
    expect([...table.keys({ prefix: '\ud83d' })]).toEqual(['🐘']);
    expect([...table.keys({ from: '🐘' })]).toEqual(['🐘', '\uffee']);
  });

  test('under a prefix of last code units has an end too', () => {
    const keys = ['a', 'a\uffff', 'a\uffff\uffff', 'a\uffffb', 'b', '\uffff', '\uffffa'];
    const { table } = newTable(keys.map((key) => [key, 0] as const));
    expect([...table.keys({ prefix: 'a\uffff' })]).toEqual([
      'a\uffff',
      'a\uffffb',
      'a\uffff\uffff',
    ]);
    expect([...table.keys({ prefix: '\uffff', reverse: true })]).toEqual(['\uffffa', '\uffff']);
  });
});

describe('while apply changes the table, an iteration', () => {
  test('sees what was there when it began, and every entry once', () => {
    const { table } = newTable(numbered(60));
    const seen: string[] = [];
    for (const [key] of table.entries()) {
      seen.push(key);
      table.delete(key);
      table.set(`${key}-again`, 0);
    }
    expect(seen).toEqual(numbered(60).map(([key]) => key));
    expect([...table.keys()]).toEqual(seen.map((key) => `${key}-again`));
  });

  test('begins where it is asked for, not where it is first used', () => {
    const { table } = newTable([['a', 1]]);
    const values = table.values();
    table.set('a', 2);
    table.set('b', 3);
    expect([...values]).toEqual([1]);
  });
});
