/** Every check is shown the violation that it is there for, and a history without any. */
import { expect, test } from 'vitest';
import type { Kind } from '../../../replication/kind.js';
import { checkGroup } from '../../../src/chaos/check/group.js';
import type { Decided, ReadLog } from '../../../src/chaos/check/log.js';
import type {
  DeliveryCall,
  DeliveryOutcome,
  History,
  ReadCall,
} from '../../../src/chaos/history.js';
import { ledger } from '../../../src/kinds/ledger.js';

const deposit = (amount: number) => ({ type: 'deposit', account: 'a', amount });
const open = { type: 'open', account: 'a' };

function delivery(
  id: string,
  command: unknown,
  at: number,
  outcome: DeliveryOutcome,
): DeliveryCall {
  const returnedAt = outcome.kind === 'accepted' || outcome.kind === 'rejected' ? at + 5 : Infinity;
  const who = { client: 'c', door: 'program', tries: 1 } as const;
  return { ...who, id, command, outcome, calledAt: at, returnedAt };
}

function told(seq: number, result: unknown = undefined): DeliveryOutcome {
  return { kind: 'accepted', seq, epoch: 1, result };
}

function read(at: number, seq: number, value: unknown, more: Partial<ReadCall> = {}): ReadCall {
  const who = { client: 'r', door: 'program', epoch: 1, member: 0 } as const;
  const asked = { query: 'balance', args: { account: 'a' }, consistency: 'linearizable' } as const;
  const when = { calledAt: at, returnedAt: at + 5, minSeq: 0 };
  return { ...who, ...asked, ...when, seq, value, ...more };
}

function decidedOf(id: string | null, seq: number, event: unknown, more: Partial<Decided> = {}) {
  const events = event === null ? [] : [event];
  return {
    ...{ id, seq, epoch: 1, recordedAtMs: 0, events, result: undefined, rejection: null },
    ...more,
  };
}

/** An account is opened, gets 5, then 7; in between somebody wants too much. */
function whatHappened(): { history: History; log: ReadLog } {
  const withdraw = { type: 'withdraw', account: 'a', amount: 100 };
  const deliveries = [
    delivery('k1', open, 0, told(1)),
    delivery('k2', deposit(5), 10, told(2, { balance: 5 })),
    delivery('k3', withdraw, 20, { kind: 'rejected', code: 'insufficient-funds' }),
    delivery('s/1', deposit(7), 30, told(3, { balance: 12 })),
    delivery('s/2', deposit(9), 40, { kind: 'unknown', code: 'timeout' }),
    delivery('k4', deposit(1), 40, { kind: 'not-taken', code: 'timeout' }),
  ];
  const reads = [
    read(16, 2, 5),
    read(36, 3, 12),
    read(50, 3, 12, { consistency: 'local' }),
    read(60, 2, 5, { consistency: 'standby', client: 'other' }),
  ];
  const log = [
    decidedOf('k1', 1, open),
    decidedOf('k2', 2, deposit(5), { result: { balance: 5 } }),
    decidedOf('k3', 2, null, { rejection: 'insufficient-funds' }),
    decidedOf('s/1', 3, deposit(7), { result: { balance: 12 } }),
  ];
  return {
    history: { group: 'g', deliveries, reads, unansweredReads: 0 },
    log: { decided: log, epochs: [{ epoch: 1, fromSeq: 0 }], records: 5, strangers: [], seq: 3 },
  };
}

type Parts = {
  deliveries: DeliveryCall[];
  reads: ReadCall[];
  decided: Decided[];
  epochs: number[];
};

/** What is found after `spoil` has had its way with what happened. */
function found(spoil: (parts: Parts) => void) {
  const { history, log } = whatHappened();
  const { deliveries, reads } = history;
  const parts = { deliveries, reads, decided: [...log.decided], epochs: [1] };
  spoil(parts);
  const epochs = parts.epochs.map((epoch) => ({ epoch, fromSeq: epoch === 1 ? 0 : 3 }));
  return checkGroup(ledger as Kind, history, { ...log, decided: parts.decided, epochs });
}

function outcomeOf(parts: Parts, id: string, outcome: DeliveryOutcome): void {
  const i = parts.deliveries.findIndex((one) => one.id === id);
  const call = parts.deliveries[i] as DeliveryCall;
  parts.deliveries[i] = delivery(id, call.command, call.calledAt, outcome);
}

test('what happened is right', () => {
  expect(found(() => undefined)).toEqual([]);
});

test('an unknown outcome may have happened, also long after it was asked', () => {
  const late = decidedOf('s/2', 4, deposit(9), { result: { balance: 21 } });
  expect(found(({ decided }) => decided.push(late))).toEqual([]);
});

test('a plain request that does not say what was seen is promised no session', () => {
  const plain = { door: 'nats', consistency: 'standby' } as const;
  expect(found(({ reads }) => reads.push(read(70, 2, 5, plain)))).toEqual([]);
});

test('an active that is deposed and does not know it may answer with what was true before', () => {
  const spoil = ({ epochs, reads, decided, deliveries }: Parts) => {
    epochs.push(2);
    decided.push(decidedOf('k5', 4, deposit(1), { epoch: 2, result: { balance: 13 } }));
    const outcome = { kind: 'accepted', seq: 4, epoch: 2, result: { balance: 13 } } as const;
    deliveries.push(delivery('k5', deposit(1), 60, outcome));
    reads.push(read(70, 3, 12, { consistency: 'local', client: 'new' }));
  };
  expect(found(spoil)).toEqual([]);
});

test.each<[string, string, RegExp, (parts: Parts) => void]>([
  [
    'acknowledged-in-log',
    'an acknowledged command that the log lacks',
    /s\/1 was acknowledged at seq 3 of epoch 1; the log lacks it/,
    ({ decided }) => decided.pop(),
  ],
  [
    'acknowledged-in-log',
    'an acknowledged command that is elsewhere',
    /k2 was acknowledged at seq 1 of epoch 1; the log has it at seq 2 of epoch 1/,
    (parts) => outcomeOf(parts, 'k2', told(1, { balance: 5 })),
  ],
  [
    'acknowledged-in-log',
    'an acknowledged command that the log refuses',
    /k3 was acknowledged .* the log refuses it \(insufficient-funds\)/,
    (parts) => outcomeOf(parts, 'k3', told(2)),
  ],
  [
    'acknowledged-in-log',
    'a refused command that is in the log',
    /k2 was refused \(no\), and the log has it at seq 2/,
    (parts) => outcomeOf(parts, 'k2', { kind: 'rejected', code: 'no' }),
  ],
  [
    'acknowledged-in-log',
    'a refusal that is not in the log',
    /k4 was refused \(no\); the log lacks that/,
    (parts) => outcomeOf(parts, 'k4', { kind: 'rejected', code: 'no' }),
  ],
  [
    'acknowledged-in-log',
    'a command that was said not to be taken',
    /k4 was said not to be taken \(timeout\), and the log has it at seq 4/,
    ({ decided }) => decided.push(decidedOf('k4', 4, deposit(1))),
  ],
  [
    'nothing-doubled',
    'a command that is in the log twice',
    /s\/1 is in the log at seq 3 and at 4/,
    ({ decided }) => decided.push(decidedOf('s/1', 4, deposit(7))),
  ],
  [
    'nothing-invented',
    'a command that nobody sent',
    /x is in the log at seq 4; no client sent it/,
    ({ decided }) => decided.push(decidedOf('x', 4, deposit(7))),
  ],
  [
    'nothing-invented',
    'a command of nobody, of a kind without machines',
    /a command of nobody is in the log at seq 4/,
    ({ decided }) => decided.push(decidedOf(null, 4, deposit(7))),
  ],
  [
    'epochs',
    'an epoch that was left out',
    /epoch 3 follows epoch 1/,
    ({ epochs }) => epochs.push(3),
  ],
  [
    'epochs',
    'a record of an epoch that was over',
    /seq 4 is of epoch 1, after records of 2/,
    ({ decided, epochs, deliveries }) => {
      epochs.push(2);
      decided.push(decidedOf('s/2', 4, deposit(9), { epoch: 2 }));
      deliveries.push(delivery('k5', deposit(2), 70, { kind: 'unknown', code: 'timeout' }));
      decided.push(decidedOf('k5', 4, deposit(2)));
    },
  ],
  [
    'session',
    'a read that goes back behind what its client was told',
    /r had been told of seq 3, and member 0 answered its standby read from seq 2/,
    ({ reads }) => reads.push(read(70, 2, 5, { consistency: 'standby' })),
  ],
  [
    'session',
    'a read that is older than it was asked to be',
    /had been told of seq 3, and member 0 answered its local read from seq 2/,
    ({ reads }) => reads.push(read(70, 2, 5, { consistency: 'local', client: 'new', minSeq: 3 })),
  ],
  [
    'session',
    'a local read of an active that had told more, asked without saying what was seen',
    /member 0 answered a local read of new from seq 2 of epoch 1, when .* told of seq 3 in epoch 1/,
    ({ reads }) =>
      reads.push(read(70, 2, 5, { consistency: 'local', client: 'new', door: 'http' })),
  ],
  [
    'session',
    'a local read of an active that had not taken over everything',
    /from seq 2 of epoch 3, when somebody had been told of seq 3 in epoch 1/,
    ({ epochs, reads }) => {
      epochs.splice(0, 1, 1, 2, 3);
      reads.push(read(70, 2, 5, { consistency: 'local', client: 'new', epoch: 3 }));
    },
  ],
  [
    'session',
    'a read of an epoch that the log does not have',
    /standby read of new from seq 3 of epoch 2, which the log does not have/,
    ({ reads }) => reads.push(read(70, 3, 12, { consistency: 'standby', client: 'new', epoch: 2 })),
  ],
  [
    'session',
    'a read of a seq that its epoch does not have',
    /from seq 2 of epoch 2, which the log has from seq 3 to seq Infinity/,
    ({ epochs, reads }) => {
      epochs.push(2);
      reads.push(read(70, 2, 5, { consistency: 'standby', client: 'new', epoch: 2 }));
    },
  ],
  [
    'linearizable',
    'a result that a replay does not give',
    /k2 was given another answer than the log gives/,
    (parts) => outcomeOf(parts, 'k2', told(2, { balance: 6 })),
  ],
  [
    'linearizable',
    'a refusal for another reason than the state gives',
    /k3 saw another state than the log gives/,
    (parts) => outcomeOf(parts, 'k3', { kind: 'rejected', code: 'unknown-account' }),
  ],
  [
    'linearizable',
    'a log that holds another event than the kind decides',
    /s\/1 was given another answer than the log gives/,
    ({ decided }) =>
      decided.splice(3, 1, decidedOf('s/1', 3, deposit(8), { result: { balance: 12 } })),
  ],
  [
    'linearizable',
    'a standby that shows what never was',
    /standby read .* saw another state than the log gives/,
    ({ reads }) => reads.push(read(70, 2, 6, { consistency: 'standby', client: 'new' })),
  ],
  [
    'linearizable',
    'a linearizable read from before what had been acknowledged',
    /linearizable read .* stands before .*, which had returned when it was called/,
    ({ reads }) => reads.push(read(70, 2, 5, { client: 'new' })),
  ],
  [
    'linearizable',
    'a read of what the log does not reach',
    /saw 9, the log ends at 3/,
    ({ reads }) => reads.push(read(70, 9, 12, { client: 'new' })),
  ],
])('%s: %s', (check, _, detail, spoil) => {
  const violations = found(spoil);
  expect([...new Set(violations.map((one) => one.check))]).toEqual([check]);
  const details = violations.map((one) => one.detail);
  expect(details).toContainEqual(expect.stringMatching(detail));
});
