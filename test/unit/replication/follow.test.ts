import { describe, expect, it } from 'vitest';
import type { Kind } from '../../../replication/kind.js';
import { limits } from '../../../replication/limits.js';
import { report, wakeAtMs } from '../../../replication/member.js';
import type { TailedRecord } from '../../../replication/ports.js';
import { followerRig, HotGroup } from './hot-group.js';
import { add, batchOf, itemsOf, lister, Rig, Store, settleAll } from './support.js';

/** An active and one follower that holds `a`. */
function pair(): { group: HotGroup; rig: Rig; store: Store } {
  const group = new HotGroup(2).add('a');
  return { group, rig: group.follower(1), store: group.store };
}

/** Records that are stored while this runs are not heard of. */
function unheard(store: Store, act: () => void): void {
  store.isMute = true;
  act();
  store.isMute = false;
}

const followOf = (rig: Rig) => {
  const { follow } = rig.member;
  if (follow === null) throw new Error('it follows nothing');
  return follow;
};

const count = (rig: Rig, kind: Rig['carried'][number]) =>
  rig.carried.filter((each) => each === kind).length;

describe('what is stored', () => {
  it('is applied as it comes, without a look at the log', () => {
    const { group, rig } = pair();
    const before = rig.carried.length;
    group.add('b', 'c');
    expect(itemsOf(rig)).toEqual(['a', 'b', 'c']);
    expect(rig.carried.slice(before)).toEqual([]);
    expect(report(rig.member)).toMatchObject({ state: 'standby', hot: true, syncedThrough: 3 });
  });

  it('is followed from the first record on by who began on an empty log', () => {
    const store = new Store();
    const [one, two] = [followerRig(store, 1), followerRig(store, 2)];
    expect(report(one.member)).toMatchObject({ state: 'standby', hot: true, syncedThrough: 0 });
    expect(one.member.lastSyncMs).toBe(one.nowMs);
    two.promote(0).settle();
    one.settle();
    expect(report(one.member)).toMatchObject({ epoch: 1, writer: { index: 2 } });
    expect(count(one, 'replay')).toBe(0);
  });

  it('comes once more without being applied twice', () => {
    const { rig, store } = pair();
    const record = store.records.at(-1) as TailedRecord;
    rig.feed({ kind: 'tailed', call: followOf(rig).call, record });
    expect(itemsOf(rig)).toEqual(['a']);
    expect(rig.pending).toEqual([]);
  });

  it('is nothing to a member that has left the tail on which it comes', () => {
    const { group, rig, store } = pair();
    unheard(store, () => group.append('b'));
    const record = store.records.at(-1) as TailedRecord;
    rig.feed({ kind: 'tailed', call: followOf(rig).call + 50, record });
    expect(itemsOf(rig)).toEqual(['a']);
  });
});

describe('a gap', () => {
  /** `b` got lost, and `c` has come. */
  function lacking() {
    const { group, rig, store } = pair();
    unheard(store, () => group.append('b'));
    group.append('c');
    expect(itemsOf(rig)).toEqual(['a']);
    return { group, rig, store };
  }

  it('is looked up and filled, and what arrives meanwhile is held back', () => {
    const { group, rig, store } = lacking();
    const record = store.records.at(-1) as TailedRecord;
    const outcome = { kind: 'record', record } as const;
    rig.feed({ kind: 'read-done', call: rig.take('read-last').call, outcome });
    expect(rig.pending).toMatchObject([{ kind: 'replay', through: record.position }]);
    group.append('d');
    expect(followOf(rig).backlog.length).toBe(2);
    expect(itemsOf(rig)).toEqual(['a']);
    rig.settle();
    expect(itemsOf(rig)).toEqual(['a', 'b', 'c', 'd']);
    expect(followOf(rig)).toMatchObject({ backlog: [], backlogSizeBytes: 0, holds: false });
    const before = rig.carried.length;
    group.add('e');
    expect(itemsOf(rig)).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(rig.carried.slice(before)).toEqual([]);
  });

  it('in what was held back is looked up as well', () => {
    const { group, rig, store } = lacking();
    const record = store.records.at(-1) as TailedRecord;
    const outcome = { kind: 'record', record } as const;
    rig.feed({ kind: 'read-done', call: rig.take('read-last').call, outcome });
    unheard(store, () => group.append('d'));
    group.append('e');
    rig.settle();
    expect(itemsOf(rig)).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  it('is not looked up a second time while a look is under way', () => {
    const { group, rig } = lacking();
    group.append('d');
    expect(rig.pending.filter(({ kind }) => kind === 'read-last')).toHaveLength(1);
  });

  it('is looked up again when the look fails', () => {
    const { rig } = lacking();
    const outcome = { kind: 'failed', reason: 'no leader' } as const;
    rig.feed({ kind: 'read-done', call: rig.take('read-last').call, outcome });
    expect(wakeAtMs(rig.member)).toBe(rig.nowMs + 100);
    rig.tick(100).settle();
    expect(itemsOf(rig)).toEqual(['a', 'b', 'c']);
  });

  it('that takes long costs a limited backlog: what does not fit is read again', () => {
    const { group, rig, store } = lacking();
    const record = store.records.at(-1) as TailedRecord;
    const outcome = { kind: 'record', record } as const;
    rig.feed({ kind: 'read-done', call: rig.take('read-last').call, outcome });
    const size = 200_000;
    const items = Math.ceil(limits.tailBacklogSizeBytes / size) + 3;
    let most = 0;
    for (let i = 0; i < items; i++) {
      group.append(`${i}`.padEnd(size));
      most = Math.max(most, followOf(rig).backlogSizeBytes);
    }
    expect(most).toBeLessThanOrEqual(limits.tailBacklogSizeBytes);
    expect(followOf(rig).backlogSizeBytes).toBeLessThan(5 * size);
    rig.settle();
    expect(itemsOf(rig)).toHaveLength(3 + items);
  });

  it('that a look at a log that lags does not show is found by the looks to come', () => {
    const { group, rig, store } = lacking();
    const record = store.records.at(-3) as TailedRecord;
    const outcome = { kind: 'record', record } as const;
    rig.feed({ kind: 'read-done', call: rig.take('read-last').call, outcome });
    expect(followOf(rig)).toMatchObject({ holds: false, backlog: [] });
    rig.tick(500).settle().tick(100).settle();
    expect(itemsOf(rig)).toEqual(['a', 'b', 'c']);
    group.add('d');
    expect(itemsOf(rig)).toEqual(['a', 'b', 'c', 'd']);
  });

  it('before a member’s first look costs nothing: what came meanwhile is held back', () => {
    const group = new HotGroup(1).add('a');
    const rig = new Rig(group.store, 1, { standby: 'hot' }).feed({ kind: 'start' });
    const { call } = rig.take('tail');
    const [end] = group.store.records.slice(-1) as [TailedRecord];
    group.append('b');
    const record = group.store.records.at(-1) as TailedRecord;
    rig.feed({ kind: 'tailed', call, record });
    const outcome = { kind: 'record', record: end } as const;
    rig.feed({ kind: 'read-done', call: rig.take('read-last').call, outcome }).settle();
    expect(itemsOf(rig)).toEqual(['a', 'b']);
    expect(rig.carried).toEqual(['replay']);
  });
});

describe('silence', () => {
  it('at two looks in a row makes it listen anew and replay', () => {
    const { group, rig, store } = pair();
    const former = followOf(rig).call;
    unheard(store, () => group.append('b'));
    rig.tick(500).settle();
    expect(itemsOf(rig)).toEqual(['a']);
    expect(wakeAtMs(rig.member)).toBe(rig.nowMs + 100);
    rig.tick(100).settle();
    expect(itemsOf(rig)).toEqual(['a', 'b']);
    expect(rig.running.has(former)).toBe(false);
    expect(store.followers).toBe(1);
    const before = rig.carried.length;
    group.add('c');
    expect(itemsOf(rig)).toEqual(['a', 'b', 'c']);
    expect(rig.carried.slice(before)).toEqual([]);
  });

  it('is none if what was missing at a look was only on its way', () => {
    const { group, rig, store } = pair();
    unheard(store, () => group.append('b'));
    rig.tick(500).settle();
    const record = store.records.at(-1) as TailedRecord;
    rig.feed({ kind: 'tailed', call: followOf(rig).call, record });
    rig.tick(100).settle();
    expect(itemsOf(rig)).toEqual(['a', 'b']);
    expect(count(rig, 'tail')).toBe(1);
    expect(wakeAtMs(rig.member)).toBe(rig.nowMs + 500);
  });

  it('is none either if something else is on its way by then', () => {
    const { group, rig, store } = pair();
    unheard(store, () => group.append('b'));
    rig.tick(500).settle();
    const record = store.records.at(-1) as TailedRecord;
    rig.feed({ kind: 'tailed', call: followOf(rig).call, record });
    unheard(store, () => group.append('c'));
    rig.tick(100).settle();
    expect(itemsOf(rig)).toEqual(['a', 'b']);
    expect(count(rig, 'tail')).toBe(1);
  });

  it('of a log in which nothing happens is not deafness', () => {
    const { rig } = pair();
    for (let i = 0; i < 5; i++) rig.tick(500).settle();
    expect(count(rig, 'tail')).toBe(1);
    expect(rig.member.lastSyncMs).toBe(rig.nowMs);
  });

  it('is not heard in a look at a log that lags', () => {
    const { group, rig, store } = pair();
    group.add('b');
    for (let i = 0; i < 3; i++) {
      rig.tick(500);
      const record = store.records.at(-2) as TailedRecord;
      const outcome = { kind: 'record', record } as const;
      rig.feed({ kind: 'read-done', call: rig.take('read-last').call, outcome }).settle();
    }
    expect(itemsOf(rig)).toEqual(['a', 'b']);
    expect(count(rig, 'tail')).toBe(1);
  });
});

describe('a record of a stranger', () => {
  it('on the tail is passed over and reported, once the log has gone on behind it', () => {
    const { group, rig, store } = pair();
    store.append(Uint8Array.of(1, 2, 3));
    rig.settle();
    expect(itemsOf(rig)).toEqual(['a']);
    group.add('b');
    rig.tick(500).settle();
    expect(itemsOf(rig)).toEqual(['a', 'b']);
    expect(rig.alarms()).toEqual([expect.stringMatching(/a foreign record .* was passed over/)]);
    const before = rig.carried.length;
    group.add('c');
    expect(itemsOf(rig)).toEqual(['a', 'b', 'c']);
    expect(rig.carried.slice(before)).toEqual([]);
  });

  it('that ends the log for long makes a member neither deaf nor restless', () => {
    const { rig, store } = pair();
    store.append(Uint8Array.of(1, 2, 3));
    for (let i = 0; i < 5; i++) rig.settle().tick(500);
    rig.settle();
    expect(count(rig, 'tail')).toBe(1);
    expect(count(rig, 'read-last')).toBe(1 + 1 + 5);
    expect(report(rig.member)).toMatchObject({ state: 'standby', syncedThrough: 1 });
  });
});

/** Takes everything but this item. */
const without = (item: string): Kind => ({
  ...(lister as Kind),
  apply(state, event, context) {
    if ((event as { item: unknown }).item === item) throw new Error(`${item} again`);
    return (lister as Kind).apply(state, event, context);
  },
});

describe('poison', () => {
  it('on the tail quarantines the member, which then follows nothing', () => {
    const group = new HotGroup(1).add('a');
    const { store } = group;
    const rig = followerRig(store, 1, { kind: without('b') });
    group.append('b');
    rig.settle();
    expect(rig.state).toBe('quarantined');
    expect(report(rig.member)).toMatchObject({ hot: false, lastSyncMs: null });
    expect(rig.member.error).toMatch(/at seq 2: b again/);
    expect(store.followers).toBe(0);
    group.append('c');
    expect(group.seq).toBe(3);
    expect(wakeAtMs(rig.member)).toBe(Number.POSITIVE_INFINITY);
  });

  it('in a gap does so too, and so does poison in what was held back', () => {
    for (const item of ['b', 'd']) {
      const group = new HotGroup(1).add('a');
      const rig = followerRig(group.store, 1, { kind: without(item) });
      unheard(group.store, () => group.append('b'));
      group.append('c');
      const record = group.store.records.at(-1) as TailedRecord;
      const outcome = { kind: 'record', record } as const;
      rig.feed({ kind: 'read-done', call: rig.take('read-last').call, outcome });
      group.append('d');
      group.append('e');
      const looks = count(rig, 'read-last');
      rig.settle();
      expect(count(rig, 'read-last')).toBe(looks);
      expect(rig.state).toBe('quarantined');
      expect(rig.member.error).toContain(`${item} again`);
      expect(group.store.followers).toBe(0);
    }
  });
});

describe('a promotion', () => {
  it('stops the tail, and replays nothing when the member is level', () => {
    const { group, rig, store } = pair();
    group.add('b');
    const before = rig.carried.length;
    rig.promote(1).settle();
    expect(rig.state).toBe('active');
    expect(store.followers).toBe(0);
    expect(report(rig.member).hot).toBe(false);
    expect(rig.carried.slice(before)).not.toContain('replay');
    const noted = rig.told.find(({ kind }) => kind === 'epoch-noted');
    expect(noted).toMatchObject({ note: { opened: { replayed: 0 } } });
    expect(itemsOf(rig)).toEqual(['a', 'b']);
  });

  it('replays only what the member has not heard of', () => {
    const { group, rig, store } = pair();
    group.add('b');
    unheard(store, () => group.append('c'));
    rig.promote(1).settle();
    const noted = rig.told.find(({ kind }) => kind === 'epoch-noted');
    expect(noted).toMatchObject({ note: { opened: { replayed: 1 } } });
    expect(itemsOf(rig)).toEqual(['a', 'b', 'c']);
  });

  it('in the middle of a replay goes on from there, and nobody listens to that replay', () => {
    const { group, rig, store } = pair();
    unheard(store, () => group.append('b'));
    group.append('c');
    const record = store.records.at(-1) as TailedRecord;
    const outcome = { kind: 'record', record } as const;
    rig.feed({ kind: 'read-done', call: rig.take('read-last').call, outcome });
    const { call } = rig.take('replay');
    rig.promote(1);
    expect(rig.pending).toContainEqual({ kind: 'stop', call });
    rig.settle();
    expect(itemsOf(rig)).toEqual(['a', 'b', 'c']);
  });

  it('that is lost makes it follow again, the winner now', () => {
    const { group, rig } = pair();
    const rival = followerRig(group.store, 2);
    rival.promote(1).settle();
    rig.promote(1).settle();
    expect(rig.state).toBe('standby');
    const before = rig.carried.length;
    const request = rival.deliver(batchOf([add('z')]));
    settleAll(rival, rig);
    expect(rival.answer(request)).toMatchObject({ ok: true });
    expect(itemsOf(rig)).toEqual(['a', 'z']);
    expect(rig.carried.slice(before)).toEqual([]);
  });
});
