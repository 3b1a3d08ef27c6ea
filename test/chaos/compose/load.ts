/** Callers outside of the containers: the admin API is the only way in, and they keep every answer. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { UnderstudyError } from '../../../replication/errors.js';
import type { AdminClient } from '../../../src/client/admin.js';
import { until } from '../../support/until.js';
import type { Answer, Ask, Asked } from './check.js';
import { accounts } from './check.js';

const callersEach = 6;
const everyMs = 40;
const tryMs = 3000;
/** Longer than any fault here: who is not answered in that time counts as forgotten. */
const giveUpMs = 180_000;
const readEvery = 5;

/** Answers of a node that could not ask the group: the same command is sent again. */
const passing = new Set([
  'timeout',
  'not-ready',
  'broker-unavailable',
  'overloaded',
  'unreachable',
]);

export class Load {
  /** By group. */
  readonly asked: ReadonlyMap<string, Asked[]>;
  /** What nobody may be told, whatever fails. */
  readonly failures: string[] = [];
  /** Tries that ended without an answer of the group. */
  missed = 0;
  readonly #callers: Caller[];
  #running: Promise<unknown> = Promise.resolve();

  constructor(groups: readonly string[], admin: (first: number) => AdminClient) {
    this.asked = new Map(groups.map((group) => [group, []]));
    let last = 0;
    const nextNumber = () => ++last;
    this.#callers = groups.flatMap((group) =>
      Array.from({ length: callersEach }, (_, i) => {
        return new Caller(this, { group, admin: admin(i), nextNumber, isOpener: i === 0 });
      }),
    );
  }

  get answered(): number {
    return [...this.asked.values()].reduce((sum, { length }) => sum + length, 0);
  }

  start(): void {
    this.#running = Promise.all(this.#callers.map((caller) => caller.run()));
  }

  /** Resolves when every caller has been answered `count` times more than now. */
  async round(count = 1): Promise<void> {
    const goals = this.#callers.map((caller) => caller.answered + count + 1);
    const isDone = () =>
      this.failures.length > 0 ||
      this.#callers.every(({ answered }, i) => answered >= (goals[i] as number));
    await until('every caller is answered again', isDone, giveUpMs);
    if (this.failures.length > 0) throw new Error(this.failures.join('\n'));
  }

  /** Resolves when each command that was begun has its answer. */
  async stop(): Promise<void> {
    for (const caller of this.#callers) caller.stop();
    await this.#running;
  }

  /** The longest time since `sinceMs` without an answer for a group. */
  longestStallMs(group: string, sinceMs: number): number {
    const returned = (this.asked.get(group) ?? []).map(({ returnedAt }) => returnedAt);
    const times = [sinceMs, ...returned.filter((at) => at > sinceMs).sort((a, b) => a - b)];
    return Math.max(...times.map((at, i) => at - (times[i - 1] ?? at)));
  }
}

interface CallerOptions {
  readonly group: string;
  readonly admin: AdminClient;
  readonly nextNumber: () => number;
  /** Who opens the accounts; the others are refused until then. */
  readonly isOpener: boolean;
}

class Caller {
  answered = 0;
  #stopping = false;
  readonly #session = randomUUID();
  #number = 0;

  constructor(
    private readonly load: Load,
    private readonly options: CallerOptions,
  ) {}

  stop(): void {
    this.#stopping = true;
  }

  async run(): Promise<void> {
    for (let turn = 0; !this.#stopping && this.load.failures.length === 0; turn++) {
      const ask = this.#next(turn);
      const calledAt = performance.now();
      const { answer, seq } = await this.#answerTo(ask, calledAt);
      const returnedAt = performance.now();
      this.load.asked.get(this.options.group)?.push({ ask, answer, seq, calledAt, returnedAt });
      this.answered += 1;
      await delay(everyMs);
    }
  }

  /** Amounts are numbers that no other command has, so that the log tells whose an event is. */
  #next(turn: number): Ask {
    const { isOpener, nextNumber } = this.options;
    const pick = (n: number) => accounts[n % accounts.length] as string;
    if (isOpener && turn < accounts.length) return { type: 'open', account: pick(turn) };
    const amount = nextNumber();
    if (turn % readEvery === 0) return { type: 'balance', account: pick(amount) };
    if (amount % 3 === 0) return { type: 'withdraw', account: pick(amount), amount };
    if (amount % 3 === 1) return { type: 'deposit', account: pick(amount + 1), amount };
    return { type: 'transfer', from: pick(amount), to: pick(amount + 1), amount };
  }

  /** The same command with the same number, at whichever node answers, until it is answered. */
  async #answerTo(ask: Ask, calledAt: number): Promise<{ answer: Answer | null; seq: number }> {
    const number = ask.type === 'balance' ? this.#number : ++this.#number;
    while (performance.now() < calledAt + giveUpMs) {
      try {
        return await this.#try(ask, number);
      } catch (error) {
        const { code = '' } = error as { code?: string };
        this.load.missed += 1;
        if (!passing.has(code)) this.load.failures.push(`${JSON.stringify(ask)}: ${error}`);
        if (!passing.has(code)) break;
        await delay(everyMs);
      }
    }
    if (performance.now() >= calledAt + giveUpMs) {
      this.load.failures.push(`${JSON.stringify(ask)}: no answer within ${giveUpMs} ms`);
    }
    return { answer: null, seq: 0 };
  }

  async #try(ask: Ask, number: number): Promise<{ answer: Answer; seq: number }> {
    const { group, admin } = this.options;
    if (ask.type === 'balance') {
      const args = { account: ask.account };
      const { value, seq } = await admin.query(group, { name: 'balance', args, timeoutMs: tryMs });
      return { answer: { code: null, balance: value as number | null }, seq };
    }
    const numbers = { session: this.#session, first: number, floor: number };
    const options = { timeoutMs: tryMs };
    const { results, seq } = await admin.deliverLines(group, JSON.stringify(ask), numbers, options);
    const [result] = results;
    if (result === undefined || seq === null) {
      throw new UnderstudyError('internal', `an answer without a result: ${JSON.stringify(ask)}`);
    }
    if ('code' in result) return { answer: { code: result.code, balance: null }, seq };
    const { balance = null } = (result.result ?? {}) as { balance?: number };
    return { answer: { code: null, balance }, seq: result.seq };
  }
}
