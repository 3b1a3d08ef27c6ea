import { expect, it } from 'vitest';
import type { Kind } from '../../../replication/kind.js';
import { type Table, table } from '../../../replication/state/table.js';
import { Desk } from './desk.js';
import { batchOf } from './support.js';

interface Counts {
  readonly counts: Table<{ readonly count: number }>;
}

const counting: Kind<Counts, { readonly key: string }, { readonly key: string }> = {
  name: 'counting',
  version: 1,
  init: () => ({}) as Counts,
  tables: { counts: table<{ readonly count: number }>() },
  apply({ counts }, { key }) {
    counts.set(key, { count: (counts.get(key)?.count ?? 0) + 1 });
  },
};

it('apply reads its tables while a record of several events is replayed', () => {
  const desk = new Desk(counting as Kind);
  desk.decide(batchOf(['a', 'b', 'a', 'a'].map((key) => ({ key }))));
  desk.close();
  const { counts } = desk.replayed().state as Counts;
  expect([...counts.entries()]).toEqual([
    ['a', { count: 3 }],
    ['b', { count: 1 }],
  ]);
});
