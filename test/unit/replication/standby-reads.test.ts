import { describe, expect, it, test } from 'vitest';
import type { Input } from '../../../replication/effects.js';
import { limits } from '../../../replication/limits.js';
import { wakeAtMs } from '../../../replication/member.js';
import { followerRig, HotGroup, tamper } from './hot-group.js';
import { activeRig, add, batchOf, type Rig, Store, standbyRig } from './support.js';

describe('a warm standby', () => {
  function pair(): { active: Rig; rig: Rig } {
    const active = activeRig();
    active.deliver(batchOf([add('a'), add('b')]));
    active.settle().sync();
    active.settle();
    const rig = standbyRig(active.store);
    active.deliver(batchOf([add('c')], { first: 3, floor: 1 }));
    active.settle();
    return { active, rig };
  }

  it('answers at the seq it holds, however far the group is', () => {
    const { rig } = pair();
    expect(rig.result(rig.read('items', 'standby'))).toEqual({
      ok: true,
      value: ['a', 'b'],
      seq: 2,
      epoch: 1,
    });
    expect(rig.result(rig.read('count', 'standby', 2))).toMatchObject({ ok: true, value: 2 });
  });

  it('that holds less than is asked for says so at once', () => {
    const { rig } = pair();
    expect(rig.result(rig.read('count', 'standby', 3))).toEqual({
      ok: false,
      code: 'not-ready',
      detail: 'this member is at seq 2, asked for at least 3. Ask again.',
    });
    expect(rig.pending).toEqual([]);
  });

  it('answers while it restores the next snapshot', () => {
    const { active, rig } = pair();
    active.sync();
    active.settle();
    rig.tick(500);
    const record = active.store.records.at(-1);
    if (record === undefined) throw new Error('the log is empty');
    const outcome = { kind: 'record', record } as const;
    rig.feed({ kind: 'read-done', call: rig.take('read-last').call, outcome });
    expect(rig.state).toBe('restoring');
    expect(rig.result(rig.read('count', 'standby'))).toMatchObject({ value: 2, seq: 2 });
    rig.settle();
    expect(rig.result(rig.read('count', 'standby', 3))).toMatchObject({ value: 3, seq: 3 });
  });

  it.each(['linearizable', 'local'] as const)('answers no %s read', (consistency) => {
    const { rig } = pair();
    expect(rig.result(rig.read('count', consistency))).toMatchObject({ code: 'moved' });
  });

  it('that holds nothing sends the reader elsewhere', () => {
    const store = new Store();
    store.failure = 'the store is gone';
    const active = activeRig({}, store);
    const rig = standbyRig(active.store);
    expect(rig.member.replica).toBeNull();
    expect(rig.result(rig.read('count', 'standby'))).toMatchObject({ code: 'moved' });
  });

  it('hands out copies', () => {
    const { rig } = pair();
    const result = rig.result(rig.read('items', 'standby'));
    if (!result?.ok) throw new Error('it does not answer');
    (result.value as unknown[]).push('mine');
    expect(rig.result(rig.read('count', 'standby'))).toMatchObject({ value: 2 });
  });
});

describe('an active', () => {
  it('answers as a standby would, with its committed state', () => {
    const active = activeRig();
    active.deliver(batchOf([add('a')]));
    const read = active.read('items', 'standby');
    expect(active.result(read)).toBeUndefined();
    active.commit();
    expect(active.result(read)).toMatchObject({ value: ['a'], seq: 1 });
    expect(active.pending).toEqual([]);
  });

  it('that has not come to the seq asked for is a stale one, and not ready', () => {
    const active = activeRig();
    expect(active.result(active.read('items', 'local', 9))).toMatchObject({ code: 'not-ready' });
  });
});

describe('a hot standby', () => {
  /** It holds `a`, and knows nothing of `b`; the reads wait for it. */
  function waiting(count = 1): { group: HotGroup; rig: Rig; reads: number[] } {
    const group = new HotGroup(2).add('a');
    const rig = group.follower(1);
    const reads = Array.from({ length: count }, () => rig.read('items', 'standby', 2));
    expect(reads.map((read) => rig.result(read))).toEqual(new Array(count).fill(undefined));
    return { group, rig, reads };
  }
  const moved = { ok: false, code: 'moved' };

  it('answers what it has at once', () => {
    const { rig } = waiting();
    expect(rig.result(rig.read('items', 'standby', 1))).toMatchObject({ value: ['a'], seq: 1 });
  });

  it('waits for the seq that is asked for, and answers when it comes', () => {
    const { group, rig, reads } = waiting(2);
    const later = rig.read('items', 'standby', 3);
    group.add('b');
    for (const read of reads) expect(rig.result(read)).toMatchObject({ value: ['a', 'b'], seq: 2 });
    expect(rig.result(later)).toBeUndefined();
    group.add('c');
    expect(rig.result(later)).toMatchObject({ value: ['a', 'b', 'c'], seq: 3 });
  });

  it('answers also when it comes by a replay', () => {
    const { group, rig, reads } = waiting();
    group.store.isMute = true;
    group.append('b');
    rig.tick(500).settle().tick(100).settle();
    expect(rig.result(reads[0] as number)).toMatchObject({ value: ['a', 'b'] });
  });

  it('loses patience after a second', () => {
    const { rig, reads } = waiting();
    rig.nowMs += 400;
    const second = rig.read('count', 'standby', 2);
    rig.nowMs += 500;
    rig.member.lookAtMs = Number.POSITIVE_INFINITY;
    expect(wakeAtMs(rig.member)).toBe(rig.nowMs + 100);
    rig.tick(99);
    expect(rig.result(reads[0] as number)).toBeUndefined();
    rig.tick(1);
    expect(rig.result(reads[0] as number)).toMatchObject({
      code: 'not-ready',
      detail: 'this member is at seq 1, asked for at least 2. Ask again.',
    });
    expect(rig.result(second)).toBeUndefined();
    rig.tick(400);
    expect(rig.result(second)).toMatchObject({ code: 'not-ready' });
    expect(rig.member.reads).toEqual([]);
  });

  it('lets no more wait than it may', () => {
    const { rig, reads } = waiting(limits.waitingReads);
    expect(rig.result(rig.read('items', 'standby', 2))).toMatchObject({ code: 'not-ready' });
    expect(rig.result(rig.read('items', 'standby', 1))).toMatchObject({ ok: true });
    expect(rig.result(reads[0] as number)).toBeUndefined();
  });

  test.each<[string, (rig: Rig) => unknown]>([
    ['promoted', (rig) => rig.promote(1)],
    ['quarantined', (rig) => rig.feed({ kind: 'quarantine', detail: 'it crashed too often' })],
    ['reinitialised', (rig) => rig.reinit()],
  ])('that is %s answers all who wait', (_, act) => {
    const { rig, reads } = waiting(3);
    act(rig);
    for (const read of reads) expect(rig.result(read)).toMatchObject(moved);
    expect(rig.member.reads).toEqual([]);
    expect(rig.settle().result(rig.read('count', 'standby'))).toBeDefined();
  });

  it('whose state differs from the group’s shows it to nobody, and answers all who wait', () => {
    const { group, rig } = waiting();
    tamper(rig);
    const reads = [rig.read('items', 'standby', 9), rig.read(null, 'standby', 9)];
    const feed = rig.feed.bind(rig);
    const held: Input[] = [];
    rig.feed = (input) => {
      if (input.kind !== 'fetched') return feed(input);
      held.push(input);
      return rig;
    };
    group.sync();
    // The cache was asked for the manifest.
    expect(held).toHaveLength(1);
    expect(rig.result(rig.read('items', 'standby'))).toMatchObject(moved);
    rig.tick(1000);
    for (const read of reads) expect(rig.result(read)).toMatchObject({ ok: false });
    rig.feed = feed;
    rig.feed(held[0] as Input).settle();
    expect(rig.result(rig.read('items', 'standby', 1))).toMatchObject({ value: ['a'] });
  });

  it('on poison answers all who wait', () => {
    const group = new HotGroup(1).add('a');
    const kind = {
      ...group.active.member.config.kind,
      apply: () => {
        throw new Error('no');
      },
    };
    const rig = followerRig(group.store, 1);
    (rig.member.replica as { kind: unknown }).kind = kind;
    const read = rig.read('items', 'standby', 2);
    group.append('b');
    rig.settle();
    expect(rig.state).toBe('quarantined');
    expect(rig.result(read)).toMatchObject(moved);
  });
});
