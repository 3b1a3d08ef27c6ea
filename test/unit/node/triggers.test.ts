/** Triggers are a user's code: whatever it does stays with its machine, and it is told when to stop. */
import { describe, expect, test } from 'vitest';
import type { Effect, Input } from '../../../replication/effects.js';
import type { Kind } from '../../../replication/kind.js';
import { defineKind } from '../../../src/kind.js';
import { defineMachine, type GroupOfMachines, type TriggerCall } from '../../../src/machine.js';
import { Triggers } from '../../../src/node/triggers.js';
import { configOf } from '../replication/support.js';

type Arm = Extract<Effect, { kind: 'arm' }>;
type Ended = Extract<Input, { kind: 'trigger-ended' }>;

const call: Arm = {
  kind: 'arm',
  call: 1,
  operation: 'o1',
  machine: 'm',
  step: 3,
  state: 'waiting',
  transition: 'event',
  data: { n: 1 },
  attempt: 2,
};

interface Bench {
  readonly triggers: Triggers;
  readonly ended: Ended[];
  /** The next end. */
  next(): Promise<Ended>;
}

type Run = (call: TriggerCall<{ n: number }, unknown>) => Promise<unknown>;

function bench(trigger: Run, context?: (group: GroupOfMachines) => unknown): Bench {
  const machine = defineMachine<{ waiting: { n: number }; over: null }, unknown>({
    name: 'm',
    version: 1,
    states: {
      waiting: { event: { trigger, to: () => ({ state: 'over', data: null }) } },
      over: {},
    },
    ...(context && { context }),
  });
  const kind = defineKind({
    name: 'k',
    version: 1,
    init: () => ({}),
    decide: (): object[] => [],
    apply: (_state, _event: object) => undefined,
    machines: [machine],
  });
  const ended: Ended[] = [];
  let heard: (input: Ended) => void = () => undefined;
  const triggers = new Triggers(configOf(0, { kind: kind as Kind }), (input) => {
    ended.push(input);
    heard(input);
  });
  const next = () =>
    new Promise<Ended>((resolve) => {
      heard = resolve;
    });
  return { triggers, ended, next };
}

describe('a trigger', () => {
  test('gets what it needs, and its output is told once', async () => {
    const seen: unknown[] = [];
    const { triggers, ended, next } = bench((given) => {
      seen.push({ ...given, signal: given.signal.aborted });
      return Promise.resolve('output');
    });
    triggers.arm(call);
    expect(seen).toEqual([]);
    expect(await next()).toMatchObject({
      kind: 'trigger-ended',
      call: 1,
      result: { output: 'output' },
    });
    const { operation, data, attempt } = call;
    const id = 'g/o1/m/3/event';
    expect(seen).toEqual([
      { id, group: 'g', operation, data, attempt, signal: false, context: undefined },
    ]);
    expect(ended).toHaveLength(1);
    expect(triggers.count).toBe(0);
  });

  test('gets data of its own', async () => {
    const { triggers, next } = bench(({ data }) => {
      data.n = 99;
      return Promise.resolve(null);
    });
    triggers.arm(call);
    await next();
    expect(call.data).toEqual({ n: 1 });
  });

  test.each([
    ['rejects', () => Promise.reject(new Error('down'))],
    [
      'throws at once',
      () => {
        throw new Error('down');
      },
    ],
  ])('that %s has failed, with its reason and a chance for its pause', async (_, run) => {
    const { triggers, next } = bench(run);
    triggers.arm(call);
    const { result, chance } = await next();
    expect(result).toEqual({ failure: 'down' });
    expect(chance).toBeGreaterThanOrEqual(0);
    expect(chance).toBeLessThan(1);
  });

  test('that is disarmed is told to stop, and not heard any more', async () => {
    const runs: { signal: AbortSignal; finish: (output: string) => void }[] = [];
    const { triggers, ended, next } = bench(
      ({ signal, attempt }) =>
        new Promise((finish) => {
          runs.push({ signal, finish });
          if (attempt === 9) finish('other');
        }),
    );
    triggers.arm(call);
    triggers.arm({ ...call, call: 2, attempt: 9 });
    await next();
    triggers.disarm(1);
    expect(runs[0]?.signal.aborted).toBe(true);
    runs[0]?.finish('late');
    triggers.arm({ ...call, call: 3, attempt: 9 });
    await next();
    expect(ended.map((end) => end.call)).toEqual([2, 3]);
  });

  test('that is disarmed before it has begun never runs', async () => {
    let runs = 0;
    const { triggers, next } = bench(() => {
      runs += 1;
      return Promise.resolve(null);
    });
    triggers.arm(call);
    triggers.disarm(1);
    triggers.arm({ ...call, call: 2 });
    expect(await next()).toMatchObject({ call: 2 });
    expect(runs).toBe(1);
  });
});

describe('the context of a machine', () => {
  test('is made once, when it is needed, and anew after the role was lost', async () => {
    const made: GroupOfMachines[] = [];
    const { triggers, next } = bench(
      ({ context }) => Promise.resolve(context),
      (group) => `context ${made.push(group)}`,
    );
    expect(made).toEqual([]);
    triggers.arm(call);
    expect((await next()).result).toEqual({ output: 'context 1' });
    triggers.arm({ ...call, call: 2 });
    expect((await next()).result).toEqual({ output: 'context 1' });
    expect(made[0]).toMatchObject({ group: 'g', groupId: 'g' });
    triggers.stop();
    expect(made[0]?.signal.aborted).toBe(true);
    triggers.arm({ ...call, call: 3 });
    expect((await next()).result).toEqual({ output: 'context 2' });
    expect(made[1]?.signal.aborted).toBe(false);
  });

  test('that cannot be made fails its trigger, and is tried again with the next', async () => {
    let tries = 0;
    const { triggers, next } = bench(
      ({ context }) => Promise.resolve(context),
      () => {
        tries += 1;
        return tries === 1 ? Promise.reject(new Error('no database')) : Promise.resolve('there');
      },
    );
    triggers.arm(call);
    expect((await next()).result).toEqual({ failure: 'no database' });
    triggers.arm({ ...call, call: 2 });
    expect((await next()).result).toEqual({ output: 'there' });
  });
});

test('all that runs is told to stop when the member stops', async () => {
  const signals: AbortSignal[] = [];
  let begun: () => void = () => undefined;
  const both = new Promise<void>((resolve) => {
    begun = resolve;
  });
  const { triggers } = bench(({ signal }) => {
    if (signals.push(signal) === 2) begun();
    return new Promise(() => undefined);
  });
  triggers.arm(call);
  triggers.arm({ ...call, call: 2 });
  await both;
  triggers.stop();
  expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
  expect(triggers.count).toBe(0);
});
