/** The groups of a run and what is asked of them. No two commands to a group are equal. */
import type { Kind } from '../../../replication/kind.js';
import { counter } from '../../kinds/counter.js';
import { kv } from '../../kinds/kv.js';
import { ledger } from '../../kinds/ledger.js';
import type { Chance } from '../chance.js';

export interface Query {
  readonly name: string;
  readonly args: unknown;
}

export interface GroupLoad {
  readonly name: string;
  readonly kind: Kind;
  readonly standby: 'warm' | 'hot';
  /** When its snapshots are cut; absent: now and then. */
  readonly sync?: { readonly everyEvents: number; readonly everyMs: number };
  /** The `n`-th command to the group, from 1. */
  command(n: number, chance: Chance): unknown;
  /** Null: the kind answers none that could be asked without knowing it. */
  query(chance: Chance): Query | null;
  /** What shows the state of a member as a whole, or as much of it as a query shows. */
  readonly wholes: readonly Query[];
}

const accounts = Array.from({ length: 12 }, (_, i) => `account-${i}`);
const keys = Array.from({ length: 200 }, (_, i) => `key-${i}`);

/** Amounts are numbers of commands, so that nearly every answer depends on the order of all. */
function ledgerCommand(n: number, chance: Chance): unknown {
  const account = accounts[n - 1];
  if (account !== undefined) return { type: 'open', account };
  const draw = chance.next();
  const from = chance.pick(accounts);
  if (draw < 0.5) return { type: 'deposit', account: from, amount: n };
  if (draw < 0.75) return { type: 'withdraw', account: from, amount: n };
  return { type: 'transfer', from, to: chance.pick(accounts), amount: n };
}

function kvCommand(n: number, chance: Chance): unknown {
  const key = chance.pick(keys);
  if (chance.happens(0.1)) return { type: 'delete', key };
  return { type: 'set', key, value: { n, text: `value ${n}` } };
}

const counting = { kind: counter, command: (n: number) => ({ by: n }) };
const get = { name: 'get', args: undefined };

export const shippedLoads: readonly GroupLoad[] = [
  { ...counting, name: 'counter-warm', standby: 'warm', query: () => get, wholes: [get] },
  { ...counting, name: 'counter-hot', standby: 'hot', query: () => get, wholes: [get] },
  {
    name: 'ledger-hot',
    kind: ledger,
    standby: 'hot',
    command: ledgerCommand,
    query: (chance) =>
      chance.happens(0.3)
        ? { name: 'totals', args: undefined }
        : { name: 'balance', args: { account: chance.pick(accounts) } },
    wholes: [
      { name: 'totals', args: undefined },
      ...accounts.map((account) => ({ name: 'balance', args: { account } })),
    ],
  },
  {
    name: 'kv-warm',
    kind: kv,
    standby: 'warm',
    command: kvCommand,
    query: (chance) => ({ name: 'get', args: { key: chance.pick(keys) } }),
    wholes: [
      { name: 'size', args: undefined },
      { name: 'range', args: { limit: 1000 } },
    ],
  },
];
