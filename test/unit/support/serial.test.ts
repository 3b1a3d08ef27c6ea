import { describe, expect, it } from 'vitest';
import type { EventEntry } from '../../../src/admin/backend.js';
import { ledger } from '../../../src/kinds/ledger.js';
import type { Outcome } from '../../support/load.js';
import { checkSerial } from '../../support/serial.js';

const open = { type: 'open', account: 'a' };
const deposit = { type: 'deposit', account: 'a', amount: 5 };
const withdraw = { type: 'withdraw', account: 'a', amount: 3 };
const tooMuch = { type: 'withdraw', account: 'a', amount: 9 };

const events: EventEntry[] = [open, deposit, withdraw].map((event, i) => ({
  seq: i + 1,
  epoch: 1,
  at: '',
  event,
}));

/** Called and returned one after the other. */
const at = (step: number) => ({ calledAt: step * 10, returnedAt: step * 10 + 5 });

function accepted(command: object, seq: number, result?: unknown): Outcome {
  const answer = { command, seq, epoch: 1, result };
  return { command, code: null, detail: null, accepted: answer, ...at(seq) };
}

function refused(detail: string, step: number): Outcome {
  const code = 'insufficient-funds';
  return { command: tooMuch, code, detail, accepted: null, ...at(step) };
}

const told: readonly Outcome[] = [
  accepted(open, 1),
  accepted(deposit, 2, { balance: 5 }),
  accepted(withdraw, 3, { balance: 2 }),
];
const check = (outcomes: readonly Outcome[], log = events) => checkSerial(ledger, log, outcomes);

describe('the serial check', () => {
  it('holds when every answer is that of the replay, refusals included', () => {
    check([...told, refused('a holds 5, 9 is needed', 2.6)]);
    check([...told, refused('a holds 2, 9 is needed', 4)]);
  });

  it('sees a result that the replay does not give', () => {
    const wrong = accepted(deposit, 2, { balance: 6 });
    expect(() => check([told[0] as Outcome, wrong, told[2] as Outcome])).toThrow();
  });

  it('sees a refusal that no state explains', () => {
    expect(() => check([...told, refused('a holds 4, 9 is needed', 2.6)])).toThrow('no state');
  });

  it('sees a refusal on a state that was past when it was asked for', () => {
    expect(() => check([...told, refused('a holds 5, 9 is needed', 4)])).toThrow('no state');
  });

  it('sees a refusal on a state that came after it was answered', () => {
    expect(() => check([...told, refused('a holds 2, 9 is needed', 1.6)])).toThrow();
  });

  it('sees what is lost, doubled, moved, and what nobody sent', () => {
    const one = events.slice(0, 2);
    expect(() => check(told, one)).toThrow();
    expect(() => check(told.slice(0, 2))).toThrow();
    expect(() => check(told, [...events, { seq: 4, epoch: 1, at: '', event: withdraw }])).toThrow();
    const moved = [events[0], { ...events[2], seq: 2 }, { ...events[1], seq: 3 }];
    expect(() => check(told, moved as EventEntry[])).toThrow();
  });
});
