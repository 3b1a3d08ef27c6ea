/** Work for a ledger, and what must come of it: decided without the kind's code. */
import type { Outcome } from './load.js';

const accounts = 5;

/** Every caller moves money between accounts of its own, so that its answers depend on it alone. */
export function ledgerCommand(caller: number, n: number): object {
  const own = (i: number) => `caller-${caller}-${i % accounts}`;
  if (n < accounts) return { type: 'open', account: own(n) };
  if (n % 9 === 0) return { type: 'withdraw', account: 'nobody', amount: n };
  if (n % 3 === 0) return { type: 'withdraw', account: own(n), amount: 1 };
  if (n % 3 === 1) return { type: 'deposit', account: own(n + 1), amount: 1000 + n };
  return { type: 'transfer', from: own(n), to: own(n + 1), amount: 7 };
}

interface Command {
  readonly type: string;
  readonly account?: string;
  readonly from?: string;
  readonly to?: string;
  readonly amount: number;
}

export interface SecondOpinion {
  /** What each command must have been answered: a rejection's code, or null. */
  readonly codes: readonly (string | null)[];
  readonly totals: {
    readonly accounts: number;
    readonly sum: number;
    readonly deposited: number;
    readonly withdrawn: number;
  };
}

export function secondOpinion(outcomes: readonly Outcome[]): SecondOpinion {
  const balances = new Map<string, number>();
  const total = { deposited: 0, withdrawn: 0 };
  const codes = outcomes.map(({ command }) => book(command as Command, balances, total));
  const sum = [...balances.values()].reduce((a, b) => a + b, 0);
  return { codes, totals: { accounts: balances.size, sum, ...total } };
}

function book(
  { type, account, from = account, to = account, amount }: Command,
  balances: Map<string, number>,
  total: { deposited: number; withdrawn: number },
): string | null {
  if (type === 'open') balances.set(account as string, 0);
  if (type === 'open') return null;
  const [payer, payee] = [type === 'deposit' ? null : from, type === 'withdraw' ? null : to];
  for (const [name, change] of [[payer, -amount] as const, [payee, amount] as const]) {
    if (!name) continue;
    const balance = balances.get(name);
    if (balance === undefined) return 'unknown-account';
    if (balance + change < 0) return 'insufficient-funds';
    balances.set(name, balance + change);
  }
  if (type === 'deposit') total.deposited += amount;
  if (type === 'withdraw') total.withdrawn += amount;
  return null;
}
