/** What a member is asked when it is to begin anew, and when that counts as done. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { GroupDocument } from '../../../../cluster/documents.js';
import type { Loaded } from '../../../../cluster/operations/drive.js';
import { type ReinitData, requestReinit } from '../../../../cluster/operations/reinit.js';
import { TestDriver } from '../../../support/operation-driver.js';
import { driverOf, OperationWorld } from '../../../support/operation-world.js';

let world: OperationWorld;

beforeEach(() => {
  world = new OperationWorld();
});

const request = (index: number) => requestReinit(world.see().group as GroupDocument, index, 'ops');

const run = (index: number) => {
  const asked = request(index);
  world.start(asked, driverOf('d'));
  new TestDriver(world, asked.id, driverOf('d')).run();
  return world.operation(asked.id);
};

test.each([
  ['the active', 0, 'conflict', /active of g, on a; switch over first/],
  ['nobody', 5, 'member-not-found', /its members are 0 to 2/],
  ['one whose node is down', 2, 'not-ready', /node c of member 2 is down/],
])('%s is refused', (_who, index, code, detail) => {
  world.down.add('c');
  const message = expect.stringMatching(detail);
  expect(() => request(index)).toThrow(expect.objectContaining({ code, message }));
});

test.each(['standby', 'quarantined'])(
  'a member that is %s forgets, syncs, and is done',
  (state) => {
    world.change(1, { state });
    const operation = run(1);
    expect(operation.id).toBe('reinit.g.20260102030405678.1');
    expect(operation).toMatchObject({ state: 'done', target: 'g/1' });
    const names = operation.steps.map(({ name }) => name);
    expect(names).toEqual(['started', 'forgetting', 'syncing', 'done']);
    expect(operation.steps.at(-1)?.detail).toBe('synced through 5');
    expect(world.calls[0]).toBe('reinit b');
  },
);

test('it may be asked for again, and begins anew then', () => {
  run(1);
  expect(run(1)).toMatchObject({ state: 'done', run: 2, attempts: 1 });
  expect(world.calls.filter((call) => call === 'reinit b')).toHaveLength(2);
});

describe('it is not done', () => {
  test('before the member itself says that it holds a state', () => {
    run(1);
    expect(world.nowMs - 1_000_000).toBeGreaterThanOrEqual(30);
    expect(world.calls.filter((call) => call === 'inspect b').length).toBeGreaterThan(1);
  });

  test.each(['standby', 'restoring'])('while it is %s and has never synced', (state) => {
    world.after(5, () => world.change(1, { state }));
    world.after(2000, () => world.change(1, { state: 'standby', lastSync: 'now' }));
    run(1);
    expect(world.nowMs - 1_000_000).toBeGreaterThanOrEqual(2000);
  });

  test('but fails, with the reason, when the member is quarantined again', () => {
    world.after(5, () => world.change(1, { state: 'quarantined', error: 'poison' }));
    const lastError = { code: 'quarantined', detail: 'quarantined again: poison' };
    expect(run(1)).toMatchObject({ state: 'failed', lastError });
  });

  test('but refused, when the member has become the active meanwhile', () => {
    const asked = request(1);
    world.claim(1, 1, 'somebody');
    world.start(asked, driverOf('d'));
    new TestDriver(world, asked.id, driverOf('d')).run();
    expect(world.operation(asked.id)).toMatchObject({ lastError: { code: 'conflict' } });
    expect(world.calls).toEqual([]);
  });

  test('but given up on after another such time, if a former driver was days ahead', () => {
    const { change } = world;
    world.change = (index, parts) => {
      if (parts.lastSync !== 'later') change.call(world, index, parts);
    };
    world.after(1000, () => {
      const { operation, revision } = [...world.records.values()][0] as NonNullable<Loaded>;
      const data = operation.data as ReinitData;
      const closeness = { ...data.closeness, closerAtMs: world.nowMs + 3e8 };
      world.save({ ...operation, data: { ...data, closeness } }, revision);
    });
    expect(run(1).lastError?.code).toBe('timeout');
    expect(world.nowMs - 1_000_000).toBeLessThan(105_000);
  });

  test('but given up on, when the member has not come closer for long', () => {
    const { change } = world;
    world.change = (index, parts) => {
      if (parts.lastSync !== 'later') change.call(world, index, parts);
    };
    const { lastError } = run(1);
    expect(lastError?.code).toBe('timeout');
    expect(lastError?.detail).toMatch(/member 1 has not come closer for 50000 ms; last: starting/);
    expect(world.nowMs - 1_000_000).toBeLessThan(52_000);
  });

  test('while the node does not answer, which is not taken for a state', () => {
    world.after(5, () => world.down.add('b'));
    world.after(3000, () => world.down.delete('b'));
    const operation = run(1);
    expect(operation).toMatchObject({ state: 'done', retries: 0 });
    expect(world.nowMs - 1_000_000).toBeGreaterThan(3000);
  });
});
