/** Who may drive an operation on, with which locks, and until when. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { Loaded } from '../../../../cluster/operations/drive.js';
import { lockPatienceMs } from '../../../../cluster/operations/engine.js';
import { holderOf, type Operation } from '../../../../cluster/operations/operation.js';
import { UnderstudyError } from '../../../../replication/errors.js';
import { limits } from '../../../../replication/limits.js';
import { TestDriver } from '../../../support/operation-driver.js';
import { driverOf } from '../../../support/operation-world.js';
import { ask, done, type Kinds, kindOf, park, request, type Step, TestWorld } from './support.js';

let world: TestWorld;
let looks: number;

beforeEach(() => {
  world = new TestWorld();
  looks = 0;
});

describe('locks', () => {
  const holding = () => {
    const other = request({ id: 'holder.y', kind: 'holder' });
    world.start(other, driverOf('c'));
    world.lock(['thing'], 'holder.y#1');
  };
  const release = () => {
    const found = world.records.get('holder.y');
    if (found) world.save({ ...found.operation, state: 'done' }, found.revision);
  };

  test('that another holds are waited for, and it is told whose they are', () => {
    holding();
    world.after(1000, release);
    const driver = world.drive(kindOf(() => done));
    driver.run();
    expect(driver.parks[0]).toBe('waits: holder.y holds thing');
    expect(world.stored).toMatchObject({ state: 'done', lastError: null });
    expect(world.locks).toEqual({});
  });

  test('are not waited for for ever', () => {
    holding();
    world.drive(kindOf(() => done)).run();
    expect(world.stored).toMatchObject({ state: 'failed', lastError: { code: 'conflict' } });
    expect(world.nowMs - 1_000_000).toBeGreaterThan(lockPatienceMs);
    expect(world.locks).toEqual({ thing: 'holder.y#1' });
  });

  test('of a kind that gives way are asked for', () => {
    holding();
    const driver = world.drive(kindOf(() => done, { preempts: ['holder'] }));
    world.after(1000, release);
    driver.run();
    expect(world.operation('holder.y').cancelledBy).toBe('test.x');
  });

  test('make concurrent operations one after the other', () => {
    const inside: string[] = [];
    const step: Step = ({ operation, answer }) => {
      if (answer !== undefined) {
        inside.push(`${operation.id} leaves`);
        return done;
      }
      inside.push(`${operation.id} enters`);
      return ask('b', 'sync');
    };
    const ids = ['test.1', 'test.2', 'test.3'];
    const drivers = ids.map((id) => {
      world.start(request({ id }), driverOf('a'));
      return new TestDriver(world, id, driverOf('a'), null, kindOf(step));
    });
    for (const driver of drivers.slice(1)) driver.feed({ kind: 'start', from: null });
    drivers[0]?.run();
    world.settle();
    expect(inside).toHaveLength(6);
    for (let i = 0; i < 6; i += 2)
      expect(inside[i + 1]).toBe(inside[i]?.replace('enters', 'leaves'));
  });

  test('are had when the state is read again: nothing is asked for what was before', () => {
    const numbers: unknown[] = [];
    const driver = world.drive(
      kindOf(({ data, answer }) => {
        numbers.push(data.n);
        return answer === undefined ? ask('b') : done;
      }),
    );
    const { lock } = world;
    world.lock = (...args) => {
      const found = world.records.get('test.x');
      if (found) world.save({ ...found.operation, data: { n: 7 } }, found.revision);
      return lock.apply(world, args);
    };
    driver.run();
    expect(numbers).toEqual([7, 7]);
  });

  test('that a step does not need any more are given back while it goes on', () => {
    const kinds = kindOf(() => ({ kind: 'next', step: 'later' }), {
      steps: {
        later: () => {
          expect(world.locks).toEqual({ b: 'test.x#1' });
          return done;
        },
      },
      locks: ({ step }) => (step === 'started' ? ['a', 'b'] : ['b']),
    });
    world.drive(kinds).run();
    expect(world.stored.state).toBe('done');
  });

  test.each<[string, Step]>([
    ['done', () => done],
    ['failed', () => ({ kind: 'failed', error: { code: 'conflict', detail: 'no' } })],
    [
      'thrown',
      () => {
        throw new Error('broken');
      },
    ],
  ])('are released when it is %s', (_how, step) => {
    world.drive(kindOf(step)).run();
    expect(world.stored.state).not.toBe('running');
    expect(world.locks).toEqual({});
  });

  test('of one that ended without releasing them are released by whoever finds it', () => {
    const driver = world.drive(kindOf(() => done));
    world.unlock = () => undefined;
    driver.run();
    expect(world.locks).toEqual({ thing: 'test.x#1' });
    Reflect.deleteProperty(world, 'unlock');
    new TestDriver(
      world,
      'test.x',
      driverOf('b'),
      null,
      kindOf(() => done),
    ).run(driverOf('a'));
    expect(world.locks).toEqual({});
  });

  test.each(['parked', 'calling'] as const)(
    'of one run are not taken for those of the next by a driver that is %s all the while',
    (phase) => {
      const waits = phase === 'parked' ? park(60_000) : ask('b', 'inspect', 60_000);
      const kind = kindOf(({ operation }) => (operation.run === 1 ? waits : ask(null, 'mark')));
      world.frozen.add('b');
      const driver = world.drive(kind);
      driver.feed({ kind: 'start', from: null });
      while (driver.drive.phase !== phase) world.tick();
      // Another ends that run, and the same node is asked for the next.
      const { operation, revision } = world.records.get('test.x') as NonNullable<Loaded>;
      world.save({ ...operation, state: 'failed', driver: driverOf('b') }, revision);
      world.unlock(holderOf(operation), 'all');
      world.start(request(), driverOf('a'));
      driver.feed({ kind: 'changed', ...(world.records.get('test.x') as NonNullable<Loaded>) });
      while (!world.calls.includes('mark own')) world.tick();
      expect(world.locks).toEqual({ thing: 'test.x#2' });
    },
  );
});

describe('cancelling', () => {
  const cancel = (by: string) => {
    const found = world.records.get('test.x');
    if (found === undefined) return;
    const operation = { ...found.operation, cancelledBy: by };
    const revision = world.save(operation, found.revision);
    if (revision !== 'conflict') changed({ operation, revision });
  };
  let changed: (seen: { operation: Operation; revision: number }) => void;

  const cancelledAfter = (ms: number, kinds: Kinds) => {
    const driver = world.drive(kinds);
    changed = (seen) => driver.feed({ kind: 'changed', ...seen });
    world.after(ms, () => cancel('boss'));
    driver.run();
    return driver;
  };

  test('ends one that is parked at once, and releases its locks', () => {
    cancelledAfter(
      500,
      kindOf(() => park(100_000)),
    );
    expect(world.stored).toMatchObject({ state: 'cancelled', lastError: { code: 'conflict' } });
    expect(world.stored.lastError?.detail).toBe('cancelled by boss at step started');
    expect(world.nowMs).toBeLessThan(1_001_000);
    expect(world.locks).toEqual({});
  });

  test('ends one that waits for an answer, without the answer', () => {
    world.frozen.add('b');
    const slow = ask('b', 'inspect', 60_000);
    cancelledAfter(
      500,
      kindOf(() => slow),
    );
    expect(world.stored.state).toBe('cancelled');
    expect(world.nowMs).toBeLessThan(1_001_000);
  });

  test('waits for the end of a step that may not be left', () => {
    const kinds = kindOf(({ seen }) => (seen.nowMs < 1_002_000 ? park(100) : done), {
      sealed: ['started'],
    });
    cancelledAfter(500, kinds);
    expect(world.stored.state).toBe('done');
  });

  test('is not lost when the driver saves at the same time', () => {
    const { save } = world;
    let raced = false;
    world.save = (operation, revision) => {
      if (operation.step === 'next' && !raced) {
        raced = true;
        const found = world.records.get('test.x');
        if (found) save.call(world, { ...found.operation, cancelledBy: 'boss' }, found.revision);
      }
      return save.call(world, operation, revision);
    };
    world
      .drive(kindOf(() => ({ kind: 'next', step: 'next' }), { steps: { next: () => done } }))
      .run();
    expect(raced).toBe(true);
    expect(world.stored).toMatchObject({ state: 'cancelled' });
  });
});

describe('the record', () => {
  test('decides who drives: a driver that is not in it does nothing', () => {
    world.start(request(), driverOf('b'));
    const kinds = kindOf(() => {
      looks += 1;
      return done;
    });
    const stranger = new TestDriver(world, 'test.x', driverOf('a'), null, kinds).run();
    expect([stranger.ended, looks, world.stored.state]).toEqual([null, 0, 'running']);
    const misled = new TestDriver(world, 'test.x', driverOf('a'), null, kinds);
    expect(misled.run(driverOf('c')).ended).toBeNull();
  });

  test('is read again at a takeover: one that has ended meanwhile is not driven', () => {
    world.drive(kindOf(() => done)).run();
    const late = new TestDriver(
      world,
      'test.x',
      driverOf('b'),
      null,
      kindOf(() => {
        looks += 1;
        return done;
      }),
    );
    expect(late.run(driverOf('a')).ended).toMatchObject({ state: 'done' });
    expect(looks).toBe(0);
  });

  test('takes one of two who take over at once', () => {
    world.start(request(), driverOf('a'));
    const kinds = kindOf(() => ({ kind: 'next', step: 'act' }), {
      steps: {
        act: () => {
          looks += 1;
          return done;
        },
      },
    });
    const both = ['b', 'c'].map(
      (node) => new TestDriver(world, 'test.x', driverOf(node), null, kinds),
    );
    for (const driver of both) driver.feed({ kind: 'start', from: driverOf('a') });
    world.settle();
    expect(looks).toBe(1);
    expect(both.map(({ ended }) => ended?.state ?? 'not mine').sort()).toEqual([
      'done',
      'not mine',
    ]);
  });

  test('lost while it is written is written again, once it is seen what became of it', () => {
    const { save } = world;
    let lost = 0;
    world.save = (operation, revision) => {
      const saved = save.call(world, operation, revision);
      if (operation.step === 'act' && lost++ === 0) {
        throw new UnderstudyError('broker-unavailable', 'no answer');
      }
      return saved;
    };
    world
      .drive(kindOf(() => ({ kind: 'next', step: 'act' }), { steps: { act: () => done } }))
      .run();
    expect(world.stored.steps.map(({ name }) => name)).toEqual(['started', 'act', 'done']);
  });

  test('as it was before, by a replica that lags, is read again, and no lock is given back for it', () => {
    const kind = kindOf(() => ({ kind: 'next', step: 'second' }), {
      steps: { second: () => done },
      locks: ({ step }) => (step === 'second' ? ['thing', 'more'] : ['thing']),
    });
    const driver = world.drive(kind);
    const first = structuredClone(world.records.get('test.x'));
    const given: (readonly string[] | 'all')[] = [];
    const unlock = world.unlock.bind(world);
    world.unlock = (holder, keys) => {
      given.push(keys);
      unlock(holder, keys);
    };
    driver.feed({ kind: 'start', from: null });
    const { drive } = driver;
    while (!(drive.held.includes('more') && drive.phase === 'rereading')) world.tick();
    const { effect } = drive;
    driver.feed({ kind: 'loaded', effect, loaded: first as NonNullable<Loaded> });
    world.settle();
    expect(driver.ended).toMatchObject({ state: 'done' });
    expect(given).toEqual(['all']);
  });

  test('that would be too large ends the operation, and not its driver', () => {
    const { save } = world;
    world.save = (operation, revision) => {
      if (JSON.stringify(operation.data ?? '').length > 100) {
        throw new UnderstudyError('too-large', 'too large');
      }
      return save.call(world, operation, revision);
    };
    const data = { text: 'x'.repeat(200) };
    world.drive(kindOf(() => ({ kind: 'next', step: 'started', data }))).run();
    expect(world.stored).toMatchObject({ state: 'failed', lastError: { code: 'too-large' } });
    expect(world.locks).toEqual({});
  });

  test('keeps so many steps, the first of them and the latest', () => {
    const kinds = kindOf(
      ({ data }) => ({ kind: 'next', step: 'b', data: { n: Number(data.n ?? 0) + 1 } }),
      {
        steps: {
          b: ({ data }) =>
            Number(data.n) < 50 ? { kind: 'next', step: 'started', detail: 'again' } : done,
        },
      },
    );
    world.drive(kinds).run();
    const { steps } = world.stored;
    expect(steps).toHaveLength(limits.operationSteps);
    expect([steps[0]?.name, steps[0]?.detail, steps.at(-1)?.name]).toEqual([
      'started',
      undefined,
      'done',
    ]);
  });
});
