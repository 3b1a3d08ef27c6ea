/** What is decided once, however often and in whatever order it comes (P4). */
import { describe, expect, it, test } from 'vitest';
import type { Batch } from '../../../replication/batch.js';
import { newDelivery } from '../../../replication/delivery.js';
import { decideInto, newDraft } from '../../../replication/draft.js';
import { seq } from '../../../replication/ids.js';
import type { Kind } from '../../../replication/kind.js';
import { limits } from '../../../replication/limits.js';
import { encodeRecord } from '../../../replication/record.js';
import { applyRecord, blankReplica } from '../../../replication/replica.js';
import { findAnswer } from '../../../replication/sessions.js';
import { Desk, emptyRun, expectSame, plain, remember } from './desk.js';
import { add, batchOf, hash, type ListState, lister } from './support.js';

describe('what was decided before', () => {
  const first = batchOf([add('a'), add('b', 'c'), add('no'), add('d')], { first: 3 });

  test.each<[string, Partial<Batch>, unknown[]]>([
    ['the same batch', {}, first as never],
    ['its middle', { first: 4, count: 2 }, [add('b', 'c'), add('no')]],
    ['its end and more', { first: 6, count: 2 }, [add('d'), add('e')]],
    ['more before it', { first: 2, count: 3 }, [add('z'), add('a'), add('b', 'c')]],
  ])('is answered the same: %s', (_, at, commands) => {
    const desk = new Desk();
    desk.decide(first);
    const given = new Map(desk.answers().map((answer, i) => [3 + i, answer]));
    const list = Array.isArray(commands)
      ? commands
      : [add('a'), add('b', 'c'), add('no'), add('d')];
    const again = batchOf(list, { first: 3, ...at });
    desk.decide(again);
    for (const [i, answer] of desk.answers().entries()) {
      const before = given.get(again.first + i);
      if (before) expect(answer).toEqual({ ...before, duplicate: true });
      else expect(answer.duplicate).toBe(false);
    }
    expectSame(desk);
  });

  it('leaves no trace in the record', () => {
    const desk = new Desk();
    desk.decide(first);
    desk.close();
    desk.decide(first);
    expect(desk.draft.runs).toEqual([]);
    expect(desk.draft.finished).toHaveLength(1);
  });

  it('is refused below the floor, even if it waited while the floor rose', () => {
    const desk = new Desk();
    const late = newDelivery(2, batchOf([add('a')], { first: 1 }));
    desk.decide(batchOf([add('a')], { first: 1 }));
    desk.decide(batchOf([add('b')], { first: 2, floor: 2 }));
    expect(desk.decide(late.batch, late)).toMatchObject({ refused: { code: 'bad-request' } });
    expect(desk.replica.state).toEqual({ items: ['a', 'b'] });
  });
});

describe('a session that the table has no room for', () => {
  it('is refused when it is decided, whatever was true when it came', () => {
    const desk = new Desk();
    for (let i = 0; i < limits.sessions; i++) remember(desk, `s${i}`, 1);
    expect(desk.decide(batchOf([add('a')], { session: 'new' }))).toMatchObject({
      refused: { code: 'overloaded' },
    });
    desk.draft = newDraft(seq(0), limits.sessionEvictMs);
    expect(desk.decide(batchOf([add('a')], { session: 'new' }))).toBe('finished');
    expect(desk.replica.sessions.bySession.size).toBe(limits.sessions);
  });
});

describe('a table that is full', () => {
  const large = ['x'.repeat(100_000)];

  function fullDesk(): Desk {
    const desk = new Desk();
    const { sessions } = desk.replica;
    for (let i = 0; i < 1000 && sessions.answersSizeBytes < limits.answersSizeBytes; i++) {
      remember(desk, `s${i}`, 1, large);
    }
    return desk;
  }

  it('has a delivery refused before anything of it is decided', () => {
    const desk = fullDesk();
    expect(desk.decide(batchOf([add('a')], { session: 'new' }))).toMatchObject({
      refused: { code: 'overloaded' },
    });
    expect(desk.decide(batchOf([add('a')], { session: 's3', first: 2 }))).toMatchObject({
      refused: { code: 'overloaded' },
    });
    expect(desk.draft.runs).toEqual([]);
    expect(desk.replica.state).toEqual({ items: [] });
  });

  it('gives the answers it has', () => {
    const desk = fullDesk();
    expect(desk.decide(batchOf([add('a')], { session: 's3' }))).toBe('finished');
    expect(desk.answers()).toMatchObject([{ ok: true, result: large[0], duplicate: true }]);
    expect(desk.draft.runs).toEqual([]);
  });

  it('has room for a session that raises its floor, on every member', () => {
    const desk = fullDesk();
    const before = desk.replica.sessions.answersSizeBytes;
    expect(desk.decide(batchOf([add('a')], { session: 's3', first: 2, floor: 2 }))).toBe(
      'finished',
    );
    expect(desk.answers()).toMatchObject([{ ok: true, seq: 1, duplicate: false }]);
    expect(desk.draft.runs).toMatchObject([
      { session: 's3', floor: 2, first: 2, count: 0 },
      { session: 's3', floor: 2, first: 2, count: 1 },
    ]);
    expect(desk.replica.sessions.answersSizeBytes).toBeLessThan(before - 100_000);
    expect(findAnswer(desk.replica.sessions, 's3', 1)).toBeUndefined();
  });

  it('records the floor of a delivery that it has to refuse all the same', () => {
    const desk = fullDesk();
    for (let i = 0; i < 2; i++) remember(desk, 'more', 1 + i, large);
    expect(desk.decide(batchOf([add('a')], { session: 's3', first: 2, floor: 2 }))).toMatchObject({
      refused: { code: 'overloaded' },
    });
    expect(desk.draft.runs).toMatchObject([{ session: 's3', floor: 2, count: 0 }]);
    expect(desk.draft.finished).toEqual([]);
    desk.decide(batchOf([add('b')], { session: 's4', first: 2, floor: 2 }));
    desk.decide(batchOf([add('c')], { session: 's5', first: 2, floor: 2 }));
    expect(desk.decide(batchOf([add('a')], { session: 's3', first: 2, floor: 2 }))).toBe(
      'finished',
    );
    desk.close();
    const replica = blankReplica(lister as Kind, hash);
    for (const record of desk.records()) {
      applyRecord(replica, record, encodeRecord(record), replica.tip.position);
    }
    expect(replica.state).toEqual(desk.replica.state);
    expect(replica.sessions.bySession.get('s3')?.floor).toBe(2);
  });

  it('has the next record hold the floor if there is no room in this one', () => {
    const desk = fullDesk();
    desk.draft.runs.push({ ...emptyRun, count: 1 });
    desk.draft.sizeBytes = limits.recordSizeBytes;
    const delivery = newDelivery(1, batchOf([add('a')], { session: 's3', first: 2, floor: 2 }));
    expect(decideInto(desk.draft, desk.replica, 1, delivery)).toBe('full');
    expect(desk.draft.runs).toHaveLength(1);
    expect(findAnswer(desk.replica.sessions, 's3', 1)).toBeDefined();
    desk.draft = newDraft(seq(0), 0);
    expect(decideInto(desk.draft, desk.replica, 1, delivery)).toBe('finished');
  });

  it('stops a batch whose own results fill it, and gives what was decided of it to a retry', () => {
    const greedy = {
      ...plain,
      decide: (_: ListState, command: string) => ({ events: [command], result: 'x'.repeat(1e5) }),
    } as Kind<ListState, string>;
    const desk = new Desk(greedy as Kind);
    const batch = batchOf(Array.from({ length: 200 }, (_, i) => `${i}`));
    expect(desk.decide(batch)).toMatchObject({
      refused: { code: 'overloaded', detail: expect.stringContaining('above its floor') },
    });
    const decided = desk.draft.seq;
    expect(decided).toBeGreaterThan(limits.sessionAnswersSizeBytes / 200_000 - 1);
    expect(desk.decide(batch)).toMatchObject({ refused: { code: 'overloaded' } });
    expect(desk.draft.seq).toBe(decided);
    expect(desk.decide(batchOf(['0', '1'], { count: 2 }))).toBe('finished');
    expect(desk.answers()).toMatchObject([{ seq: 1, duplicate: true }, { seq: 2 }]);
    expectSame(desk);
  });
});

describe('numbers out of order', () => {
  it('are decided as they come, each once, and answered the same whenever they come again', () => {
    const desk = new Desk();
    const batches = [
      batchOf([add('e'), add('no')], { first: 5 }),
      batchOf([add('a', 'b')], { first: 1 }),
      batchOf([add('j')], { first: 10 }),
      batchOf([add('c'), add('d')], { first: 3 }),
    ];
    for (const batch of batches) expect(desk.decide(batch)).toBe('finished');
    const given = batches.map((_, i) => desk.answers(i));
    expect(given.flat().map((answer) => answer.ok && answer.seq)).toEqual([1, false, 3, 4, 5, 6]);
    for (const [i, batch] of [...batches].reverse().entries()) {
      desk.decide(batch);
      const before = given[batches.length - 1 - i] ?? [];
      expect(desk.answers()).toEqual(before.map((answer) => ({ ...answer, duplicate: true })));
    }
    expect(desk.replica.state).toEqual({ items: ['e', 'a', 'b', 'j', 'c', 'd'] });
    expectSame(desk);
  });

  it('of which a batch spans known and new ones have the new ones decided, in their order', () => {
    const desk = new Desk();
    desk.decide(batchOf([add('b')], { first: 2 }));
    desk.decide(batchOf([add('d'), add('no')], { first: 4 }));
    desk.decide(
      batchOf(
        ['a', 'x', 'c', 'x', 'x', 'f'].map((item) => add(item)),
        { first: 1 },
      ),
    );
    expect(desk.answers()).toMatchObject([
      { seq: 3, duplicate: false },
      { seq: 1, duplicate: true },
      { seq: 4, duplicate: false },
      { seq: 2, duplicate: true },
      { ok: false, code: 'no', duplicate: true },
      { seq: 5, duplicate: false },
    ]);
    expect(desk.replica.state).toEqual({ items: ['b', 'd', 'a', 'c', 'f'] });
    expectSame(desk);
  });
});

describe('a key', () => {
  it('known from another session is answered for that command alone, the rest is decided', () => {
    const desk = new Desk();
    desk.decide(batchOf([add('a'), add('b', 'c')], { session: 'one', keys: ['k', 'l'] }));
    const keys = ['m', 'l', null, 'k', 'n'];
    desk.decide(
      batchOf(
        ['d', 'x', 'e', 'x', 'no'].map((item) => add(item)),
        { session: 'two', keys },
      ),
    );
    expect(desk.answers()).toMatchObject([
      { seq: 4, result: 3, duplicate: false },
      { seq: 3, result: 1, duplicate: true },
      { seq: 5, result: 4, duplicate: false },
      { seq: 1, result: 0, duplicate: true },
      { ok: false, code: 'no', duplicate: false },
    ]);
    desk.decide(batchOf([add('y')], { session: 'three', keys: ['n'] }));
    expect(desk.answers()).toMatchObject([{ ok: false, code: 'no', duplicate: true }]);
    expect(desk.replica.state).toEqual({ items: ['a', 'b', 'c', 'd', 'e'] });
    expectSame(desk);
  });

  it('repeated in a batch has the first one’s answer, a rejection too, also when all comes again', () => {
    const desk = new Desk();
    const keys = ['k', 'k', 'l', 'k', 'l'];
    const batch = batchOf(
      ['no', 'x', 'a', 'y', 'z'].map((item) => add(item)),
      { keys },
    );
    const expected = [
      { ok: false, code: 'no' },
      { ok: false, code: 'no' },
      { seq: 1, result: 0 },
      { ok: false, code: 'no' },
      { seq: 1, result: 0 },
    ];
    desk.decide(batch);
    expect(desk.answers()).toMatchObject(expected);
    expect(desk.answers().map(({ duplicate }) => duplicate)).toEqual([
      false,
      true,
      false,
      true,
      true,
    ]);
    desk.decide(batch);
    expect(desk.answers()).toMatchObject(expected.map((each) => ({ ...each, duplicate: true })));
    desk.decide({ ...batch, session: 'other' });
    expect(desk.answers()).toMatchObject(expected.map((each) => ({ ...each, duplicate: true })));
    expect(desk.replica.state).toEqual({ items: ['a'] });
    expectSame(desk);
  });

  it('says less than the number: what a number was answered it is answered again', () => {
    const desk = new Desk();
    desk.decide(batchOf([add('a')], { session: 'one', keys: ['k'] }));
    desk.decide(batchOf([add('b')], { session: 'two', keys: ['l'] }));
    desk.decide(batchOf([add('b')], { session: 'two', keys: ['k'] }));
    expect(desk.answers()).toMatchObject([{ seq: 2, duplicate: true }]);
    expectSame(desk);
  });

  it('that repeats over the border of two records counts once', () => {
    const desk = new Desk(plain);
    const items = Array.from({ length: 60 }, (_, i) => `${i}`.padEnd(4000, '.'));
    const keys = items.map((_, i) => `k${i % 45}`);
    desk.decide(batchOf(items, { keys }));
    desk.decide(batchOf(items, { session: 'other', keys }));
    desk.decide(batchOf(['z'.repeat(200_000)], { session: 'third', keys: ['k7'] }));
    expect(desk.replica.state).toEqual({ items: items.slice(0, 45) });
    expect(desk.answers()).toMatchObject([{ seq: 8, duplicate: true }]);
    expectSame(desk);
  });

  it('counts once, within a batch and over sessions', () => {
    const desk = new Desk();
    const keys = ['k', null, 'k', 'l'];
    desk.decide(batchOf([add('a'), add('b'), add('x'), add('no')], { keys }));
    desk.decide(batchOf([add('y'), add('z')], { session: 'other', keys: ['l', 'k'] }));
    desk.decide(batchOf([add('y')], { session: null, keys: ['k'] }));
    expect(desk.replica.state).toEqual({ items: ['a', 'b'] });
    expect(desk.answers(-2)).toMatchObject([
      { ok: false, code: 'no', duplicate: true },
      { ok: true, seq: 1, duplicate: true },
    ]);
    expectSame(desk);
  });
});

describe('without a session', () => {
  it('nothing is remembered', () => {
    const desk = new Desk();
    desk.decide(batchOf([add('a')], { session: null }));
    desk.decide(batchOf([add('a')], { session: null }));
    expect(desk.replica.state).toEqual({ items: ['a', 'a'] });
    expect(desk.replica.sessions.bySession.size).toBe(0);
  });
});
