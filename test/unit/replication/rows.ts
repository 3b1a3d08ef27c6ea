/** A kind with two tables whose pages are so small that a few entries make a tree. */
import { epoch, position, seq } from '../../../replication/ids.js';
import type { Kind } from '../../../replication/kind.js';
import { applyEvent, blankReplica, type Replica } from '../../../replication/replica.js';
import { recordRun } from '../../../replication/sessions.js';
import { type Table, table } from '../../../replication/state/table.js';
import { ChunkMap, type CutHow, recorded, restoreWhole } from '../../support/snapshots.js';
import { hash } from './support.js';

export interface RowsState {
  count: number;
  readonly rows: Table<unknown>;
  readonly other: Table<unknown>;
}

type Change = { readonly key: string; readonly value: unknown };

/** `null` deletes; every seventh change goes into the other table as well. */
export const rows = {
  name: 'rows',
  version: 1,
  layout: {
    leafSizeBytes: 300,
    branchChildren: 6,
    largeValueSizeBytes: 150,
    chunkSizeBytes: 900,
    answersInPage: 4,
  },
  tables: { rows: table<unknown>(), other: table<unknown>() },
  init: () => ({ count: 0 }),
  apply(state: RowsState, { key, value }: Change) {
    state.count += 1;
    if (value === null) state.rows.delete(key);
    else state.rows.set(key, value);
    if (state.count % 7 === 0) state.other.set(key, state.count);
  },
  decide: (_state: RowsState, change: Change) => ({ events: [change], result: null }),
  queries: { get: (state: RowsState, key: string) => state.rows.get(key) },
} as unknown as Kind;

export const keyFor = (n: number) => `key-${String(n).padStart(4, '0')}`;

/** One replica of the kind, and the store its snapshots go to. */
export class Rows {
  readonly store = new ChunkMap();
  readonly replica: Replica;

  constructor(readonly kind: Kind = rows) {
    this.replica = blankReplica(kind, hash);
  }

  apply(key: string, value: unknown): this {
    write(this.replica, key, value);
    return this;
  }

  /** So many rows more. */
  fill(count: number, from = 0): this {
    for (let i = from; i < from + count; i++) this.apply(keyFor(i), `value ${i} `.repeat(4));
    return this;
  }

  /** Answers under so many keys more, four to a page. */
  key(count: number, from = 0): this {
    for (let i = from; i < from + count; i++) recordKeyed(this.replica, keyFor(i), i);
    return this;
  }

  cut(how: CutHow = {}) {
    return recorded(this.replica, this.store, how);
  }

  restore(body: Parameters<typeof restoreWhole>[1], held: Replica | null = null): Replica {
    const restored = restoreWhole(this.replica, body, this.store, held);
    if ('problem' in restored) throw new Error(restored.problem);
    return restored;
  }
}

/** As a record of its own. */
export function write(replica: Replica, key: string, value: unknown): void {
  const { tip } = replica;
  applyEvent(replica, { key, value }, tip.seq + 1, 0);
  replica.tip = {
    ...tip,
    epoch: epoch(1),
    number: tip.number + 1,
    seq: seq(tip.seq + 1),
    position: position(tip.position + 1),
  };
}

export function recordKeyed({ sessions }: Replica, key: string, result: unknown): void {
  const run = { first: 1, count: 1, eventCounts: null, results: [result], rejections: null };
  const answer = { ...run, epoch: 1, baseSeq: 7, duplicate: false };
  recordRun(sessions, { ...run, session: null, floor: 1, keys: [key] }, answer, 0);
}

export function contentsOf(replica: Replica) {
  const { count, rows: table, other } = replica.state as RowsState;
  return {
    count,
    rows: [...table.entries()],
    other: [...other.entries()],
    keys: [...replica.sessions.byKey],
    tip: replica.tip,
  };
}
