import { describe, expect, test } from 'vitest';
import type { EventContext, Kind } from '../../../replication/kind.js';
import { applyEvent, blankReplica } from '../../../replication/replica.js';
import { type Table, table } from '../../../replication/state/table.js';
import { newTables } from '../../../replication/state/tables.js';
import { contentOf, tiny } from './support.js';

interface State {
  count: number;
  readonly b: Table<number>;
  readonly a: Table<string>;
}

type Apply = (state: State, event: unknown, context: EventContext) => unknown;

/** What its events do is up to the test. */
function kindOf(init: () => unknown = () => ({ count: 0 }), layout = tiny): Kind {
  const apply = (state: unknown, event: unknown, context: EventContext) =>
    (event as Apply)(state as State, event, context);
  return { name: 'k', version: 1, tables: { b: table(), a: table() }, layout, init, apply };
}

function replicaOf(kind: Kind) {
  const replica = blankReplica(kind, (bytes) => bytes);
  return { replica, apply: (event: Apply) => applyEvent(replica, event, 1, 0) };
}

describe('the state of a kind with tables', () => {
  test('is what init returns and a handle for each table', () => {
    const given = { count: 7 };
    const { replica } = replicaOf(kindOf(() => given));
    const state = replica.state as State;
    expect([state.count, state.a.size, state.b.size]).toEqual([7, 0, 0]);
    expect(Object.keys(state)).toEqual(['count', 'a', 'b']);
    expect(replica.tables.plainPart(state)).toEqual({ count: 7 });
    expect(given).toEqual({ count: 7 });
    expect([...replica.tables.trees.keys()]).toEqual(['a', 'b']);
    expect(() => Object.assign(state, { a: new Map() })).toThrow(TypeError);
  });

  test.each([null, undefined, 7, [], new Map()])('is refused if init returns %o', (plain) => {
    expect(() => replicaOf(kindOf(() => plain))).toThrow(/kind k: .* must be a plain object/);
  });

  test("is refused if init has a property of a table's name", () => {
    expect(() => replicaOf(kindOf(() => ({ a: 0 })))).toThrow(/a property a, and there is a table/);
  });

  test("of a kind without any is init's, whatever it is", () => {
    const kind = { name: 'k', version: 1, init: () => 7, apply: () => 8 };
    const { replica, apply } = replicaOf(kind);
    expect([replica.state, replica.tables.plainPart(replica.state)]).toEqual([7, 7]);
    expect(replica.tables.trees.size).toBe(0);
    apply(() => undefined);
    expect(replica.state).toBe(8);
  });
});

describe('apply', () => {
  test('changes tables, and nobody else does', () => {
    const { replica, apply } = replicaOf(kindOf());
    apply((state) => state.a.set('x', 'first'));
    const state = replica.state as State;
    expect(state.a.get('x')).toBe('first');
    expect(() => state.a.set('x', 'second')).toThrow(/changed outside apply/);
    const boom = (inside: State) => {
      inside.b.set('y', 1);
      throw new Error('boom');
    };
    expect(() => apply(boom)).toThrow('boom');
    expect(() => state.a.delete('x')).toThrow(/changed outside apply/);
    expect(state.a.get('x')).toBe('first');
  });

  test('may return the next state, as long as its tables go with it', () => {
    const { replica, apply } = replicaOf(kindOf());
    apply((state) => {
      state.b.set('x', 1);
      return { ...state, count: state.count + 1 };
    });
    const next = replica.state as State;
    expect([next.count, next.b.get('x')]).toEqual([1, 1]);
    expect(replica.tables.plainPart(next)).toEqual({ count: 1 });
    for (const wrong of [{ count: 2 }, { ...next, b: new Map() }, 7, null]) {
      expect(() => apply(() => wrong)).toThrow(/kind k: apply returned a state without its table/);
    }
    expect(replica.state).toBe(next);
  });
});

test('tables begin with the roots they are given, and with the layout of their kind', () => {
  const kind = kindOf();
  const { replica, apply } = replicaOf(kind);
  apply(({ a }) => {
    for (let i = 0; i < 20; i++) a.set(`k${i}`, 'some text');
  });
  const root = replica.tables.trees.get('a')?.freeze();
  if (root === undefined) throw new Error('no tree');
  expect(root.level).toBeGreaterThan(0);
  const tables = newTables(kind, undefined, new Map([['a', root]]));
  const state = tables.attach({ count: 3 }) as State;
  expect([state.count, state.a.size, state.b.size]).toEqual([3, 20, 0]);
  tables.write(() => state.a.set('k0', 'another'));
  expect([state.a.get('k0'), (replica.state as State).a.get('k0')]).toEqual([
    'another',
    'some text',
  ]);
  expect(contentOf(root)).toHaveLength(20);
  expect(tables.trees.get('b')?.layout).toBe(tiny);
});
