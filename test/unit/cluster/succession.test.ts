import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { disconnected, heard, newMembership, probed } from '../../../cluster/membership.js';
import { place } from '../../../cluster/placement.js';
import {
  type Candidate,
  leadOf,
  orderCandidates,
  rankCandidates,
  vacancyOf,
} from '../../../cluster/succession.js';
import type { MemberReport } from '../../../replication/effects.js';
import { type Random, seededRandom } from '../../support/scheduler.js';
import { groupOf, nodeInfo, reportOf, timings, writer } from './support.js';

const nowMs = 10_000;
const nodes = ['n0', 'n1', 'n2', 'n3'];
const group = groupOf(nodes);

function members(heardOf: readonly string[] = nodes) {
  const membership = newMembership('n1', timings, nowMs - timings.hangTimeoutMs);
  for (const id of heardOf) heard(membership, nodeInfo(id), nowMs);
  return membership;
}

const byIndex = (...reports: MemberReport[]) => new Map(reports.map((each) => [each.index, each]));

function bringDown(membership: ReturnType<typeof members>, node: string): void {
  disconnected(membership, node, '000001', nowMs - 5);
  probed(membership, node, '000001', 'gone', nowMs);
}

describe('the order of candidates', () => {
  it.each<[string, MemberReport[], number[]]>([
    [
      'ever synced before never synced',
      [
        reportOf(1, 'standby', { synced: null }),
        reportOf(2, 'standby', { synced: 0 }),
        reportOf(3, 'starting', { synced: null }),
      ],
      [2, 1, 3],
    ],
    [
      'then the furthest',
      [
        reportOf(1, 'standby', { synced: 5 }),
        reportOf(2, 'standby', { synced: 9 }),
        reportOf(3, 'restoring', { synced: 7 }),
      ],
      [2, 3, 1],
    ],
    [
      'then as the id of the group has it',
      [reportOf(3, 'standby'), reportOf(1, 'standby'), reportOf(2, 'standby')],
      [1, 3, 2],
    ],
    [
      'and none that is no standby, or was none until it began',
      [
        reportOf(0, 'active'),
        reportOf(1, 'promoting'),
        reportOf(2, 'quarantined'),
        reportOf(3, 'handing-off'),
      ],
      [1],
    ],
  ])('%s', (_, reports, order) => {
    const ranked = rankCandidates(members(), group, byIndex(...reports), new Set());
    expect(ranked.map(({ index }) => index)).toEqual(order);
  });

  it('leaves out nodes that are down, suspect or unknown', () => {
    const membership = members(['n0', 'n1']);
    bringDown(membership, 'n0');
    disconnected(membership, 'n1', '000001', nowMs);
    const reports = byIndex(...[0, 1, 3].map((index) => reportOf(index, 'standby')));
    expect(rankCandidates(membership, group, reports, new Set())).toEqual([]);
  });

  it('has draining nodes only where there are no others, however far they are', () => {
    const draining = members(['n1', 'n2']);
    for (const id of ['n1', 'n2']) heard(draining, nodeInfo(id, { draining: true }), nowMs);
    const far = [1, 2].map((index) => reportOf(index, 'standby', { synced: 7 + index }));
    const order = (...reports: MemberReport[]) =>
      rankCandidates(draining, group, byIndex(...reports), new Set()).map(({ index }) => index);
    expect(order(...far)).toEqual([2, 1]);
    heard(draining, nodeInfo('n3'), nowMs);
    expect(order(...far, reportOf(3, 'standby'))).toEqual([3]);
  });
});

describe('candidates that are equally far', () => {
  const level = [1, 2, 3].map((index) => reportOf(index, 'standby', { synced: 7 }));
  const zoned = (zones: Readonly<Record<string, string>>) => {
    const membership = members([]);
    for (const id of nodes) heard(membership, nodeInfo(id, { zone: zones[id] ?? null }), nowMs);
    return membership;
  };
  const order = (
    reports: MemberReport[],
    { cordoned = [], priorities = {}, membership = members() }: Preferences,
  ) => {
    const config = groupOf(nodes, { placement: { priorities } });
    const ranked = rankCandidates(membership, config, byIndex(...reports), new Set(cordoned));
    return ranked.map(({ index }) => index);
  };
  interface Preferences {
    readonly cordoned?: readonly string[];
    readonly priorities?: Readonly<Record<string, number>>;
    readonly membership?: ReturnType<typeof members>;
  }

  it('go by priority, which never goes before freshness', () => {
    expect(order(level, { priorities: { n3: 5, n1: -1 } })).toEqual([3, 2, 1]);
    const further = [reportOf(1, 'standby', { synced: 8 }), ...level.slice(1)];
    expect(order(further, { priorities: { n3: 5 } })).toEqual([1, 3, 2]);
  });

  it('are last on cordoned nodes, also where they are further, but not left out', () => {
    expect(order(level, { cordoned: ['n1'], priorities: { n1: 9 } })).toEqual([3, 2, 1]);
    const further = [reportOf(1, 'standby', { synced: 99 }), ...level.slice(1)];
    expect(order(further, { cordoned: ['n1'] })).toEqual([3, 2, 1]);
    expect(order(level.slice(0, 1), { cordoned: ['n1'] })).toEqual([1]);
  });

  it('on a cordoned node still come before those that never synced', () => {
    const only = [reportOf(1, 'standby'), reportOf(2, 'standby', { synced: null })];
    expect(order(only, { cordoned: ['n1'] })).toEqual([1, 2]);
  });

  it('are rather in another zone than the active that was lost, unless a priority says so', () => {
    const zones = { n0: 'x', n1: 'x', n2: 'y', n3: 'x' };
    const membership = zoned(zones);
    expect(order(level, { membership })).toEqual([1, 3, 2]);
    bringDown(membership, 'n0');
    expect(order(level, { membership })).toEqual([2, 1, 3]);
    expect(order(level, { membership, priorities: { n3: 1 } })).toEqual([3, 2, 1]);
  });

  it('count as level if they follow the log and lack little, or priorities were for nothing', () => {
    const hot = (index: number, synced: number) =>
      reportOf(index, 'standby', { synced, hot: true });
    const priorities = { n1: 1 };
    expect(order([hot(1, 9000), hot(2, 10_000)], { priorities })).toEqual([1, 2]);
    expect(order([hot(1, 8999), hot(2, 10_000)], { priorities })).toEqual([2, 1]);
    const warm = [reportOf(1, 'standby', { synced: 9999 }), hot(2, 10_000)];
    expect(order(warm, { priorities })).toEqual([2, 1]);
  });
});

describe('candidates that are equal in everything', () => {
  const orderIn = (groupId: string, indexes: readonly number[]) => {
    const candidates = indexes.map((index) => ({
      index,
      node: `n${index}`,
      everSynced: true,
      syncedThrough: 7,
      follows: false,
    }));
    const zoneOf = () => null;
    const rules = { groupId, priorities: {}, cordoned: new Set<string>(), zoneOf, lostZone: null };
    return orderCandidates(candidates, rules).map(({ index }) => index);
  };
  // As they are: hexadecimal, and nothing else about them to be relied upon.
  const ids = Array.from({ length: 900 }, (_, i) =>
    createHash('sha256').update(`group ${i}`).digest('hex').slice(0, 32),
  );

  it.each([[[1, 2]], [[0, 2]], [[0, 1]], [[0, 1, 2]], [[0, 2, 3, 4]]])(
    '%s: each is the first of its share of all groups',
    (indexes) => {
      const firsts = ids.map((id) => orderIn(id, indexes)[0]);
      const share = ids.length / indexes.length;
      for (const index of indexes) {
        const count = firsts.filter((first) => first === index).length;
        expect(count).toBeGreaterThan(share * 0.85);
        expect(count).toBeLessThan(share * 1.15);
      }
    },
  );

  it('come in the same order, whoever else is there: nodes need not know the same candidates', () => {
    for (const id of ids.slice(0, 50)) {
      const all = orderIn(id, [0, 1, 2, 3]);
      for (const absent of all) {
        const rest = all.filter((index) => index !== absent);
        expect(orderIn(id, rest.toSorted())).toEqual(rest);
      }
    }
  });
});

describe('the order of any candidates', () => {
  const drawCandidate = (random: Random, index: number): Candidate => ({
    index,
    node: `n${index}`,
    everSynced: random.chance(0.7),
    syncedThrough: random.below(3) * 700,
    follows: random.chance(0.5),
  });

  it('is the same however they are listed, and nobody is left out', () => {
    for (let seed = 0; seed < 200; seed++) {
      const random = seededRandom(`candidates ${seed}`);
      const candidates = [0, 1, 2, 3].map((index) => drawCandidate(random, index));
      const priorities = Object.fromEntries(nodes.map((id) => [id, random.below(2)]));
      const cordoned = new Set(nodes.filter(() => random.chance(0.3)));
      const zones = Object.fromEntries(nodes.map((id) => [id, random.chance(0.5) ? 'x' : 'y']));
      const zoneOf = (id: string) => zones[id] ?? null;
      const lostZone = random.chance(0.5) ? 'x' : null;
      const rules = { groupId: `g${seed}`, priorities, cordoned, zoneOf, lostZone };
      const orders = permutations(candidates).map((each) =>
        orderCandidates(each, rules).map(({ index }) => index),
      );
      expect(new Set(orders.map((each) => each.join())).size).toBe(1);
      expect(orders[0]?.toSorted()).toEqual([0, 1, 2, 3]);
      const [first] = orderCandidates(candidates, rules);
      expect(first?.everSynced).toBe(candidates.some(({ everSynced }) => everSynced));
    }
  });
});

function permutations<One>(all: readonly One[]): One[][] {
  if (all.length === 0) return [[]];
  return all.flatMap((one) =>
    permutations(all.filter((other) => other !== one)).map((rest) => [one, ...rest]),
  );
}

describe('a vacancy', () => {
  const standbys = [reportOf(1, 'standby'), reportOf(2, 'standby')];
  const vacancy = (reports: MemberReport[], membership = members(), config = group) =>
    vacancyOf(membership, config, byIndex(...reports), nowMs);

  it('is none while the writer is there', () => {
    expect(vacancy([reportOf(0, 'active'), ...standbys])).toBeNull();
    for (const state of ['promoting', 'handing-off'] as const) {
      expect(vacancy([reportOf(0, state), ...standbys])).toBeNull();
    }
  });

  it('is there before anybody has claimed', () => {
    expect(vacancy([reportOf(1, 'standby', { epoch: 0, writer: null })])).toMatchObject({
      epoch: 0,
      cause: 'created',
    });
  });

  it('begins with the death of the writer’s node', () => {
    const membership = members();
    bringDown(membership, 'n0');
    expect(vacancy(standbys, membership)).toEqual({
      epoch: 1,
      cause: 'disconnect',
      firstSignMs: nowMs - 5,
      sinceMs: nowMs,
    });
  });

  it('is there after the writer’s node started anew, though it is up', () => {
    const membership = members();
    heard(membership, nodeInfo('n0', { incarnation: '000002' }), nowMs);
    expect(vacancy(standbys, membership)).toMatchObject({ cause: 'restarted' });
    const reborn = reportOf(1, 'standby', { epoch: 2, writer: writer(0, '000002') });
    expect(vacancy([reborn], membership)).toBeNull();
  });

  it('is there when nobody ever heard of the writer’s node, once everybody had time to speak', () => {
    const membership = members(['n1', 'n2']);
    expect(vacancy(standbys, membership)).toMatchObject({ cause: 'silence', sinceMs: nowMs });
    expect(vacancyOf(membership, group, byIndex(...standbys), nowMs - 1)).toBeNull();
  });

  it.each(['standby', 'starting', 'quarantined'] as const)(
    'is there when the writer says it is %s',
    (state) => {
      expect(vacancy([reportOf(0, state), ...standbys])).toMatchObject({ cause: 'vacated' });
    },
  );

  it('is not there for an old word of the writer', () => {
    const behind = reportOf(0, 'standby', { epoch: 1, writer: null });
    const ahead = reportOf(1, 'standby', { epoch: 2, writer: writer(0) });
    expect(vacancy([behind, ahead])).toBeNull();
  });

  it('is there when the writer’s place was given to another node', () => {
    const moved = groupOf(['n3', 'n1', 'n2']);
    expect(vacancy(standbys, members(), moved)).toMatchObject({ cause: 'vacated' });
  });
});

it('the lead is the latest epoch anybody tells of', () => {
  const reports = byIndex(
    reportOf(0, 'active', { epoch: 3, writer: writer(0) }),
    reportOf(1, 'standby', { epoch: 4, writer: writer(2) }),
  );
  expect(leadOf(reports)).toMatchObject({ epoch: 4, writer: writer(2) });
  expect(leadOf(new Map())).toEqual({ epoch: 0, writer: null });
});

describe('a place for members', () => {
  const node = (id: string, load = 0, zone: string | null = null) => ({ id, load, zone });

  it('is never on one node twice, nor where another member is', () => {
    const free = [node('a'), node('b'), node('c')];
    const chosen = place({ nodes: free, count: 2, taken: [node('a')], spread: 'node' });
    expect(chosen).toEqual(['b', 'c']);
    expect(place({ nodes: free, count: 3, taken: [node('a')], spread: 'node' })).toBeNull();
    expect(place({ nodes: [], count: 1, taken: [], spread: 'node' })).toBeNull();
  });

  it('is where least is, then by name: the same everywhere', () => {
    const nodes = [node('c', 1), node('b', 0), node('a', 1), node('d', 0)];
    for (const order of [nodes, nodes.toReversed()]) {
      expect(place({ nodes: order, count: 4, taken: [], spread: 'node' })).toEqual([
        'b',
        'd',
        'a',
        'c',
      ]);
    }
  });

  it('is in another zone where loads are equal, even if zones are not to be spread over', () => {
    const nodes = [node('a', 1, 'x'), node('b', 1, 'y')];
    const taken = [node('c', 9, 'x')];
    expect(place({ nodes, count: 1, taken, spread: 'node' })).toEqual(['b']);
  });

  it('is in another zone if there is one and zones are to be spread over', () => {
    const nodes = [node('a', 0, 'x'), node('b', 5, 'y'), node('c', 0, 'x'), node('d', 9, 'z')];
    const request = { nodes, count: 3, taken: [] };
    expect(place({ ...request, spread: 'zone' })).toEqual(['a', 'b', 'd']);
    expect(place({ ...request, spread: 'node' })).toEqual(['a', 'c', 'b']);
    expect(place({ ...request, count: 4, spread: 'zone' })).toEqual(['a', 'b', 'd', 'c']);
    const taken = [node('e', 0, 'x'), node('f', 0, 'y')];
    expect(place({ nodes, count: 1, taken, spread: 'zone' })).toEqual(['d']);
  });
});
