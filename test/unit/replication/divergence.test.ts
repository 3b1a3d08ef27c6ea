import { describe, expect, it } from 'vitest';
import { limits } from '../../../replication/limits.js';
import { report } from '../../../replication/member.js';
import { HotGroup, tamper } from './hot-group.js';
import { itemsOf, type Rig } from './support.js';

/** A group of three that holds `a` and `b`, and what member 2 has made of it. */
function diverging(): { group: HotGroup; rig: Rig } {
  const group = new HotGroup(3).add('a', 'b');
  const rig = group.follower(2);
  tamper(rig);
  return { group, rig };
}

describe('a hot standby whose state differs from the group’s', () => {
  it('finds out at the snapshot record, and says so with both digests', () => {
    const { group, rig } = diverging();
    expect(group.sync()).toEqual({ through: 2 });
    const [first] = rig.told.filter(({ kind }) => kind === 'alarm');
    expect(first).toMatchObject({ kind: 'alarm', code: 'conflict' });
    expect(rig.alarms()[0]).toMatch(/^at seq 2 .*This member begins anew/);
    const digests = /here is ([0-9a-f]{16}), member 1 recorded ([0-9a-f]{16}) /;
    const [, mine, theirs] = digests.exec(rig.alarms()[0] ?? '') ?? [];
    expect(mine).not.toBe(theirs);
    expect(theirs).toMatch(/./);
  });

  it('holds nothing, and is no candidate, until it is made anew', () => {
    const { group, rig } = diverging();
    let chunks = 0;
    const feed = rig.feed.bind(rig);
    rig.feed = (input) => {
      if (input.kind === 'fetched') {
        if (input.result.kind === 'chunk') chunks += 1;
        expect(rig.member.replica).toBeNull();
        expect(report(rig.member)).toMatchObject({ lastSyncMs: null, hot: true, diverged: 1 });
        expect(rig.member.error).toMatch(/^at seq 2/);
      }
      return feed(input);
    };
    group.sync();
    // The manifest and the core.
    expect(chunks).toBe(2);
  });

  it('begins anew from the snapshot, names the first difference, and is healthy again', () => {
    const { group, rig } = diverging();
    const before = rig.carried.length;
    group.sync();
    expect(rig.carried.slice(before)).toContain('fetch');
    expect(rig.alarms()).toHaveLength(2);
    expect(rig.alarms()[1]).toBe(
      "the first difference at seq 2 is state.items.0: tampered here, a in the group's",
    );
    expect(itemsOf(rig)).toEqual(['a', 'b']);
    expect(report(rig.member)).toMatchObject({
      state: 'standby',
      hot: true,
      diverged: 1,
      error: null,
      lastSyncMs: rig.nowMs,
      syncedThrough: 2,
    });
    group.add('c').sync();
    expect(itemsOf(rig)).toEqual(['a', 'b', 'c']);
    expect(rig.alarms()).toHaveLength(2);
  });

  it('applies what comes meanwhile, too', () => {
    const { group, rig } = diverging();
    group.active.sync();
    const feed = rig.feed.bind(rig);
    rig.feed = (input) => {
      if (input.kind === 'fetched' && group.seq === 2) group.append('c');
      return feed(input);
    };
    group.settle();
    expect(itemsOf(rig)).toEqual(['a', 'b', 'c']);
    expect(rig.alarms()).toHaveLength(2);
  });

  it('replays the whole log if the snapshot cannot be had', () => {
    const { group, rig } = diverging();
    group.active.sync();
    const feed = rig.feed.bind(rig);
    rig.feed = (input) => {
      if (input.kind !== 'fetched') return feed(input);
      return feed({ ...input, result: { kind: 'none' } });
    };
    group.settle();
    // The store may lag: it is asked some more times.
    rig.pass(3000);
    expect(itemsOf(rig)).toEqual(['a', 'b']);
    expect(rig.alarms()[1]).toMatch(/^replaying the whole log: 1 of 1 chunks cannot be had/);
    const [body] = group.store
      .decoded()
      .flatMap((each) => ('manifest' in each.body ? [each.body] : []))
      .slice(-1);
    const lost = { kind: 'report-lost', node: 'n0', hashes: [body?.manifest] };
    expect(rig.told).toContainEqual(lost);
  });

  it('finds out also if it was the one to cut', () => {
    const group = new HotGroup(3).add('a', 'b');
    const rig = group.follower(1);
    tamper(rig);
    expect(group.sync()).toEqual({ through: 2 });
    expect(rig.member.diverged).toBe(1);
    expect(group.follower(2).member.diverged).toBe(0);
    expect(itemsOf(rig)).toEqual(['a', 'b']);
  });

  it('finds out at the next mark, if it replayed the last', () => {
    const { group, rig } = diverging();
    group.store.isMute = true;
    group.active.sync();
    group.active.settle();
    group.store.isMute = false;
    group.append('c');
    group.settle();
    expect(rig.member.diverged).toBe(0);
    group.pass(10_000);
    expect(rig.member.diverged).toBe(1);
    expect(itemsOf(rig)).toEqual(['a', 'b', 'c']);
  });
});

describe('a member that differs again and again', () => {
  function broken(): { group: HotGroup; rig: Rig } {
    const { group, rig } = diverging();
    for (let i = 1; i < limits.divergences; i++) {
      group.sync();
      expect(rig.member).toMatchObject({ diverged: i, role: { state: 'standby' } });
      group.add(i);
      tamper(rig);
    }
    group.sync();
    return { group, rig };
  }

  it('is quarantined, and follows nothing', () => {
    const { group, rig } = broken();
    expect(rig.state).toBe('quarantined');
    expect(rig.member.error).toMatch(/has differed from the group's 3 times/);
    expect(rig.told.at(-1)).toMatchObject({ kind: 'alarm', code: 'quarantined' });
    expect(group.store.followers).toBe(1);
    expect(report(rig.member)).toMatchObject({ lastSyncMs: null, hot: false });
    expect(rig.settle().pending).toEqual([]);
  });

  it('is brought back by an operator, and counts anew', () => {
    const { group, rig } = broken();
    expect(rig.reinited(rig.reinit())).toBeNull();
    group.settle();
    expect(rig.member).toMatchObject({ diverged: 0, error: null, role: { state: 'standby' } });
    expect(itemsOf(rig)).toEqual(['a', 'b', 1, 2]);
    group.add('c').sync();
    expect(itemsOf(rig)).toEqual(['a', 'b', 1, 2, 'c']);
    expect(rig.state).toBe('standby');
  });
});

describe('beginning anew', () => {
  it('is refused by an active, and by one that is about to be or was just now', () => {
    const group = new HotGroup(2).add('a');
    const { active } = group;
    const [rig] = group.followers as [Rig];
    expect(active.reinited(active.reinit())).toMatch(/member 0 is active: switch over first/);
    rig.promote(1);
    expect(rig.reinited(rig.reinit())).toMatch(/is promoting/);
    active.handOff(1);
    active.commit();
    expect(active.reinited(active.reinit())).toMatch(/is handing-off/);
    expect(itemsOf(active)).toEqual(['a']);
  });

  it('is done by a standby that is well: it forgets, and has everything again', () => {
    const group = new HotGroup(2).add('a');
    const [rig] = group.followers as [Rig];
    expect(rig.reinited(rig.reinit())).toBeNull();
    expect(rig.member).toMatchObject({ replica: null, lastSyncMs: null });
    group.settle();
    expect(group.store.followers).toBe(1);
    expect(group.add('b') && itemsOf(rig)).toEqual(['a', 'b']);
  });
});
