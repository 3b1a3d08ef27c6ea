/** What a log that was read back says was decided, and which of its records do not belong. */
import { expect, test } from 'vitest';
import { encodeValue, joinCommands } from '../../../replication/batch.js';
import { epoch, position, seq } from '../../../replication/ids.js';
import { encodeRecord, type LogRecord, type RecordedRun } from '../../../replication/record.js';
import { interpret } from '../../../src/chaos/check/log.js';
import { sha256 } from '../../../src/sha256.js';

const writer = { index: 0, node: 'n', incarnation: 'i' };
const judge = { groupId: 'g', identity: { verify: () => true } };

const run = (more: Partial<RecordedRun>): RecordedRun => ({
  ...{ session: null, floor: 1, first: 1, count: 1, keys: null, eventCounts: null },
  ...{ results: null, rejections: null },
  ...more,
});

/** A log that begins with a claim; each of the others has these runs and so many events. */
function logOf(...records: { runs: RecordedRun[]; events: number }[]) {
  let previous: Uint8Array = new Uint8Array(0);
  let baseSeq = 0;
  const append = (number: number, body: LogRecord['body'], events: number) => {
    const record: LogRecord = {
      ...{
        epoch: epoch(1),
        number,
        writer,
        previous,
        recordedAtMs: 5,
        signature: new Uint8Array(64),
      },
      ...{ baseSeq: seq(baseSeq), seq: seq(baseSeq + events) },
      ...{ snapshotPosition: position(0), snapshotSeq: seq(0), body },
    };
    const bytes = encodeRecord(record);
    previous = sha256(bytes);
    baseSeq += events;
    return { position: position(number + 1), bytes };
  };
  const times = { startedAtMs: 0, detectMs: 0, decideMs: 0 };
  const claim = append(0, { type: 'claim', cause: 'created', operation: null, ...times }, 0);
  const others = records.map(({ runs, events }, i) => {
    const blob = joinCommands(Array.from({ length: events }, (_, n) => encodeValue({ n })));
    return append(i + 1, { type: 'events', kindVersion: 1, runs, blob }, events);
  });
  return [claim, ...others];
}

test('a command is found by its key or its number, with its events and what it was told', () => {
  const runs = [
    run({ keys: ['a', null, 'c'], session: 's', first: 4, count: 3, eventCounts: [1, 2, 0] }),
    run({ keys: ['d'], rejections: [[0, 'no', 'because']] }),
    run({ results: ['r'] }),
  ];
  const { decided, epochs, seq: end } = interpret(logOf({ runs, events: 4 }), judge);
  expect(decided.map(({ id, seq, rejection, result }) => [id, seq, rejection, result])).toEqual([
    ['a', 1, null, undefined],
    ['s/5', 3, null, undefined],
    ['c', 3, null, undefined],
    ['d', 3, 'no', undefined],
    [null, 4, null, 'r'],
  ]);
  expect(decided[1]?.events).toEqual([{ n: 1 }, { n: 2 }]);
  expect([epochs, end]).toEqual([[{ epoch: 1, fromSeq: 0 }], 4]);
});

test('a key that only was answered again is no second command; with events it is', () => {
  const first = { runs: [run({ keys: ['a'] })], events: 1 };
  const again = { runs: [run({ keys: ['a'], eventCounts: [0] })], events: 0 };
  expect(interpret(logOf(first, again), judge).decided).toHaveLength(1);
  expect(interpret(logOf(first, first), judge).decided.map(({ id }) => id)).toEqual(['a', 'a']);
});

test('a record that does not continue the log changes nothing, and is told of', () => {
  const [claim, ...rest] = logOf({ runs: [run({ keys: ['a'] })], events: 1 });
  const [, strange] = logOf(
    { runs: [run({ keys: ['x'] })], events: 1 },
    { runs: [run({ keys: ['y'] })], events: 1 },
  ).slice(1);
  const noise = { position: position(9), bytes: new Uint8Array([1, 2, 3]) };
  const stored = [claim, strange, noise, ...rest].filter((one) => one !== undefined);
  const { decided, strangers } = interpret(stored, judge);
  expect(decided.map(({ id }) => id)).toEqual(['a']);
  expect(strangers).toHaveLength(2);
});

test('a claim that nobody of the group signed is a stranger', () => {
  const forged = { ...judge, identity: { verify: () => false } };
  const { epochs, strangers } = interpret(logOf(), forged);
  expect([epochs, strangers.length]).toEqual([[], 1]);
});
