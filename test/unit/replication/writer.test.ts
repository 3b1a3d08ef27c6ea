import { describe, expect, it, test } from 'vitest';
import { epoch, position, seq } from '../../../replication/ids.js';
import type { AppendOutcome, ReadOutcome } from '../../../replication/ports.js';
import { encodeRecord, type LogRecord, recordVersion } from '../../../replication/record.js';
import { type Tip, tipOf } from '../../../replication/replica.js';
import { signed } from '../../../replication/signature.js';
import {
  newWriter,
  onAppend,
  onRead,
  onTick,
  send,
  type Writer,
  type WriterStep,
  writerWakeAtMs,
} from '../../../replication/writer.js';
import { simulatedIdentity } from '../../simulation/identity.js';
import { bodies, sample } from './samples.js';
import { after, hash, judge } from './support.js';

const last = sample(bodies.barrier);
const lastBytes = encodeRecord(last);
const tip: Tip = tipOf(last, lastBytes, position(10), hash);
const mine = after(last, lastBytes, { type: 'barrier', opened: null, mark: null });
const mineBytes = encodeRecord(mine);
const forged: LogRecord = {
  ...after(last, lastBytes, bodies.claim),
  epoch: epoch(3),
  number: 0,
  writer: { index: 0, node: 'rival', incarnation: '1' },
};
const rival = signed(forged, { ...judge, identity: simulatedIdentity(0) });
const stranger = encodeRecord({ ...rival, previous: hash(Uint8Array.of(7)) });

function sent(): Writer {
  const writer = newWriter(tip, { next: 1, peers: [] }, { ...judge, hash });
  send(writer, mine, mineBytes);
  return writer;
}

const call = (writer: Writer) => writer.inFlight?.call ?? -1;
const appended = (writer: Writer, outcome: AppendOutcome, nowMs = 0): WriterStep =>
  onAppend(writer, call(writer), outcome, nowMs);
const read = (writer: Writer, outcome: ReadOutcome, nowMs = 0): WriterStep =>
  onRead(writer, call(writer), outcome, nowMs);
const found = (bytes: Uint8Array, at = 11): ReadOutcome => ({
  kind: 'record',
  record: { position: position(at), bytes },
});

const again = {
  effects: [{ kind: 'append', call: 2, bytes: mineBytes, expected: 10 }],
  events: [],
};
const look = { effects: [{ kind: 'read-next', call: 2, after: 10 }], events: [] };
const quiet = { effects: [], events: [] };

describe('what became of an append', () => {
  it('stored: it is committed at that position', () => {
    const writer = sent();
    const step = appended(writer, { kind: 'stored', position: position(12) });
    expect(step.events).toEqual([{ kind: 'committed', record: mine, sizeBytes: mineBytes.length }]);
    expect(writer.tip).toEqual(tipOf(mine, mineBytes, position(12), hash));
    expect(writer.inFlight).toBeNull();
  });

  test.each<[AppendOutcome, 'append' | 'read' | null]>([
    [{ kind: 'wrong-last' }, null],
    [{ kind: 'unknown' }, null],
    [{ kind: 'busy' }, 'read'],
    [{ kind: 'not-stored' }, 'append'],
    [{ kind: 'refused', reason: 'the store is full' }, 'append'],
  ])('%j', (outcome, afterPause) => {
    const writer = sent();
    const step = appended(writer, outcome, 100);
    if (afterPause === null) {
      expect(step).toEqual(look);
      return;
    }
    expect(step).toEqual(quiet);
    expect(writerWakeAtMs(writer)).toBe(105);
    expect(onTick(writer, 104)).toEqual(quiet);
    expect(onTick(writer, 105)).toEqual(afterPause === 'append' ? again : look);
  });

  it('says why it stalls, until it does not', () => {
    const writer = sent();
    appended(writer, { kind: 'refused', reason: 'the store is full' });
    expect(writer.stalled).toBe('the store is full');
    onTick(writer, 1000);
    appended(writer, { kind: 'stored', position: position(11) });
    expect(writer.stalled).toBeNull();
  });

  test.each<AppendOutcome>([
    { kind: 'stored', position: position(11) },
    { kind: 'wrong-last' },
    { kind: 'unknown' },
  ])('is not taken from a call nobody waits for: %j', (outcome) => {
    const writer = sent();
    expect(onAppend(writer, 99, outcome, 0)).toEqual(quiet);
    expect(writer.inFlight).not.toBeNull();
  });
});

describe('what is read where the append should be', () => {
  function reading(): Writer {
    const writer = sent();
    appended(writer, { kind: 'unknown' });
    return writer;
  }

  it('my own record: committed', () => {
    const writer = reading();
    expect(read(writer, found(mineBytes)).events).toEqual([
      { kind: 'committed', record: mine, sizeBytes: mineBytes.length },
    ]);
    expect(writer.tip.position).toBe(11);
  });

  it('a record that continues the log: fenced', () => {
    const writer = reading();
    const bytes = encodeRecord(rival);
    expect(read(writer, found(bytes)).events).toEqual([
      { kind: 'fenced', by: rival, at: 11, bytes },
    ]);
    expect(writer.inFlight).toBeNull();
  });

  test.each<[string, Uint8Array]>([
    ['a record that does not continue it', stranger],
    ['a claim that its writer did not sign', encodeRecord(forged)],
    ['no record at all', Uint8Array.of(1, 2, 3)],
    ['the record before mine once more', lastBytes],
  ])('%s: stepped over, and the same bytes sent behind it', (_, bytes) => {
    const writer = reading();
    const step = read(writer, found(bytes));
    expect(step.events).toMatchObject([{ kind: 'foreign', at: 11 }]);
    expect(step.effects).toEqual([{ kind: 'append', call: 3, bytes: mineBytes, expected: 11 }]);
    expect(writer.tip).toEqual({ ...tip, position: 11 });
  });

  it('a record of a later version of this program: it must stop', () => {
    const writer = reading();
    const later = Uint8Array.from(encodeRecord({ ...rival, previous: tip.hash }));
    later[1] = recordVersion + 1;
    expect(read(writer, found(later)).events).toEqual([
      {
        kind: 'outdated',
        problem: `record version ${recordVersion + 1}, this program reads ${recordVersion}`,
      },
    ]);
    expect(writer.inFlight).toBeNull();
  });

  it('nothing: the same record goes again, with the same expectation', () => {
    const writer = reading();
    expect(read(writer, { kind: 'none' })).toEqual(quiet);
    expect(onTick(writer, 1000).effects).toEqual([{ ...again.effects[0], call: 3 }]);
  });

  it('no answer: it looks again', () => {
    const writer = reading();
    expect(read(writer, { kind: 'failed', reason: 'no leader' })).toEqual(quiet);
    expect(writer.stalled).toBe('no leader');
    expect(onTick(writer, 1000).effects).toEqual([{ ...look.effects[0], call: 3 }]);
  });
});

it('pauses longer and longer, up to a quarter of a second', () => {
  const writer = sent();
  const pauses: number[] = [];
  for (let nowMs = 0; pauses.length < 9; ) {
    appended(writer, { kind: 'not-stored' }, nowMs);
    pauses.push(writerWakeAtMs(writer) - nowMs);
    nowMs = writerWakeAtMs(writer);
    onTick(writer, nowMs);
  }
  expect(pauses).toEqual([5, 10, 20, 40, 80, 160, 250, 250, 250]);
});

it('refuses a second record while the fate of one is unknown', () => {
  const writer = sent();
  expect(() => send(writer, mine, mineBytes)).toThrow(/W1/);
  appended(writer, { kind: 'unknown' });
  expect(() => send(writer, mine, mineBytes)).toThrow(/W1/);
});

it('takes a late acknowledgement of a resend for what it is', () => {
  const writer = sent();
  const first = call(writer);
  appended(writer, { kind: 'unknown' });
  read(writer, { kind: 'none' });
  onTick(writer, 1000);
  expect(onAppend(writer, first, { kind: 'stored', position: position(11) }, 1000)).toEqual(quiet);
  appended(writer, { kind: 'wrong-last' }, 1000);
  expect(read(writer, found(mineBytes)).events).toMatchObject([{ kind: 'committed' }]);
  expect(writer.tip.seq).toBe(seq(41));
});
