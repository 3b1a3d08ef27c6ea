/** A sync under way is told with the beats, and makes none of its own. */
import { expect, it } from 'vitest';
import type { MemberReport } from '../../../replication/effects.js';
import type { SyncProgress } from '../../../replication/sync/progress.js';
import { type Judge, of, reportOf, settled, timings } from './support.js';

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
