import { describe, expect, expectTypeOf, test } from 'vitest';
import { z } from 'zod';
import { UnderstudyError } from '../../replication/errors.js';
import type { Kind } from '../../replication/kind.js';
import { Rejection } from '../../replication/kind.js';
import {
  type CommandOf,
  defineKind,
  type EventOf,
  type QueryArgs,
  type QueryName,
  type QueryResult,
  query,
  type ResultOf,
  reject,
  type StateOf,
} from '../../src/kind.js';

const context = { seq: 1, recordedAtMs: 0 };

const fold = defineKind({
  name: 'fold',
  version: 2,
  init: () => ({ total: 0 }),
  schema: z.strictObject({ by: z.int('expected a safe integer'), note: z.string().optional() }),
  apply(state, event) {
    state.total += event.by;
  },
  queries: {
    get: (state) => state.total,
    over: query(z.strictObject({ least: z.number() }), (state: { total: number }, args) => {
      return state.total > args.least;
    }),
  },
  upcast: (event) => ({ by: Number(event) }),
});

const bare = defineKind({
  name: 'bare',
  version: 1,
  init: () => 0,
  apply: (state, event: { by: number }) => state + event.by,
});

type Moved = { type: 'up'; steps: number } | { type: 'reset' };

const decider = defineKind({
  name: 'decider',
  version: 1,
  init: () => ({ floor: 0 }),
  schema: z.strictObject({ to: z.number() }),
  apply(state, event: Moved) {
    state.floor = event.type === 'up' ? state.floor + event.steps : 0;
  },
  decide(state, command) {
    if (command.to < 0) return reject('no-cellar', 'there is no cellar');
    if (command.to === 0) return [{ type: 'reset' }];
    const event = { type: 'up', steps: command.to - state.floor } as const;
    return { events: [event], result: { floor: command.to } };
  },
});

const eventsFromDecide = defineKind({
  name: 'events-from-decide',
  version: 1,
  init: () => 0,
  decide: (_state, command: { n: number }) => [{ added: command.n }],
  apply: (state, event) => state + event.added,
});

describe('types', () => {
  test('a fold: the command is the event', () => {
    expectTypeOf<StateOf<typeof fold>>().toEqualTypeOf<{ total: number }>();
    expectTypeOf<CommandOf<typeof fold>>().toEqualTypeOf<{
      by: number;
      note?: string | undefined;
    }>();
    expectTypeOf<EventOf<typeof fold>>().toEqualTypeOf<CommandOf<typeof fold>>();
    expectTypeOf<ResultOf<typeof fold>>().toEqualTypeOf<undefined>();
    expectTypeOf<CommandOf<typeof bare>>().toEqualTypeOf<{ by: number }>();
    expectTypeOf<QueryName<typeof bare>>().toEqualTypeOf<never>();
  });

  test('queries: names, arguments and results', () => {
    expectTypeOf<QueryName<typeof fold>>().toEqualTypeOf<'get' | 'over'>();
    expectTypeOf<QueryArgs<typeof fold, 'get'>>().toEqualTypeOf<undefined>();
    expectTypeOf<QueryArgs<typeof fold, 'over'>>().toEqualTypeOf<{ least: number }>();
    expectTypeOf<QueryResult<typeof fold, 'get'>>().toEqualTypeOf<number>();
    expectTypeOf<QueryResult<typeof fold, 'over'>>().toEqualTypeOf<boolean>();
    expectTypeOf(fold.queries.over({ total: 1 }, { least: 0 })).toEqualTypeOf<boolean>();
  });

  test('a decider: events from apply, or else from decide', () => {
    expectTypeOf<CommandOf<typeof decider>>().toEqualTypeOf<{ to: number }>();
    expectTypeOf<EventOf<typeof decider>>().toEqualTypeOf<Moved>();
    expectTypeOf<ResultOf<typeof decider>>().toEqualTypeOf<
      { readonly floor: number } | undefined
    >();
    expectTypeOf<EventOf<typeof eventsFromDecide>>().toEqualTypeOf<{ readonly added: number }>();
    expectTypeOf<ResultOf<typeof eventsFromDecide>>().toEqualTypeOf<undefined>();
  });

  test('every kind is one the core runs', () => {
    expectTypeOf<typeof fold>().toExtend<Kind>();
    expectTypeOf<typeof decider>().toExtend<Kind>();
    expectTypeOf<typeof eventsFromDecide>().toExtend<Kind>();
    expectTypeOf<CommandOf<Kind>>().toEqualTypeOf<never>();
  });

  test('what does not fit together does not compile', () => {
    const common = { name: 'wrong', version: 1, init: () => 0 };
    const schema = z.strictObject({ n: z.number() });
    const addM = (state: number, event: { m: number }) => state + event.m;
    const giveN = (_state: number, command: { n: number }) => [{ n: command.n }];
    // @ts-expect-error the schema's commands are not apply's events
    defineKind({ ...common, schema, apply: addM });
    // @ts-expect-error decide returns other events than apply takes
    defineKind({ ...common, decide: giveN, apply: addM });
    // @ts-expect-error apply returns another state than init
    defineKind({ ...common, apply: (state, event: number) => `${state}${event}` });
    // @ts-expect-error the state is a number
    defineKind({ ...common, apply: addM, queries: { get: (state: string) => state } });
  });
});

describe('what defineKind returns', () => {
  test('a frozen kind with the given functions and nothing else', () => {
    expect(Object.keys(bare).sort()).toEqual(['apply', 'init', 'name', 'queries', 'version']);
    expect(Object.keys(fold)).toEqual(expect.arrayContaining(['problemWith', 'upcast']));
    expect(Object.isFrozen(fold) && Object.isFrozen(fold.queries)).toBe(true);
    expect(fold).toMatchObject({ name: 'fold', version: 2 });
    expect(fold.upcast?.('7', 1)).toEqual({ by: 7 });
    expect(bare.apply(3, { by: 4 }, context)).toBe(7);
  });

  test('decide answers with events, with a result, or with a rejection', () => {
    const state = decider.init();
    expect(decider.decide?.(state, { to: 0 }, context)).toEqual([{ type: 'reset' }]);
    expect(decider.decide?.(state, { to: 2 }, context)).toEqual({
      events: [{ type: 'up', steps: 2 }],
      result: { floor: 2 },
    });
    const refused = decider.decide?.(state, { to: -1 }, context);
    expect(refused).toBeInstanceOf(Rejection);
    expect(refused).toMatchObject({ code: 'no-cellar', detail: 'there is no cellar' });
  });

  test('no query hides behind a prototype', () => {
    expect('constructor' in fold.queries).toBe(false);
    expect('toString' in bare.queries).toBe(false);
  });
});

describe('problemWith', () => {
  const problem = (command: unknown) => fold.problemWith?.(command);

  test('is silent about a good command and leaves it as it is', () => {
    const command = Object.freeze({ by: 3 });
    expect(problem(command)).toBeUndefined();
  });

  test('names the place, what was expected and what came', () => {
    expect(problem({ by: 1.5 })).toBe('by: expected a safe integer, received 1.5');
    expect(problem({})).toBe('by: expected a safe integer, received nothing');
    expect(problem({ by: 'x'.repeat(100) })).toBe(
      `by: expected a safe integer, received "${'x'.repeat(59)}…`,
    );
    expect(problem(null)).toMatch(/expected object, received null$/);
    expect(problem({ by: 1, extra: 1 })).toBe('Unrecognized key: "extra"');
  });

  test('follows a path into nested values', () => {
    const nested = defineKind({
      name: 'nested',
      version: 1,
      init: () => 0,
      schema: z.object({ lines: z.array(z.object({ amount: z.number().min(1, 'too little') })) }),
      apply: (state) => state,
    });
    expect(nested.problemWith?.({ lines: [{ amount: 2 }, { amount: -3 }] })).toBe(
      'lines.1.amount: too little, received -3',
    );
  });

  test('is one line, however many issues and line breaks', () => {
    const issues = Array.from({ length: 5 }, (_, i) => ({ message: `bad\n  thing ${i}` }));
    const kind = kindWith(() => ({ issues }));
    expect(kind.problemWith?.(null)).toBe(
      ['bad thing 0, received null', 'bad thing 1, received null', 'bad thing 2, received null']
        .concat('and 2 more')
        .join('; '),
    );
  });

  test('takes paths made of keys and of segments', () => {
    const kind = kindWith(() => ({ issues: [{ message: 'bad', path: [{ key: 'a' }, 'b'] }] }));
    expect(kind.problemWith?.({ a: { b: true } })).toBe('a.b: bad, received true');
  });

  test('refuses commands of a schema that turns out to be asynchronous', () => {
    const schema = z.strictObject({ n: z.number().refine(async () => true) });
    const kind = defineKind({ name: 'late', version: 1, init: () => 0, schema, apply: () => {} });
    expect(kind.problemWith?.({ n: 1 })).toMatch(/asynchronously/);
  });

  test('reports a schema that throws as a problem of the command', () => {
    const kind = kindWith((value) => {
      if (value === 'bang') throw new Error('no idea');
      return { value };
    });
    expect(kind.problemWith?.('fine')).toBeUndefined();
    expect(kind.problemWith?.('bang')).toBe('its schema threw: no idea');
  });
});

describe('query', () => {
  test('checks arguments first', () => {
    expect(fold.queries.over({ total: 5 }, { least: 4 })).toBe(true);
    const wrong = { least: 'four' } as unknown as { least: number };
    expect(codeOf(() => fold.queries.over({ total: 5 }, wrong))).toEqual([
      'bad-request',
      'least: Invalid input: expected number, received string',
    ]);
  });

  test('hands over the arguments as they were sent', () => {
    const run = query(z.object({ n: z.number().default(7) }), (_state: null, args) => args);
    const sent = {};
    expect(run(null, sent)).toBe(sent);
  });
});

describe('defineKind refuses', () => {
  const good = { name: 'k', version: 1, init: () => 0, apply: () => {} };
  const refusal = (options: object) => codeOf(() => defineKind(options as typeof good));

  test.each([
    ['a missing name', { ...good, name: undefined }, /name: .*received nothing/],
    ['capitals', { ...good, name: 'Counter' }, /name: expected \/\^\[a-z\].*received "Counter"/],
    ['a long name', { ...good, name: 'a'.repeat(65) }, /name: /],
    ['version 0', { ...good, version: 0 }, /version: expected a positive integer, received 0/],
    ['a fractional version', { ...good, version: 1.5 }, /version: /],
    [
      'init that is a value',
      { ...good, init: {} },
      /init: expected a function, received an object/,
    ],
    ['no apply', { ...good, apply: undefined }, /apply: expected a function, received nothing/],
    ['decide: true', { ...good, decide: true }, /decide: expected a function, received true/],
    ['a bad upcast', { ...good, upcast: 'v2' }, /upcast: expected a function/],
    ['a list of queries', { ...good, queries: 7 }, /queries: expected an object, received 7/],
    ['a bad query', { ...good, queries: { get: 7 } }, /queries\.get: expected a function/],
    ['no Standard Schema', { ...good, schema: { n: 'number' } }, /schema: expected a Standard/],
    ['an unknown option', { ...good, aply: 1 }, /aply: unknown option; the options are name, ver/],
  ])('%s', (_case, options, message) => {
    expect(refusal(options)).toEqual(['invalid-config', expect.stringMatching(message)]);
  });

  test('an asynchronous schema, at once', () => {
    const schema = standard(async (value) => ({ value }));
    expect(refusal({ ...good, schema })).toEqual([
      'invalid-config',
      expect.stringMatching(/schema: it validates asynchronously/),
    ]);
  });

  test('everything wrong at once, and what is no object', () => {
    expect(refusal({ name: 1, version: 'x' })[1]).toMatch(
      /name: .*; version: .*; init: .*; apply: /,
    );
    expect(refusal(null as unknown as object)[1]).toMatch(/expected an object with options/);
  });

  test('nothing of a name of 64 characters', () => {
    const name = `a-${'0'.repeat(62)}`;
    expect(defineKind({ ...good, name }).name).toBe(name);
  });
});

type Outcome =
  | { value: unknown }
  | { issues: { message: string; path?: (string | { key: string })[] }[] };

function standard(validate: (value: unknown) => Outcome | Promise<Outcome>) {
  return { '~standard': { version: 1, vendor: 'test', validate } } as const;
}

function kindWith(validate: (value: unknown) => Outcome) {
  const schema = standard(validate);
  return defineKind({ name: 'custom', version: 1, init: () => 0, schema, apply: () => {} });
}

function codeOf(run: () => unknown): [code: string, message: string] {
  try {
    run();
  } catch (error) {
    if (error instanceof UnderstudyError) return [error.code, error.message];
    throw error;
  }
  throw new Error('nothing was thrown');
}
