import { describe, expect, it, test } from 'vitest';
import { type AnswerRun, type Batch, encodeValue, unpackRun } from '../../../replication/batch.js';
import {
  type DecideOutcome,
  type Delivery,
  type Draft,
  decideInto,
  draftBody,
  newDelivery,
  newDraft,
  undoDraft,
} from '../../../replication/draft.js';
import { epoch, seq } from '../../../replication/ids.js';
import { type Kind, reject } from '../../../replication/kind.js';
import { limits } from '../../../replication/limits.js';
import { encodeRecord, type LogRecord } from '../../../replication/record.js';
import { applyRecord, blankReplica, emptyTip, type Replica } from '../../../replication/replica.js';
import { packSessions } from '../../../replication/sessions.js';
import { seededRandom } from '../../support/scheduler.js';
import { add, batchOf, hash, type ListState, lister } from './support.js';

const plain = {
  name: 'plain',
  version: 1,
  init: () => ({ items: [] }),
  apply: (state: ListState, event: unknown) => void state.items.push(event),
} satisfies Kind<ListState> as Kind;

/** Decides deliveries into one draft after the other, as the active does. */
class Desk {
  replica: Replica;
  draft: Draft = newDraft(seq(0), 0);
  readonly bodies: ReturnType<typeof draftBody>[] = [];
  readonly deliveries: Delivery[] = [];

  constructor(readonly kind: Kind = lister as Kind) {
    this.replica = blankReplica(kind, hash);
  }

  decide(batch: Batch, delivery = newDelivery(1, batch)): DecideOutcome {
    this.deliveries.push(delivery);
    let outcome = decideInto(this.draft, this.replica, 1, delivery);
    while (outcome === 'full') {
      this.close();
      outcome = decideInto(this.draft, this.replica, 1, delivery);
    }
    return outcome;
  }

  close(): void {
    if (this.draft.runs.length > 0) this.bodies.push(draftBody(this.draft, this.kind.version));
    this.draft = newDraft(this.draft.seq, 0);
  }

  /** What another member holds that has replayed the same records. */
  replayed(): Replica {
    const replica = blankReplica(this.kind, hash);
    replica.tip = { ...emptyTip, epoch: epoch(1) };
    for (const record of this.records()) {
      const bytes = encodeRecord(record);
      applyRecord(replica, record, bytes, replica.tip.position);
    }
    return replica;
  }

  *records(): Generator<LogRecord> {
    let at = seq(0);
    for (const body of this.bodies) {
      const count = body.runs.reduce(
        (sum, { count, eventCounts, rejections }) =>
          sum + (eventCounts?.reduce((a, b) => a + b, 0) ?? count - (rejections?.length ?? 0)),
        0,
      );
      const base = at;
      at = seq(base + count);
      yield {
        epoch: epoch(1),
        number: 1,
        writer: { index: 0, node: 'n0', incarnation: '1' },
        previous: new Uint8Array(32),
        recordedAtMs: 0,
        baseSeq: base,
        seq: at,
        snapshotPosition: emptyTip.position,
        snapshotSeq: seq(0),
        body,
        signature: null,
      };
    }
  }

  answers(at = -1) {
    return (this.deliveries.at(at)?.runs ?? []).flatMap(unpackRun);
  }
}

/** The active's state and table must be those of whoever replays (I5). */
function expectSame(desk: Desk): void {
  desk.close();
  const replayed = desk.replayed();
  expect(replayed.state).toEqual(desk.replica.state);
  expect(packSessions(replayed.sessions)).toEqual(packSessions(desk.replica.sessions));
}

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
    for (let i = 0; i < limits.sessions; i++) {
      desk.replica.sessions.bySession.set(`s${i}`, { floor: 1, runs: [], lastAtMs: 0 });
    }
    expect(desk.decide(batchOf([add('a')], { session: 'new' }))).toMatchObject({
      refused: { code: 'overloaded' },
    });
    desk.draft = newDraft(seq(0), limits.sessionEvictMs);
    expect(desk.decide(batchOf([add('a')], { session: 'new' }))).toBe('finished');
    expect(desk.replica.sessions.bySession.size).toBe(limits.sessions);
  });
});

describe('a key', () => {
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
