import { describe, expect, expectTypeOf, test } from 'vitest';
import { z } from 'zod';
import type { Kind } from '../../replication/kind.js';
import type { Table } from '../../replication/state/table.js';
import { newTables } from '../../replication/state/tables.js';
import {
  type CommandOf,
  defineKind,
  type EventOf,
  type QueryResult,
  query,
  type ResultOf,
  reject,
  type StateOf,
  table,
} from '../../src/kind.js';

interface Account {
  readonly owner: string;
  balance: number;
}

const bank = defineKind({
  name: 'bank',
  version: 1,
  init: () => ({ opened: 0 }),
  tables: { accounts: table<Account>(), names: table<string>() },
  schema: z.strictObject({ owner: z.string(), balance: z.number() }),
  decide(state, command) {
    if (state.accounts.has(command.owner)) return reject('open-already', command.owner);
    return { events: [command], result: { before: state.accounts.size } };
  },
  apply(state, event: Account) {
    state.accounts.set(event.owner, event);
    state.opened += 1;
  },
  queries: {
    balance: query(
      z.strictObject({ owner: z.string() }),
      (state: { readonly accounts: Table<Account> }, args) =>
        state.accounts.get(args.owner)?.balance,
    ),
    names: (state) => [...state.names.values()],
  },
});

const context = { seq: 1, recordedAtMs: 0 };

const onlyTables = defineKind({
  name: 'only-tables',
  version: 1,
  tables: { counts: table<number>() },
  apply(state, event: { key: string }) {
    state.counts.set(event.key, (state.counts.get(event.key) ?? 0) + 1);
  },
  queries: { size: (state) => state.counts.size },
});

describe('types', () => {
  test('tables: a handle for each, of its own values', () => {
    type Bank = StateOf<typeof bank>;
    expectTypeOf<Bank['opened']>().toEqualTypeOf<number>();
    expectTypeOf<Bank['accounts']>().toEqualTypeOf<Table<Account>>();
    expectTypeOf<Bank['names']>().toEqualTypeOf<Table<string>>();
    expectTypeOf<ReturnType<Bank['accounts']['get']>>().toEqualTypeOf<Account | undefined>();
    expectTypeOf(bank.init()).toEqualTypeOf<{ opened: number }>();
    expectTypeOf<CommandOf<typeof bank>>().toEqualTypeOf<{ owner: string; balance: number }>();
    expectTypeOf<EventOf<typeof bank>>().toEqualTypeOf<Account>();
    expectTypeOf<ResultOf<typeof bank>>().toEqualTypeOf<{ readonly before: number }>();
    expectTypeOf<QueryResult<typeof bank, 'balance'>>().toEqualTypeOf<number | undefined>();
    expectTypeOf<QueryResult<typeof bank, 'names'>>().toEqualTypeOf<string[]>();
    expectTypeOf<StateOf<typeof onlyTables>['counts']>().toEqualTypeOf<Table<number>>();
    expectTypeOf<EventOf<typeof onlyTables>>().toEqualTypeOf<{ key: string }>();
    expectTypeOf<QueryResult<typeof onlyTables, 'size'>>().toEqualTypeOf<number>();
  });

  test('a kind with tables is one the core runs', () => {
    expectTypeOf<typeof bank>().toExtend<Kind>();
    expectTypeOf<typeof onlyTables>().toExtend<Kind>();
  });

  test('what does not fit together does not compile', () => {
    const [name, version] = ['wrong', 1];
    const tables = { counts: table<number>() };
    const nothing = () => {};
    // @ts-expect-error neither a state nor tables
    expect(() => defineKind({ name, version, apply: nothing })).toThrow(/init/);
    // @ts-expect-error a table is made by table()
    expect(() => defineKind({ name, version, tables: { a: 7 }, apply: nothing })).toThrow(/table/);
    defineKind({
      ...{ name, version, tables },
      apply(state, event: { key: string }) {
        // @ts-expect-error the table holds numbers
        state.counts.set(event.key, 'one');
        // @ts-expect-error there is no such table
        state.sums.set(event.key, 1);
      },
    });
    defineKind({
      ...{ name, version, tables },
      apply: nothing,
      queries: {
        // @ts-expect-error the table holds numbers
        get: (state): string => state.counts.get('a') ?? '',
      },
    });
  });
});

test('defineKind returns an init if there was none, and the tables beside it', () => {
  expect(onlyTables.init()).toEqual({});
  expect(Object.keys(onlyTables.tables ?? {})).toEqual(['counts']);
  expect(Object.isFrozen(onlyTables.tables)).toBe(true);
  expect('layout' in onlyTables).toBe(false);
  const tables = newTables(bank);
  const state = tables.attach(bank.init()) as StateOf<typeof bank>;
  const account = { owner: 'ann', balance: 5 };
  tables.write(() => bank.apply(state, account, context));
  expect(bank.decide?.(state, account, context)).toMatchObject({ code: 'open-already' });
  expect(bank.queries.balance(state, { owner: 'ann' })).toBe(5);
  expect([state.opened, bank.queries.names(state)]).toEqual([1, []]);
});

describe('defineKind refuses', () => {
  const good = { name: 'k', version: 1, init: () => ({}), apply: () => {} };

  test.each([
    ['tables: 7', { ...good, tables: 7 }, /tables: expected an object, received 7/],
    ['no table', { ...good, tables: {} }, /tables: expected 1 to 64 tables, received 0/],
    ['many tables', { ...good, tables: tablesOf(65) }, /expected 1 to 64 tables, received 65/],
    [
      'a table that is a value',
      { ...good, tables: { a: new Map() } },
      /tables\.a: expected what table\(\) returns, received an object/,
    ],
    [
      'a table of a strange name',
      { ...good, tables: { 'a-b': table() } },
      /tables\.a-b: expected a name like \/\^\[a-z\]/,
    ],
    ['a layout', { ...good, layout: {} }, /layout: unknown option/],
    [
      'no init, with wrong tables',
      { ...good, init: undefined, tables: 7 },
      /^defineKind: tables: exp/,
    ],
  ])('%s', (_case, options, message) => {
    expect(() => defineKind(options as typeof good)).toThrow(
      expect.objectContaining({ code: 'invalid-config', message: expect.stringMatching(message) }),
    );
  });

  test('nothing of 64 tables', () => {
    expect(Object.keys(defineKind({ ...good, tables: tablesOf(64) }).tables ?? {})).toHaveLength(
      64,
    );
  });
});

function tablesOf(count: number) {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`t${i}`, table<number>()]));
}
