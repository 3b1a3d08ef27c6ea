/** How operations are begun and driven on: steps, parks, retries. */
import { beforeEach, describe, expect, test } from 'vitest';
import { backOff, type Loaded } from '../../../../cluster/operations/drive.js';
import {
  type At,
  begin,
  type Operation,
  type OperationKind,
  type Outcome,
} from '../../../../cluster/operations/operation.js';
import { type ErrorCode, UnderstudyError } from '../../../../replication/errors.js';
import { limits } from '../../../../replication/limits.js';
import { TestDriver } from '../../../support/operation-driver.js';
import { driverOf } from '../../../support/operation-world.js';
import { ask, type Data, done, kindOf, park, request, TestWorld } from './support.js';

let world: TestWorld;
let looks: number;

beforeEach(() => {
  world = new TestWorld();
  looks = 0;
});

describe('what takes back what it did', () => {
  const stepsOf = (tell: string, back: () => Outcome<Data>) =>
    kindOf(() => ({ kind: 'failed', error: { code: 'conflict', detail: tell } }), {
      steps: { back },
      takesBack: { after: ['started'], step: 'back' },
    });

  test('ends as it was to, and with the same words', () => {
    world.drive(stepsOf('no', () => done)).run();
    const { state, lastError, steps, ending } = world.stored;
    expect({ state, lastError }).toEqual({
      state: 'failed',
      lastError: { code: 'conflict', detail: 'no' },
    });
    expect(steps.map(({ name }) => name)).toEqual(['started', 'back', 'failed']);
    expect(ending?.state).toBe('failed');
  });

  test('says so if it could not, however much it had to say before', () => {
    const error = { code: 'internal', detail: 'stays as it is' } as const;
    world.drive(stepsOf('x'.repeat(5000), () => ({ kind: 'failed', error }))).run();
    const { state, lastError } = world.stored;
    expect([state, lastError?.code]).toEqual(['failed', 'conflict']);
    expect(lastError?.detail).toMatch(/^x+; stays as it is$/);
  });

  test('is not left when somebody cancels meanwhile', () => {
    let looked = 0;
    const driver = world.drive(
      stepsOf('no', () => {
        looked += 1;
        if (looked > 1) return done;
        const { operation, revision } = world.records.get('test.x') as NonNullable<Loaded>;
        world.save({ ...operation, cancelledBy: 'boss' }, revision);
        return park(10);
      }),
    );
    driver.run();
    expect(looked).toBeGreaterThan(1);
    expect(world.stored).toMatchObject({ state: 'failed', lastError: { detail: 'no' } });
  });
});

describe('an id', () => {
  test('that is asked for again finds the operation, running or done', () => {
    const first = world.start(request(), driverOf('a'));
    const again = world.start(request({ by: 'other', data: { n: 2 } }), driverOf('b'));
    expect(again).toEqual(first);
    expect(world.records.size).toBe(1);
  });

  test('that failed is begun again and counts its attempts; one that is done only if repeatable', () => {
    const failing = kindOf(() => ({ kind: 'failed', error: { code: 'conflict', detail: 'no' } }));
    world.drive(failing).run();
    const again = world.start(request(), driverOf('b'));
    expect(again).toMatchObject({ state: 'running', attempts: 2, run: 2, lastError: null });
    new TestDriver(
      world,
      'test.x',
      driverOf('b'),
      null,
      kindOf(() => done),
    ).run();
    expect(world.start(request(), driverOf('a'))).toMatchObject({ state: 'done', run: 2 });
    const third = world.start(request({ repeatable: true }), driverOf('a'));
    expect(third).toMatchObject({ state: 'running', attempts: 1, run: 3 });
  });

  test('of another kind is another operation: ids begin with their kind', () => {
    world.start(request(), driverOf('a'));
    world.start(request({ id: 'other.x', kind: 'other' }), driverOf('a'));
    expect([...world.records.keys()]).toEqual(['test.x', 'other.x']);
  });

  test('is kept by a run that goes on: what it holds is never replaced', () => {
    const found = begin(request({ data: { n: 1 } }), null, driverOf('a'), 1) as Operation;
    expect(begin(request({ data: { n: 2 } }), found, driverOf('b'), 2)).toBeNull();
  });
});

test('a driver that takes over does not go by a clock that was days ahead', () => {
  const late = kindOf(({ operation, seen }) =>
    seen.nowMs - operation.stepAtMs > 1000 ? done : park(100),
  );
  world.drive(late);
  const { operation, revision } = world.records.get('test.x') as NonNullable<Loaded>;
  const daysMs = 3e8;
  world.save({ ...operation, stepAtMs: world.nowMs + daysMs }, revision);
  const heir = new TestDriver(world, 'test.x', driverOf('b'), null, late).run(driverOf('a'));
  expect(heir.ended?.state).toBe('done');
  expect(world.nowMs).toBeLessThan(daysMs);
});

describe('a step', () => {
  test('is on record before it acts', () => {
    const kinds = kindOf(() => ({ kind: 'next', step: 'acting' }), {
      steps: {
        acting: ({ answer }) => (answer === undefined ? ask('b') : done),
      },
    });
    const driver = world.drive(kinds);
    const { call } = world;
    const steps: string[] = [];
    world.call = (...args) => {
      steps.push(world.stored.step);
      call.apply(world, args);
    };
    driver.run();
    expect(steps).toEqual(['acting']);
    expect(world.stored).toMatchObject({ state: 'done', step: 'done' });
  });

  test('that is woken early, twice or for nothing looks again and parks again', () => {
    const kinds = kindOf(({ seen }) => {
      looks += 1;
      return seen.nowMs >= 1_005_000 ? done : park(5000);
    });
    const driver = world.drive(kinds);
    world.after(100, () => {
      driver.feed({ kind: 'wake' });
      driver.feed({ kind: 'wake' });
    });
    driver.run();
    expect(looks).toBe(3);
    expect(world.stored.state).toBe('done');
    driver.feed({ kind: 'wake' });
    expect(looks).toBe(3);
  });

  test('that polls writes nothing; a long wait is on record', () => {
    const waits: (number | null)[] = [];
    const kinds = kindOf(({ seen, operation }) => {
      waits.push(operation.wakeAtMs);
      if (seen.nowMs < 1_001_000) return park(100);
      return seen.nowMs < 1_051_000 ? park(50_000) : done;
    });
    world.drive(kinds).run();
    expect(waits.length).toBeGreaterThan(10);
    expect(waits.slice(0, -1).every((one) => one === null)).toBe(true);
    expect(waits.at(-1)).toBe(world.nowMs);
    // Begun, parked for long, done.
    expect(world.records.get('test.x')?.revision).toBe(3);
  });

  test('of a kind or with a name that this program does not know fails, and says so', () => {
    world.drive(new Map()).run();
    expect(world.stored).toMatchObject({ state: 'failed', lastError: { code: 'unsupported' } });
    world.drive(kindOf(() => ({ kind: 'next', step: 'unheard' }))).run();
    expect(world.stored.lastError?.detail).toMatch(/no step unheard/);
    expect(world.locks).toEqual({});
  });

  test('that goes round in circles without a pause is slowed down and shown', () => {
    let asked = 0;
    world.drive(kindOf(() => (++asked < 300 ? ask('b') : done))).run();
    expect(world.nowMs - 1_000_000).toBeGreaterThan(2000);
  });
});

describe('what fails', () => {
  const broken = (code: ErrorCode) => {
    world.call = () => {
      throw new UnderstudyError(code, `${code}!`);
    };
  };
  const asking = (rest: Partial<OperationKind<Data>> = {}) =>
    kindOf(({ answer }) => (answer === undefined ? ask('b') : done), rest);

  test('for good fails the operation at once', () => {
    broken('bad-request');
    world.drive(asking()).run();
    expect(world.stored).toMatchObject({
      state: 'failed',
      retries: 0,
      lastError: { code: 'bad-request', detail: 'bad-request!' },
    });
  });

  test('for good may be answered by the kind', () => {
    broken('conflict');
    broken('forbidden');
    const seen: string[] = [];
    const onRejection = (_: At<Data>, error: { detail: string }): Outcome<Data> => {
      seen.push(error.detail);
      return done;
    };
    world.drive(asking({ onRejection })).run();
    expect(seen).toEqual(['forbidden!']);
    expect(world.stored).toMatchObject({ state: 'done', lastError: null });
  });

  test('for now is tried again after pauses that grow, with what it waits for on record', () => {
    broken('timeout');
    const driver = world.drive(asking());
    driver.run();
    expect(world.stored).toMatchObject({ state: 'failed', lastError: { code: 'timeout' } });
    expect(world.stored.lastError?.detail).toMatch(/timeout!; tried 21 times/);
    expect(driver.parks).toHaveLength(limits.operationRetries);
    expect(new Set(driver.parks)).toEqual(new Set(['timeout!']));
  });

  test('for now may be answered by the kind, which is told what it was', () => {
    broken('not-ready');
    const onRetry = ({ operation }: At<Data>, error: { detail: string }): Outcome<Data> =>
      operation.retries < 50 ? { kind: 'park', wakeAfterMs: 1, error: error as never } : done;
    world.drive(asking({ onRetry })).run();
    expect(world.stored.state).toBe('done');
  });

  test('and works in the end is forgotten with the step', () => {
    const { call } = world;
    let tries = 0;
    world.call = (...args) => {
      tries += 1;
      if (tries <= 3) throw new UnderstudyError('timeout', 'late');
      call.apply(world, args);
    };
    const kinds = kindOf(
      ({ answer }) => (answer === undefined ? ask('b') : { kind: 'next', step: 'later' }),
      {
        steps: {
          later: ({ operation: { retries, lastError } }) => {
            expect({ retries, lastError }).toEqual({ retries: 0, lastError: null });
            return done;
          },
        },
      },
    );
    world.drive(kinds).run();
    expect(world.stored).toMatchObject({ state: 'done', lastError: null });
  });

  test('comes back within a span that is capped, spread over its upper half', () => {
    const spans = Array.from({ length: 60 }, (_, i) => [backOff(i + 1, 0), backOff(i + 1, 1)]);
    expect(spans[0]).toEqual([50, 100]);
    expect(spans[3]).toEqual([400, 800]);
    expect(spans[59]).toEqual([5000, 10_000]);
  });
});
