import { describe, expect, it, test } from 'vitest';
import { type BatchAnswer, unpackRun } from '../../../replication/batch.js';
import { limits } from '../../../replication/limits.js';
import { wakeAtMs } from '../../../replication/member.js';
import { activeRig, add, batchOf, itemsOf, type Rig, Store, standbyRig } from './support.js';

const answers = (answer: BatchAnswer | undefined) =>
  answer?.ok ? answer.runs.flatMap(unpackRun) : [];

let first = 1;
/** A batch with numbers of its own. */
function next(...items: unknown[]) {
  first += 10;
  return batchOf([add(...items)], { first, floor: 1 });
}

const activeOf = (rig: Rig) => {
  const { role } = rig.member;
  if (role.state !== 'active') throw new Error(`not active: ${role.state}`);
  return role.active;
};

describe('a fresh active', () => {
  it('claims, opens, tells how long it took, and syncs at once', () => {
    const rig = activeRig();
    expect(rig.state).toBe('active');
    expect(rig.store.types()).toEqual(['claim', 'barrier', 'snapshot']);
    expect(rig.told.map(({ kind }) => kind)).toEqual(['open', 'epoch-noted', 'announce-snapshot']);
    expect(rig.store.decoded()[1]?.body).toMatchObject({ opened: { replayed: 0 } });
  });
});

describe('an answer', () => {
  it('leaves only when the record is acknowledged', () => {
    const rig = activeRig();
    const request = rig.deliver(next('a'));
    expect(rig.answer(request)).toBeUndefined();
    rig.commit();
    expect(answers(rig.answer(request))).toMatchObject([{ ok: true, seq: 1, epoch: 1 }]);
  });

  it('that is a rejection waits for a record of its own', () => {
    const rig = activeRig();
    const request = rig.deliver(next('no'));
    expect(rig.answer(request)).toBeUndefined();
    rig.commit();
    expect(answers(rig.answer(request))).toMatchObject([{ ok: false, code: 'no' }]);
    expect(rig.store.types().at(-1)).toBe('events');
  });

  it('given before is given again at once, but not ahead of what is in flight', () => {
    const rig = activeRig();
    const batch = next('a');
    rig.deliver(batch);
    const early = rig.deliver(batch);
    expect(rig.answer(early)).toBeUndefined();
    rig.commit();
    expect(answers(rig.answer(early))).toMatchObject([{ seq: 1, duplicate: true }]);
    const late = rig.deliver(batch);
    expect(answers(rig.answer(late))).toMatchObject([{ seq: 1, duplicate: true }]);
    expect(rig.pending).toEqual([]);
  });
});

describe('while a record is in flight', () => {
  it('everything that arrives becomes the next one', () => {
    const rig = activeRig();
    const requests = ['a', 'b', 'c', 'd'].map((item) => rig.deliver(next(item)));
    expect(rig.pending.filter(({ kind }) => kind === 'append')).toHaveLength(1);
    rig.commit();
    expect(requests.map((request) => rig.answer(request) !== undefined)).toEqual([
      true,
      false,
      false,
      false,
    ]);
    rig.commit();
    expect(answers(rig.answer(requests[3] as number))).toMatchObject([{ seq: 4, result: 3 }]);
    expect(rig.store.types().slice(-2)).toEqual(['events', 'events']);
  });

  it('a read waits for a rest, and none sees what is not committed', () => {
    const rig = activeRig();
    rig.deliver(next('a'));
    rig.deliver(next('b'));
    const local = rig.read('items', 'local');
    expect(rig.result(local)).toBeUndefined();
    rig.commit();
    expect(rig.result(local)).toBeUndefined();
    rig.deliver(next('c'));
    rig.commit();
    expect(rig.result(local)).toMatchObject({ ok: true, value: ['a', 'b'], seq: 2 });
  });

  it('what a read shows stays as it was, although the state goes on', () => {
    const rig = activeRig();
    rig.deliver(next('a'));
    const [place, items] = [rig.read(null, 'local'), rig.read('items', 'local')];
    rig.deliver(next('b'));
    rig.commit();
    expect(rig.holds('append')).toBe(true);
    expect(rig.result(place)).toEqual({ ok: true, value: null, seq: 1, epoch: 1 });
    expect(rig.result(items)).toMatchObject({ value: ['a'], seq: 1 });
  });
});

describe('a linearizable read', () => {
  it('waits for a barrier, which all that came before it share', () => {
    const rig = activeRig();
    const early = rig.read('count');
    const reads = [1, 2, 3, 4].map(() => rig.read('count'));
    expect(rig.pending.filter(({ kind }) => kind === 'append')).toHaveLength(1);
    rig.commit();
    expect(rig.result(early)).toMatchObject({ ok: true, value: 0 });
    expect(rig.result(reads[0] as number)).toBeUndefined();
    rig.commit();
    expect(reads.every((read) => rig.result(read)?.ok)).toBe(true);
    expect(rig.store.types().slice(-2)).toEqual(['barrier', 'barrier']);
    expect(rig.pending).toEqual([]);
  });

  it('takes a record with events for its barrier', () => {
    const rig = activeRig();
    rig.deliver(next('a'));
    const read = rig.read('count');
    rig.deliver(next('b'));
    rig.commit().commit();
    expect(rig.result(read)).toMatchObject({ value: 2, seq: 2, epoch: 1 });
    expect(rig.store.types().slice(-2)).toEqual(['events', 'events']);
  });

  it('of what the kind does not offer is refused', () => {
    const rig = activeRig();
    for (const query of ['nothing', 'toString', '__proto__']) {
      expect(rig.result(rig.settle().read(query, 'local'))).toMatchObject({
        ok: false,
        code: 'bad-request',
        detail: expect.stringMatching(/it has: items, count/),
      });
    }
  });
});

describe('limits', () => {
  test.each<[string, ReturnType<typeof batchOf>, string]>([
    [
      'a batch of too many events',
      batchOf(new Array(limits.batchEvents + 1).fill(add())),
      'too-large',
    ],
    ['a batch of too many bytes', batchOf([add('x'.repeat(limits.batchSizeBytes))]), 'too-large'],
    ['a floor above its numbers', batchOf([add()], { floor: 2, first: 1 }), 'bad-request'],
  ])('refuse %s at once', (_, batch, code) => {
    const rig = activeRig();
    expect(rig.answer(rig.deliver(batch))).toMatchObject({ ok: false, code });
  });

  it('hold for what waits, whether new or known, and are free again after the answers', () => {
    const rig = activeRig();
    const size = 60_000;
    const known = batchOf([add('x'.repeat(size))], { session: 'known', first: 1 });
    rig.deliver(known);
    let taken = 0;
    while (rig.answer(rig.deliver(known)) === undefined) taken += 1;
    expect(taken).toBeGreaterThan(limits.intakeSizeBytes / size - 3);
    expect(taken).toBeLessThan(limits.intakeSizeBytes / size);
    expect(rig.told.at(-1)).toMatchObject({ answer: { code: 'overloaded' } });
    rig.commit();
    expect(activeOf(rig)).toMatchObject({ intakeSizeBytes: 0, intakeEvents: 0 });
    expect(rig.answer(rig.deliver(known))).toMatchObject({ ok: true });
  });

  it('hold for reads and for requests to sync', () => {
    const rig = activeRig();
    rig.deliver(next('a'));
    for (let i = 0; i < limits.waitingReads; i++) rig.read('count');
    expect(rig.result(rig.read('count'))).toMatchObject({ ok: false, code: 'overloaded' });
    for (let i = 0; i < limits.waitingSyncs; i++) rig.sync();
    expect(rig.synced(rig.sync())).toMatchObject({ failure: expect.stringMatching(/256/) });
  });

  it('say why the log is stalled', () => {
    const rig = activeRig();
    rig.deliver(next('a'));
    const { call } = rig.take('append');
    const reason = 'the store is full';
    rig.feed({ kind: 'appended', call, outcome: { kind: 'refused', reason } });
    const big = 'x'.repeat(200_000);
    let last = rig.deliver(next(big));
    while (rig.answer(last) === undefined) last = rig.deliver(next(big));
    expect(rig.answer(last)).toMatchObject({ detail: expect.stringMatching(/the store is full/) });
  });
});

describe('a snapshot', () => {
  it('is cut at rest only', () => {
    const rig = activeRig({ sync: { everyEvents: 2, everyMs: 60_000 } });
    rig.deliver(next('a', 'b'.repeat(5000)));
    rig.deliver(next('c'));
    rig.commit();
    expect(rig.holds('announce')).toBe(false);
    rig.commit();
    expect(rig.take('announce').id).toMatch(/-3$/);
  });

  it('comes although commands never stop', () => {
    const rig = activeRig({ sync: { everyEvents: 1000, everyMs: 50 } });
    rig.deliver(next(1));
    for (let i = 2; i <= 40; i++) {
      rig.nowMs += 10;
      rig.deliver(next(i));
      rig.commit();
      rig.storeCut();
    }
    expect(rig.store.types().filter((type) => type === 'snapshot').length).toBeGreaterThan(4);
  });

  it('exists only once its record is in the log, and then the one before the last goes', () => {
    const rig = activeRig();
    rig.deliver(next('a'));
    rig.settle();
    const request = rig.sync();
    expect(rig.synced(request)).toBeUndefined();
    rig.storeCut();
    expect([...rig.store.pins.keys()]).toEqual(['1-1-0', '1-3-1']);
    expect(rig.synced(request)).toBeUndefined();
    rig.commit();
    expect(rig.synced(request)).toEqual({ through: 1 });
    expect(rig.told.at(-2)).toMatchObject({ kind: 'announce-snapshot', seq: 1 });
    expect(rig.take('drop-snapshots').before).toBe('1-1-0');
  });

  it('that is at the present seq already is not cut again', () => {
    const rig = activeRig();
    expect(rig.synced(rig.sync())).toEqual({ through: 0 });
    expect(rig.pending).toEqual([]);
  });

  it('asked for after the cut waits for the next', () => {
    const rig = activeRig();
    rig.deliver(next('a'));
    rig.settle();
    const early = rig.sync();
    expect(rig.holds('announce')).toBe(true);
    rig.deliver(next('b'));
    rig.commit();
    const late = rig.sync();
    rig.storeCut().commit();
    expect(rig.synced(early)).toEqual({ through: 1 });
    expect(rig.synced(late)).toBeUndefined();
    rig.settle();
    expect(rig.synced(late)).toEqual({ through: 2 });
  });

  it('that fails is due again, later and later, and whoever asked is told', () => {
    const store = new Store();
    store.failure = 'no space left';
    const rig = activeRig({}, store);
    const waits: number[] = [];
    for (let i = 0; i < 7; i++) {
      waits.push(wakeAtMs(rig.member) - rig.nowMs);
      rig.tick(waits.at(-1)).settle();
    }
    expect(waits).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
    const request = rig.sync();
    rig.tick(30_000).settle();
    expect(rig.synced(request)).toEqual({ failure: 'no space left' });
    store.failure = null;
    rig.tick(30_000).settle();
    expect(store.types().at(-1)).toBe('snapshot');
    expect(wakeAtMs(rig.member)).toBe(Number.POSITIVE_INFINITY);
  });

  it('of a small state comes with time, however little was logged', () => {
    const rig = activeRig({ sync: { everyEvents: 1000, everyMs: 5000 } });
    rig.deliver(next('a'));
    rig.settle();
    expect(wakeAtMs(rig.member)).toBe(rig.nowMs + 5000);
    rig.tick(5000).settle();
    expect(rig.store.types().slice(-2)).toEqual(['events', 'snapshot']);
  });

  it('of a large state waits until the log has grown by several times its size', () => {
    const rig = activeRig({ sync: { everyEvents: 10, everyMs: 5000 } });
    const big = 'x'.repeat(200_000);
    const count = () => rig.store.types().filter((type) => type === 'snapshot').length;
    for (let i = 0; i < 10; i++) rig.deliver(next(big));
    rig.settle();
    expect(count()).toBe(2);
    for (let i = 0; i < 30; i++) {
      rig.deliver(next(big));
      rig.settle().tick(5000).settle();
    }
    expect(count()).toBe(2);
    for (let i = 0; i < 12; i++) rig.deliver(next(big));
    rig.settle();
    expect(count()).toBe(3);
  });

  it('does not wake the member while there is no rest to cut it at', () => {
    const rig = activeRig({ sync: { everyEvents: 1, everyMs: 10 } });
    rig.deliver(next('a'));
    rig.nowMs += 1000;
    expect(wakeAtMs(rig.member)).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('an event that apply cannot take', () => {
  it('is refused alone, and the state is built again from the log', () => {
    const rig = activeRig();
    const before = rig.deliver(next('a'));
    const requests = [next('b'), next('c', 'boom'), next('d')].map((batch) => rig.deliver(batch));
    expect(activeOf(rig).spoilt).toBe(true);
    rig.settle();
    expect(answers(rig.answer(before))).toMatchObject([{ seq: 1 }]);
    expect(requests.map((request) => answers(rig.answer(request)))).toMatchObject([
      [{ ok: true, seq: 2 }],
      [{ ok: false, code: 'apply-failed', detail: 'boom' }],
      [{ ok: true, seq: 3 }],
    ]);
    expect(itemsOf(rig)).toEqual(['a', 'b', 'd']);
    expect(itemsOf(standbyAfter(rig))).toEqual(['a', 'b', 'd']);
  });

  it('stops nothing else while the state is being built', () => {
    const rig = activeRig();
    const poison = rig.deliver(next('boom'));
    const later = rig.deliver(next('a'));
    const read = rig.read('items');
    expect(rig.holds('replay')).toBe(true);
    expect(rig.holds('append')).toBe(false);
    rig.settle();
    expect(answers(rig.answer(poison))).toMatchObject([{ ok: false }]);
    expect(answers(rig.answer(later))).toMatchObject([{ ok: true, seq: 1 }]);
    expect(rig.result(read)).toMatchObject({ ok: true, value: ['a'] });
  });

  it('may come several times in one batch', () => {
    const rig = activeRig();
    const batch = batchOf([add('boom'), add('a'), add('boom'), add('b')]);
    const request = rig.deliver(batch);
    rig.settle();
    expect(answers(rig.answer(request))?.map(({ ok }) => ok)).toEqual([false, true, false, true]);
    expect(itemsOf(rig)).toEqual(['a', 'b']);
  });
});

function standbyAfter(rig: Rig): Rig {
  rig.sync();
  rig.settle();
  return standbyRig(rig.store);
}
