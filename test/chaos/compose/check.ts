/** What the callers were told, against the log: decided here once more, without the kind's code. */
import {
  checkHistory,
  type Logged,
  type Model,
  type Operation,
} from '../../../src/chaos/check/check-history.js';

export const accounts = Array.from({ length: 8 }, (_, i) => `account-${i}`);

export type Command =
  | { readonly type: 'open'; readonly account: string }
  | { readonly type: 'deposit' | 'withdraw'; readonly account: string; readonly amount: number }
  | {
      readonly type: 'transfer';
      readonly from: string;
      readonly to: string;
      readonly amount: number;
    };

export type Ask = Command | { readonly type: 'balance'; readonly account: string };

export interface Answer {
  /** Why it was refused; null: it was not. */
  readonly code: string | null;
  readonly balance: number | null;
}

export interface Asked {
  readonly ask: Ask;
  /** Null: none came. */
  readonly answer: Answer | null;
  /** The state that the answer tells of. */
  readonly seq: number;
  readonly calledAt: number;
  readonly returnedAt: number;
}

export interface LogEntry {
  readonly seq: number;
  readonly epoch: number;
  readonly event: unknown;
}

type Balances = Map<string, number>;

const granted = (balance: number | null): Answer => ({ code: null, balance });
const refused = (code: string): Answer => ({ code, balance: null });

function decide(balances: Balances, ask: Ask): Answer {
  switch (ask.type) {
    case 'balance':
      return granted(balances.get(ask.account) ?? null);
    case 'open':
      return balances.has(ask.account) ? refused('account-exists') : granted(null);
    case 'deposit':
    case 'withdraw': {
      const balance = balances.get(ask.account);
      if (balance === undefined) return refused('unknown-account');
      const after = balance + (ask.type === 'deposit' ? ask.amount : -ask.amount);
      return after < 0 ? refused('insufficient-funds') : granted(after);
    }
    case 'transfer': {
      const [from, to] = [balances.get(ask.from), balances.get(ask.to)];
      if (from === undefined || to === undefined) return refused('unknown-account');
      return from < ask.amount ? refused('insufficient-funds') : granted(null);
    }
  }
}

function book(balances: Balances, ask: Ask): void {
  const add = (account: string, amount: number) =>
    balances.set(account, (balances.get(account) ?? 0) + amount);
  if (ask.type === 'open') add(ask.account, 0);
  if (ask.type === 'deposit') add(ask.account, ask.amount);
  if (ask.type === 'withdraw') add(ask.account, -ask.amount);
  if (ask.type !== 'transfer') return;
  add(ask.from, -ask.amount);
  add(ask.to, ask.amount);
}

const model: Model<Balances, Ask, Answer> = {
  init: () => new Map(),
  apply(balances, ask) {
    const answer = decide(balances, ask);
    book(balances, ask);
    return [balances, answer];
  },
  look: decide,
  isSame: (one, other) => one.code === other.code && one.balance === other.balance,
};

/** I1 to I4 for one group. Returns what is wrong. */
export function violationsIn(asked: readonly Asked[], log: readonly LogEntry[]): string[] {
  const commands = new Set(asked.map(({ ask }) => idOf(ask)));
  const wrong: string[] = [];
  let epoch = 0;
  for (const entry of log) {
    const id = idOf(entry.event as Command);
    if (!commands.has(id)) wrong.push(`${id} is in the log at ${entry.seq}; nobody asked for it`);
    if (entry.epoch < epoch) wrong.push(`${entry.seq} is of epoch ${entry.epoch}, after ${epoch}`);
    epoch = entry.epoch;
  }
  const logged = log.map(({ seq, event }): Logged<Ask> => {
    const command = event as Command;
    return { id: idOf(command), position: seq, size: 1, command };
  });
  const verdict = checkHistory(asked.flatMap(operationOf), logged, model);
  return verdict.ok ? wrong : [...wrong, `${verdict.id} ${verdict.reason}`];
}

/** Every part of a command is in it: what is stored otherwise than it was sent is nobody's. */
function idOf(ask: Ask): string {
  return JSON.stringify(Object.entries(ask).sort(([one], [other]) => (one < other ? -1 : 1)));
}

function operationOf({ ask, answer, seq, ...times }: Asked, i: number): Operation<Ask, Answer>[] {
  const isRead = ask.type === 'balance';
  if (answer === null && isRead) return [];
  const id = isRead ? `read ${i}` : idOf(ask);
  if (answer === null) return [{ id, command: ask, ...times, outcome: { kind: 'unknown' } }];
  const kind = isRead || answer.code !== null ? 'looked' : 'written';
  return [{ id, command: ask, ...times, outcome: { kind, position: seq, answer } }];
}
