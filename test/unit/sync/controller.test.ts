import { describe, expect, it } from 'vitest';
import { limits } from '../../../replication/limits.js';
import { endSync, stepSync, syncWakeAtMs } from '../../../replication/sync/controller.js';
import { generationOf } from '../../../replication/sync/sync.js';
import { begun, type Fetch, piece, pieces, Rig } from './support.js';

const done = { kind: 'done' };
const busy = { kind: 'busy' };

describe('a sync', () => {
  it('fetches what is wanted, and what is wanted because of it, and is done', () => {
    const all = [piece('m', { work: 'healing', leadsTo: ['a', 'b'] }), ...pieces('a', 'b')];
    const rig = new Rig(all, [], ['m']).begin();
    expect(rig.asked()).toEqual(['cache m']);
    rig.lack('cache').give('store');
    expect(rig.result).toEqual(busy);
    expect(rig.asked()).toEqual(['cache a', 'cache b']);
    rig.cold().give('store', 'b').give('store', 'a');
    expect(rig.result).toEqual(done);
    expect(rig.script.accepted).toEqual(['m', 'b', 'a']);
    expect(rig.alarms()).toEqual([]);
    expect(syncWakeAtMs(rig.sync)).toBe(Number.POSITIVE_INFINITY);
  });

  it('is done at once if nothing is wanted', () => {
    expect(begun([]).result).toEqual(done);
  });

  it('is not done while anything is pending, or only active', () => {
    const rig = begun(pieces('a', 'b')).cold().give('store', 'a');
    expect(rig.result).toEqual(busy);
    rig.lack('store', 'b');
    expect(rig.active()).toEqual([]);
    expect(rig.result).toEqual(busy);
    expect(rig.pass(500).give('store', 'b').result).toEqual(done);
  });

  it('keeps what came from elsewhere, and not what the cache gave', () => {
    const rig = begun(pieces('a', 'b')).give('cache', 'a').lack('cache').give('store');
    expect(rig.result).toEqual(done);
    expect(rig.kept()).toEqual(['b']);
  });

  it('does not fetch what the cache holds', () => {
    const rig = begun(pieces('a', 'b', 'c'), ['n1']);
    rig.give('cache', 'a').give('cache', 'b').give('cache', 'c');
    expect(rig.result).toEqual(done);
    expect(rig.account('store').asked + rig.account('n1').asked).toBe(0);
  });

  it('uses several sources at once, each about as much', () => {
    const all = pieces('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h');
    const rig = begun(all, ['n1', 'n2', 'n3']).cold();
    expect(rig.asked().map((each) => each.split(' ')[0])).toEqual(['n1', 'n2', 'n3', 'store']);
    rig.giveAll();
    expect(rig.result).toEqual(done);
    for (const name of ['n1', 'n2', 'n3', 'store']) expect(rig.account(name).asked).toBe(2);
  });

  it('asks for a hash once, in whatever kind of work and however often it is wanted', () => {
    const a = piece('a', { leadsTo: ['a', 'b', 'm'] });
    const twin = piece('twin', { bytes: a.bytes, work: 'values' });
    const m = piece('m', { work: 'healing', leadsTo: ['a', 'twin', 'b', 'b'] });
    const rig = new Rig([m, a, twin, piece('b')], [], ['m']).begin().lack('cache');
    rig.give('store', 'm').cold().giveAll();
    expect(rig.result).toEqual(done);
    expect(rig.script.accepted).toEqual(['m', 'a', 'b']);
    expect(rig.progress.knownSizeBytes).toBe(3000);
  });

  it('wants no more chunks than a snapshot may have', () => {
    const many = Array.from({ length: limits.snapshotChunks + 2 }, (_, i) => piece(`p${i}`));
    const rig = begun(many);
    expect(rig.result).toMatchObject({ kind: 'failed', lost: [] });
    expect(begun(many.slice(1)).result).toEqual(busy);
  });

  it('fails at once when nothing can come of the snapshot', () => {
    const rig = new Rig(pieces('a', 'b'));
    rig.script.instead.set('a', () => ({ problem: 'no manifest' }));
    rig.begin().cold().give('store', 'a');
    expect(rig.result).toEqual({ kind: 'failed', problem: 'no manifest', lost: [] });
    const before = rig.out.length;
    rig.give('store', 'b');
    expect(rig.result.kind).toBe('failed');
    expect(rig.out).toHaveLength(before);
  });

  it('does nothing before it is begun, nor after it is abandoned', () => {
    const rig = new Rig(pieces('a'), ['n1']);
    expect(rig.tick().peers('n2').result).toEqual(busy);
    rig.begin();
    endSync(rig.sync);
    rig.give('cache').tick(60_000);
    expect(rig.result).toEqual(busy);
    expect(rig.script.accepted).toEqual([]);
    expect(syncWakeAtMs(rig.sync)).toBe(Number.POSITIVE_INFINITY);
  });

  it('is known by group, epoch and seq', () => {
    expect(generationOf('g', 1, 23)).toBe('g/1/23');
    expect(generationOf('g', 12, 3)).not.toBe(generationOf('g', 1, 23));
  });

  it('changes nothing for inputs that are not for it', () => {
    const rig = begun(pieces('a'));
    const out: never[] = [];
    const now = { monoMs: 90_000, wallMs: 0 };
    expect(stepSync(rig.sync, { kind: 'start' }, now, out)).toEqual(busy);
    expect(out).toEqual([]);
    expect(rig.account('cache').strikes).toBe(0);
  });
});

describe('what an assembly does beside', () => {
  it('is given time, and leads to more that is wanted', () => {
    const rig = new Rig(pieces('a', 'b'), [], ['a']).begin().cold();
    rig.script.toDo.push(() => ['b']);
    rig.give('store', 'a');
    expect(rig.result).toEqual(busy);
    expect(rig.asked()).toEqual([]);
    expect(syncWakeAtMs(rig.sync)).toBe(Number.POSITIVE_INFINITY);
    rig.feed({ kind: 'work', sizeBytes: 1000 });
    expect(rig.cold().asked()).toEqual(['store b']);
    expect(rig.give('store').result).toEqual(done);
  });

  it('keeps the sync from being done, and from giving up', () => {
    const rig = begun(pieces('a')).cold();
    rig.script.toDo.push(
      () => [],
      () => [],
    );
    rig.lie('store').feed({ kind: 'work', sizeBytes: 1000 });
    expect(rig.result).toEqual(busy);
    expect(rig.feed({ kind: 'work', sizeBytes: 1000 }).result).toMatchObject({ kind: 'failed' });
    const other = begun(pieces('a')).cold();
    other.script.toDo.push(() => []);
    expect(other.give('store').result).toEqual(busy);
    expect(other.feed({ kind: 'work', sizeBytes: 1000 }).result).toEqual(done);
  });

  it('may show that nothing can come of it', () => {
    const rig = begun(pieces('a')).cold();
    rig.script.toDo.push(() => ({ problem: 'another digest' }));
    rig.feed({ kind: 'work', sizeBytes: 1000 });
    expect(rig.result).toEqual({ kind: 'failed', problem: 'another digest', lost: [] });
    const thrown = begun(pieces('a')).cold();
    thrown.script.toDo.push(() => {
      throw new Error('boom');
    });
    thrown.feed({ kind: 'work', sizeBytes: 1000 });
    expect(thrown.result).toMatchObject({
      problem: 'what came cannot be put together: Error: boom',
    });
  });
});

describe('a result that nobody waits for', () => {
  const known = (rig: Rig) =>
    JSON.stringify([rig.sync.ledger.store, rig.sync.corrupt, rig.active()]);

  it('of another generation is dropped, and says nothing about the source', () => {
    const rig = begun(pieces('a'), ['n1']).cold();
    const fetch = rig.find('n1');
    rig.answer(fetch, { kind: 'chunk', bytes: Uint8Array.of(9) }, 'g/1/6');
    rig.answer(fetch, { kind: 'none' }, 'g/1/6').answer(fetch, { kind: 'failed', reason: '' }, 'x');
    expect(rig.active()).toEqual([fetch.call]);
    expect(rig.account('n1')).toMatchObject({ excluded: null, strikes: 0 });
    expect(rig.alarms()).toEqual([]);
    rig.open.push(fetch);
    expect(rig.give('n1').result).toEqual(done);
  });

  it('with a call that was never made is ignored', () => {
    const rig = begun(pieces('a')).cold();
    const before = known(rig);
    const stranger: Fetch = { ...rig.find('store'), call: 999 };
    rig.answer(stranger, { kind: 'chunk', bytes: Uint8Array.of(9) });
    expect(known(rig)).toBe(before);
    expect(rig.give('store').result).toEqual(done);
  });

  it('after its request was given up is ignored, even if it is right or wrong or empty', () => {
    const rig = begun(pieces('a'), ['n1']).cold();
    const late = rig.find('n1');
    rig.tick(5000);
    expect(rig.asked()).toEqual(['n1 a', 'store a']);
    const bytes = rig.script.pieceOf(late.hash).bytes;
    const before = JSON.stringify(rig.account('n1'));
    for (const result of [
      { kind: 'none' },
      { kind: 'failed', reason: 'late' },
      { kind: 'chunk', bytes: Uint8Array.of(9) },
      { kind: 'chunk', bytes },
    ] as const) {
      rig.answer(late, result);
    }
    expect(JSON.stringify(rig.account('n1'))).toBe(before);
    expect(rig.script.accepted).toEqual([]);
    expect(rig.give('store').result).toEqual(done);
  });
});

describe('a peer that is gone', () => {
  it('has its active requests asked of others at once, with no strike and no budget spent', () => {
    const rig = begun(pieces('a', 'b', 'c', 'd'), ['n1', 'n2']).cold();
    const before = rig.asked().filter((each) => each.startsWith('n1'));
    expect(before).not.toEqual([]);
    rig.open = rig.open.filter(({ source }) => source.kind !== 'peer' || source.node !== 'n1');
    rig.peers('n2');
    expect(rig.account('n1')).toMatchObject({ inFlight: 0, strikes: 0, isGone: true });
    const names = rig.asked().map((each) => each.split(' ')[1]);
    expect(names.sort()).toEqual(['a', 'b', 'c', 'd']);
    expect(rig.asked().some((each) => each.startsWith('n1'))).toBe(false);
    expect(rig.giveAll().result).toEqual(done);
    expect(rig.alarms()).toEqual([]);
  });

  it('told twice, is gone once', () => {
    const rig = begun(pieces('a', 'b', 'c', 'd'), ['n1', 'n2'])
      .cold()
      .peers('n2');
    const before = [rig.asked(), rig.out.length];
    rig.peers('n2');
    expect([rig.asked(), rig.out.length]).toEqual(before);
  });

  it('does not touch what is asked anew by answering late', () => {
    const rig = begun(pieces('a'), ['n1']).cold();
    const late = rig.find('n1');
    rig.peers();
    rig.answer(late, { kind: 'failed', reason: 'connection closed' });
    expect(rig.account('n1')).toMatchObject({ strikes: 0, said: { failed: 0 } });
    expect(rig.asked()).toEqual(['store a']);
    expect(rig.give('store').result).toEqual(done);
  });

  it('leaves its worker free for the next request', () => {
    const rig = begun(pieces('a'), ['n1']).cold();
    const { workers } = rig.sync.coordinators.ranges;
    rig.peers();
    expect(workers).toMatchObject([{ id: 1, call: rig.find('store').call, served: 2 }]);
  });

  it('is asked again when it comes back, but for what it did not have', () => {
    const rig = begun(pieces('a', 'b'), ['n1']).cold();
    rig.lack('n1').peers().peers('n1');
    expect(rig.asked().filter((each) => each.startsWith('n1'))).toEqual([]);
    rig.tick(5000).tick(1000);
    expect(rig.asked()).toContain('n1 b');
    expect(rig.asked()).not.toContain('n1 a');
  });

  it('may be a new one that has what nobody had', () => {
    const rig = begun(pieces('a')).cold().lack('store').peers('n1');
    expect(rig.asked()).toEqual(['n1 a']);
    expect(rig.give('n1').result).toEqual(done);
  });
});

describe('progress', () => {
  it('follows bytes', () => {
    const m = piece('m', { work: 'healing', leadsTo: ['a', 'b', 'v'] });
    const all = [m, ...pieces('a', 'b'), piece('v', { work: 'values' })];
    const rig = new Rig(all, ['n1'], ['m']).begin();
    expect(rig.progress).toMatchObject({ doneSizeBytes: 0, knownSizeBytes: 1000, corrupt: 0 });
    rig.give('cache').cold().give('n1', 'v');
    expect(rig.progress).toEqual({
      generation: 'g/1/7',
      work: {
        healing: { pending: 0, active: 0, completed: 1 },
        ranges: { pending: 0, active: 2, completed: 0 },
        values: { pending: 0, active: 0, completed: 1 },
      },
      doneSizeBytes: 2000,
      knownSizeBytes: 4000,
      fromSizeBytes: { cache: 1000, store: 0, peers: 1000 },
      corrupt: 0,
      sinceMs: 1e12 + 1000,
      bytesPerSecond: 2000,
    });
    rig.tick(4000);
    expect(rig.progress.bytesPerSecond).toBe(500);
    rig.nowMs += 500;
    rig.lie('n1').give('store');
    expect(rig.progress).toMatchObject({ corrupt: 1 });
    expect(rig.pass(30_000).progress.bytesPerSecond).toBe(0);
  });
});
