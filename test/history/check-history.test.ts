import { describe, expect, it } from 'vitest';
import {
  checkHistory,
  type Logged,
  type Model,
  type Operation,
} from '../../src/chaos/check/check-history.js';
import { type Random, seededRandom } from '../support/scheduler.js';
import { isLinearizable } from './brute-force.js';

/** Few states, so that wrong histories look right now and then. */
const model: Model<number, number, number> = {
  init: () => 0,
  apply: (state, n) => [(state + n) % 3, (state + n) % 3],
  look: (state) => state,
  isSame: (one, other) => one === other,
};

interface History {
  operations: Operation<number, number>[];
  log: Logged<number>[];
}

/** A history that happened: every operation takes effect at one moment between call and return. */
function happened(random: Random): History {
  const operations: Operation<number, number>[] = [];
  const log: Logged<number>[] = [];
  let state = 0;
  let position = 0;
  const count = 1 + random.below(8);
  for (let i = 0; i < count; i++) {
    const command = random.below(3);
    const kind = random.chance(0.6) ? 'written' : 'looked';
    if (kind === 'written') {
      const size = 1 + random.below(2);
      position += size;
      [state] = model.apply(state, command);
      log.push({ id: `o${i}`, position, size, command });
    }
    if (random.chance(0.05)) continue;
    const span = random.below(40);
    operations.push({
      id: `o${i}`,
      command,
      calledAt: i * 10 - random.below(span + 1),
      returnedAt: i * 10 + random.below(span + 1),
      outcome: random.chance(0.15) ? { kind: 'unknown' } : { kind, position, answer: state },
    });
  }
  return { operations, log };
}

type Damage = (history: History, random: Random) => void;

function alterOne(
  { operations }: History,
  random: Random,
  alter: (operation: Operation<number, number>) => Partial<Operation<number, number>>,
): void {
  const at = random.below(operations.length);
  const operation = operations[at];
  if (operation !== undefined) operations[at] = { ...operation, ...alter(operation) };
}

function withOutcome(change: { position: number; answer: number }): Damage {
  return (history, random) =>
    alterOne(history, random, ({ outcome }) => {
      if (outcome.kind === 'unknown') return {};
      const position = Math.max(0, outcome.position + change.position);
      return { outcome: { ...outcome, position, answer: (outcome.answer + change.answer) % 3 } };
    });
}

const nothing: Damage = () => undefined;
const forget: Damage = (history, random) => {
  alterOne(history, random, () => ({ outcome: { kind: 'unknown' } }));
};

const damages: Readonly<Record<string, Damage>> = {
  'another time': (history, random) => {
    const byMs = random.below(80) - 40;
    alterOne(history, random, ({ calledAt, returnedAt }) => ({
      calledAt: calledAt + byMs,
      returnedAt: returnedAt + byMs,
    }));
  },
  'another answer': withOutcome({ position: 0, answer: 1 }),
  'a later position': withOutcome({ position: 1, answer: 0 }),
  'an earlier position': withOutcome({ position: -1, answer: 0 }),
  'a change taken for none': (history, random) => {
    alterOne(history, random, ({ outcome }) =>
      outcome.kind === 'unknown' ? {} : { outcome: { ...outcome, kind: 'looked' } },
    );
  },
  'two that changed places': ({ log }, random) => {
    const at = random.below(log.length);
    const [one, other] = log.slice(at, at + 2);
    if (one === undefined || other === undefined) return;
    const position = one.position - one.size + other.size;
    log.splice(at, 2, { ...other, position }, { ...one, position: other.position });
  },
  'a lost entry': ({ log }, random) => {
    log.splice(random.below(log.length), 1);
  },
  'an entry lost at the end': ({ log }) => {
    log.pop();
  },
  'an entry stored twice': ({ log }, random) => {
    const entry = log[random.below(log.length)];
    const end = log.at(-1)?.position ?? 0;
    if (entry !== undefined) log.push({ ...entry, position: end + entry.size });
  },
};

function severalOf(all: readonly Damage[]): Damage {
  return (history, random) => {
    const count = 1 + random.below(3);
    for (let i = 0; i < count; i++) all[random.below(all.length)]?.(history, random);
  };
}

function compare(damage: Damage, histories: number, label: string): { ok: number; wrong: number } {
  const random = seededRandom(`histories/${label}`);
  const verdicts = { ok: 0, wrong: 0 };
  for (let i = 0; i < histories; i++) {
    const history = happened(random);
    damage(history, random);
    const { operations, log } = history;
    const verdict = checkHistory(operations, log, model);
    if (verdict.ok !== isLinearizable(operations, log, model)) {
      throw new Error(`${label} ${i}: ${JSON.stringify({ verdict, operations, log }, null, 1)}`);
    }
    verdicts[verdict.ok ? 'ok' : 'wrong'] += 1;
  }
  return verdicts;
}

describe('checking a history by sorting', () => {
  const histories = 2000;

  it.each([
    ['what happened', nothing],
    ['what happened, one answer less', forget],
  ])('takes it for linearizable, as trying every order does: %s', (name, damage) => {
    expect(compare(damage, histories, name)).toEqual({ ok: histories, wrong: 0 });
  });

  it.each(Object.entries(damages))('agrees with trying every order: %s', (name, damage) => {
    const { ok, wrong } = compare(damage, histories, name);
    expect(wrong).toBeGreaterThan(histories / 20);
    expect(ok).toBeGreaterThan(histories / 20);
  });

  it('agrees with trying every order: several at once', () => {
    const { ok, wrong } = compare(
      severalOf([...Object.values(damages), forget]),
      20_000,
      'several',
    );
    expect(wrong).toBeGreaterThan(4000);
    expect(ok).toBeGreaterThan(4000);
  });

  const write = (id: string, at: [number, number], position: number, answer: number) => ({
    id,
    command: 1,
    calledAt: at[0],
    returnedAt: at[1],
    outcome: { kind: 'written' as const, position, answer },
  });
  const look = (id: string, at: [number, number], position: number, answer: number) => ({
    ...write(id, at, position, answer),
    outcome: { kind: 'looked' as const, position, answer },
  });
  const log = [
    { id: 'a', position: 1, size: 1, command: 1 },
    { id: 'b', position: 3, size: 2, command: 1 },
  ];

  it('says which operation stands before one that had returned', () => {
    const stale = look('c', [20, 30], 0, 0);
    const verdict = checkHistory([write('a', [0, 10], 1, 1), stale], log, model);
    expect(verdict).toMatchObject({ ok: false, id: 'c', reason: expect.stringContaining('a') });
  });

  it('takes operations that touch for concurrent', () => {
    const verdict = checkHistory(
      [write('a', [0, 10], 1, 1), look('c', [10, 30], 0, 0)],
      log,
      model,
    );
    expect(verdict).toEqual({ ok: true });
  });

  it('says that an acknowledged write is not in the log', () => {
    const verdict = checkHistory([write('z', [0, 10], 1, 1)], log, model);
    expect(verdict).toMatchObject({ ok: false, id: 'z' });
  });

  it('says that a look saw one of two changes that belong together', () => {
    const verdict = checkHistory([look('c', [0, 100], 2, 1)], log, model);
    expect(verdict).toMatchObject({ ok: false, id: 'c' });
  });

  it('checks a history of fifty thousand operations', () => {
    const operations = Array.from({ length: 50_000 }, (_, i) =>
      write(`o${i}`, [i * 10, i * 10 + 25], i + 1, (i + 1) % 3),
    );
    const entries = operations.map(({ id, command }, i) => ({
      id,
      position: i + 1,
      size: 1,
      command,
    }));
    expect(checkHistory(operations, entries, model)).toEqual({ ok: true });
  });
});
