/** What the coordinator has not seen yet, and what a member of it may have missed. */
import { describe, expect, it } from 'vitest';
import type { MemberReport } from '../../../replication/effects.js';
import { epoch, seq } from '../../../replication/ids.js';
import { groupOf, Judge, of, reportOf, timings } from './support.js';

describe('a group whose creation is not on record', () => {
  const config = groupOf(['n0', 'n1', 'n2']);

  it('starts nothing, whoever speaks of it, until it is', () => {
    const judge = new Judge('n1');
    judge.run(timings.graceMs + 50, ['n0', 'n2']);
    const heard = [
      ...judge.beat('n0', [reportOf(0, 'active', { synced: 5 })]),
      ...judge.report(reportOf(1, 'standby', { synced: 5 })),
      ...judge.feed({ kind: 'handed-off', group: 'g', epoch: epoch(1), target: 1 }),
      ...judge.run(1000, ['n0', 'n2']),
    ];
    expect(new Set(heard.map(({ kind }) => kind))).toEqual(new Set(['beat']));
    expect(judge.group(config)).toEqual([{ kind: 'start-member', config, index: 1 }]);
  });

  it('is looked at as soon as it is, whatever was missed before', () => {
    const judge = new Judge('n1');
    judge.run(timings.graceMs + 50, ['n0', 'n2']);
    judge.beat('n0', [reportOf(0, 'active', { epoch: 3, synced: 5 })]);
    judge.group(config);
    judge.report(reportOf(1, 'standby', { epoch: 0, writer: null, synced: null }));
    // Whoever leads it tells of it again, in its turn.
    const effects = judge.beat('n0', [reportOf(0, 'active', { epoch: 3, synced: 5 })]);
    expect(of(effects, 'epoch-seen').map((effect) => effect.epoch)).toEqual([3]);
    expect(of(effects, 'behind').map((effect) => effect.group)).toEqual(['g']);
    expect(of(judge.run(2000, ['n0', 'n2']), 'promote')).toEqual([]);
  });
});

describe('a standby that may have missed something', () => {
  const judgeWith = (standby: 'warm' | 'hot', own: Partial<MemberReport>) => {
    const judge = new Judge('n1');
    judge.group(groupOf(['n0', 'n1', 'n2'], { standby }));
    judge.report({ ...reportOf(1, 'standby', { synced: 5, hot: standby === 'hot' }), ...own });
    return (active: Partial<MemberReport>) => {
      const report = { ...reportOf(0, 'active', { synced: 9 }), ...active };
      return of(judge.beat('n0', [report]), 'behind').map((effect) => effect.seq);
    };
  };

  it('is told if it is warm, of the newest snapshot, as often as the active tells of it', () => {
    const tell = judgeWith('warm', {});
    expect(tell({ snapshotSeq: seq(5) })).toEqual([]);
    expect(tell({ snapshotSeq: seq(8) })).toEqual([8]);
    expect(tell({ snapshotSeq: seq(8) })).toEqual([8]);
  });

  it('is told if it is hot, of how far the group is', () => {
    const tell = judgeWith('hot', {});
    expect(tell({ seq: seq(9) })).toEqual([9]);
    expect(tell({ seq: seq(5) })).toEqual([]);
  });

  it('is told if it never synced, were there nothing but the beginning', () => {
    expect(judgeWith('warm', { lastSyncMs: null, syncedThrough: seq(0) })({})).toEqual([0]);
  });

  it('is not told by whoever does not lead, nor by who led before', () => {
    expect(judgeWith('warm', {})({ snapshotSeq: seq(8), state: 'standby' })).toEqual([]);
    expect(judgeWith('warm', { epoch: epoch(7) })({ snapshotSeq: seq(8) })).toEqual([]);
  });
});
