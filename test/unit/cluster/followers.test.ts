import { describe, expect, it } from 'vitest';
import type { NodeEffect } from '../../../cluster/coordinator.js';
import type { MemberReport } from '../../../replication/effects.js';
import { groupOf, Judge, of, reportOf, timings } from './support.js';

describe('the followers of our active', () => {
  const nodes = ['n0', 'n1', 'n2', 'n3'];
  const told = (effects: readonly NodeEffect[]) =>
    of(effects, 'followers').map(({ indexes }) => indexes);
  const follower = (index: number, rest: Parameters<typeof reportOf>[2] = {}) =>
    reportOf(index, 'standby', { hot: true, synced: 5, ...rest });

  /** The node of an active whose standbys report nothing yet. */
  function leader(standby: 'warm' | 'hot' = 'hot'): Judge {
    const judge = new Judge('n0');
    judge.group(groupOf(nodes, { standby }));
    judge.report(reportOf(0, 'active', { synced: 9 }));
    judge.run(timings.graceMs + 100, ['n1', 'n2', 'n3']);
    return judge;
  }

  it('are the hot standbys that are in sync, on nodes that are up, lowest index first', () => {
    const judge = leader();
    judge.beat('n3', [follower(3)]);
    judge.beat('n1', [follower(1)]);
    judge.beat('n2', [follower(2)]);
    expect(told(judge.feed({ kind: 'tick' }))).toEqual([[1, 2, 3]]);
  });

  it.each<[string, MemberReport]>([
    ['is warm', follower(2, { hot: false })],
    ['has nothing yet', follower(2, { synced: null })],
    ['is being promoted', { ...follower(2), state: 'promoting' }],
    ['is quarantined', { ...follower(2), state: 'quarantined' }],
  ])('are without one that %s', (_, report) => {
    const judge = leader();
    judge.beat('n1', [follower(1)]);
    judge.beat('n2', [report]);
    expect(told(judge.feed({ kind: 'tick' }))).toEqual([[1]]);
  });

  it('are told again when they change, and not otherwise', () => {
    const judge = leader();
    judge.beat('n1', [follower(1)]);
    judge.beat('n2', [follower(2)]);
    expect(told(judge.run(2000, ['n1', 'n2', 'n3']))).toEqual([[1, 2]]);
    judge.beat('n1', [follower(1, { synced: 7 })]);
    expect(told(judge.run(500, ['n1', 'n2', 'n3']))).toEqual([]);
    judge.beat('n2', [{ ...follower(2), state: 'quarantined' }]);
    expect(told(judge.run(500, ['n1', 'n2', 'n3']))).toEqual([[1]]);
    judge.beat('n2', [follower(2)]);
    expect(told(judge.run(500, ['n1', 'n2', 'n3']))).toEqual([[1, 2]]);
  });

  it('are without one whose node is gone', () => {
    const judge = leader();
    judge.beat('n1', [follower(1)]);
    judge.beat('n2', [follower(2)]);
    judge.feed({ kind: 'tick' });
    judge.disconnected('n1');
    judge.probed('n1', 'gone');
    expect(told(judge.feed({ kind: 'tick' }))).toEqual([[2]]);
  });

  it('are told once more to an active of another epoch: it was told nothing yet', () => {
    const judge = leader();
    judge.beat('n1', [follower(1)]);
    expect(told(judge.feed({ kind: 'tick' }))).toEqual([[1]]);
    judge.report(reportOf(0, 'active', { epoch: 3, synced: 9 }));
    expect(told(judge.feed({ kind: 'tick' }))).toEqual([[1]]);
    judge.report(reportOf(0, 'standby', { epoch: 3, synced: 9 }));
    expect(told(judge.feed({ kind: 'tick' }))).toEqual([]);
    judge.report(reportOf(0, 'active', { epoch: 3, synced: 9 }));
    expect(told(judge.feed({ kind: 'tick' }))).toEqual([[1]]);
  });

  it('are the business of nobody else, and of no warm group', () => {
    const warm = leader('warm');
    warm.beat('n1', [follower(1)]);
    expect(told(warm.run(500, ['n1', 'n2', 'n3']))).toEqual([]);
    const other = new Judge('n1');
    other.group(groupOf(nodes, { standby: 'hot' }));
    other.report(follower(1));
    other.beat('n2', [follower(2)]);
    expect(told(other.run(500, ['n0', 'n2', 'n3']))).toEqual([]);
  });
});

describe('the beat of a node with a standby', () => {
  /** Right after a beat that told of this member. */
  function settledJudge(hot: boolean): Judge {
    const judge = new Judge('n1');
    judge.group(groupOf(['n0', 'n1'], { standby: hot ? 'hot' : 'warm' }));
    judge.report(reportOf(1, 'standby', { hot, synced: 5 }));
    judge.run(timings.graceMs + 100, ['n0']);
    while (of(judge.run(50, ['n0']), 'beat').length === 0);
    return judge;
  }
  const beats = (effects: readonly NodeEffect[]) => of(effects, 'beat');

  it('comes at once when a warm standby has synced', () => {
    const judge = settledJudge(false);
    judge.report(reportOf(1, 'standby', { synced: 9, syncedAtMs: 2 }));
    expect(beats(judge.feed({ kind: 'tick' }))).toMatchObject([
      { beat: { reports: [{ syncedThrough: 9 }] } },
    ]);
  });

  it('waits for its time while a hot one goes on: it does so all the time', () => {
    const judge = settledJudge(true);
    judge.report(reportOf(1, 'standby', { hot: true, synced: 9, syncedAtMs: 2 }));
    expect(beats(judge.feed({ kind: 'tick' }))).toEqual([]);
    expect(beats(judge.run(timings.beatMs, ['n0']))[0]?.beat.reports).toMatchObject([
      { syncedThrough: 9 },
    ]);
  });

  it('comes at once when a hot one holds nothing any more, and when it is level again', () => {
    const judge = settledJudge(true);
    judge.report(reportOf(1, 'standby', { hot: true, synced: null }));
    expect(beats(judge.feed({ kind: 'tick' }))).toHaveLength(1);
    judge.report(reportOf(1, 'standby', { hot: true, synced: 5, syncedAtMs: 3 }));
    expect(beats(judge.feed({ kind: 'tick' }))).toHaveLength(1);
  });

  it('comes at once when a hot one begins or ends to follow, and when its state is another', () => {
    for (const report of [
      reportOf(1, 'standby', { hot: false, synced: null }),
      { ...reportOf(1, 'quarantined', { synced: null }), hot: true },
    ]) {
      const judge = settledJudge(true);
      judge.report(report);
      expect(beats(judge.feed({ kind: 'tick' }))).toHaveLength(1);
    }
    const begins = settledJudge(false);
    begins.report(reportOf(1, 'standby', { hot: true, synced: 5, syncedAtMs: 3 }));
    expect(beats(begins.feed({ kind: 'tick' }))).toHaveLength(1);
  });
});
