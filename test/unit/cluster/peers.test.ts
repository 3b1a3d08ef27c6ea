import { describe, expect, it } from 'vitest';
import type { NodeEffect } from '../../../cluster/coordinator.js';
import type { MemberReport } from '../../../replication/effects.js';
import { groupOf, Judge, of, reportOf, timings } from './support.js';

const nodes = ['n0', 'n1', 'n2', 'n3'];
const others = ['n0', 'n2', 'n3'];
const told = (effects: readonly NodeEffect[]) =>
  of(effects, 'peers').map(({ nodes: named }) => named);
const holder = (index: number, rest: Parameters<typeof reportOf>[2] = {}) =>
  reportOf(index, 'standby', { synced: 5, ...rest });

/** The node of member 1, which holds nothing yet; nobody has reported anything. */
function ownNode(standby: 'warm' | 'hot' = 'warm'): Judge {
  const judge = new Judge('n1');
  judge.group(groupOf(nodes, { standby }));
  judge.report(reportOf(1, 'starting', { synced: null }));
  judge.run(timings.graceMs + 100, others);
  return judge;
}

describe('the peers of our member', () => {
  it.each(['warm', 'hot'] as const)(
    'are the nodes of members that hold a state, in a %s group, lowest index first',
    (standby) => {
      const judge = ownNode(standby);
      judge.beat('n3', [holder(3)]);
      judge.beat('n0', [reportOf(0, 'active', { synced: 9 })]);
      judge.beat('n2', [holder(2)]);
      expect(of(judge.feed({ kind: 'tick' }), 'peers')).toEqual([
        { kind: 'peers', group: 'g', nodes: ['n0', 'n2', 'n3'] },
      ]);
    },
  );

  it.each<[string, MemberReport]>([
    ['has nothing yet', holder(2, { synced: null })],
    ['restores its first snapshot', reportOf(2, 'restoring', { synced: null })],
    [
      'is quarantined, and has thrown away what it held',
      reportOf(2, 'quarantined', { synced: null }),
    ],
  ])('are without the node of one that %s', (_, report) => {
    const judge = ownNode();
    judge.beat('n2', [report]);
    judge.beat('n3', [holder(3)]);
    expect(told(judge.feed({ kind: 'tick' }))).toEqual([['n3']]);
  });

  it.each<[string, MemberReport]>([
    ['an active that was never told to sync', reportOf(2, 'active', { synced: null })],
    ['a standby that restores the next snapshot', reportOf(2, 'restoring', { synced: 5 })],
    ['a candidate', reportOf(2, 'promoting', { synced: 5 })],
  ])('are with the node of %s', (_, report) => {
    const judge = ownNode();
    judge.beat('n2', [report]);
    expect(told(judge.feed({ kind: 'tick' }))).toEqual([['n2']]);
  });

  it('are never this node itself', () => {
    const judge = ownNode();
    judge.report(holder(1));
    judge.beat('n2', [holder(2)]);
    expect(told(judge.feed({ kind: 'tick' }))).toEqual([['n2']]);
  });

  it('are on nodes that are up', () => {
    const judge = ownNode();
    judge.beat('n2', [holder(2)]);
    judge.beat('n3', [holder(3)]);
    expect(told(judge.feed({ kind: 'tick' }))).toEqual([['n2', 'n3']]);
    judge.disconnected('n2');
    judge.probed('n2', 'gone');
    expect(told(judge.feed({ kind: 'tick' }))).toEqual([['n3']]);
    judge.beat('n2', [holder(2)]);
    // A beat of the life that was gone proves nothing; the next life has to tell what it holds.
    judge.beat('n2', [], { incarnation: '000002' });
    expect(told(judge.feed({ kind: 'tick' }))).toEqual([]);
    judge.beat('n2', [holder(2)], { incarnation: '000002' });
    expect(told(judge.feed({ kind: 'tick' }))).toEqual([['n2', 'n3']]);
  });

  it('are told when they change, and not otherwise', () => {
    const judge = ownNode();
    judge.beat('n2', [holder(2)]);
    expect(told(judge.run(2000, others))).toEqual([['n2']]);
    judge.beat('n2', [holder(2, { synced: 7, syncedAtMs: 9 })]);
    expect(told(judge.run(500, others))).toEqual([]);
    judge.beat('n3', [holder(3)]);
    expect(told(judge.run(500, others))).toEqual([['n2', 'n3']]);
    judge.beat('n2', [holder(2, { synced: null })]);
    expect(told(judge.run(500, others))).toEqual([['n3']]);
    judge.beat('n3', [holder(3, { synced: null })]);
    expect(told(judge.run(500, others))).toEqual([[]]);
  });

  it('are told to whoever it is: an active may have to restore, too', () => {
    const judge = ownNode();
    judge.report(reportOf(1, 'active', { synced: 9 }));
    judge.beat('n2', [holder(2)]);
    expect(told(judge.feed({ kind: 'tick' }))).toEqual([['n2']]);
  });

  it('are not told where no member of the group is', () => {
    const judge = new Judge('n9');
    judge.group(groupOf(nodes));
    judge.beat('n2', [holder(2)]);
    expect(told(judge.run(2000, nodes))).toEqual([]);
  });

  it('are told anew to a member that came in the place of another', () => {
    const judge = ownNode();
    judge.beat('n2', [holder(2)]);
    judge.beat('n3', [holder(3)]);
    expect(told(judge.feed({ kind: 'tick' }))).toEqual([['n2', 'n3']]);
    const moved = groupOf(['n1', 'n0', 'n2', 'n3']);
    expect(judge.group(moved, 2).map(({ kind }) => kind)).toEqual(['stop-member', 'start-member']);
    expect(told(judge.feed({ kind: 'tick' }))).toEqual([['n2', 'n3']]);
  });

  it('are without a node whose member went to another one, until that holds a state', () => {
    const judge = ownNode();
    judge.beat('n2', [holder(2)]);
    judge.beat('n3', [holder(3)]);
    expect(told(judge.feed({ kind: 'tick' }))).toEqual([['n2', 'n3']]);
    judge.group(groupOf(['n0', 'n1', 'n4', 'n3']), 2);
    judge.beat('n4', []);
    expect(told(judge.feed({ kind: 'tick' }))).toEqual([['n3']]);
    judge.beat('n4', [holder(2)]);
    expect(told(judge.feed({ kind: 'tick' }))).toEqual([['n4', 'n3']]);
  });
});
