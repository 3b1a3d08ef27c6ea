import { describe, expect, it } from 'vitest';
import type { NodeEffect } from '../../../cluster/coordinator.js';
import { type Hold, heldBy, noHold, noteHold } from '../../../cluster/pause.js';
import { groupOf, type Judge, of, pauseOf, reportOf, settled, timings, writer } from './support.js';

describe('a pause as one process judges it', () => {
  const at = (monoMs: number, wallMs: number) => ({ monoMs, wallMs });
  const hour = 3_600_000;
  const pause = pauseOf(50 * hour, hour);

  it.each<[string, number, number]>([
    ['when it begins, takes all of it', 49 * hour, hour],
    ['in its middle, takes the rest', 49.5 * hour, 0.5 * hour],
    ['after its end, takes nothing', 51 * hour, 0],
    ['with a clock that is days ahead, takes nothing', 99 * hour, 0],
    ['with a clock that is days behind, takes no more than it was to last', 1 * hour, hour],
  ])('who sees it %s', (_, wallMs, leftMs) => {
    expect(noteHold(noHold, pause, at(1000, wallMs)).untilMs).toBe(1000 + leftMs);
  });

  it('goes on as it was when it is seen again, whatever the wall clock says by then', () => {
    const first = noteHold(noHold, pause, at(1000, 49 * hour));
    for (const wallMs of [1, 49 * hour, 49.5 * hour, 99 * hour]) {
      expect(noteHold(first, { ...pause }, at(5000, wallMs))).toEqual(first);
    }
  });

  it('gives way to a later order, a longer or a shorter one', () => {
    const first = noteHold(noHold, pause, at(1000, 49 * hour));
    for (const ttlMs of [10, 3 * hour]) {
      const next = noteHold(first, pauseOf(49 * hour + ttlMs, ttlMs), at(2000, 49 * hour));
      expect(next.untilMs).toBe(2000 + ttlMs);
    }
  });

  it('ends when it is lifted, or ended before that', () => {
    const first = noteHold(noHold, pause, at(1000, 49 * hour));
    expect(noteHold(first, null, at(5000, 0))).toEqual({ pause: null, untilMs: 5000 });
    const later = at(1000 + 2 * hour, 0);
    expect(noteHold(first, null, later)).toEqual({ pause: null, untilMs: 1000 + hour });
    expect(noteHold(noHold, null, later)).toEqual(noHold);
  });

  it('counts by itself and beside that of all groups: the one that ends last is told of', () => {
    const hold = (untilMs: number): Hold => ({ pause: pauseOf(untilMs, 1), untilMs });
    const scopeAt = (monoMs: number, group: Hold, all: Hold) =>
      heldBy({ group, all }, monoMs)?.scope;
    expect(scopeAt(5, hold(10), noHold)).toBe('group');
    expect(scopeAt(5, noHold, hold(10))).toBe('all');
    expect(scopeAt(5, hold(10), hold(20))).toBe('all');
    expect(scopeAt(5, hold(20), hold(10))).toBe('group');
    expect(scopeAt(10, hold(10), noHold)).toBeUndefined();
    expect(scopeAt(5, { pause: null, untilMs: 10 }, noHold)).toBeUndefined();
  });
});

describe('a paused group', () => {
  const nodes = ['n0', 'n1', 'n2'];
  const others = ['n1', 'n2'];
  const ttlMs = 4000;
  const causes = (effects: readonly NodeEffect[]) =>
    of(effects, 'promote').map(({ cause }) => cause.cause);
  const die = (judge: Judge) => [...judge.disconnected('n0'), ...judge.probed('n0', 'gone')];

  const pauseGroup = (judge: Judge) => {
    const pause = pauseOf(judge.nowMs + judge.wallOffsetMs + ttlMs, ttlMs);
    judge.group(groupOf(nodes, { pause }), 2);
  };
  const pauseAll = (judge: Judge) => {
    judge.cluster({ pause: pauseOf(judge.nowMs + judge.wallOffsetMs + ttlMs, ttlMs) });
  };
  const scopes: [string, typeof pauseGroup, (judge: Judge) => void][] = [
    ['by itself', pauseGroup, (judge) => judge.group(groupOf(nodes, { pause: null }), 3)],
    ['with all others', pauseAll, (judge) => judge.cluster({ pause: null }, 2)],
  ];

  describe.each(scopes)('%s', (_, pause, resume) => {
    it('stays without an active, and then the best candidate acts at once', () => {
      const [best] = settled() as [Judge];
      pause(best);
      expect(causes([...die(best), ...best.run(ttlMs - 50, others)])).toEqual([]);
      expect(best.node.groups.get('g')?.vacancy?.cause).toBe('disconnect');
      expect(causes(best.run(50, others))).toEqual(['disconnect']);
    });

    it('lets the next candidate wait its turn at the end as well', () => {
      const [, next] = settled() as [Judge, Judge];
      pause(next);
      expect(causes([...die(next), ...next.run(ttlMs, others)])).toEqual([]);
      expect(causes(next.run(timings.rankDelayMs - 50, others))).toEqual([]);
      expect(causes(next.run(50, others))).toEqual(['disconnect']);
    });

    it('fails over when it is resumed, in the same order', () => {
      const [best, next] = settled() as [Judge, Judge];
      for (const judge of [best, next]) {
        pause(judge);
        die(judge);
        judge.run(1000, others);
        resume(judge);
      }
      expect(causes(best.run(50, others))).toEqual(['disconnect']);
      expect(causes(next.run(timings.rankDelayMs - 50, others))).toEqual([]);
      expect(causes(next.run(50, others))).toEqual(['disconnect']);
    });

    it('is not let go by a wall clock that jumps, nor kept by one', () => {
      for (const jumpMs of [1e9, -1e9]) {
        const [best] = settled() as [Judge];
        pause(best);
        die(best);
        best.wallOffsetMs += jumpMs;
        expect(causes(best.run(ttlMs - 50, others))).toEqual([]);
        expect(causes(best.run(50, others))).toEqual(['disconnect']);
      }
    });

    it('is not paused for longer by being seen again', () => {
      const [best] = settled() as [Judge];
      pause(best);
      die(best);
      best.run(1000, others);
      const { config } = best.node.groups.get('g') ?? {};
      if (config !== undefined) best.group({ ...config, createdAtMs: 1 }, 9);
      expect(causes(best.run(ttlMs - 1050, others))).toEqual([]);
      expect(causes(best.run(50, others))).toEqual(['disconnect']);
    });

    it('still takes a hand-over, and still learns of epochs: the fence is none of its business', () => {
      const [best] = settled() as [Judge];
      pause(best);
      const handedOff = { kind: 'handed-off', group: 'g', epoch: 1 as never, target: 1 } as const;
      expect(causes(best.feed(handedOff))).toEqual(['switchover']);
      const later = reportOf(2, 'active', { epoch: 7, writer: writer(2) });
      expect(of(best.beat('n2', [later]), 'epoch-seen')).toHaveLength(1);
    });
  });

  it('is begun all the same if nobody ever led it', () => {
    const [judge] = settled(['n5']) as [Judge];
    pauseAll(judge);
    judge.group(groupOf(['n5', 'n1'], { groupId: 'new' }), 7);
    const fresh = reportOf(0, 'standby', { epoch: 0, writer: null, synced: null });
    expect(causes(judge.report(fresh))).toEqual(['created']);
  });

  it('is led as before once the other pause is over too', () => {
    const [best] = settled() as [Judge];
    pauseAll(best);
    best.run(1000, nodes);
    pauseGroup(best);
    die(best);
    expect(causes(best.run(ttlMs - 50, others))).toEqual([]);
    expect(causes(best.run(50, others))).toEqual(['disconnect']);
  });
});

describe('what the registry holds for the cluster', () => {
  it('is not turned back by what comes late', () => {
    const [judge] = settled(['n1']) as [Judge];
    judge.cluster({ cordons: { n2: { by: 'x', atMs: 1 } } }, 5);
    judge.cluster({}, 4);
    expect([...judge.node.cordoned]).toEqual(['n2']);
    judge.cluster({}, 6);
    expect([...judge.node.cordoned]).toEqual([]);
  });
});
