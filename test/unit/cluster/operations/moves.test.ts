/** Replace, drain and rebalance: what is refused, what is tried again, and how much at once. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { NodeDocument } from '../../../../cluster/documents.js';
import type { Loaded } from '../../../../cluster/operations/drive.js';
import { drain, type MovesData, requestDrain } from '../../../../cluster/operations/moves.js';
import { movePermits } from '../../../../cluster/operations/moving.js';
import type {
  Operation,
  OperationRequest,
  Seen,
} from '../../../../cluster/operations/operation.js';
import { requestReplace } from '../../../../cluster/operations/replace.js';
import type { PlanGroup, PlanNode } from '../../../../cluster/plan.js';
import { driveChildren, TestDriver } from '../../../support/operation-driver.js';
import { driverOf, OperationWorld } from '../../../support/operation-world.js';

let world: OperationWorld;

beforeEach(() => {
  world = new OperationWorld();
  driveChildren(world);
});

const begin = (request: OperationRequest) => {
  world.start(request, driverOf('d'));
  return new TestDriver(world, request.id, driverOf('d'));
};

const run = (request: OperationRequest): Operation => {
  begin(request).run();
  world.settle();
  return world.operation(request.id);
};

const nodes = () => world.group?.members.map(({ nodeId }) => nodeId).join('');
const replaceOf = (index: number, node?: string) =>
  requestReplace(world.see(), { index, node }, 'ops');

describe('a replacement', () => {
  test.each([
    ['of the active', 0, undefined, 'conflict', /active of g, on a; switch over first/],
    ['of nobody', 3, undefined, 'member-not-found', /its members are 0 to 2/],
    ['to a node nobody knows', 1, 'x', 'node-not-found', /no node x; known: a, b, c, d/],
    ['to a node with another member', 1, 'c', 'placement-failed', /node c cannot take it/],
  ])('%s is refused', (_what, index, node, code, detail) => {
    const message = expect.stringMatching(detail);
    expect(() => replaceOf(index, node)).toThrow(expect.objectContaining({ code, message }));
  });

  test('without a node that can take it is refused', () => {
    world.drains.nodes.add('d');
    expect(() => replaceOf(1)).toThrow(expect.objectContaining({ code: 'placement-failed' }));
  });

  test('goes to the best node, and is done when the member is synced there', () => {
    const operation = run(replaceOf(1));
    expect(nodes()).toBe('adc');
    expect(operation.steps.map(({ name }) => name)).toEqual([
      'started',
      'placing',
      'syncing',
      'done',
    ]);
    expect(operation.steps.at(-1)?.detail).toBe('on d, synced through 5');
    expect(world.nowMs - 1_000_000).toBeGreaterThanOrEqual(30);
  });

  test('of a member whose node is down puts it elsewhere', () => {
    world.down.add('b');
    expect(run(replaceOf(1))).toMatchObject({ state: 'done' });
    expect(nodes()).toBe('adc');
  });

  test('of a member that became the active, or was moved by another, changes nothing', () => {
    const request = replaceOf(1, 'd');
    world.claim(1, 1, 'somebody');
    expect(run(request)).toMatchObject({ state: 'failed', lastError: { code: 'conflict' } });
    const other = replaceOf(2, 'd');
    world.change(2, { nodeId: 'd' });
    world.change(0, { nodeId: 'c' });
    expect(run({ ...other, id: 'replace.other' })).toMatchObject({ state: 'done' });
    expect(nodes()).toBe('cbd');
  });

  test.each([
    ['becomes the active', () => world.claim(1, 1, 'somebody'), 'abc'],
    ['is moved by another', () => world.change(1, { nodeId: 'x' }), 'axc'],
  ])('of a member that %s right before it is placed places nothing', (_what, happen, where) => {
    const { save } = world;
    world.save = (operation, revision) => {
      if (operation.step === 'placing') happen();
      return save.call(world, operation, revision);
    };
    const operation = run(replaceOf(1, 'd'));
    expect(operation).toMatchObject({ state: 'failed', lastError: { code: 'conflict' } });
    expect(nodes()).toBe(where);
    expect(world.calls).toEqual([]);
  });

  test('goes elsewhere when another member was placed where it was to go, or says that it cannot', () => {
    const takenBeforePlacing = (id: string) => {
      const { save } = world;
      world.save = (operation, revision) => {
        if (operation.step === 'placing') world.change(2, { nodeId: 'd' });
        return save.call(world, operation, revision);
      };
      return run({ ...replaceOf(1), id });
    };
    expect(takenBeforePlacing('replace.first')).toMatchObject({ state: 'done' });
    expect(nodes()).toBe('acd');
    world.change(1, { nodeId: 'b' });
    world.change(2, { nodeId: 'c' });
    world.down.add('c');
    expect(takenBeforePlacing('replace.second')).toMatchObject({
      state: 'failed',
      lastError: { code: 'placement-failed' },
    });
    expect(nodes()).toBe('abd');
  });

  test('that is placed gives the group free while the member syncs', () => {
    const driver = begin(replaceOf(1));
    const held: (readonly string[])[] = [];
    const { save } = world;
    world.save = (operation, revision) => {
      if (operation.step === 'done') held.push(Object.keys(world.locks).sort());
      return save.call(world, operation, revision);
    };
    driver.run();
    expect(held).toEqual([['member.g.20260102030405678.1']]);
  });
});

describe('a drain', () => {
  test('hands the active over, then moves its member, and marks the node', () => {
    const operation = run(requestDrain('a', 'ops'));
    expect(operation).toMatchObject({ state: 'done', lastError: null });
    expect(nodes()).toBe('dbc');
    expect(world.opened.map(({ by }) => by)).toEqual(['hand-off']);
    expect(world.drains.nodes).toEqual(new Set(['a']));
    const kinds = [...world.records.values()].map(({ operation: one }) => [one.kind, one.by]);
    expect(kinds).toEqual([
      ['drain', 'ops'],
      ['switchover', 'drain.a'],
      ['replace', 'drain.a'],
    ]);
  });

  test('of a node that is down moves what it hosts, and asks it for nothing', () => {
    world.down.add('b');
    expect(run(requestDrain('b', 'ops'))).toMatchObject({ state: 'done' });
    expect(nodes()).toBe('adc');
    expect(world.calls.filter((call) => call.endsWith(' b'))).toEqual([]);
  });

  test('of a node that was started anew meanwhile marks it again', () => {
    const driver = begin(requestDrain('a', 'ops'));
    world.after(15, () => world.drains.nodes.delete('a'));
    driver.run();
    expect(world.calls.filter((call) => call === 'start-draining a').length).toBe(2);
    expect(world.drains.nodes).toEqual(new Set(['a']));
    const names = new Set(world.operation(driver.id).steps.map(({ name }) => name));
    expect(names).toEqual(new Set(['started', 'marking', 'moving', 'done']));
  });

  test('waits until it is heard that the node is being emptied, and asks it again meanwhile', () => {
    world.drains.unheardBeats = 20;
    const { save } = world;
    let saves = 0;
    world.save = (operation, revision) => {
      if (operation.kind === 'drain') saves += 1;
      return save.call(world, operation, revision);
    };
    const driver = begin(requestDrain('d', 'ops'));
    driver.run();
    expect(world.operation(driver.id)).toMatchObject({ state: 'done' });
    expect(world.calls.filter((call) => call === 'start-draining d')).toHaveLength(21);
    expect(saves).toBeLessThan(8);
  });

  test('that fails puts the node back, and says why it failed', () => {
    world.down.add('d');
    const operation = run(requestDrain('a', 'ops'));
    const names = operation.steps.map(({ name }) => name);
    expect(names).toEqual(['started', 'marking', 'moving', 'putting-back', 'failed']);
    expect(operation.steps.at(-1)?.detail).toBe(operation.lastError?.detail);
    expect(world.calls).toContain('stop-draining a');
    expect([...world.drains.nodes]).toEqual([]);
  });

  test('that was taken back is not begun again by a request that comes late; the next one is', () => {
    world.down.add('d');
    const late: (() => void)[] = [];
    const { call } = world;
    world.call = (asked, answer) => {
      if (asked.verb === 'start-draining') late.push(() => call.call(world, asked, () => {}));
      call.call(world, asked, answer);
    };
    run(requestDrain('a', 'ops'));
    for (const send of late) send();
    expect([...world.drains.nodes]).toEqual([]);
    world.down.delete('d');
    expect(run(requestDrain('a', 'ops'))).toMatchObject({ state: 'done', run: 2 });
    expect([...world.drains.nodes]).toEqual(['a']);
  });

  test('that fails while the node is down tells that it was not put back', () => {
    world.down.add('d');
    const driver = begin(requestDrain('a', 'ops'));
    world.after(2000, () => world.kill('a'));
    driver.run();
    expect(world.operation(driver.id).lastError).toMatchObject({
      code: 'placement-failed',
      detail: expect.stringMatching(/stays: .*; a is down: should it come back in the same life/),
    });
  });

  test('says which member stays, and why, once everything else is moved', () => {
    world.down.add('d');
    const { state, lastError } = run(requestDrain('a', 'ops'));
    expect({ state, code: lastError?.code }).toEqual({ state: 'failed', code: 'placement-failed' });
    expect(lastError?.detail).toMatch(/^1 moved; g\/0 stays: no other node may take it/);
    expect(world.see().group?.activeNode).toBe('b');
  });

  test('waits no longer for what stays if it began to by a clock that was days ahead', () => {
    world.down.add('d');
    const driver = begin(requestDrain('a', 'ops'));
    const daysMs = 3e8;
    world.after(1000, () => {
      const { operation, revision } = world.records.get(driver.id) as NonNullable<Loaded>;
      const data = { ...(operation.data as object), stuckSinceMs: world.nowMs + daysMs };
      world.save({ ...operation, data }, revision);
    });
    const beganMs = world.nowMs;
    driver.run();
    expect(world.operation(driver.id).state).toBe('failed');
    expect(world.nowMs - beganMs).toBeLessThan(daysMs);
  });

  test('waits a moment for standbys that are fetching a snapshot just now', () => {
    const ready = (healthy: boolean) => [1, 2].map((index) => world.change(index, { healthy }));
    ready(false);
    world.after(2000, () => ready(true));
    expect(run(requestDrain('a', 'ops'))).toMatchObject({ state: 'done', lastError: null });
    expect(world.see().group?.activeNode).toBe('b');
  });

  test('tries a move that fails three times, and tells of the last', () => {
    world.frozen.add('b');
    world.frozen.add('c');
    const { lastError } = run(requestDrain('a', 'ops'));
    expect(lastError?.detail).toMatch(/^0 moved; g: no claim followed within 5000 ms/);
    const tries = world.opened.filter(({ by }) => by === 'rollback');
    expect(tries).toHaveLength(3);
  });

  test('that is cancelled begins nothing more; what is under way comes to its end', () => {
    const driver = begin(requestDrain('a', 'ops'));
    world.after(20, () => {
      const found = world.records.get(driver.id);
      if (found === undefined) return;
      const operation = { ...found.operation, cancelledBy: 'boss' };
      const revision = world.save(operation, found.revision) as number;
      driver.feed({ kind: 'changed', operation, revision });
    });
    driver.run();
    world.settle();
    const { state, lastError } = world.operation(driver.id);
    expect({ state, lastError }).toEqual({
      state: 'cancelled',
      lastError: { code: 'conflict', detail: 'cancelled by boss at step moving' },
    });
    expect([...world.drains.nodes]).toEqual([]);
    expect(nodes()).toBe('abc');
    expect(world.see().group?.activeNode).toBe('b');
  });
});

describe('so many moves', () => {
  const planNode = (id: string): PlanNode => ({ id, zone: null, kinds: ['k'], state: 'open' });
  const planGroup = (name: string): PlanGroup => ({
    ...{ name, kind: 'k', nodes: ['a', 'b'], active: 0, ready: [1], placement: {}, held: null },
    reprotected: true,
  });
  const seen: Seen = {
    nowMs: 1,
    group: null,
    view: {
      nodes: ['a', 'b', 'c', 'd'].map(planNode),
      groups: ['g1', 'g2', 'g3', 'g4'].map(planGroup),
    },
    nodes: [{ id: 'a', state: 'drained' } as NodeDocument],
    lostZone: null,
    placeable: {},
  };

  const nextMove = (children: MovesData['children'], failed: MovesData['failed'] = {}) => {
    const { data } = requestDrain('a', 'ops');
    const operation = { id: 'drain.a', step: 'moving' } as Operation<MovesData>;
    const moves = { ...(data as MovesData), children, failed };
    const looked = Object.values(children).map((id) => ({ id, state: 'running', lastError: null }));
    const answer = looked.length === 0 ? undefined : { looked };
    const at = { operation, data: moves, seen, answer };
    const outcome = drain.steps.moving?.(at);
    if (outcome?.kind !== 'call') return outcome?.kind;
    return (outcome.call.request as { move: { group: string; kind: string } }).move;
  };

  test('are begun at once as there are permits, one for each group', () => {
    expect(movePermits).toBe(2);
    expect(nextMove({})).toMatchObject({ group: 'g1', kind: 'switchover' });
    expect(nextMove({ g1: 'x' })).toMatchObject({ group: 'g2' });
    expect(nextMove({ g1: 'x', g2: 'y' })).toBe('park');
  });

  test('pass a group by that has failed too often', () => {
    const often = { times: 3, why: 'no' };
    expect(nextMove({}, { g1: often })).toMatchObject({ group: 'g2' });
    expect(nextMove({}, { g1: { times: 2, why: 'no' } })).toMatchObject({ group: 'g1' });
    expect(nextMove({}, { g1: often, g2: often, g3: often, g4: often })).toBe('failed');
  });
});
