/** A node with a thousand members: what it looks at, and what it tells, as little happens. */
import { describe, expect, it } from 'vitest';
import { newAttention, takeDue } from '../../../cluster/attention.js';
import { takeNewEnds } from '../../../cluster/coordinator.js';
import { beatReports } from '../../../cluster/telling.js';
import { groupOf, Judge, of, reportOf, timings } from './support.js';

const nodes = ['n0', 'n1', 'n2'];
const nameOf = (i: number) => `g${i}`;

/** n1, with a synced standby in so many groups that n0 leads. */
function crowd(count: number, id = 'n1'): Judge {
  const judge = new Judge(id);
  judge.run(timings.graceMs + 100, nodes);
  const own = Number(id.slice(1));
  for (let i = 0; i < count; i++) {
    judge.group(groupOf(nodes, { name: nameOf(i) }));
    for (const index of [0, 1, 2]) {
      const state = index === 0 ? 'active' : 'standby';
      const report = { ...reportOf(index, state, { synced: 5 }), group: nameOf(i) };
      if (index === own) judge.report(report);
      else judge.beat(`n${index}`, [report]);
    }
  }
  judge.run(5000, nodes);
  return judge;
}

describe('attention', () => {
  const groups = new Map(Array.from({ length: 1000 }, (_, i) => [nameOf(i), i]));
  const settled = () => {
    const { node, nowMs } = new Judge('n1');
    const attention = newAttention();
    const take = () => new Set(takeDue(attention, node.membership, groups, nowMs));
    take();
    return { attention, take, membership: node.membership };
  };

  it('is a share of all with each tick, and everybody gets it within a second', () => {
    const { take } = settled();
    const seen = new Set<string>();
    for (let tick = 0; tick < 20; tick++) {
      const taken = take();
      expect(taken.size).toBeLessThanOrEqual(64);
      for (const name of taken) seen.add(name);
    }
    expect(seen.size).toBe(1000);
  });

  it('goes to what has changed at once, and once', () => {
    const { attention, take } = settled();
    attention.due.add(nameOf(999));
    expect(take()).toContain(nameOf(999));
    expect(take()).not.toContain(nameOf(999));
  });

  it('goes to all when a node’s standing changes', () => {
    const { take, membership } = settled();
    (membership.nodes.get('n1') as { state: string }).state = 'suspect';
    expect(take().size).toBe(1000);
    expect(take().size).toBeLessThanOrEqual(64);
  });

  it('stays with those that need a writer, until they have one', () => {
    const judge = crowd(200);
    judge.disconnected('n0');
    judge.probed('n0', 'gone');
    expect(judge.node.attention.vacant.size).toBe(200);
    for (let i = 0; i < 200; i++) {
      const active = reportOf(1, 'active', { epoch: 2, writer: { ...writerOf(1) }, synced: 5 });
      judge.report({ ...active, group: nameOf(i) });
    }
    expect(judge.node.attention.vacant.size).toBe(0);
  });

  it('goes to a crowd of those that need a writer now and then, to a few with each tick', () => {
    const { attention, take } = settled();
    const looks = (count: number) => {
      attention.vacant.clear();
      for (let i = 0; i < count; i++) attention.vacant.add(nameOf(999 - i));
      const seen = Array.from({ length: 8 }, take).map((taken) => {
        return [...attention.vacant].every((name) => taken.has(name));
      });
      return seen.filter(Boolean).length;
    };
    expect([looks(64), looks(500)]).toEqual([8, 2]);
  });

  it('finds what nobody told it of', () => {
    const judge = crowd(200);
    const group = judge.node.groups.get(nameOf(77));
    // As though the word of the active's stepping down had been taken in by nobody.
    group?.reports.set(0, { ...reportOf(0, 'standby', { synced: 5 }), group: nameOf(77) });
    const promoted = of(judge.run(1000, nodes), 'promote').map((effect) => effect.group);
    expect(promoted).toContain(nameOf(77));
  });
});

const writerOf = (index: number) => ({ index, node: `n${index}`, incarnation: '000001' });

describe('the beats of a node with many members', () => {
  const told = (judge: Judge, beats: number) => {
    const all: string[][] = [];
    while (all.length < beats) {
      for (const { beat } of of(judge.run(50, nodes), 'beat')) {
        all.push(beat.reports.map(({ group }) => group));
      }
    }
    return all;
  };

  it('repeat a part of what they have told, and all of it in turn', () => {
    const judge = crowd(1000);
    const beats = told(judge, 40);
    expect(Math.max(...beats.map((groups) => groups.length))).toBeLessThanOrEqual(32);
    expect(new Set(beats.flat()).size).toBe(1000);
  });

  it('tell a change with the next one', () => {
    const judge = crowd(1000);
    judge.report({ ...reportOf(1, 'quarantined', { synced: 5 }), group: nameOf(500) });
    const [beat] = of(judge.feed({ kind: 'flush' }), 'beat');
    expect(beat?.beat.reports.map(({ group }) => group)).toContain(nameOf(500));
    expect(of(judge.feed({ kind: 'flush' }), 'beat')).toEqual([]);
  });

  it('tell everything to a node that is new, in several parts', () => {
    const judge = crowd(1000);
    judge.run(timings.beatMs, nodes);
    judge.beat('n9');
    const parts = of(judge.run(timings.beatMs, nodes), 'beat').map(({ beat }) => beat.reports);
    expect(Math.max(...parts.map((reports) => reports.length))).toBe(beatReports);
    expect(new Set(parts.flat().map(({ group }) => group)).size).toBe(1000);
  });
});

describe('the death of a node that led many groups', () => {
  const promotions = (judge: Judge, forMs: number, still: readonly string[]) =>
    of(judge.run(forMs, still), 'promote').length;

  function died(judge: Judge): number {
    judge.disconnected('n0');
    return of(judge.probed('n0', 'gone'), 'promote').length;
  }

  it('makes the best candidates act at once, for all of them', () => {
    expect(died(crowd(640))).toBe(640);
  });

  it('gives them the longer, the more there are, before the next ones act', () => {
    const next = crowd(640, 'n2');
    expect(died(next)).toBe(0);
    const patienceMs = 10 * timings.rankDelayMs;
    expect(promotions(next, patienceMs - 100, ['n1', 'n2'])).toBe(0);
    expect(promotions(next, 150, ['n1', 'n2'])).toBe(640);
  });

  it('leaves them to whoever is seen to get on with it, and no longer', () => {
    const next = crowd(640, 'n2');
    died(next);
    const turnMs = 10 * timings.rankDelayMs;
    for (let i = 0; i < 5; i++) {
      expect(promotions(next, turnMs - 200, ['n1', 'n2'])).toBe(0);
      const opened = reportOf(1, 'active', { epoch: 2, writer: writerOf(1), synced: 5 });
      next.beat('n1', [{ ...opened, group: nameOf(i) }]);
    }
    expect(promotions(next, turnMs - 200, ['n1', 'n2'])).toBe(0);
    expect(promotions(next, 300, ['n1', 'n2'])).toBe(635);
  });

  it('does not wait for somebody who gets on with others, once there are few left', () => {
    const next = crowd(40, 'n2');
    died(next);
    const opened = reportOf(1, 'active', { epoch: 2, writer: writerOf(1), synced: 5 });
    next.run(timings.rankDelayMs - 100, ['n1', 'n2']);
    next.beat('n1', [{ ...opened, group: nameOf(0) }]);
    expect(promotions(next, 100, ['n1', 'n2'])).toBe(39);
  });
});

describe('promotions that a death asks for at once', () => {
  it('are asked for by priority, as permits go to whoever asks first', () => {
    const judge = crowd(10);
    const priorities: Readonly<Record<string, number>> = { g3: -1, g5: 2, g8: 9 };
    for (const [name, priority] of Object.entries(priorities)) {
      judge.group(groupOf(nodes, { name, priority }), 2);
    }
    judge.disconnected('n0');
    const asked = of(judge.probed('n0', 'gone'), 'promote').map(({ group }) => group);
    const places = ['g8', 'g5', 'g0', 'g3'].map((name) => asked.indexOf(name));
    expect(asked).toHaveLength(10);
    expect(places).toEqual([0, 1, 2, 9]);
  });
});

describe('what is known of where logs end', () => {
  const end = (position: number) => ({ era: 0, epoch: 1, seq: 1, position, tag: 'ab' });
  const newOf = ({ node }: Judge) => takeNewEnds(node).map(({ config }) => config.name);

  it('is asked for of those groups only whose log has gone on, and once', () => {
    const judge = crowd(300);
    newOf(judge);
    judge.run(5000, nodes);
    expect(newOf(judge)).toEqual([]);
    const report = { ...reportOf(0, 'active', { synced: 5 }), group: 'g7', known: end(9) };
    judge.beat('n0', [report]);
    judge.beat('n0', [report]);
    judge.report({ ...reportOf(1, 'standby', { synced: 5 }), group: 'g9', known: end(4) });
    expect(newOf(judge)).toEqual(['g7', 'g9']);
    judge.beat('n0', [report]);
    expect(newOf(judge)).toEqual([]);
  });
});
