import { describe, expect, it } from 'vitest';
import type { NodeEffect } from '../../../cluster/coordinator.js';
import { groupOf, Judge, of, reportOf, settled, timings } from './support.js';

const causes = (effects: readonly NodeEffect[]) =>
  of(effects, 'promote').map(({ cause }) => [cause.cause, cause.endsEpoch]);

describe('a node that is cut off and does not know it yet', () => {
  const others = ['n0', 'n1', 'n2'];
  const cutOff = (judge: Judge, forMs: number) => {
    judge.cutOff = true;
    const effects = judge.run(forMs);
    judge.cutOff = false;
    return effects;
  };

  it('makes nothing of the silence, then or afterwards', () => {
    const [best] = settled() as [Judge];
    const effects = [
      ...cutOff(best, 4000),
      ...best.tick(),
      ...best.run(timings.graceMs + timings.hangTimeoutMs, others),
    ];
    expect(causes(effects)).toEqual([]);
  });

  it('gives up on nobody that it never heard of', () => {
    const judge = new Judge('n1');
    judge.group(groupOf(others));
    judge.report(reportOf(1, 'standby', { synced: 5 }));
    expect(causes(cutOff(judge, 5000))).toEqual([]);
  });

  it('does not act on what it had found before, until it has heard for a while again', () => {
    const [best] = settled() as [Judge];
    expect(causes(best.run(timings.hangTimeoutMs + 100, ['n1', 'n2']))).toEqual([['silence', 1]]);
    cutOff(best, timings.suspectAfterMs + 50);
    expect(causes(cutOff(best, 4000))).toEqual([]);
    const back = best.run(timings.graceMs, ['n1', 'n2']);
    expect(causes(back)).toEqual([]);
    expect(causes(best.run(300, ['n1', 'n2']))).toEqual([['silence', 1]]);
  });

  it('still believes the broker that a connection is gone', () => {
    const [best] = settled() as [Judge];
    cutOff(best, 1500);
    best.disconnected('n0');
    expect(causes(best.probed('n0', 'gone'))).toEqual([['no-responders', 1]]);
  });

  it('places nobody anew whom it has given up on before', () => {
    const judge = new Judge('n0');
    judge.group(groupOf(others));
    judge.report(reportOf(0, 'active', { synced: 9 }));
    judge.run(timings.beatMs, others);
    judge.run(timings.replaceAfterMs, ['n1', 'n3']);
    const early = [...cutOff(judge, 4000), ...judge.run(timings.graceMs, ['n1', 'n3'])];
    expect(of(early, 'replace-member')).toEqual([]);
    expect(of(judge.run(300, ['n1', 'n3']), 'replace-member')).toHaveLength(1);
  });
});
