import { describe, expect, it } from 'vitest';
import type { ClusterView, Move, Plan, PlanGroup, PlanNode } from '../../../cluster/plan.js';
import { planDrain, planHandOver, planRebalance } from '../../../cluster/rebalance.js';
import { sampleSize } from '../../support/sample.js';
import { type Random, seededRandom } from '../../support/scheduler.js';
import {
  activesOn,
  awayIn,
  carriedOut,
  crowdedIn,
  drawView,
  free,
  gapOf,
  loadsOf,
  membersOn,
  type Shape,
  shuffled,
} from './clusters.js';

const node = (id: string, rest: Partial<PlanNode> = {}): PlanNode => ({
  id,
  zone: null,
  kinds: ['k'],
  state: 'open',
  ...rest,
});

/** The first of `nodes` has the active. */
const group = (name: string, nodes: string[], rest: Partial<PlanGroup> = {}): PlanGroup => ({
  name,
  kind: 'k',
  nodes,
  active: 0,
  ready: nodes.map((_, index) => index).slice(1),
  reprotected: true,
  placement: {},
  held: null,
  ...rest,
});

const words = ({ moves }: Plan) =>
  moves.map(({ kind, group: g, index, from, to, why }) => {
    return `${kind} ${g}/${index} ${from} ${to} ${why}`;
  });

const abc = [node('a'), node('b'), node('c')];

describe('handing over', () => {
  it('takes the actives off a node, to where fewest are, and leaves its members there', () => {
    const groups = ['g', 'h', 'i'].map((name) => group(name, ['a', 'b', 'c']));
    const others = [group('j', ['b', 'a', 'c']), group('k', ['c', 'a', 'b'], { ready: [2] })];
    const plan = planHandOver('a', { nodes: abc, groups: [...groups, ...others] });
    expect(words(plan)).toEqual([
      'switchover g/1 a b drain',
      'switchover h/2 a c drain',
      'switchover i/1 a b drain',
    ]);
    expect(plan.stays).toEqual([]);
  });

  it('says which active stays, and why', () => {
    const groups = [
      group('g', ['a', 'b'], { ready: [] }),
      group('h', ['a', 'c'], { held: 'paused by boss' }),
      group('i', ['a', 'b']),
    ];
    const { moves, stays } = planHandOver('a', { nodes: abc, groups });
    expect(moves.map((move) => move.group)).toEqual(['i']);
    expect(stays).toEqual([
      { group: 'g', index: 0, node: 'a', why: 'no other member could take over' },
      { group: 'h', index: 0, node: 'a', why: 'paused by boss' },
    ]);
  });
});

describe('rebalancing', () => {
  it.each<[string, ClusterView, string[]]>([
    ['nothing where all is level', { nodes: abc, groups: [group('g', ['a', 'b', 'c'])] }, []],
    [
      'switches actives over without moving members',
      { nodes: abc, groups: ['g', 'h', 'i'].map((name) => group(name, ['a', 'b', 'c'])) },
      ['switchover g/1 a b actives', 'switchover h/2 a c actives'],
    ],
    [
      'moves standbys to a node that is new',
      { nodes: abc, groups: [group('g', ['a', 'b']), group('h', ['b', 'a'])] },
      ['move h/1 a c members'],
    ],
    [
      'hands an active over before its member moves, if no standby could',
      {
        nodes: abc,
        groups: [
          group('g', ['a', 'b'], { placement: { nodes: ['a', 'b'] } }),
          group('h', ['b', 'a'], { placement: { nodes: ['a', 'b'] } }),
          group('i', ['a', 'b']),
          group('j', ['c', 'a'], { placement: { nodes: ['a', 'c'] } }),
          group('k', ['c', 'b'], { placement: { nodes: ['b', 'c'] } }),
          group('l', ['b', 'a'], { placement: { nodes: ['a', 'b'] } }),
        ],
      },
      ['switchover h/1 b a actives', 'switchover i/1 a b members', 'move i/0 a c members'],
    ],
    [
      'passes members on over a node in between, where no group may go straight',
      {
        nodes: abc,
        groups: [
          group('g', ['d', 'a'], { placement: { nodes: ['a', 'd'] } }),
          group('h', ['d', 'a'], { placement: { nodes: ['a', 'd'] } }),
          group('i', ['d', 'a'], { placement: { nodes: ['a', 'b'] } }),
          group('j', ['d', 'b'], { placement: { nodes: ['b', 'c'] } }),
          group('k', ['d', 'b'], { placement: { nodes: ['b', 'd'] } }),
          group('l', ['d', 'c'], { placement: { nodes: ['c', 'd'] } }),
        ],
      },
      ['move i/1 a b members', 'move j/1 b c members'],
    ],
    [
      'sends members from where their group may not be any more, an active after it has handed over',
      {
        nodes: abc,
        groups: [
          group('g', ['a', 'b'], { placement: { nodes: ['b', 'c'] } }),
          group('h', ['b', 'a'], { placement: { nodes: ['b', 'c'] } }),
          group('i', ['a', 'c'], { placement: { nodes: ['a'] } }),
        ],
      },
      [
        'switchover g/1 a b placement',
        'move g/0 a c placement',
        'switchover g/0 b c actives',
        'move h/1 a c placement',
      ],
    ],
    [
      'gives a zone of its own to each member, if that is asked for',
      {
        nodes: [node('a', { zone: 'x' }), node('b', { zone: 'x' }), node('c', { zone: 'y' })],
        groups: [
          group('g', ['a', 'b'], { placement: { spread: 'zone' } }),
          group('h', ['c', 'a'], { placement: { spread: 'zone' } }),
          group('i', ['b', 'a'], { placement: { spread: 'node' } }),
        ],
      },
      ['move g/1 b c zone', 'move h/1 a b members'],
    ],
    [
      'empties nodes that drain, closes none that is cordoned, and leaves what is down alone',
      {
        nodes: [
          node('a', { state: 'draining' }),
          node('b'),
          node('c', { state: 'cordoned' }),
          node('d', { state: 'down' }),
          node('e', { kinds: [] }),
          node('f'),
        ],
        groups: [group('g', ['a', 'b']), group('h', ['c', 'd'], { ready: [] })],
      },
      ['switchover g/1 a b drain', 'move g/0 a f drain'],
    ],
    [
      'leaves groups alone that are paused or have no active',
      {
        nodes: abc,
        groups: [
          group('g', ['a', 'b'], { held: 'paused' }),
          group('h', ['a', 'b'], { active: null, ready: [0, 1] }),
        ],
      },
      [],
    ],
  ])('does %s', (_, view, expected) => {
    const plan = planRebalance(view);
    expect(words(plan)).toEqual(expected);
    carriedOut(view, plan.moves);
  });
});

describe('draining', () => {
  it('switches each active over to where fewest are active, then moves the member', () => {
    const nodes = [...abc, node('d')];
    const groups = [group('g', ['a', 'b', 'c']), group('h', ['a', 'b', 'c'])];
    expect(words(planDrain('a', { nodes, groups }))).toEqual([
      'switchover g/1 a b drain',
      'move g/0 a d drain',
      'switchover h/2 a c drain',
      'move h/0 a d drain',
    ]);
  });

  it('names what stays and why, and still takes the actives away', () => {
    const groups = [
      group('g', ['a', 'b', 'c']),
      group('h', ['a', 'b'], { ready: [] }),
      group('i', ['a', 'b'], { held: 'paused until noon' }),
      group('j', ['b', 'a'], { placement: { nodes: ['a', 'b'] } }),
    ];
    const plan = planDrain('a', { nodes: abc, groups });
    expect(words(plan)).toEqual(['switchover g/2 a c drain']);
    const nowhere = 'no other node may take it: they host the group, are closed or not allowed';
    expect(plan.stays).toEqual([
      { group: 'g', index: 0, node: 'a', why: nowhere },
      { group: 'h', index: 0, node: 'a', why: 'no other member could take over' },
      { group: 'i', index: 0, node: 'a', why: 'paused until noon' },
      { group: 'j', index: 1, node: 'a', why: nowhere },
    ]);
  });

  it('hands over to a cordoned node only if there is no other', () => {
    const nodes = [node('a'), node('b', { state: 'cordoned' }), node('c')];
    const to = (nodesOfGroup: string[]) =>
      planDrain('a', { nodes, groups: [group('g', nodesOfGroup)] }).moves[0]?.to;
    expect([to(['a', 'b', 'c']), to(['a', 'b'])]).toEqual(['c', 'b']);
  });

  it('also moves a standby that holds nothing: nothing is lost with it', () => {
    const groups = [group('g', ['b', 'a'], { ready: [] })];
    expect(words(planDrain('a', { nodes: abc, groups }))).toEqual(['move g/1 a c drain']);
  });

  it('of a node that nobody knows is nothing', () => {
    const plan = planDrain('z', { nodes: abc, groups: [group('g', ['a', 'b'])] });
    expect(plan).toEqual({ moves: [], stays: [] });
  });
});

const shapes: readonly [string, Shape][] = [
  ['free', free],
  ['with zones', { ...free, zones: 3 }],
  ['with groups confined to some nodes', { ...free, confined: 0.5 }],
  ['with closed nodes', { ...free, nodes: 7, closed: 0.3 }],
  [
    'with all of it',
    { nodes: 6, groups: 15, zones: 3, closed: 0.2, confined: 0.3, unready: 0.2, held: 0.1 },
  ],
];

/** Each seed's view; a failing one is named. */
function eachView(shape: Shape, check: (view: ClusterView, random: Random) => void): void {
  for (let seed = 1; seed <= sampleSize(300, 75); seed++) {
    const random = seededRandom(`cluster ${seed}`);
    const view = drawView(random, shape);
    try {
      check(view, random);
    } catch (error) {
      throw new Error(`seed ${seed}: ${JSON.stringify(view)}`, { cause: error });
    }
  }
}

describe.each(shapes)('random clusters %s', (_, shape) => {
  it('are brought to where nothing is left to plan, by moves that each may be made (B1-B3)', () => {
    eachView(shape, (view) => {
      const { moves, stays } = planRebalance(view);
      const after = carriedOut(view, moves);
      expect(planRebalance(after)).toEqual({ moves: [], stays });
    });
  });

  it('never get worse, in the order of what matters: who is away, zones, members, actives', () => {
    eachView(shape, (view) => {
      const after = carriedOut(view, planRebalance(view).moves);
      if (view.nodes.some(({ state }) => state === 'draining')) return;
      expect(awayIn(after)).toBeLessThanOrEqual(awayIn(view));
      if (awayIn(after) < awayIn(view)) return;
      expect(crowdedIn(after)).toBeLessThanOrEqual(crowdedIn(view));
      if (crowdedIn(after) < crowdedIn(view)) return;
      const gap = (one: ClusterView, count: typeof membersOn) => gapOf(loadsOf(one, count));
      expect(gap(after, membersOn)).toBeLessThanOrEqual(gap(view, membersOn));
      if (gap(after, membersOn) === gap(view, membersOn)) {
        expect(gap(after, activesOn)).toBeLessThanOrEqual(gap(view, activesOn));
      }
    });
  });

  it('have nothing on draining nodes but what the plan says must stay', () => {
    eachView(shape, (view) => {
      const target = view.nodes.find(({ state }) => state === 'open')?.id ?? 'n0';
      const { moves, stays } = planDrain(target, view);
      const after = carriedOut(view, moves);
      const left = after.groups.filter(({ nodes }) => nodes.includes(target));
      expect(left.map(({ name }) => name)).toEqual(stays.map((stay) => stay.group));
      expect(moves.every(({ to }) => to !== target)).toBe(true);
    });
  });

  it('are planned for in the same way whoever looks', () => {
    eachView(shape, (view, random) => {
      const other = {
        nodes: shuffled(random, view.nodes),
        groups: shuffled(random, view.groups),
      };
      expect(planRebalance(other)).toEqual(planRebalance(view));
      expect(planDrain('n1', other)).toEqual(planDrain('n1', view));
    });
  });
});

describe('where every group may go everywhere', () => {
  it('loads end within one of each other, by as few moves as there is too much or too little', () => {
    eachView(free, (view) => {
      const { moves } = planRebalance(view);
      const after = carriedOut(view, moves);
      expect(gapOf(loadsOf(after, membersOn))).toBeLessThanOrEqual(1);
      expect(gapOf(loadsOf(after, activesOn))).toBeLessThanOrEqual(1);
      const moved = moves.filter(({ kind }) => kind === 'move').length;
      expect(moved).toBe(leastShifts(loadsOf(view, membersOn)));
      if (moved > 0) return;
      expect(moves.length).toBe(leastShifts(loadsOf(view, activesOn)));
    });
  });
});

function leastShifts(loads: readonly number[]): number {
  const mean = loads.reduce((sum, load) => sum + load, 0) / loads.length;
  const above = loads.reduce((sum, load) => sum + Math.max(0, load - Math.ceil(mean)), 0);
  const below = loads.reduce((sum, load) => sum + Math.max(0, Math.floor(mean) - load), 0);
  return Math.max(above, below);
}

describe('small clusters with groups confined to some nodes', () => {
  const small: Shape = { ...free, nodes: 4, groups: 4, confined: 0.6 };

  it('end as level as any placement could make them', () => {
    eachView(small, (view) => {
      const after = carriedOut(view, planRebalance(view).moves);
      const squares = (loads: readonly number[]) => loads.reduce((sum, n) => sum + n * n, 0);
      expect(squares(loadsOf(after, membersOn))).toBe(leastSquares(view));
    });
  });
});

/** By trying every placement that the groups' own nodes and kinds allow. */
function leastSquares({ nodes, groups }: ClusterView): number {
  let sums = new Map<string, number[]>([['', nodes.map(() => 0)]]);
  for (const { nodes: at, placement, kind } of groups) {
    const next = new Map<string, number[]>();
    for (const sum of sums.values()) {
      for (let mask = 0; mask < 2 ** nodes.length; mask++) {
        const chosen = nodes.filter((_, i) => (mask >> i) & 1);
        const fits = chosen.every(({ id, kinds }) => {
          return (placement.nodes?.includes(id) ?? true) && kinds.includes(kind);
        });
        if (chosen.length !== at.length || !fits) continue;
        const loads = sum.map((load, i) => load + ((mask >> i) & 1));
        next.set(loads.join(), loads);
      }
    }
    sums = next;
  }
  const squares = [...sums.values()].map((loads) => loads.reduce((sum, n) => sum + n * n, 0));
  return Math.min(...squares);
}

it('a thousand groups on ten nodes are planned for as well', () => {
  const view = drawView(seededRandom('many'), { ...free, nodes: 10, groups: 1000, zones: 3 });
  const skewed = { ...view, nodes: [...view.nodes, node('new', { zone: 'z0' })] };
  const moves: readonly Move[] = planRebalance(skewed).moves;
  const after = carriedOut(skewed, moves);
  expect(gapOf(loadsOf(after, membersOn))).toBeLessThanOrEqual(1);
  expect(gapOf(loadsOf(after, activesOn))).toBeLessThanOrEqual(1);
});
