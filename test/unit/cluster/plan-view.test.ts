import { expect, it } from 'vitest';
import { planView } from '../../../cluster/plan-view.js';
import { seq } from '../../../replication/ids.js';
import { groupOf, type Judge, nodeInfo, pauseOf, reportOf, settled } from './support.js';

const viewOf = (judge: Judge) => planView(judge.node, judge.nowMs);

it('is what this node knows of nodes: whether they are there, and what may be put on them', () => {
  const [judge] = settled(['n1']) as [Judge];
  judge.beat('n3', [], { draining: true, zone: 'z' });
  judge.beat('n4');
  judge.cluster({ cordons: { n4: { by: 'x', atMs: 0 }, n9: { by: 'x', atMs: 0 } } });
  judge.disconnected('n2');
  const { kinds } = nodeInfo('n1');
  expect(viewOf(judge).nodes.toSorted((a, b) => (a.id < b.id ? -1 : 1))).toEqual([
    { id: 'n0', zone: null, kinds, state: 'open' },
    { id: 'n1', zone: null, kinds, state: 'open' },
    { id: 'n2', zone: null, kinds, state: 'down' },
    { id: 'n3', zone: 'z', kinds, state: 'draining' },
    { id: 'n4', zone: null, kinds, state: 'cordoned' },
  ]);
});

it('is who leads each group and who could, as far as their nodes are there', () => {
  const [judge] = settled(['n1']) as [Judge];
  const [group] = viewOf(judge).groups;
  expect(group).toEqual({
    name: 'g',
    kind: 'k',
    nodes: ['n0', 'n1', 'n2'],
    active: 0,
    ready: [1, 2],
    reprotected: true,
    placement: {},
    held: null,
  });
  judge.beat('n2', [reportOf(2, 'restoring', { synced: 5 })]);
  expect(viewOf(judge).groups[0]?.ready).toEqual([1]);
  judge.report(reportOf(1, 'standby', { synced: null }));
  expect(viewOf(judge).groups[0]?.ready).toEqual([]);
  judge.disconnected('n0');
  expect(viewOf(judge).groups[0]?.active).toBeNull();
});

it('tells whether every member has synced past the last promotion', () => {
  const [judge] = settled(['n1']) as [Judge];
  const isReprotected = () => viewOf(judge).groups[0]?.reprotected;
  const opened = { ...reportOf(0, 'active', { synced: 7 }), fromSeq: seq(6) };
  judge.beat('n0', [opened]);
  expect(isReprotected()).toBe(false);
  judge.report(reportOf(1, 'standby', { synced: 6 }));
  judge.beat('n2', [reportOf(2, 'restoring', { synced: 7 })]);
  expect(isReprotected()).toBe(true);
  judge.beat('n2', [reportOf(2, 'quarantined', { synced: 7 })]);
  expect(isReprotected()).toBe(false);
  judge.beat('n2', [reportOf(2, 'standby', { synced: null })]);
  expect(isReprotected()).toBe(false);
  judge.beat('n2', [reportOf(2, 'standby', { synced: 7 })]);
  judge.disconnected('n2');
  expect(isReprotected()).toBe(false);
});

it('holds what is paused, until that is over', () => {
  const [judge] = settled(['n1']) as [Judge];
  const placement = { spread: 'zone' } as const;
  const pause = pauseOf(judge.nowMs + 1000, 1000);
  judge.group(groupOf(['n0', 'n1', 'n2'], { pause, placement }), 2);
  expect(viewOf(judge).groups[0]).toMatchObject({ held: 'paused by somebody', placement });
  judge.nowMs += 1000;
  expect(viewOf(judge).groups[0]?.held).toBeNull();
  judge.cluster({ pause: pauseOf(judge.nowMs + 10, 10) });
  expect(viewOf(judge).groups[0]?.held).toBe('paused by somebody');
});
