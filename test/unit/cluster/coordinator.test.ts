import { describe, expect, it } from 'vitest';
import type { NodeEffect } from '../../../cluster/coordinator.js';
import type { MemberReport } from '../../../replication/effects.js';
import { groupOf, Judge, nodeInfo, of, reportOf, settled, timings, writer } from './support.js';

const causes = (effects: readonly NodeEffect[]) =>
  of(effects, 'promote').map(({ cause }) => [cause.cause, cause.endsEpoch]);

describe('a new group', () => {
  const config = groupOf(['n0', 'n1', 'n2']);
  const fresh = (index: number) =>
    reportOf(index, 'standby', { epoch: 0, writer: null, synced: null });

  it('starts the member that belongs here, once', () => {
    const judge = new Judge('n1');
    expect(judge.group(config)).toEqual([{ kind: 'start-member', config, index: 1 }]);
    expect(judge.group(config)).toEqual([]);
    expect(new Judge('n9').group(config)).toEqual([]);
  });

  it('is begun by index 0, at once when it judges; the others wait their turn', () => {
    const begun = ['n0', 'n1', 'n2'].map((id, index) => {
      const judge = new Judge(id);
      judge.run(timings.graceMs + 50);
      judge.group(config);
      const atMs = judge.nowMs;
      const effects = [...judge.report(fresh(index))];
      while (of(effects, 'promote').length === 0 && judge.nowMs < atMs + 5000) {
        effects.push(...judge.run(50));
      }
      expect(causes(effects)).toEqual([['created', 0]]);
      return judge.nowMs - atMs;
    });
    expect(begun[0]).toBe(0);
    expect(begun[1]).toBeGreaterThanOrEqual(timings.rankDelayMs);
    expect(begun[2]).toBeGreaterThanOrEqual(2 * timings.rankDelayMs);
  });
});

describe('the death of the active’s node', () => {
  function died(judge: Judge): NodeEffect[] {
    judge.disconnected('n0');
    return judge.probed('n0', 'gone');
  }

  it('makes the best candidate act at once', () => {
    const [best, next] = settled() as [Judge, Judge];
    const effects = died(best);
    expect(causes(effects)).toEqual([['disconnect', 1]]);
    expect(of(effects, 'promote')[0]?.cause).toMatchObject({ observeMs: 0, decideMs: 0 });
    expect(causes(died(next))).toEqual([]);
  });

  it('lets the next act a rank delay later, if nothing has happened', () => {
    const [, next] = settled() as [Judge, Judge];
    died(next);
    expect(causes(next.run(timings.rankDelayMs - 50, ['n1', 'n2']))).toEqual([]);
    expect(causes(next.run(50, ['n1', 'n2']))).toEqual([['disconnect', 1]]);
  });

  it('lets the next wait as long though the best has begun already, and said so first', () => {
    const [, next] = settled() as [Judge, Judge];
    next.beat('n1', [reportOf(1, 'promoting', { synced: 5 })]);
    expect(causes(died(next))).toEqual([]);
    expect(causes(next.run(timings.rankDelayMs - 50, ['n1', 'n2']))).toEqual([]);
    expect(causes(next.run(50, ['n1', 'n2']))).toEqual([['disconnect', 1]]);
  });

  it('is tried by the best once, while that goes on', () => {
    const [best] = settled() as [Judge];
    died(best);
    best.report(reportOf(1, 'promoting', { synced: 5 }));
    expect(causes(best.run(2000, ['n1', 'n2']))).toEqual([]);
  });

  it('is no business of a candidate that hears of a promotion', () => {
    const [, next] = settled() as [Judge, Judge];
    died(next);
    next.beat('n1', [reportOf(1, 'active', { epoch: 2, writer: writer(1), synced: 5 })]);
    expect(causes(next.run(1000, ['n1', 'n2']))).toEqual([]);
  });

  it('is tried again while nobody leads, but not all the time', () => {
    const [best] = settled() as [Judge];
    expect(causes([...died(best), ...best.run(1900, ['n1', 'n2'])])).toHaveLength(4);
  });

  it('with no healthy member left changes nothing', () => {
    const [judge] = settled(['n1']) as [Judge];
    judge.report(reportOf(1, 'quarantined', { synced: 5 }));
    expect(died(judge)).toEqual([]);
    expect(causes(judge.run(1000, ['n1']))).toEqual([]);
  });

  it('known by silence alone makes the candidate observe the log first', () => {
    const [best] = settled() as [Judge];
    const effects = best.run(timings.hangTimeoutMs + 100, ['n1', 'n2']);
    expect(of(effects, 'probe').map(({ node }) => node)).toEqual(['n0']);
    expect(of(effects, 'promote')[0]?.cause).toMatchObject({
      cause: 'silence',
      observeMs: timings.observeMs,
    });
  });

  it('is judged by nobody who has lost the broker', () => {
    const [best] = settled() as [Judge];
    best.feed({ kind: 'broker', connected: false });
    expect(causes([...died(best), ...best.run(5000)])).toEqual([]);
    best.feed({ kind: 'broker', connected: true });
    expect(causes(best.run(timings.graceMs - 50, ['n0', 'n1', 'n2']))).toEqual([]);
    expect(causes(best.run(3000, ['n0', 'n1', 'n2']))).toEqual([]);
  });

  it('is judged by nobody who stood still', () => {
    const [best] = settled() as [Judge];
    best.nowMs += 20_000;
    expect(causes(best.feed({ kind: 'tick' }))).toEqual([]);
    expect(causes(best.run(timings.graceMs - 100))).toEqual([]);
  });
});

describe('an active that a node which starts has not heard of yet', () => {
  /** It has read the log, so it knows who wrote last, and has not heard a word of anybody. */
  function started(): Judge {
    const judge = new Judge('n1');
    judge.group(groupOf(['n0', 'n1', 'n2']));
    judge.report(reportOf(1, 'standby', { synced: 5 }));
    return judge;
  }

  it('is no more silent than one that hangs', () => {
    const judge = started();
    expect(causes(judge.run(timings.hangTimeoutMs))).toEqual([]);
    expect(causes(judge.run(100))).toEqual([['silence', 1]]);
  });

  it('is not judged for the time before this node listened', () => {
    const judge = started();
    judge.nowMs += 20_000;
    expect(causes(judge.run(timings.hangTimeoutMs))).toEqual([]);
  });

  it('is not judged for the time in which this node stood still', () => {
    const judge = started();
    judge.run(100);
    judge.nowMs += 20_000;
    const effects = [...judge.feed({ kind: 'tick' }), ...judge.run(timings.hangTimeoutMs - 50)];
    expect(causes(effects)).toEqual([]);
    judge.beat('n0', [reportOf(0, 'active')]);
    expect(causes(judge.run(timings.hangTimeoutMs, ['n0']))).toEqual([]);
  });
});

describe('a candidate that is not the best', () => {
  it('waits behind one that has synced further', () => {
    const [judge] = settled(['n1']) as [Judge];
    judge.beat('n2', [reportOf(2, 'standby', { synced: 9 })]);
    judge.disconnected('n0');
    expect(causes(judge.probed('n0', 'gone'))).toEqual([]);
    expect(causes(judge.run(timings.rankDelayMs, ['n1', 'n2']))).toHaveLength(1);
  });
});

describe('a hand-off', () => {
  it('makes its target claim at once, and nobody else', () => {
    const [one, two] = settled() as [Judge, Judge];
    const input = { kind: 'handed-off', group: 'g', epoch: 1 as never, target: 2 } as const;
    expect(one.feed(input)).toEqual([]);
    expect(causes(two.feed(input))).toEqual([['switchover', 1]]);
  });
});

describe('an epoch that somebody reports', () => {
  it('is passed on to a member that knows less', () => {
    const [judge] = settled(['n1']) as [Judge];
    const later = reportOf(2, 'active', { epoch: 7, writer: writer(2) });
    expect(of(judge.beat('n2', [later]), 'epoch-seen')).toEqual([
      { kind: 'epoch-seen', group: 'g', epoch: 7 },
    ]);
    judge.report(reportOf(1, 'standby', { epoch: 7, writer: writer(2) }));
    expect(of(judge.beat('n2', [later]), 'epoch-seen')).toEqual([]);
  });

  it('is not taken from a node that does not host that member', () => {
    const [judge] = settled(['n1']) as [Judge];
    const forged = reportOf(0, 'active', { epoch: 9, writer: writer(2) });
    expect(judge.beat('n2', [forged])).toEqual([]);
  });
});

describe('a member whose node stays away', () => {
  const nodes = ['n0', 'n1', 'n2'];
  const active = (epochNow = 1) => reportOf(0, 'active', { epoch: epochNow, synced: 9 });
  const replacements = (effects: readonly NodeEffect[]) => of(effects, 'replace-member');

  function leader(others: readonly string[]): Judge {
    const judge = new Judge('n0');
    judge.group(groupOf(nodes), 4);
    judge.report(active());
    judge.run(timings.graceMs + 100, others);
    return judge;
  }

  it('is placed by the active’s node on one that hosts no member', () => {
    const judge = leader(['n1', 'n2', 'n3']);
    const effects = judge.run(timings.replaceAfterMs + 3000, ['n1', 'n3']);
    expect(replacements(effects)[0]).toEqual({
      kind: 'replace-member',
      group: 'g',
      revision: 4,
      index: 2,
      node: 'n3',
    });
  });

  it('is placed nowhere while there is no such node, and then on the first that comes', () => {
    const judge = leader(['n1', 'n2']);
    expect(replacements(judge.run(timings.replaceAfterMs + 5000, ['n1']))).toEqual([]);
    const later = replacements(judge.run(1000, ['n1', 'n7']));
    expect(later.map(({ node }) => node)).toEqual(['n7', 'n7']);
  });

  it.each<[string, Parameters<Judge['beat']>[2]]>([
    ['draining', { draining: true }],
    ['without its kind', { kinds: [] }],
  ])('is not placed on a node %s', (_, rest) => {
    const judge = leader(['n1', 'n2']);
    const effects: NodeEffect[] = [];
    for (let i = 0; i < 60; i++) {
      judge.beat('n3', [], rest);
      effects.push(...judge.run(250, ['n1']));
    }
    expect(replacements(effects)).toEqual([]);
  });

  it('is not placed on a cordoned node', () => {
    const judge = leader(['n1', 'n2', 'n3']);
    judge.cluster({ cordons: { n3: { by: 'x', atMs: 0 } } });
    expect(replacements(judge.run(20_000, ['n1', 'n3']))).toEqual([]);
    judge.cluster({}, 2);
    expect(replacements(judge.run(50, ['n1', 'n3']))).toHaveLength(1);
  });

  it('is placed on one of the nodes that its group may be on', () => {
    const judge = leader(['n1', 'n2', 'n3', 'n4']);
    const placement = { nodes: ['n0', 'n1', 'n2', 'n4'] };
    judge.group(groupOf(nodes, { placement }), 5);
    const effects = judge.run(timings.replaceAfterMs + 3000, ['n1', 'n3', 'n4']);
    expect(replacements(effects)[0]).toMatchObject({ index: 2, node: 'n4' });
  });

  it('is placed in a zone of its own, which may be the one it was in', () => {
    const judge = leader(['n1', 'n2', 'n3', 'n4']);
    judge.group(groupOf(nodes, { placement: { spread: 'zone' } }), 5);
    const zones = { n1: 'x', n2: 'y', n3: 'x', n4: 'y' };
    const effects: NodeEffect[] = [];
    for (let i = 0; i < 60; i++) {
      for (const [id, zone] of Object.entries(zones)) {
        if (id !== 'n2' || i === 0) effects.push(...judge.beat(id, [], { zone }));
      }
      effects.push(...judge.run(250));
    }
    expect(replacements(effects)[0]).toMatchObject({ index: 2, node: 'n4' });
  });

  it('is placed by where the actives are, not by where they began', () => {
    const judge = leader(['n1', 'n2', 'n3', 'n4']);
    const other = { ...groupOf(['n3', 'n4']), name: 'h', groupId: 'h' };
    judge.group(other, 6);
    const led = (index: number, state: 'active' | 'standby') => ({
      ...reportOf(index, state, { epoch: 2, writer: { ...writer(1), node: 'n4' } }),
      group: 'h',
    });
    judge.beat('n4', [led(1, 'active')]);
    const effects = judge.run(timings.replaceAfterMs + 3000, ['n1', 'n3', 'n4']);
    expect(replacements(effects)[0]).toMatchObject({ index: 2, node: 'n3' });
  });

  it('is placed anew also if nobody ever heard of its node', () => {
    const judge = leader(['n1', 'n3']);
    const effects = judge.run(timings.replaceAfterMs + 1000, ['n1', 'n3']);
    expect(replacements(effects)[0]).toMatchObject({ index: 2, node: 'n3' });
  });

  it('is not placed by anybody else', () => {
    const [judge] = settled(['n1'], nodes) as [Judge];
    expect(replacements(judge.run(20_000, ['n0', 'n1', 'n3']))).toEqual([]);
  });

  it('counts only after its first sync', () => {
    const judge = leader(['n1', 'n2', 'n3']);
    judge.group(groupOf(['n0', 'n1', 'n3']), 5);
    judge.beat('n3', [reportOf(2, 'starting', { synced: null })]);
    const reports = judge.node.groups.get('g')?.reports;
    expect(reports?.get(2)?.lastSyncMs).toBeNull();
    judge.beat('n3', [reportOf(2, 'standby', { synced: 3 })]);
    expect(reports?.get(2)?.lastSyncMs).not.toBeNull();
  });
});

describe('the registry', () => {
  it('moves a member away from here', () => {
    const [judge] = settled(['n1']) as [Judge];
    expect(judge.group(groupOf(['n0', 'n4', 'n2']), 2)).toEqual([
      { kind: 'stop-member', group: 'g' },
    ]);
    expect(judge.node.groups.get('g')?.reports.has(1)).toBe(false);
  });

  it('moves a member here', () => {
    const [judge] = settled(['n9'], ['n0', 'n1', 'n2']) as [Judge];
    const config = groupOf(['n0', 'n9', 'n2']);
    expect(judge.group(config, 2)).toEqual([{ kind: 'start-member', config, index: 1 }]);
  });

  it('is not turned back by an entry that comes late', () => {
    const [judge] = settled(['n1']) as [Judge];
    judge.group(groupOf(['n0', 'n1', 'n3']), 7);
    expect(judge.group(groupOf(['n0', 'n4', 'n2']), 6)).toEqual([]);
    expect(judge.group(groupOf(['n0', 'n1'], { groupId: 'former' }), 6)).toEqual([]);
    expect(judge.node.groups.get('g')?.config.members[2]?.node).toBe('n3');
  });

  it('holds one word for the cluster, the latest, in whatever order they come', () => {
    const [judge] = settled(['n1']) as [Judge];
    const pause = { untilMs: 5000, ttlMs: 5000, reason: null, by: 'x' };
    judge.cluster({ cordons: { n3: { by: 'x', atMs: 0 } }, pause }, 7);
    judge.cluster({ cordons: { n4: { by: 'x', atMs: 0 } } }, 6);
    judge.cluster({}, 7);
    expect([[...judge.node.cordoned], judge.node.hold.pause]).toEqual([['n3'], pause]);
    judge.cluster({}, 8);
    expect([[...judge.node.cordoned], judge.node.hold.pause]).toEqual([[], null]);
  });

  it('may hold a new group under an old name', () => {
    const [judge] = settled(['n1']) as [Judge];
    const config = groupOf(['n0', 'n1'], { groupId: 'second' });
    expect(judge.group(config, 9)).toEqual([
      { kind: 'stop-member', group: 'g' },
      { kind: 'start-member', config, index: 1 },
    ]);
    expect(judge.node.groups.get('g')?.reports.size).toBe(0);
  });

  it('ends a group', () => {
    const [judge] = settled(['n1']) as [Judge];
    expect(judge.feed({ kind: 'group-gone', name: 'g' })).toEqual([
      { kind: 'stop-member', group: 'g' },
    ]);
    expect(judge.feed({ kind: 'group-gone', name: 'g' })).toEqual([]);
  });
});

describe('a node that comes back', () => {
  it('says nothing of its former life: its members start as standbys', () => {
    const [judge] = settled(['n1']) as [Judge];
    const effects = judge.beat('n0', [], { incarnation: '000002' });
    const reports = judge.node.groups.get('g')?.reports as Map<number, MemberReport>;
    expect(reports.has(0)).toBe(false);
    expect(of(effects, 'promote')).toEqual([]);
    expect(causes(judge.run(50, ['n1', 'n2']))).toEqual([['restarted', 1]]);
  });

  it('is told apart from late words of its former life', () => {
    const [judge] = settled(['n1']) as [Judge];
    judge.beat('n2', [], { incarnation: '000002' });
    judge.beat('n2', [reportOf(2, 'standby', { synced: 99 })], { incarnation: '000001' });
    expect(judge.node.groups.get('g')?.reports.has(2)).toBe(false);
  });
});

describe('a beat', () => {
  const beats = (effects: readonly NodeEffect[]) => of(effects, 'beat').map(({ beat }) => beat);

  it('comes regularly, tells what changed, and everything now and then', () => {
    const [judge] = settled(['n1']) as [Judge];
    const told = beats(judge.run(8 * timings.beatMs, ['n0', 'n2'])).map(
      ({ reports }) => reports.length,
    );
    expect(told.filter((count) => count === 1)).toHaveLength(2);
    expect(told.length).toBeGreaterThanOrEqual(7);
  });

  it('comes at once when the role or the sync changed', () => {
    const [judge] = settled(['n1']) as [Judge];
    judge.run(60, ['n0', 'n2']);
    judge.report(reportOf(1, 'restoring', { synced: 5 }));
    const [beat] = beats(judge.feed({ kind: 'tick' }));
    expect(beat?.reports).toMatchObject([{ state: 'restoring' }]);
  });

  it('of another process with the same id and a later start is told of', () => {
    const [judge] = settled(['n1']) as [Judge];
    const by = nodeInfo('n1', { incarnation: '000009' });
    expect(judge.feed({ kind: 'beat', beat: { info: by, reports: [] } })).toEqual([
      { kind: 'superseded', by },
    ]);
    expect(judge.beat('n1', [reportOf(1, 'active')])).toEqual([]);
  });
});
