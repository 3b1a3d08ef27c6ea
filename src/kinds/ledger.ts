import { z } from 'zod';
import type { Decision, Rejection } from '../../replication/kind.js';
import { defineKind, query, reject } from '../kind.js';

export interface LedgerState {
  /** Balance of every open account. A Map: `__proto__` is an account name like any other. */
  readonly accounts: Map<string, number>;
  /** What ever came in and went out. No balance can exceed `deposited`, so only it is guarded. */
  deposited: number;
  withdrawn: number;
}

const account = z.string().min(1).max(256);
/** Any number: whether it is a good amount is decided, and answered, as a rejection. */
const amount = z.number();

const command = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('open'), account }),
  z.strictObject({ type: z.literal('deposit'), account, amount }),
  z.strictObject({ type: z.literal('withdraw'), account, amount }),
  z.strictObject({ type: z.literal('transfer'), from: account, to: account, amount }),
]);

export type LedgerCommand = z.input<typeof command>;
type Deposit = Extract<LedgerCommand, { type: 'deposit' }>;
type Withdrawal = Extract<LedgerCommand, { type: 'withdraw' }>;
type Transfer = Extract<LedgerCommand, { type: 'transfer' }>;

/** The answer to a deposit and a withdrawal. */
export interface LedgerResult {
  readonly balance: number;
}

type LedgerDecision = Decision<LedgerCommand, LedgerResult>;

/**
 * Accounts and money. Rejects with `unknown-account`, `account-exists`, `insufficient-funds` and
 * `bad-amount`. A transfer to its own account is checked like any other and moves nothing.
 */
export const ledger = defineKind({
  name: 'ledger',
  version: 1,
  init: (): LedgerState => ({ accounts: new Map(), deposited: 0, withdrawn: 0 }),
  schema: command,
  decide(state, command): LedgerDecision {
    switch (command.type) {
      case 'open':
        return state.accounts.has(command.account)
          ? reject('account-exists', `${command.account} is open already`)
          : [command];
      case 'deposit':
        return decideDeposit(state, command);
      case 'withdraw':
        return decideWithdrawal(state, command);
      case 'transfer':
        return decideTransfer(state, command);
    }
  },
  apply(state, event: LedgerCommand) {
    switch (event.type) {
      case 'open':
        state.accounts.set(event.account, 0);
        break;
      case 'deposit':
        add(state, event.account, event.amount);
        state.deposited += event.amount;
        break;
      case 'withdraw':
        add(state, event.account, -event.amount);
        state.withdrawn += event.amount;
        break;
      case 'transfer':
        add(state, event.from, -event.amount);
        add(state, event.to, event.amount);
    }
  },
  queries: {
    /** The balance; null: no such account. */
    balance: query(
      z.strictObject({ account }),
      (state: LedgerState, args): number | null => state.accounts.get(args.account) ?? null,
    ),
    /** `sum` is added up from the balances, so that sum = deposited − withdrawn proves something. */
    totals: (state: LedgerState) => ({
      accounts: state.accounts.size,
      sum: sumOf(state.accounts.values()),
      deposited: state.deposited,
      withdrawn: state.withdrawn,
    }),
  },
});

function decideDeposit(state: LedgerState, command: Deposit): LedgerDecision {
  if (!isAmount(command.amount)) return badAmount(command.amount);
  const balance = state.accounts.get(command.account);
  if (balance === undefined) return unknownAccount(command.account);
  if (command.amount > Number.MAX_SAFE_INTEGER - state.deposited) {
    const detail = `${command.amount} on top of ${state.deposited} deposited so far exceeds 2^53 - 1`;
    return reject('bad-amount', detail);
  }
  return { events: [command], result: { balance: balance + command.amount } };
}

function decideWithdrawal(state: LedgerState, command: Withdrawal): LedgerDecision {
  if (!isAmount(command.amount)) return badAmount(command.amount);
  const balance = state.accounts.get(command.account);
  if (balance === undefined) return unknownAccount(command.account);
  if (balance < command.amount) return insufficientFunds(command.account, balance, command.amount);
  return { events: [command], result: { balance: balance - command.amount } };
}

function decideTransfer(state: LedgerState, command: Transfer): LedgerDecision {
  if (!isAmount(command.amount)) return badAmount(command.amount);
  const balance = state.accounts.get(command.from);
  if (balance === undefined) return unknownAccount(command.from);
  if (!state.accounts.has(command.to)) return unknownAccount(command.to);
  if (balance < command.amount) return insufficientFunds(command.from, balance, command.amount);
  return [command];
}

/** The account is open: `decide` saw to it. */
function add(state: LedgerState, account: string, amount: number): void {
  state.accounts.set(account, (state.accounts.get(account) ?? 0) + amount);
}

function sumOf(balances: Iterable<number>): number {
  let sum = 0;
  for (const balance of balances) sum += balance;
  return sum;
}

function isAmount(amount: number): boolean {
  return Number.isSafeInteger(amount) && amount > 0;
}

function badAmount(amount: number): Rejection {
  return reject('bad-amount', `expected a positive safe integer, received ${amount}`);
}

function unknownAccount(account: string): Rejection {
  return reject('unknown-account', `${account} is not open`);
}

function insufficientFunds(account: string, balance: number, amount: number): Rejection {
  return reject('insufficient-funds', `${account} holds ${balance}, ${amount} is needed`);
}
