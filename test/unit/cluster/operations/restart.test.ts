/** What has to hold before a node is restarted, what is waited for, and what is left alone if it fails. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { Operation, OperationRequest } from '../../../../cluster/operations/operation.js';
import {
  type RestartData,
  requestRestart,
  restartable,
  restartPreflight,
} from '../../../../cluster/operations/restart.js';
import { driveChildren, TestDriver } from '../../../support/operation-driver.js';
import { driverOf, OperationWorld } from '../../../support/operation-world.js';

let world: OperationWorld;

beforeEach(() => {
  world = new OperationWorld();
  driveChildren(world);
});

const one = (node: string) => requestRestart({ node }, 'ops');
const all = (driver = 'd') => requestRestart({ all: ['d', 'b', 'a', 'c'], driver }, 'ops');

const begin = (request: OperationRequest) => {
  world.start(request, driverOf('d'));
  return new TestDriver(world, request.id, driverOf('d'));
};

const run = (request: OperationRequest): Operation => {
  begin(request).run();
  world.settle();
  return world.operation(request.id);
};

const passedMs = () => world.nowMs - 1_000_000;

const cancel = (driver: TestDriver) => {
  const found = world.records.get(driver.id);
  if (found === undefined) return;
  const operation = { ...found.operation, cancelledBy: 'boss' };
  const revision = world.save(operation, found.revision) as number;
  driver.feed({ kind: 'changed', operation, revision });
};

/** When the step is on record for the first time. */
const at = (step: string, happen: () => void) => {
  const { save } = world;
  let isOpen = true;
  world.save = (operation, revision) => {
    const saved = save.call(world, operation, revision);
    if (operation.step === step && operation.kind === 'restart' && isOpen) {
      isOpen = false;
      happen();
    }
    return saved;
  };
};

describe('before a node is restarted', () => {
  const broken = (node: string) =>
    restartPreflight(node, world.see())
      .filter(({ ok }) => !ok)
      .map(({ name, detail }) => [name, detail]);

  test('nothing speaks against it where all is well', () => {
    for (const node of world.nodes) expect(broken(node)).toEqual([]);
  });

  test('all that speaks against it is named at once', () => {
    world.unsupervised.add('a');
    world.change(1, { healthy: false });
    world.change(2, { healthy: false });
    world.paused = 'paused by boss';
    expect(broken('a')).toEqual([
      ['supervised', expect.stringMatching(/nothing starts a again; set UNDERSTUDY_SUPERVISED/)],
      ['groups-reprotected', 'on a, not all members are healthy and synced of g'],
      ['groups-not-paused', 'on a, paused: g'],
      ['standby-elsewhere', 'a leads, and no standby on another open node could: g'],
    ]);
  });

  test('what concerns other nodes is not held against it', () => {
    world.unsupervised.add('a');
    world.change(1, { healthy: false });
    expect(broken('d')).toEqual([]);
    expect(broken('c').map(([name]) => name)).toEqual(['groups-reprotected']);
  });

  test('standbys on nodes that are emptied are nobody to lead', () => {
    world.drains.nodes.add('b').add('c');
    expect(broken('a').map(([name]) => name)).toEqual(['standby-elsewhere']);
    expect(broken('b')).toEqual([]);
  });

  test('one that is down is no node to restart, and none of all', () => {
    world.down.add('d');
    expect(broken('d')).toEqual([['node-up', 'd is down']]);
    expect(restartable(world.see().nodes)).toEqual(['a', 'b', 'c']);
  });
});

describe('a restart', () => {
  test('of one hands its actives over, ends its life, and waits for its members', () => {
    const operation = run(one('a'));
    expect(operation).toMatchObject({ id: 'restart.node.a', state: 'done', target: 'a' });
    expect(operation.steps.map(({ name }) => name)).toEqual([
      'started',
      'checking',
      'handing-over',
      'ending',
      'returning',
      'checking',
      'done',
    ]);
    expect(world.ended).toEqual(['a1']);
    expect(world.opened.map(({ by }) => by)).toEqual(['hand-off']);
    expect(world.see().group).toMatchObject({ activeNode: 'b' });
    expect(world.group?.members.map(({ nodeId }) => nodeId).join('')).toBe('abc');
    expect(world.drains.nodes).toEqual(new Set());
  });

  test('of all goes through them by name, the one that was asked last, and never two at once', () => {
    let most = 0;
    const { add } = world.down;
    world.down.add = (node) => {
      add.call(world.down, node);
      most = Math.max(most, world.down.size);
      return world.down;
    };
    expect(run(all('b'))).toMatchObject({ id: 'restart.all', state: 'done', target: 'cluster' });
    expect(world.ended).toEqual(['a1', 'c1', 'd1', 'b1']);
    expect(most).toBe(1);
  });

  test('goes on when the members are synced, and not when the node answers', () => {
    const { change } = world;
    world.change = (index, parts) => {
      if (parts.lastSync !== 'later') return change.call(world, index, parts);
      world.after(5000, () => change.call(world, index, parts));
    };
    const endedAtMs: number[] = [];
    const { push } = world.ended;
    world.ended.push = (life) => {
      endedAtMs.push(passedMs());
      return push.call(world.ended, life);
    };
    expect(run(all()).state).toBe('done');
    const [first, second] = endedAtMs as [number, number];
    expect(second - first).toBeGreaterThan(5000);
  });

  test('does not end the next life of a node that ended by itself meanwhile', () => {
    at('handing-over', () => world.endLife('a'));
    expect(run(one('a'))).toMatchObject({ state: 'done' });
    expect(world.ended).toEqual(['a1']);
  });

  test('waits a while for what speaks against it to be over', () => {
    world.change(2, { healthy: false });
    world.after(5000, () => world.change(2, { healthy: true }));
    expect(run(one('a')).state).toBe('done');
    expect(passedMs()).toBeGreaterThan(5000);
  });

  test('may be asked for again', () => {
    run(one('a'));
    expect(run(one('a'))).toMatchObject({ state: 'done', run: 2 });
    expect(world.ended).toEqual(['a1', 'a2']);
  });
});

describe('a restart ends, with the rest untouched,', () => {
  test('when a node does not come back within a minute', () => {
    world.absenceMs = null;
    const { state, lastError } = run(all());
    expect([state, lastError?.code]).toEqual(['failed', 'timeout']);
    expect(lastError?.detail).toMatch(
      /^a was told to end and is not back after 60000 ms: it is down/,
    );
    expect(lastError?.detail).toMatch(/Not touched: b, c, d$/);
    expect(world.ended).toEqual(['a1']);
    expect(passedMs()).toBeGreaterThan(60_000);
    expect(passedMs()).toBeLessThan(63_000);
  });

  test('when a node takes the word and does not end', () => {
    at('ending', () => world.frozen.add('a'));
    const { lastError } = run(all());
    expect(lastError?.detail).toMatch(/it is still in its former life/);
    expect(world.ended).toEqual([]);
  });

  test('when its members do not sync again', () => {
    const { change } = world;
    world.change = (index, parts) => {
      if (parts.lastSync !== 'later') change.call(world, index, parts);
    };
    const { lastError } = run(all());
    expect(lastError?.detail).toMatch(/^a is back, but after 600000 ms .* of: g \(1\)/);
    expect(lastError?.detail).toMatch(/Not touched: b, c, d$/);
    expect(world.ended).toEqual(['a1']);
  });

  test('when something speaks against the next', () => {
    at('returning', () => world.unsupervised.add('b'));
    const { lastError } = run(all());
    expect(lastError?.code).toBe('conflict');
    expect(lastError?.detail).toMatch(/^b: supervised: nothing starts b again.*Not touched: c, d$/);
    expect(world.ended).toEqual(['a1']);
  });

  test('when an active cannot be handed over: its node is not ended then', () => {
    at('handing-over', () => world.frozen.add('b').add('c'));
    const { lastError } = run(all());
    expect(lastError?.detail).toMatch(/^a: g: no claim followed within 5000 ms/);
    expect(world.ended).toEqual([]);
    expect(world.see().group).toMatchObject({ activeNode: 'a' });
  });

  test('when it is cancelled, between two nodes: who was told to end is waited for', () => {
    const driver = begin(all());
    at('ending', () => world.after(5, () => cancel(driver)));
    driver.run();
    const { state, data } = world.operation(driver.id);
    expect(state).toBe('cancelled');
    expect((data as RestartData).left).toEqual(['a', 'b', 'c', 'd']);
    expect(world.ended).toEqual(['a1']);
    expect(world.incarnationOf('a')).toBe('2');
    world.settle();
    expect(world.see().view.groups[0]?.reprotected).toBe(true);
  });

  test('when it is cancelled before a node was told to end', () => {
    const driver = begin(all());
    at('handing-over', () => world.after(5, () => cancel(driver)));
    driver.run();
    world.settle();
    expect(world.operation(driver.id).state).toBe('cancelled');
    expect(world.ended).toEqual([]);
  });
});

test('two restarts never run at once', () => {
  const other = one('c');
  world.start(other, driverOf('c'));
  const second = new TestDriver(world, other.id, driverOf('c'));
  at('handing-over', () => second.feed({ kind: 'start', from: null }));
  expect(run(one('a')).state).toBe('done');
  expect(world.operation(other.id).state).toBe('done');
  expect(world.ended).toEqual(['a1', 'c1']);
});
