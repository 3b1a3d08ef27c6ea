/** How long standbys are waited for that are to hold a snapshot, and what becomes of the wait. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { GroupDocument, MemberSync } from '../../../../cluster/documents.js';
import type { Loaded } from '../../../../cluster/operations/drive.js';
import { requestSync, type SyncData } from '../../../../cluster/operations/sync.js';
import { TestDriver } from '../../../support/operation-driver.js';
import { driverOf, OperationWorld } from '../../../support/operation-world.js';

let world: OperationWorld;

beforeEach(() => {
  world = new OperationWorld();
});

const request = () => requestSync(world.see().group as GroupDocument, 'ops');

const run = () => {
  const asked = request();
  world.start(asked, driverOf('d'));
  new TestDriver(world, asked.id, driverOf('d')).run();
  return world.operation(asked.id);
};

const passedMs = () => world.nowMs - 1_000_000;

/** So many bytes have come every second, up to a time; all of them are there at `heldMs`. */
const fetches = (
  index: number,
  { untilMs, heldMs }: { untilMs: number; heldMs: number | null },
) => {
  world.change(index, { syncedThrough: 3 });
  for (let atMs = 1000; atMs <= untilMs; atMs += 1000) {
    const sync = { doneSizeBytes: atMs, knownSizeBytes: 1e6, bytesPerSecond: 1000 } as MemberSync;
    world.after(atMs, () => world.change(index, { sync }));
  }
  if (heldMs === null) return;
  world.after(heldMs, () => world.change(index, { sync: null, syncedThrough: 5 }));
};

test('it is done when every standby holds the snapshot, and tells how far they are', () => {
  fetches(1, { untilMs: 3000, heldMs: 4000 });
  const operation = run();
  expect(operation.id).toBe('sync.g.20260102030405678.5');
  expect(operation).toMatchObject({ state: 'done', target: 'g', data: { through: 5 } });
  expect(operation.steps.map(({ name }) => name)).toEqual([
    'started',
    'cutting',
    'syncing',
    'done',
  ]);
  expect(operation.steps.at(-2)?.detail).toMatch(/^member 1 on b: /);
  expect(operation.steps.at(-1)?.detail).toBe('synced through 5');
  expect(world.calls).toEqual(['sync a']);
});

test('it may be asked for again, and cuts anew then', () => {
  run();
  expect(run()).toMatchObject({ state: 'done', run: 2 });
  expect(world.calls).toEqual(['sync a', 'sync a']);
});

test('at a later seq it is another one, which waits for nobody', () => {
  const before = request();
  world.group = { ...(world.group as GroupDocument), seq: 6 };
  expect(request().id).not.toBe(before.id);
});

describe('standbys', () => {
  test('are waited for as long as one of them comes closer', () => {
    fetches(1, { untilMs: 100_000, heldMs: 200_000 });
    fetches(2, { untilMs: 190_000, heldMs: 195_000 });
    expect(run().state).toBe('done');
    expect(passedMs()).toBeGreaterThanOrEqual(200_000);
  });

  test('are given up on when none has come closer for 30 s, and named', () => {
    fetches(1, { untilMs: 60_000, heldMs: null });
    fetches(2, { untilMs: 10_000, heldMs: 20_000 });
    const { state, lastError } = run();
    expect([state, lastError?.code]).toEqual(['failed', 'timeout']);
    expect(lastError?.detail).toMatch(/^member 1 on b: no closer to seq 5 for 30000 ms/);
    expect(passedMs()).toBeGreaterThanOrEqual(90_000);
    expect(passedMs()).toBeLessThan(93_000);
  });

  test('are given up on also if a former driver was days ahead, and they fetch nothing', () => {
    const daysMs = 3e8;
    fetches(1, { untilMs: 10_000, heldMs: null });
    world.after(11_000, () => world.change(1, { sync: null }));
    world.after(12_000, () => {
      const { operation, revision } = [...world.records.values()][0] as NonNullable<Loaded>;
      const { closeness, ...data } = operation.data as SyncData;
      const ahead = Object.entries(closeness).map(([index, one]) => {
        return [
          index,
          { ...one, closerAtMs: world.nowMs + daysMs, toldAtMs: world.nowMs + daysMs },
        ];
      });
      expect(ahead).toHaveLength(1);
      world.save(
        { ...operation, data: { ...data, closeness: Object.fromEntries(ahead) } },
        revision,
      );
    });
    expect(run().lastError?.code).toBe('timeout');
    expect(passedMs()).toBeLessThan(100_000);
  });

  test('are not waited for where they cannot be reached', () => {
    world.change(1, { state: 'quarantined', syncedThrough: 3 });
    world.change(2, { syncedThrough: 3 });
    world.down.add('c');
    const { state, steps } = run();
    expect(state).toBe('done');
    expect(steps.at(-1)?.detail).toBe(
      'synced through 5; member 1 on b is quarantined; member 2 on c is unreachable',
    );
  });
});

describe('the snapshot', () => {
  test('is not asked of a group without an active', () => {
    world.down.add('a');
    expect(request).toThrow(expect.objectContaining({ code: 'not-ready' }));
  });

  test('is cut by the next active when the first dies over it', () => {
    world.after(5, () => world.kill('a'));
    const verb = world.call;
    world.call = (call, answer) => {
      // What the first would have answered dies with it.
      verb.call(world, call, (input) => call.node !== 'a' && answer(input));
    };
    const asked = request();
    world.start(asked, driverOf('d'));
    const driver = new TestDriver(world, asked.id, driverOf('d'));
    world.after(400, () => {
      const error = { code: 'node-not-found', detail: 'node a is down' } as const;
      driver.feed({ kind: 'failed', effect: driver.drive.effect, error });
    });
    driver.run();
    expect(world.operation(asked.id)).toMatchObject({ state: 'done', data: { through: 5 } });
    expect(world.calls).toEqual(['sync a', 'sync b']);
  });

  test('that cannot be cut is tried for three times', () => {
    world.cutFailure = 'the state is too large';
    const { state, lastError } = run();
    expect([state, lastError?.code]).toEqual(['failed', 'internal']);
    expect(lastError?.detail).toBe('no snapshot of g: the state is too large');
    expect(world.calls).toEqual(['sync a', 'sync a', 'sync a']);
  });

  test('is given up on when nobody leads for long', () => {
    const asked = request();
    world.down.add('a');
    world.start(asked, driverOf('d'));
    new TestDriver(world, asked.id, driverOf('d')).run();
    expect(world.operation(asked.id)).toMatchObject({ lastError: { code: 'not-ready' } });
    expect(passedMs()).toBeGreaterThan(10_000);
    expect(world.calls).toEqual([]);
  });
});
