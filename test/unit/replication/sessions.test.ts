import { describe, expect, it } from 'vitest';
import { sizeOfKey, sizeOfSession } from '../../../replication/answer-size.js';
import { type AnswerRun, decodeValue, encodeValue } from '../../../replication/batch.js';
import { limits } from '../../../replication/limits.js';
import type { RecordedRun } from '../../../replication/record.js';
import {
  allNew,
  emptySessions,
  findAnswer,
  findKeyed,
  floorMakesRoom,
  packSessions,
  recordRun,
  refusal,
  type Sessions,
} from '../../../replication/sessions.js';
import { sampleSize } from '../../support/sample.js';
import { seededRandom } from '../../support/scheduler.js';
import { restoredSessions } from '../../support/sessions.js';
import { ChunkMap, cutWhole, restoreWhole } from '../../support/snapshots.js';
import { sampleReplica } from './samples.js';

function note(
  table: Sessions,
  session: string | null,
  first: number,
  count: number,
  rest: Partial<RecordedRun> & { baseSeq?: number; atMs?: number } = {},
): void {
  const { baseSeq = 100, atMs = 0, ...fields } = rest;
  const run: RecordedRun = {
    session,
    floor: 1,
    first,
    count,
    keys: null,
    eventCounts: null,
    results: null,
    rejections: null,
    ...fields,
  };
  const { eventCounts, results, rejections } = run;
  const duplicate = false;
  const answer: AnswerRun = {
    first,
    count,
    epoch: 1,
    baseSeq,
    eventCounts,
    results,
    rejections,
    duplicate,
  };
  recordRun(table, run, answer, atMs);
}

const asked = (first: number, count = 1, floor = 1, session = 's') => ({
  session,
  floor,
  first,
  count,
});

describe('the session table', () => {
  it('knows the numbers that were decided, in whatever order they came', () => {
    const table = emptySessions();
    note(table, 's', 5, 2);
    note(table, 's', 1, 2);
    note(table, 's', 9, 1);
    const known = Array.from({ length: 10 }, (_, i) => findAnswer(table, 's', i + 1)?.first);
    expect(known).toEqual([1, 1, undefined, undefined, 5, 5, undefined, undefined, 9, undefined]);
    expect(findAnswer(table, 'other', 5)).toBeUndefined();
  });

  it('answers again with the first answer, as a duplicate', () => {
    const table = emptySessions();
    note(table, 's', 1, 2, { results: ['a', 'b'], baseSeq: 7 });
    expect(findAnswer(table, 's', 2)).toEqual({
      first: 1,
      count: 2,
      epoch: 1,
      baseSeq: 7,
      eventCounts: null,
      results: ['a', 'b'],
      rejections: null,
      duplicate: true,
    });
  });

  it('says at a glance that a number is beyond all that were decided', () => {
    const table = emptySessions();
    note(table, 's', 5, 2);
    expect(allNew(table, 's', 7)).toBe(true);
    expect(allNew(table, 's', 4)).toBe(false);
    expect(allNew(table, 'other', 1)).toBe(true);
  });

  it('forgets runs below the floor, and keeps one that reaches over it', () => {
    const table = emptySessions();
    note(table, 's', 1, 2);
    note(table, 's', 3, 4);
    note(table, 's', 7, 1, { floor: 5 });
    expect(findAnswer(table, 's', 2)).toBeUndefined();
    expect(findAnswer(table, 's', 5)?.first).toBe(3);
    note(table, 's', 8, 1, { floor: 2 });
    expect(refusal(table, asked(4), 0)?.code).toBe('bad-request');
  });
});

describe('a delivery is refused', () => {
  it('below the floor, its own or the table’s', () => {
    const table = emptySessions();
    note(table, 's', 7, 1, { floor: 7 });
    expect(refusal(table, asked(6), 0)).toEqual({
      code: 'bad-request',
      detail: 'number 6 is below the session’s floor 7: it was answered before'.replace('’', "'"),
    });
    expect(refusal(table, asked(7), 0)).toBeUndefined();
    expect(refusal(table, asked(8, 1, 9), 0)?.code).toBe('bad-request');
  });

  it('beyond the window', () => {
    const table = emptySessions();
    expect(refusal(table, asked(1, limits.sessionWindow), 0)).toBeUndefined();
    expect(refusal(table, asked(2, limits.sessionWindow), 0)?.code).toBe('overloaded');
    expect(refusal(table, asked(2, limits.sessionWindow, 2), 0)).toBeUndefined();
  });

  it('of a new session while every session of a full table is in use', () => {
    const table = emptySessions();
    for (let i = 0; i < limits.sessions; i++) note(table, `s${i}`, 1, 1, { atMs: i });
    const inUse = limits.sessionEvictMs - 1;
    expect(refusal(table, asked(1, 1, 1, 'new'), inUse)?.code).toBe('overloaded');
    expect(refusal(table, asked(2, 1, 1, 's0'), inUse)).toBeUndefined();
    expect(refusal(table, asked(1, 1, 1, 'new'), limits.sessionEvictMs)).toBeUndefined();
  });
});

describe('the table forgets', () => {
  it('the session that was idle for longest, when it is full', () => {
    const table = emptySessions();
    for (let i = 0; i < limits.sessions; i++) note(table, `s${i}`, 1, 1);
    note(table, 's0', 2, 1);
    note(table, 'new', 1, 1);
    expect(table.bySession.size).toBe(limits.sessions);
    expect(table.bySession.has('s1')).toBe(false);
    expect(findAnswer(table, 's0', 2)).toBeDefined();
  });

  it('sessions idle for a day of recorded time, but never the latest few thousand', () => {
    const table = emptySessions();
    for (let i = 0; i < limits.sessionsKept + 10; i++) note(table, `s${i}`, 1, 1);
    note(table, 'later', 1, 1, { atMs: limits.sessionIdleMs - 1 });
    expect(table.bySession.size).toBe(limits.sessionsKept + 11);
    note(table, 'later', 2, 1, { atMs: limits.sessionIdleMs });
    expect(table.bySession.size).toBe(limits.sessionsKept);
    note(table, 'later', 3, 1, { atMs: 1000 * limits.sessionIdleMs });
    expect(table.bySession.size).toBe(limits.sessionsKept);
  });

  it('the keys recorded first', () => {
    const table = emptySessions();
    const batches = limits.keys / limits.batchEvents;
    for (let i = 0; i <= batches; i++) {
      const keys = Array.from({ length: limits.batchEvents }, (_, k) => `${i}/${k}`);
      note(table, null, 1, limits.batchEvents, { keys });
    }
    expect(table.byKey.size).toBe(limits.keys);
    expect(findKeyed(table, '0/4095', 1)).toBeUndefined();
    expect(findKeyed(table, '1/0', 1)).toBeDefined();
  });
});

/** A result of 100,000 characters: 200 kB as reckoned. */
const large = ['x'.repeat(100_000)];

/** Fills the table to its bound in bytes with sessions of one large answer each. */
function fill(table: Sessions, atMs = 0): number {
  for (let count = 0; count < 1000; count++) {
    if (refusal(table, asked(1, 1, 1, `f${count}`), atMs) !== undefined) return count;
    note(table, `f${count}`, 1, 1, { results: large, atMs });
  }
  throw new Error('it is never full');
}

describe('a table at its bound in bytes', () => {
  it('is full long before it has its number of sessions', () => {
    const table = emptySessions();
    expect(fill(table)).toBe(Math.ceil(limits.answersSizeBytes / 200_900));
    expect(table.answersSizeBytes).toBeLessThan(limits.answersSizeBytes + 201_000);
  });

  it('refuses what would add answers, from known sessions too, and gives known ones', () => {
    const table = emptySessions();
    fill(table);
    const now = limits.sessionEvictMs - 1;
    expect(refusal(table, asked(1, 1, 1, 'new'), now)).toMatchObject({
      code: 'overloaded',
      detail: expect.stringMatching(
        /^the answers of \d+ sessions take \d+ bytes, at most 67108864;/,
      ),
    });
    expect(refusal(table, asked(2, 1, 1, 'f5'), now)?.code).toBe('overloaded');
    expect(refusal(table, asked(1, 2, 1, 'f5'), now)?.code).toBe('overloaded');
    expect(refusal(table, asked(1, 1, 1, 'f5'), now)).toBeUndefined();
    expect(refusal(table, asked(1, 1, 2, 'f5'), now)?.code).toBe('bad-request');
  });

  it('forgets the sessions idle for longest, as many as it takes, once they were idle for an hour', () => {
    const table = emptySessions();
    fill(table);
    const now = limits.sessionEvictMs;
    expect(refusal(table, asked(1, 1, 1, 'new'), now)).toBeUndefined();
    note(table, 'new', 1, 3, { results: [...large, ...large, ...large], atMs: now });
    expect(['f0', 'f1', 'f2', 'f3', 'f4'].map((id) => table.bySession.has(id))).toEqual([
      false,
      false,
      false,
      false,
      true,
    ]);
    expect(table.answersSizeBytes).toBeLessThanOrEqual(limits.answersSizeBytes);
  });

  it('keeps what was in use within the hour, even above its bound', () => {
    const table = emptySessions();
    const count = fill(table);
    note(table, 'more', 1, 1, { results: large, atMs: limits.sessionEvictMs - 1 });
    expect(table.bySession.size).toBe(count + 1);
  });

  it('takes a delivery whose floor frees a part of it', () => {
    const table = emptySessions();
    fill(table);
    expect(floorMakesRoom(table, asked(2, 1, 1, 'f5'))).toBe(false);
    expect(floorMakesRoom(table, asked(2, 1, 2, 'f5'))).toBe(true);
    expect(refusal(table, asked(2, 1, 2, 'f5'), 0)).toBeUndefined();
    note(table, 'f5', 2, 0, { floor: 2 });
    expect(floorMakesRoom(table, asked(2, 1, 2, 'f5'))).toBe(false);
    expect(refusal(table, asked(2, 1, 2, 'f5'), 0)).toBeUndefined();
    expect(findAnswer(table, 'f5', 1)).toBeUndefined();
    expect(refusal(table, asked(1, 1, 1, 'new'), 0)).toBeUndefined();
  });

  it('does not ask for floors while there is room', () => {
    const table = emptySessions();
    note(table, 's', 1, 1);
    expect(floorMakesRoom(table, asked(2, 1, 2))).toBe(false);
    expect(floorMakesRoom(table, asked(2, 1, 2, 'new'))).toBe(false);
  });

  it('is not to be reached by one session alone', () => {
    const table = emptySessions();
    let first = 1;
    for (; first < 1000 && refusal(table, asked(first), 0) === undefined; first++) {
      note(table, 's', first, 1, { results: large });
    }
    expect(first).toBe(1 + Math.ceil(limits.sessionAnswersSizeBytes / 200_296));
    expect(refusal(table, asked(first), 0)?.detail).toMatch(/Send again with a higher floor/);
    expect(refusal(table, asked(first), limits.sessionEvictMs)?.code).toBe('overloaded');
    expect(refusal(table, asked(first, 1, 2), 0)).toBeUndefined();
    expect(refusal(table, asked(1, 1, 1, 'other'), 0)).toBeUndefined();
  });

  it('of its keys forgets the oldest of them, and refuses nothing', () => {
    const table = emptySessions();
    for (let i = 0; i < 500; i++) note(table, null, 1, 1, { keys: [`${i}`], results: large });
    expect(table.keysSizeBytes).toBeLessThanOrEqual(limits.keysSizeBytes);
    const kept = Math.floor(limits.keysSizeBytes / sizeOfKey('500', large[0], null));
    expect(table.byKey.size).toBe(kept);
    expect(findKeyed(table, `${500 - kept}`, 1)).toBeDefined();
    expect(findKeyed(table, `${499 - kept}`, 1)).toBeUndefined();
  });
});

describe('the size of the table', () => {
  const answers: [string, Partial<RecordedRun>][] = [
    ['nothing', {}],
    ['numbers', { results: [1, -1, 2 ** 40, 0.5, null] }],
    ['texts', { results: ['text', '語'.repeat(20), true, undefined, 2n ** 60n] }],
    ['objects', { results: [{ a: { c: [1, [2], []] } }, [], {}, new Uint8Array(40), [null]] }],
    ['rare ones', { results: [new Date(5), new Map([['a', 1]]), new Set([1]), [undefined], 1] }],
    ['rejections', { eventCounts: [1, 0, 3, 0, 1], rejections: [[3, 'no', 'because']] }],
    ['a key twice', { keys: ['a', 'b', 'c', 'a', null] }],
  ];

  /** As every other member gets them. */
  function recorded(fields: Partial<RecordedRun>): Partial<RecordedRun> {
    return decodeValue(encodeValue(fields)) as Partial<RecordedRun>;
  }

  it.each(answers)('is the same on all members and after a snapshot, with %s', (_, fields) => {
    const keys = fields.keys ?? ['k', 'l', 'm', 'n', 'o'];
    // An active has what `decide` returned as it will be read from the record.
    const first = recorded(fields);
    const tables = [first, recorded(first)].map((each) => {
      const table = emptySessions();
      note(table, 's', 1, 5, { ...each, keys });
      note(table, 't', 1, 5, { ...each, keys: null });
      return table;
    });
    const replica = { ...sampleReplica(), sessions: tables[0] as Sessions };
    const store = new ChunkMap();
    const { body } = cutWhole(replica, store);
    const restored = restoreWhole(replica, body, store);
    if ('problem' in restored) throw new Error(restored.problem);
    const sizes = [...tables, restored.sessions].map((table) => [
      table.answersSizeBytes,
      table.keysSizeBytes,
      ...[...table.bySession.values()].map(({ sizeBytes }) => sizeBytes),
    ]);
    expect(sizes[1]).toEqual(sizes[0]);
    expect(sizes[2]).toEqual(sizes[0]);
    expect(sizes[0]?.[0]).toBe((sizes[0]?.[2] ?? 0) + (sizes[0]?.[3] ?? 0));
  });

  it('does not drift, whatever is added, dropped and forgotten', () => {
    const random = seededRandom('sizes');
    const table = emptySessions();
    let atMs = 0;
    for (let i = 0; i < sampleSize(20_000, 8000); i++) {
      atMs += random.below(100_000);
      const count = 1 + random.below(3);
      const keys = Array.from({ length: count }, () => `k${random.below(5000)}`);
      const results = Array.from({ length: count }, () => 'r'.repeat(random.below(20_000)));
      const floor = 1 + random.below(i + 1);
      note(table, `s${random.below(300)}`, i + 1, count, { floor, keys, results, atMs });
    }
    const again = restoredSessions(table);
    expect([...again.byKey]).toEqual([...table.byKey]);
    expect(again.answersSizeBytes).toBe(table.answersSizeBytes);
    expect(again.keysSizeBytes).toBe(table.keysSizeBytes);
    for (const id of [...table.bySession.keys()]) {
      note(table, id, 1e9, 0, { floor: 1e9, atMs });
    }
    expect(table.answersSizeBytes).toBe(
      [...table.bySession.keys()].reduce((sum, id) => sum + sizeOfSession(id), 0),
    );
  });

  it('counts what is nested deeper than the stack', () => {
    let result: unknown = 1;
    for (let i = 0; i < 100_000; i++) result = [result];
    const table = emptySessions();
    note(table, 's', 1, 1, { results: [result] });
    expect(table.answersSizeBytes).toBeGreaterThan(100_000 * 64);
  });
});

describe('an idempotency key', () => {
  it('recorded again has the later answer and its place among the latest, and counts once', () => {
    const table = emptySessions();
    note(table, null, 1, 2, { keys: ['a', 'b'], results: ['long enough', 'x'] });
    note(table, null, 1, 1, { keys: ['a'], results: ['y'], baseSeq: 200 });
    expect([...table.byKey.keys()]).toEqual(['b', 'a']);
    expect(findKeyed(table, 'a', 1)).toMatchObject({ baseSeq: 201, results: ['y'] });
    expect(table.keysSizeBytes).toBe(2 * sizeOfKey('a', 'x', null));
  });

  it('keeps seq, result and rejection of its own command', () => {
    const table = emptySessions();
    note(table, 's', 1, 4, {
      keys: ['a', null, 'b', 'c'],
      eventCounts: [2, 3, 0, 1],
      results: ['ra', 'r', null, null],
      rejections: [[2, 'no', 'because']],
      baseSeq: 10,
    });
    expect(findKeyed(table, 'a', 9)).toMatchObject({ first: 9, baseSeq: 12, results: ['ra'] });
    expect(findKeyed(table, 'b', 9)).toMatchObject({ rejections: [[0, 'no', 'because']] });
    expect(findKeyed(table, 'c', 9)).toMatchObject({ baseSeq: 16, results: null, duplicate: true });
    expect(findKeyed(table, 'd', 9)).toBeUndefined();
  });
});

it('is the same after a snapshot, in the same order', () => {
  const table = emptySessions();
  note(table, 'b', 1, 3, { results: [1, 2, 3], keys: ['x', null, 'y'] });
  note(table, 'a', 4, 1, { floor: 4, rejections: [[0, 'no', '']], atMs: 5 });
  note(table, 'b', 9, 1, { atMs: 6 });
  const copy = restoredSessions(table);
  expect(packSessions(copy)).toEqual(packSessions(table));
  expect([...copy.bySession.keys()]).toEqual(['a', 'b']);
});
