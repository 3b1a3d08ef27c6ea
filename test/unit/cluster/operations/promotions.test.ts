/** Switchover and failover: what they refuse, and what they make of what happens meanwhile. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { GroupDocument } from '../../../../cluster/documents.js';
import { requestFailover } from '../../../../cluster/operations/failover.js';
import type { OperationRequest } from '../../../../cluster/operations/operation.js';
import {
  preflight,
  requestSwitchover,
  type SwitchoverRequest,
} from '../../../../cluster/operations/switchover.js';
import { UnderstudyError } from '../../../../replication/errors.js';
import { TestDriver } from '../../../support/operation-driver.js';
import { driverOf, OperationWorld } from '../../../support/operation-world.js';

let world: OperationWorld;
let group: GroupDocument;

beforeEach(() => {
  world = new OperationWorld();
  group = world.see().group as GroupDocument;
});

const begin = (request: OperationRequest) => {
  world.start(request, driverOf('d'));
  return new TestDriver(world, request.id, driverOf('d'));
};

const run = (request: OperationRequest) => {
  begin(request).run();
  world.settle();
  const { state, lastError, steps } = world.operation(request.id);
  return { state, lastError, names: steps.map(({ name }) => name), last: steps.at(-1)?.detail };
};

const switchover = (request: SwitchoverRequest = {}, dueAtMs: number | null = null) =>
  requestSwitchover(group, request, dueAtMs, 'ops');

const failed = (request: SwitchoverRequest) =>
  preflight(world.see().group as GroupDocument, world.see(), request)
    .filter(({ ok }) => !ok)
    .map(({ name }) => name);

describe('a switchover', () => {
  test('goes to the freshest standby, or to the one asked for', () => {
    world.change(1, { syncedThrough: 3 });
    expect(run(switchover())).toMatchObject({
      state: 'done',
      names: ['started', 'syncing', 'handing-off', 'done'],
      last: 'epoch 2, active on c',
    });
    group = world.see().group as GroupDocument;
    expect(run(switchover({ candidate: 'b' })).last).toBe('epoch 3, active on b');
    expect(world.opened.map(({ by }) => by)).toEqual(['hand-off', 'hand-off']);
  });

  test('names every precondition that fails', () => {
    expect(failed({})).toEqual([]);
    expect(failed({ leader: 'b', candidate: 'a' })).toEqual([
      'leader-guard',
      'candidate-is-another-node',
      'candidate-healthy-and-synced',
    ]);
    world.down.add('a');
    expect(failed({})).toEqual(['active-healthy']);
  });

  test('is judged again when it has its locks', () => {
    const request = switchover({ leader: 'a' });
    world.claim(2, 1, 'somebody');
    expect(run(request)).toMatchObject({
      state: 'failed',
      lastError: { code: 'conflict', detail: expect.stringMatching(/new active since: epoch 2/) },
    });
    expect(world.calls).toEqual([]);
    group = world.see().group as GroupDocument;
    const guarded = switchover({ leader: 'c' });
    world.change(0, { healthy: false, state: 'quarantined' });
    world.change(1, { healthy: false, state: 'quarantined' });
    expect(run(guarded).lastError?.detail).toMatch(/candidate-healthy-and-synced: no healthy/);
  });

  test('that finds the candidate leading already is done', () => {
    const request = switchover({ candidate: 'c' });
    world.claim(2, 1, 'somebody');
    expect(run(request)).toMatchObject({ state: 'done', last: 'epoch 2, active on c' });
    expect(world.opened).toHaveLength(1);
  });

  test('to a standby that stands still is rolled back within the budget, and tells it', () => {
    const driver = begin(switchover({ candidate: 'c', timeoutMs: 700 }));
    world.frozen.add('c');
    driver.run();
    const { state, lastError } = world.operation(driver.id);
    expect({ state, lastError }).toMatchObject({ state: 'failed', lastError: { code: 'timeout' } });
    expect(lastError?.detail).toMatch(/no claim followed within 700 ms; the old active serves on/);
    expect(world.see().group).toMatchObject({ activeNode: 'a', epoch: 2 });
    expect(world.opened).toEqual([{ epoch: 2, node: 'a', by: 'rollback' }]);
    expect(world.nowMs - 1_000_000).toBeLessThan(2000);
  });

  test.each(['timeout', 'internal'] as const)(
    'is begun once when its answer is lost: %s',
    (code) => {
      const { call } = world;
      world.call = (asked, answer) => {
        call.call(world, asked, answer);
        if (asked.verb === 'hand-off') throw new UnderstudyError(code, 'lost');
      };
      const driver = begin(switchover({ candidate: 'c' }));
      driver.run();
      expect(world.operation(driver.id)).toMatchObject({ state: 'done', lastError: null });
      expect(world.opened).toHaveLength(1);
      expect(world.calls.filter((asked) => asked === 'hand-off a')).toHaveLength(1);
    },
  );

  test('whose active dies in the middle is done if another serves, and only the epoch tells', () => {
    const driver = begin(switchover());
    world.after(35, () => world.kill('a'));
    driver.run();
    expect(world.operation(driver.id)).toMatchObject({ state: 'done' });
    expect(world.opened).toHaveLength(1);
    expect(world.see().group?.activeNode).not.toBe('a');
  });

  test('waits for a standby as long as bytes come, and tells how many, once a second', () => {
    const driver = begin(switchover({ candidate: 'c' }));
    const progress = (doneSizeBytes: number) => {
      const sync = { doneSizeBytes, knownSizeBytes: 10_240_000, bytesPerSecond: 10_240 };
      world.change(2, { syncedThrough: 0, sync: { ...sync, secondsLeft: 5 } as never });
    };
    const details: (string | undefined)[] = [];
    const { save } = world;
    world.save = (operation, revision) => {
      if (operation.step === 'syncing') details.push(operation.steps.at(-1)?.detail);
      return save.call(world, operation, revision);
    };
    for (let s = 0; s < 100; s++) world.after(s * 1000, () => progress(s * 10_240));
    world.after(100_000, () => world.change(2, { syncedThrough: 5, sync: null }));
    driver.run();
    expect(world.operation(driver.id).state).toBe('done');
    const told = details.filter((detail) => detail?.includes('KiB/s'));
    expect(told.length).toBeGreaterThan(90);
    expect(told.length).toBeLessThanOrEqual(100);
    expect(told[50]).toMatch(/^member 2 on c: 5\d\d KiB of 9.8 MiB, 10 KiB\/s, 5 s left$/);
  });

  test('does not wait for ever for one that fetches the same again and again', () => {
    const driver = begin(switchover({ candidate: 'c' }));
    const fetching = { knownSizeBytes: 9, bytesPerSecond: 1, secondsLeft: null };
    const progress = (doneSizeBytes: number) =>
      world.change(2, { syncedThrough: 0, sync: { ...fetching, doneSizeBytes } as never });
    for (let s = 0; s < 60; s++) world.after(s * 1000, () => progress(s % 10));
    driver.run();
    expect(world.operation(driver.id)).toMatchObject({ state: 'done' });
    expect(world.nowMs - 1_000_000).toBeLessThan(45_000);
    expect(world.nowMs - 1_000_000).toBeGreaterThan(35_000);
  });
});

describe('a switchover that is scheduled', () => {
  const dueAtMs = 1_000_000 + 3_600_000;

  test('waits, locks nothing, and ends the epoch that is when its time has come', () => {
    const driver = begin(switchover({ candidate: 'c' }, dueAtMs));
    driver.feed({ kind: 'start', from: null });
    for (let i = 0; i < 8; i++) if (world.nowMs < 1_001_000) world.tick();
    expect(world.operation(driver.id)).toMatchObject({ step: 'scheduled', wakeAtMs: dueAtMs });
    expect(world.locks).toEqual({});
    world.claim(1, 1, 'somebody');
    world.settle();
    expect(world.nowMs).toBeGreaterThanOrEqual(dueAtMs);
    expect(world.operation(driver.id).steps.at(-1)?.detail).toBe('epoch 3, active on c');
  });

  test('is judged then, and not before', () => {
    const request = switchover({ leader: 'b' }, dueAtMs);
    world.after(1000, () => world.claim(1, 1, 'somebody'));
    const driver = begin(request);
    driver.feed({ kind: 'start', from: null });
    world.settle();
    expect(world.operation(driver.id)).toMatchObject({ state: 'done' });
    expect(world.opened).toHaveLength(2);
  });
});

describe('a failover', () => {
  const failover = (candidate?: string) =>
    requestFailover(group, world.see(), { candidate }, 'ops');

  test.each([
    ['the active', 'a', 'conflict'],
    ['a node without a member', 'd', 'member-not-found'],
  ])('to %s is refused', (_whom, node, code) => {
    expect(() => failover(node)).toThrow(expect.objectContaining({ code }));
  });

  test('without anybody who can take over is refused with what each of them is', () => {
    world.down.add('b');
    world.down.add('c');
    group = world.see().group as GroupDocument;
    expect(() => failover()).toThrow(/no standby of g can take over \(a: active, b: unreachable/);
  });

  test('promotes the freshest, or at need one that was never synced', () => {
    world.change(1, { syncedThrough: 9 });
    group = world.see().group as GroupDocument;
    expect(run(failover()).last).toBe('epoch 2, active on b');
    group = world.see().group as GroupDocument;
    world.change(0, { lastSync: null, healthy: false });
    world.down.add('c');
    expect(run(failover()).last).toBe('epoch 3, active on a');
  });

  test('asks again until an epoch has opened: one promotion may lose every race', () => {
    const { claim } = world;
    let tries = 0;
    world.claim = (...args) => (++tries < 5 ? false : claim.apply(world, args));
    expect(run(failover())).toMatchObject({ state: 'done' });
    expect(world.opened).toHaveLength(1);
  });

  test('gives up after ten seconds', () => {
    world.claim = () => false;
    expect(run(failover())).toMatchObject({ state: 'failed', lastError: { code: 'timeout' } });
    expect(world.nowMs - 1_000_000).toBeLessThan(12_000);
  });

  test('goes to another when the one it chose dies before the claim', () => {
    world.change(1, { syncedThrough: 9 });
    group = world.see().group as GroupDocument;
    const driver = begin(failover());
    const { call } = world;
    world.call = (asked, answer) => {
      if (asked.node === 'b') world.down.add('b');
      call.call(world, asked, answer);
    };
    driver.run();
    expect(world.operation(driver.id).steps.at(-1)?.detail).toBe('epoch 2, active on c');
    expect(world.opened).toHaveLength(1);
  });

  test('that is cancelled after it has asked for a promotion says what came of that', () => {
    const driver = begin(failover('b'));
    const { call } = world;
    world.call = (asked, answer) => {
      const found = world.records.get(driver.id);
      if (asked.verb === 'promote' && found !== undefined) {
        const operation = { ...found.operation, cancelledBy: 'boss' };
        const revision = world.save(operation, found.revision) as number;
        driver.feed({ kind: 'changed', operation, revision });
      }
      call.call(world, asked, answer);
    };
    driver.run();
    expect(world.operation(driver.id)).toMatchObject({ state: 'done', cancelledBy: 'boss' });
    expect(world.opened).toEqual([{ epoch: 2, node: 'b', by: driver.id }]);
  });

  test('cancels a switchover that keeps the group', () => {
    const planned = begin(switchover({ candidate: 'c' }));
    world.change(2, { syncedThrough: 0 });
    planned.feed({ kind: 'start', from: null });
    for (let i = 0; i < 12; i++) world.tick();
    const forced = begin(failover('b'));
    forced.run();
    world.settle();
    expect(world.operation(planned.id)).toMatchObject({ state: 'cancelled' });
    expect(world.operation(forced.id)).toMatchObject({ state: 'done' });
    expect(world.opened).toEqual([{ epoch: 2, node: 'b', by: forced.id }]);
  });

  test.each(['g was deleted', 'g was made anew'])('finds that %s, and stops', (what) => {
    const request = failover();
    const anew = { ...group, createdAt: '2027-01-01T00:00:00.000Z' };
    world.group = what === 'g was deleted' ? null : anew;
    expect(run(request)).toMatchObject({ state: 'failed', lastError: { code: 'group-not-found' } });
    expect(world.opened).toEqual([]);
  });
});
