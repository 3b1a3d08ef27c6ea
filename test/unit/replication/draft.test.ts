import { describe, expect, it, test } from 'vitest';
import { type AnswerRun, type Batch, encodeValue, unpackRun } from '../../../replication/batch.js';
import { newDelivery } from '../../../replication/delivery.js';
import { decideInto, newDraft, undoDraft } from '../../../replication/draft.js';
import { seq } from '../../../replication/ids.js';
import { type Kind, reject } from '../../../replication/kind.js';
import { limits } from '../../../replication/limits.js';
import { encodeRecord } from '../../../replication/record.js';
import { blankReplica } from '../../../replication/replica.js';
import { seededRandom } from '../../support/scheduler.js';
import { Desk, expectSame, plain } from './desk.js';
import { add, batchOf, hash, type ListState, lister } from './support.js';

describe('a command', () => {
  it('yields no event, one or three, and has the seq of its last', () => {
    const desk = new Desk();
    expect(desk.decide(batchOf([add(), add('a'), add('b', 'c', 'd'), add('no')]))).toBe('finished');
    expect(desk.answers()).toMatchObject([
      { ok: true, seq: 0, result: 0 },
      { ok: true, seq: 1, result: 0 },
      { ok: true, seq: 4, result: 1 },
      { ok: false, code: 'no', detail: 'at 4' },
    ]);
    expectSame(desk);
  });

  it('that is its own event goes into the record as it came', () => {
    const desk = new Desk(plain);
    const batch = batchOf([{ a: 1 }, { b: 2 }]);
    desk.decide(batch);
    desk.close();
    expect([...(desk.bodies[0]?.blob ?? [])]).toEqual([...batch.blob]);
    expect(desk.bodies[0]?.runs[0]).toMatchObject({ eventCounts: null, results: null });
  });

  it.each<[string, Partial<Kind<ListState>>, string]>([
    ['its kind cannot decide', { decide: () => JSON.parse('{') }, 'decide-failed'],
    ['its shape cannot be checked', { problemWith: () => JSON.parse('{') }, 'decide-failed'],
    ['has a bad shape', { problemWith: () => 'no' }, 'bad-request'],
    ['yields what cannot be encoded', { decide: () => [2n ** 70n] }, 'decide-failed'],
    [
      'has a result that cannot be encoded',
      { decide: () => ({ events: [1], result: Symbol('s') }) },
      'decide-failed',
    ],
    ['yields too much', { decide: () => [new Uint8Array(limits.eventSizeBytes)] }, 'too-large'],
    [
      'has too large a result',
      {
        decide: (_, command) => ({ events: [command], result: 'x'.repeat(limits.eventSizeBytes) }),
      },
      'too-large',
    ],
  ])('is refused if %s, and nothing else is', (_, rest, code) => {
    const desk = new Desk({ ...plain, ...rest } as Kind);
    const at = desk.replica.state;
    expect(desk.decide(batchOf(['a']))).toBe('finished');
    expect(desk.answers()).toMatchObject([{ ok: false, code }]);
    expect(at).toEqual({ items: [] });
    expectSame(desk);
  });

  it('is answered with bytes, not with parts of the state that change', () => {
    const live: Kind<ListState> = {
      ...plain,
      init: () => ({ items: [] }),
      apply: (state, event) => void state.items.push(event),
      decide: (state, command) => ({ events: [command], result: state.items }),
    };
    const desk = new Desk(live as Kind);
    desk.decide(batchOf(['a', 'b', 'c']));
    expect(desk.answers().map((answer) => answer.ok && answer.result)).toEqual([
      [],
      ['a'],
      ['a', 'b'],
    ]);
    expectSame(desk);
  });

  it.each<[string, Kind<ListState, { n: number }>['decide']]>([
    [
      'changes the command it was given',
      (_, command) => {
        command.n = 99;
        return [command];
      },
    ],
    ['puts parts of the state into events', (state) => [state.items, state.items]],
    ['yields what msgpack reads back otherwise', () => [{ a: new Set([1]), b: -0 }]],
  ])('applies what the record says even if decide %s', (_, decide) => {
    const desk = new Desk({ ...plain, decide } as Kind);
    desk.decide(batchOf([{ n: 1 }, { n: 2 }]));
    expectSame(desk);
  });
});

describe('a batch that is not what it says', () => {
  test.each<[string, Partial<Batch>]>([
    ['fewer events', { count: 3 }],
    ['more events', { count: 1 }],
    ['no msgpack', { blob: Uint8Array.of(0xc1, 0xc1) }],
    ['half an event', { blob: encodeValue({ a: 'bc' }).subarray(0, 3), count: 1 }],
    ['events of msgpackr’s own', { blob: Uint8Array.of(0xd4, 0x72, 0x40, 0x90, 0x40), count: 1 }],
  ])('is refused whole: %s', (_, rest) => {
    const desk = new Desk();
    const outcome = desk.decide(batchOf([add('a'), add('b')], rest));
    expect(outcome).toMatchObject({ refused: { code: 'bad-request' } });
    expect(desk.draft.runs).toEqual([]);
  });
});

describe('records', () => {
  it('split a delivery that one cannot hold, and answer it whole', () => {
    const desk = new Desk(plain);
    const events = Array.from({ length: 60 }, (_, i) => `${i}`.repeat(4000));
    expect(desk.decide(batchOf(events.slice(0, 30)))).toBe('finished');
    expect(desk.decide(batchOf(events.slice(30), { first: 31 }))).toBe('finished');
    desk.close();
    expect(desk.bodies.length).toBeGreaterThan(1);
    expect(desk.answers()).toHaveLength(30);
    expect(desk.answers().at(-1)).toMatchObject({ ok: true, seq: 60 });
    expectSame(desk);
  });

  /** Everything that costs bytes and is easily counted wrong. */
  const greedy: Kind<ListState, { size: number; result: number; code: string }> = {
    ...plain,
    init: () => ({ items: [] }),
    apply: (state) => void state.items.push(1),
    decide(_, { size, result, code }) {
      if (code !== '') return reject(code, '語'.repeat(300));
      const events = Array.from({ length: size % 5 }, () => ({ blob: '語'.repeat(size) }));
      return { events, result: '語'.repeat(result) };
    },
  };

  it('stay within their limit, whatever clients and kinds send', () => {
    const random = seededRandom('greedy');
    const desk = new Desk(greedy as Kind);
    for (let i = 0; i < 60; i++) {
      const count = 1 + random.below(i % 3 === 0 ? 1500 : 30);
      const most = Math.floor(200_000 / count / 3);
      const commands = Array.from({ length: count }, () => ({
        size: random.below(most),
        result: random.below(most),
        code: random.chance(0.4) ? '語'.repeat(1 + random.below(80)) : '',
      }));
      const keys = commands.map((_, k) =>
        random.chance(0.5) ? null : `${i}/${k}語`.padEnd(256, '語'),
      );
      const session = `${i % 7}`.padEnd(64, '語');
      desk.decide(batchOf(commands, { session, first: 1 + i * 2000, floor: 1 + i * 2000, keys }));
    }
    desk.close();
    const sizes = [...desk.records()].map((record) => encodeRecord(record).length);
    expect(sizes.length).toBeGreaterThan(20);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(limits.recordSizeBytes);
    expect(Math.max(...sizes)).toBeGreaterThan(limits.recordSizeBytes / 4);
    expectSame(desk);
  });
});

describe('poison', () => {
  it('spoils the draft; decided again it is refused, and the rest is taken', () => {
    const desk = new Desk();
    desk.decide(batchOf([add('a')], { session: 'before' }));
    const delivery = newDelivery(2, batchOf([add('b'), add('c', 'boom'), add('d')]));
    expect(desk.decide(delivery.batch, delivery)).toBe('spoilt');
    const again = undoDraft(desk.draft);
    expect(again).toHaveLength(2);
    expect(again.at(-1)).toBe(delivery);
    desk.replica = blankReplica(lister as Kind, hash);
    desk.draft = newDraft(seq(0), 0);
    for (const each of again)
      expect(decideInto(desk.draft, desk.replica, 1, each)).toBe('finished');
    expect(delivery.runs.flatMap((run: AnswerRun) => unpackRun(run))).toMatchObject([
      { ok: true, seq: 2 },
      { ok: false, code: 'apply-failed', detail: 'boom' },
      { ok: true, seq: 3 },
    ]);
    expect(desk.replica.state).toEqual({ items: ['a', 'b', 'd'] });
    expectSame(desk);
  });
});
