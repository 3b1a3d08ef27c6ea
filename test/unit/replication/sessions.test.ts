import { describe, expect, it } from 'vitest';
import type { AnswerRun } from '../../../replication/batch.js';
import { limits } from '../../../replication/limits.js';
import type { RecordedRun } from '../../../replication/record.js';
import {
  allNew,
  emptySessions,
  findAnswer,
  findKeyed,
  packSessions,
  recordRun,
  refusal,
  type Sessions,
  unpackSessions,
} from '../../../replication/sessions.js';

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

  it('enough to stay bounded after a million sessions', () => {
    const table = emptySessions();
    for (let i = 0; i < 1_000_000; i++) note(table, `session ${i}`, 1, 1, { atMs: i });
    expect(table.bySession.size).toBe(limits.sessions);
    expect(table.bySession.has('session 999999')).toBe(true);
  });
});

describe('an idempotency key', () => {
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
  const copy = unpackSessions(packSessions(table));
  expect(packSessions(copy)).toEqual(packSessions(table));
  expect([...copy.bySession.keys()]).toEqual(['a', 'b']);
});
