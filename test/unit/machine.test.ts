import { describe, expect, expectTypeOf, test } from 'vitest';
import { defineKind, type ResultOf } from '../../src/kind.js';
import { defineMachine, type MachineOptions } from '../../src/machine.js';

interface States {
  waiting: { readonly amount: number };
  done: string;
}

const good: MachineOptions<States, { readonly shop: string }, { readonly type: 'paid' }> = {
  name: 'order',
  version: 1,
  states: {
    waiting: {
      paid: {
        trigger: ({ context, data }) => Promise.resolve(`${context.shop} ${data.amount}`),
        to: (data, receipt: string) => ({
          state: 'done',
          data: `${receipt} ${data.amount}`,
          events: [{ type: 'paid' }],
        }),
      },
      late: { afterMs: ({ amount }) => amount * 1000, to: () => ({ state: 'done', data: 'late' }) },
    },
    done: {},
  },
};
const order = defineMachine(good);

describe('types', () => {
  test('a start takes the data of its state', () => {
    expect(order.start('o1', 'waiting', { amount: 5 })).toEqual({
      start: 'order',
      operation: 'o1',
      state: 'waiting',
      data: { amount: 5 },
    });
    // @ts-expect-error: the state has other data
    order.start('o1', 'waiting', 'text');
    // @ts-expect-error: there is no such state
    order.start('o1', 'nowhere', { amount: 5 });
    expectTypeOf(order.start).parameter(1).toEqualTypeOf<'waiting' | 'done'>();
  });

  test('a kind with machines keeps its own types', () => {
    const kind = defineKind({
      name: 'k',
      version: 1,
      init: () => ({ paid: 0 }),
      decide(_state, command: { order: string }) {
        return { events: [], machines: [order.start(command.order, 'waiting', { amount: 1 })] };
      },
      apply(state, _event: { type: 'paid' }) {
        state.paid += 1;
      },
      machines: [order],
    });
    expectTypeOf<ResultOf<typeof kind>>().toEqualTypeOf<undefined>();
    expect(Object.keys(kind.queries)).toContain('machines.active');
  });
});

describe('defineMachine names what is wrong:', () => {
  const build = (change: object) => () => defineMachine({ ...good, ...change } as typeof good);
  const state = (transition: unknown) => ({ states: { waiting: { paid: transition }, done: {} } });
  const to = () => ({ state: 'done', data: '' });

  test.each([
    [{ name: 'Order' }, 'name: expected'],
    [{ version: 0 }, 'version: expected a positive integer'],
    [{ states: undefined }, 'states: expected an object'],
    [{ states: { done: {} } }, 'none of them has a transition'],
    [{ states: { waiting: null, done: {} } }, 'states.waiting: expected an object'],
    [state(null), 'states.waiting.paid: expected'],
    [state({}), 'states.waiting.paid.to: expected a function'],
    [state({ to, trigger: 5 }), 'states.waiting.paid.trigger: expected a function'],
    [state({ to, afterMs: -1 }), 'states.waiting.paid.afterMs: expected milliseconds'],
    [state({ to, afterMs: Number.NaN }), 'states.waiting.paid.afterMs: expected milliseconds'],
    [state({ to, afterMs: 1, trigger: to }), 'make two transitions of it'],
    [state({ to, after: 1 }), 'states.waiting.paid.after: unknown option'],
    [{ context: 5 }, 'context: expected a function'],
    [{ state: {} }, 'state: unknown option'],
  ])('%j', (change, problem) => {
    expect(build(change)).toThrow(problem);
  });
});

describe('defineKind names what is wrong with machines:', () => {
  const kind = {
    name: 'k',
    version: 1,
    init: () => ({}),
    decide: () => [],
    apply: () => undefined,
    machines: [order],
  };
  const build = (change: object) => () => defineKind({ ...kind, ...change } as never);

  test.each([
    [{ machines: [] }, 'machines: expected a list of 1 to 32'],
    [{ machines: [{}] }, 'machines: expected what defineMachine returns'],
    [{ machines: [order, order] }, 'machines: two have the same name'],
    [{ decide: undefined }, 'machines: they need decide'],
    [{ queries: { 'machines.active': () => 1 } }, 'queries.machines.active: the name is reserved'],
  ])('%#', (change, problem) => {
    expect(build({})).not.toThrow();
    expect(build(change)).toThrow(problem);
  });
});
