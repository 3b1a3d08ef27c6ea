/**
 * I11: whatever is driven twice, or whose driver dies before, inside or after anything it does, ends in the
 * same state as what is driven once; and each promotion that was asked for changed the epoch once.
 */
import { describe, expect, test } from 'vitest';
import type { GroupDocument } from '../../../../cluster/documents.js';
import { requestDelete } from '../../../../cluster/operations/delete.js';
import { requestFailover } from '../../../../cluster/operations/failover.js';
import { operationKinds } from '../../../../cluster/operations/kinds.js';
import { requestDrain, requestRebalance } from '../../../../cluster/operations/moves.js';
import type { OperationRequest, Seen } from '../../../../cluster/operations/operation.js';
import { requestReinit } from '../../../../cluster/operations/reinit.js';
import { requestReplace } from '../../../../cluster/operations/replace.js';
import { requestRestart } from '../../../../cluster/operations/restart.js';
import { requestSwitchover } from '../../../../cluster/operations/switchover.js';
import { requestSync } from '../../../../cluster/operations/sync.js';
import { type CrashPlan, driveChildren, TestDriver } from '../../../support/operation-driver.js';
import { driverOf, OperationWorld } from '../../../support/operation-world.js';

interface Scenario {
  readonly kind: string;
  readonly request: (at: { group: GroupDocument; seen: Seen }) => OperationRequest;
  readonly promotions: number;
  /** In the end: the active's node, and that of each member. */
  readonly end: readonly [active: string, nodes: string] | null;
  /** Lives of nodes, in order; none without it. */
  readonly ended?: readonly string[];
  /** It takes back what it did, and says so. */
  readonly fails?: boolean;
  readonly prepare?: (world: OperationWorld) => void;
}

const scenarios: readonly Scenario[] = [
  {
    kind: 'switchover',
    request: ({ group }) => requestSwitchover(group, { candidate: 'c' }, null, 'ops'),
    promotions: 1,
    end: ['c', 'abc'],
  },
  {
    kind: 'switchover',
    request: ({ group }) => requestSwitchover(group, {}, 1_060_000, 'ops'),
    promotions: 1,
    end: ['b', 'abc'],
  },
  {
    kind: 'failover',
    request: ({ group, seen }) => requestFailover(group, seen, {}, 'ops'),
    promotions: 1,
    end: ['b', 'abc'],
  },
  {
    kind: 'reinit',
    request: ({ group }) => requestReinit(group, 1, 'ops'),
    promotions: 0,
    end: ['a', 'abc'],
  },
  {
    kind: 'replace',
    request: ({ seen }) => requestReplace(seen, { index: 1, node: 'd' }, 'ops'),
    promotions: 0,
    end: ['a', 'adc'],
  },
  { kind: 'drain', request: () => requestDrain('a', 'ops'), promotions: 1, end: ['b', 'dbc'] },
  {
    kind: 'drain',
    request: () => requestDrain('b', 'ops'),
    promotions: 0,
    end: ['a', 'abc'],
    fails: true,
    prepare: (world) => {
      world.down.add('d');
    },
  },
  {
    kind: 'rebalance',
    request: () => requestRebalance('ops'),
    promotions: 0,
    end: ['a', 'adc'],
    prepare: (world) => {
      world.zones = { a: '1', b: '1', c: '2', d: '3' };
    },
  },
  {
    kind: 'restart',
    request: () => requestRestart({ node: 'a' }, 'ops'),
    promotions: 1,
    end: ['b', 'abc'],
    ended: ['a1'],
  },
  {
    kind: 'restart',
    request: () => requestRestart({ all: ['a', 'b', 'c', 'd'], driver: 'b' }, 'ops'),
    promotions: 2,
    end: ['a', 'abc'],
    ended: ['a1', 'c1', 'd1', 'b1'],
  },
  {
    kind: 'sync',
    request: ({ group }) => requestSync(group, 'ops'),
    promotions: 0,
    end: ['a', 'abc'],
    prepare: (world) => {
      world.syncsBySnapshots = true;
      world.change(1, { syncedThrough: 3 });
    },
  },
  { kind: 'delete', request: ({ group }) => requestDelete(group, 'ops'), promotions: 0, end: null },
];

const begun = ({ request, prepare }: Scenario): { world: OperationWorld; id: string } => {
  const world = new OperationWorld();
  prepare?.(world);
  driveChildren(world);
  const seen = world.see();
  const { id } = world.start(request({ group: seen.group as GroupDocument, seen }), driverOf('a'));
  return { world, id };
};

/** All that is left when nothing is under way any more. */
const stateOf = (world: OperationWorld, id: string) => {
  world.settle();
  const { group, idTaken, logSize, locks, opened, drains, ended } = world;
  const { state, lastError, step } = world.operation(id);
  return {
    group,
    idTaken,
    logSize,
    locks,
    opened,
    draining: drains.nodes,
    ended,
    state,
    lastError,
    step,
  };
};

const once = (scenario: Scenario) => {
  const { world, id } = begun(scenario);
  const { effects } = new TestDriver(world, id, driverOf('a')).run();
  return { end: stateOf(world, id), effects, steps: world.operation(id).steps.map((s) => s.name) };
};

/** A driver that crashes as planned, and whoever goes on after it. */
const withCrash = (scenario: Scenario, plan: CrashPlan) => {
  const { world, id } = begun(scenario);
  const first = new TestDriver(world, id, driverOf('a'), plan).run();
  new TestDriver(world, id, driverOf('b')).run(driverOf('a'));
  return { crashed: first.crashed, end: stateOf(world, id), world, id };
};

test('there is a scenario for every kind of operation', () => {
  expect(new Set(scenarios.map(({ kind }) => kind))).toEqual(new Set(operationKinds.keys()));
});

describe.each(scenarios)('$kind', (scenario) => {
  const expected = once(scenario);

  const outcome = scenario.fails
    ? { state: 'failed', draining: new Set() }
    : { state: 'done', lastError: null };

  test('is done when nothing goes wrong, and leaves no lock behind', () => {
    expect(expected.end).toMatchObject({ ...outcome, locks: {} });
    expect(expected.end.opened).toHaveLength(scenario.promotions);
    expect(expected.end.ended).toEqual(scenario.ended ?? []);
    const { group } = expected.end;
    const active = group?.members.find(({ state }) => state === 'active')?.nodeId;
    const nodes = group?.members.map(({ nodeId }) => nodeId).join('');
    expect(group && [active, nodes]).toEqual(scenario.end);
    expect(expected.effects).toBeGreaterThan(8);
  });

  test.each(['before', 'inside', 'after'] as const)(
    'ends the same when its driver crashes %s any of its effects',
    (where) => {
      for (let at = 1; at <= expected.effects; at++) {
        const { crashed, end } = withCrash(scenario, { at, where });
        expect({ at, crashed, end }).toEqual({ at, crashed: true, end: expected.end });
      }
    },
  );

  test('ends the same when its driver comes back to life after another has taken over', () => {
    for (let at = 1; at <= expected.effects; at++) {
      const { world, id } = begun(scenario);
      const frozen = new TestDriver(world, id, driverOf('a'), { at, where: 'inside' }).run();
      const other = new TestDriver(world, id, driverOf('b'));
      other.feed({ kind: 'start', from: driverOf('a') });
      world.tick();
      world.tick();
      // What it had begun goes on from where it was, with what it knew.
      frozen.crashed = false;
      frozen.feed({ kind: 'wake' });
      world.settle();
      expect({ at, end: stateOf(world, id) }).toEqual({ at, end: expected.end });
      expect(other.ended ?? frozen.ended).toMatchObject({ state: outcome.state });
    }
  });

  test('ends the same when every request arrives twice', () => {
    const { world, id } = begun(scenario);
    world.twice = true;
    new TestDriver(world, id, driverOf('a')).run();
    expect(stateOf(world, id)).toEqual(expected.end);
  });

  test('ends the same when every driver crashes after one thing that it got done', () => {
    const { world, id } = begun(scenario);
    let last = driverOf('a');
    let from = null as typeof last | null;
    for (let life = 1; life < 200; life++) {
      last = driverOf('a', life);
      // Enough to claim, lock and look, and then one more thing.
      const driver = new TestDriver(world, id, last, { at: 7, where: 'after' }).run(from);
      from = last;
      if (driver.ended !== undefined) break;
    }
    new TestDriver(world, id, driverOf('b')).run(from);
    expect(stateOf(world, id)).toEqual(expected.end);
  });

  test('tells of its steps once each, whoever drove it', () => {
    for (let at = 1; at <= expected.effects; at++) {
      const { world, id } = withCrash(scenario, { at, where: 'inside' });
      const names = world.operation(id).steps.map(({ name }) => name);
      expect({ at, names }).toEqual({ at, names: expected.steps });
    }
  });
});
