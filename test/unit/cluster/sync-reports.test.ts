/** A sync under way is told with the beats, and makes none of its own. */
import { describe, expect, it } from 'vitest';
import type { MemberReport } from '../../../replication/effects.js';
import { epoch, seq } from '../../../replication/ids.js';
import type { SyncProgress } from '../../../replication/sync/progress.js';
import { type Judge, of, reportOf, settled, timings, writer } from './support.js';

const sync = (doneSizeBytes: number) => ({ doneSizeBytes }) as SyncProgress;

it('every beat tells how far it is, at its usual time', () => {
  const [judge] = settled(['n1']) as [Judge];
  const report = (doneSizeBytes: number): MemberReport => ({
    ...reportOf(1, 'restoring', { synced: 5 }),
    sync: sync(doneSizeBytes),
  });
  judge.report(report(0));
  judge.run(50);
  const told: (number | undefined)[] = [];
  const ticks = 20;
  for (let i = 1; i <= ticks; i++) {
    judge.report(report(i));
    for (const { beat } of of(judge.run(50), 'beat')) {
      told.push(beat.reports.find(({ index }) => index === 1)?.sync?.doneSizeBytes);
    }
  }
  expect(told).toHaveLength((ticks * 50) / timings.beatMs);
  expect(told).toEqual([5, 10, 15, 20]);
});

describe('what a beat tells of a member', () => {
  const first: MemberReport = { ...reportOf(2, 'standby', { synced: 5 }), writer: writer(0) };
  const end = { era: 0, epoch: 1, seq: 5, position: 9, tag: 'aa' };
  /** Another value for everything that may change; of another era nothing is taken. */
  const others: Omit<Required<MemberReport>, 'group' | 'index' | 'era'> = {
    state: 'quarantined',
    epoch: epoch(2),
    syncedThrough: seq(6),
    lastSyncMs: 99,
    seq: seq(9),
    snapshotSeq: seq(4),
    writer: writer(0, '000002'),
    fromSeq: seq(3),
    hot: true,
    diverged: 1,
    sync: sync(1),
    error: 'something',
    known: end,
    loss: { known: end, endsAt: { epoch: 1, seq: 3 }, found: 'nothing' },
  };
  const told = () => {
    const [judge] = settled(['n1']) as [Judge];
    const known = () => judge.node.groups.get('g')?.reports.get(2);
    judge.beat('n2', [first]);
    return { judge, known };
  };

  it.each(Object.entries(others))('is what is known from then on: another %s', (name, value) => {
    const { judge, known } = told();
    const changed = { ...first, [name]: value };
    judge.beat('n2', [changed]);
    expect(known()).toBe(changed);
    judge.beat('n2', [first]);
    expect(known()).toBe(first);
  });

  it('is not kept a second time', () => {
    const { judge, known } = told();
    const before = known();
    expect(before).toEqual(first);
    judge.beat('n2', [{ ...first, writer: writer(0) }]);
    expect(known()).toBe(before);
  });
});
