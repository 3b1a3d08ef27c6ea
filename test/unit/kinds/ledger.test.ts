import { Packr } from 'msgpackr';
import { describe, expect, test } from 'vitest';
import { ledger } from '../../../src/kinds/ledger.js';
import { badRequest, deliver } from './support.js';

const most = Number.MAX_SAFE_INTEGER;
const open = (account: string) => ({ type: 'open', account });
const deposit = (account: string, amount: number) => ({ type: 'deposit', account, amount });
const withdraw = (account: string, amount: number) => ({ type: 'withdraw', account, amount });
const transfer = (from: string, to: string, amount: number) => {
  return { type: 'transfer', from, to, amount };
};

/** A ledger with `a` and `b` open and 100 in `a`. */
function opened() {
  const state = ledger.init();
  deliver(ledger, state, [open('a'), open('b'), deposit('a', 100)]);
  return state;
}

describe('accepts', () => {
  test('deposits and withdrawals and answers with the balance', () => {
    const state = opened();
    expect(deliver(ledger, state, [deposit('a', 5), withdraw('a', 105)])).toEqual([
      { result: { balance: 105 } },
      { result: { balance: 0 } },
    ]);
    expect(ledger.queries.totals(state)).toEqual({
      accounts: 2,
      sum: 0,
      deposited: 105,
      withdrawn: 105,
    });
  });

  test('transfers, which change no total', () => {
    const state = opened();
    const before = ledger.queries.totals(state);
    expect(deliver(ledger, state, [transfer('a', 'b', 30)])).toEqual([{ result: undefined }]);
    expect(ledger.queries.balance(state, { account: 'a' })).toBe(70);
    expect(ledger.queries.balance(state, { account: 'b' })).toBe(30);
    expect(ledger.queries.totals(state)).toEqual(before);
  });

  test('a transfer to its own account if it has the funds; nothing moves', () => {
    const state = opened();
    expect(deliver(ledger, state, [transfer('a', 'a', 100), transfer('a', 'a', 101)])).toEqual([
      { result: undefined },
      { rejected: 'insufficient-funds' },
    ]);
    expect(ledger.queries.balance(state, { account: 'a' })).toBe(100);
  });

  test.each(['__proto__', 'constructor', 'hasOwnProperty', 'Žaneta 🐘', ' ', 'x'.repeat(256)])(
    '%j as an account like any other',
    (name) => {
      const state = ledger.init();
      expect(ledger.queries.balance(state, { account: name })).toBeNull();
      expect(deliver(ledger, state, [deposit(name, 1), open(name), deposit(name, 2)])).toEqual([
        { rejected: 'unknown-account' },
        { result: undefined },
        { result: { balance: 2 } },
      ]);
      expect(ledger.queries.balance(state, { account: name })).toBe(2);
    },
  );
});

describe('rejects, and leaves the state alone:', () => {
  test.each([
    ['account-exists', open('a')],
    ['unknown-account', deposit('c', 1)],
    ['unknown-account', withdraw('c', 1)],
    ['unknown-account', transfer('c', 'a', 1)],
    ['unknown-account', transfer('a', 'c', 1)],
    ['insufficient-funds', withdraw('a', 101)],
    ['insufficient-funds', transfer('a', 'b', 101)],
    ['bad-amount', deposit('a', 0)],
    ['bad-amount', deposit('a', -3)],
    ['bad-amount', withdraw('a', -3)],
    ['bad-amount', transfer('a', 'b', -3)],
    ['bad-amount', deposit('a', 1.5)],
    ['bad-amount', deposit('a', most + 1)],
    ['bad-amount', deposit('nobody', 0)],
    ['bad-amount', deposit('b', most - 99)],
  ])('%s: %j', (code, command) => {
    const state = opened();
    expect(deliver(ledger, state, [command])).toEqual([{ rejected: code }]);
    expect(state).toEqual(opened());
  });

  test('takes the very last unit that the totals can hold', () => {
    const state = opened();
    expect(deliver(ledger, state, [deposit('b', most - 100), deposit('b', 1)])).toEqual([
      { result: { balance: most - 100 } },
      { rejected: 'bad-amount' },
    ]);
    expect(ledger.queries.totals(state)).toMatchObject({ sum: most, deposited: most });
  });
});

describe('refuses the shape of', () => {
  test.each([
    [{ type: 'close', account: 'a' }, /^type: .*received "close"$/],
    [{ account: 'a' }, /^type: /],
    [{ type: 'open' }, /^account: /],
    [{ type: 'open', account: '' }, /^account: /],
    [{ type: 'open', account: 'x'.repeat(257) }, /^account: /],
    [{ type: 'open', account: 7 }, /^account: /],
    [{ type: 'open', account: 'a', amount: 1 }, /"amount"/],
    [{ ...deposit('a', 1), note: 'x' }, /"note"/],
    [deposit('a', Number.NaN), /^amount: .*NaN$/],
    [deposit('a', Number.POSITIVE_INFINITY), /^amount: /],
    [{ ...deposit('a', 1), amount: '1' }, /^amount: /],
    [{ ...deposit('a', 1), amount: 1n }, /^amount: /],
    [{ type: 'transfer', from: 'a', amount: 1 }, /^to: /],
    ['open', /expected object/],
    [null, /expected object/],
  ])('%o', (command, problem) => {
    expect(ledger.problemWith?.(command)).toMatch(problem);
  });
});

test('balance checks its arguments', () => {
  const wrong = { acount: 'a' } as unknown as { account: string };
  expect(badRequest(() => ledger.queries.balance(opened(), wrong))).toMatch(/^account: /);
});

test('a snapshot gives back the state it was cut from', () => {
  const state = opened();
  deliver(ledger, state, [open('__proto__'), open('é'), deposit('é', most - 100)]);
  const packr = new Packr({ useRecords: true, moreTypes: true });
  const restored = packr.unpack(packr.pack(state)) as typeof state;
  expect(restored).toEqual(state);
  expect([...restored.accounts]).toEqual([...state.accounts]);
});
