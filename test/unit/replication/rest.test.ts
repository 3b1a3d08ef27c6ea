/** The standbys of an idle group sleep; something new wakes them, and nothing else keeps them awake. */
import { describe, expect, it } from 'vitest';
import { epoch, position, seq } from '../../../replication/ids.js';
import { wakeAtMs } from '../../../replication/member.js';
import { sleepMs } from '../../../replication/rest.js';
import { activeRig, add, batchOf, itemsOf, type Rig, standbyRig } from './support.js';

const pollMs = 500;
const looks = (rig: Rig) => rig.carried.filter((kind) => kind === 'read-last').length;
const looksIn = (rig: Rig, forMs: number, disturb: () => void = () => undefined) => {
  const before = looks(rig);
  for (let ms = 0; ms < forMs; ms += 100) {
    disturb();
    rig.pass(100);
  }
  return looks(rig) - before;
};
const isAsleep = (rig: Rig) => wakeAtMs(rig.member) - rig.nowMs > pollMs;

function asleep(standby: 'warm' | 'hot' = 'warm') {
  const active = activeRig({ standby });
  const rig = standbyRig(active.store, 1, { standby });
  rig.pass(10 * pollMs);
  expect(isAsleep(rig)).toBe(true);
  return { active, rig };
}

/** A snapshot of one event more, of which nobody tells. */
function cut(active: Rig): number {
  active.deliver(batchOf([add('more')], { session: null }));
  active.settle().sync();
  active.settle();
  return active.member.tip.seq;
}

describe.each(['warm', 'hot'] as const)('a %s standby of an idle group', (standby) => {
  it('looks at the log’s end some times, and then hardly ever', () => {
    const active = activeRig({ standby });
    const rig = standbyRig(active.store, 1, { standby });
    expect(looksIn(rig, 10 * pollMs)).toBeGreaterThanOrEqual(7);
    expect(looksIn(rig, sleepMs - 4 * pollMs)).toBe(0);
    expect(looksIn(rig, sleepMs)).toBe(1);
  });

  it('falls asleep though it is told again and again of what it knows', () => {
    const active = activeRig({ standby });
    const rig = standbyRig(active.store, 1, { standby });
    const { seq: at } = active.member.tip;
    const disturb = () => {
      rig.feed({ kind: 'epoch-seen', epoch: epoch(1) });
      rig.feed({ kind: 'snapshot-seen', position: position(1), seq: at });
      rig.feed({ kind: 'behind', seq: at });
      rig.feed({ kind: 'peers', nodes: ['n0'] });
    };
    looksIn(rig, 10 * pollMs, disturb);
    expect(looksIn(rig, sleepMs - 4 * pollMs, disturb)).toBe(0);
  });

  it('has what is new, and is awake for a while if it had to look for it', () => {
    const { active, rig } = asleep(standby);
    const through = cut(active);
    rig.feed({ kind: 'behind', seq: seq(through) }).settle();
    rig.pass(2 * pollMs);
    expect(itemsOf(rig)).toEqual(['more']);
    // What comes live it need not look for.
    expect(isAsleep(rig)).toBe(standby === 'hot');
  });

  it('wakes to learn of a new writer, and to become one', () => {
    const { active, rig } = asleep(standby);
    const rival = standbyRig(active.store, 2, { standby }).promote(1).settle();
    rig.feed({ kind: 'epoch-seen', epoch: epoch(2) }).settle();
    expect(rig.member.tip.epoch).toBe(2);
    rig.pass(10 * pollMs);
    expect(rival.state).toBe('active');
    rig.promote(2).settle();
    expect(rig.state).toBe('active');
  });
});

describe('asleep', () => {
  it('a warm standby restores the snapshot it is told of', () => {
    const { active, rig } = asleep();
    const through = cut(active);
    rig.feed({ kind: 'snapshot-seen', position: position(1), seq: seq(through) }).settle();
    expect(itemsOf(rig)).toEqual(['more']);
  });

  it('a hot standby follows, and looks for what is asked of it and did not come', () => {
    const { active, rig } = asleep('hot');
    active.deliver(batchOf([add('live')], { session: null }));
    active.settle();
    rig.settle();
    expect(itemsOf(rig)).toEqual(['live']);
    rig.pass(10 * pollMs);
    active.store.isMute = true;
    active.deliver(batchOf([add('lost')], { session: null }));
    active.settle();
    const read = rig.read('count', 'standby', 2);
    rig.settle().pass(300);
    expect(rig.result(read)).toMatchObject({ ok: true, seq: 2 });
  });
});
