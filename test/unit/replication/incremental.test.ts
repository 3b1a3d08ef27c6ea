import { describe, expect, it } from 'vitest';
import { keyOf } from '../../../replication/bytes.js';
import { epoch, position, seq } from '../../../replication/ids.js';
import type { Kind } from '../../../replication/kind.js';
import { applyEvent, blankReplica, type Replica } from '../../../replication/replica.js';
import { beginDigest, stepDigest } from '../../../replication/snapshot/cut.js';
import { takeImage } from '../../../replication/snapshot/image.js';
import { type Table, table } from '../../../replication/state/table.js';
import { simulationHash } from '../../simulation/hash.js';
import { sampleSize } from '../../support/sample.js';
import { seededRandom } from '../../support/scheduler.js';
import { ChunkMap, cutWhole, recorded, restoreWhole } from '../../support/snapshots.js';

interface State {
  count: number;
  readonly rows: Table<unknown>;
  readonly other: Table<number>;
}

type Event = { readonly key: string; readonly value: unknown };

const layout = {
  leafSizeBytes: 300,
  branchChildren: 6,
  largeValueSizeBytes: 150,
  chunkSizeBytes: 900,
};

const kind: Omit<Kind<State, Event, Event>, 'init'> & { init(): unknown } = {
  name: 'rows',
  version: 1,
  layout,
  tables: { rows: table<unknown>(), other: table<number>() },
  init: () => ({ count: 0 }),
  apply(state, { key, value }) {
    state.count += 1;
    if (value === null) state.rows.delete(key);
    else state.rows.set(key, value);
    if (state.count % 7 === 0) state.other.set(key, state.count);
  },
};

class Group {
  readonly replica: Replica = blankReplica(kind as Kind, simulationHash);
  readonly store = new ChunkMap();

  apply(key: string, value: unknown): void {
    applyEvent(this.replica, { key, value }, this.replica.tip.seq + 1, 0);
    this.stand();
  }

  stand(): void {
    const { tip } = this.replica;
    this.replica.tip = {
      ...tip,
      epoch: epoch(1),
      number: tip.number + 1,
      seq: seq(tip.seq + 1),
      position: position(tip.position + 1),
    };
  }
}

const keyFor = (n: number) => `key-${String(n).padStart(5, '0')}`;

function filled(entries: number): Group {
  const group = new Group();
  for (let i = 0; i < entries; i++) group.apply(keyFor(i), `value ${i} `.repeat(4));
  return group;
}

function contents(replica: Replica | { problem: string }): unknown {
  if ('problem' in replica) throw new Error(replica.problem);
  const { count, rows, other } = replica.state as State;
  return { count, rows: [...rows.entries()], other: [...other.entries()], tip: replica.tip };
}

function digestOf(replica: Replica): string {
  const image = takeImage(replica);
  if ('problem' in image) throw new Error(image.problem);
  const digesting = beginDigest(image);
  for (;;) {
    const digest = stepDigest(digesting, 1000);
    if (digest !== null) return keyOf(digest);
  }
}

function restored(
  group: Group,
  body: Parameters<typeof restoreWhole>[1],
  held: Replica | null = null,
) {
  const replica = restoreWhole(group.replica, body, group.store, held);
  if ('problem' in replica) throw new Error(replica.problem);
  return replica;
}

describe('an incremental snapshot', () => {
  it('restores to what it was cut from, and to its digest', () => {
    const group = filled(400);
    const { body } = recorded(group.replica, group.store);
    const replica = restored(group, body);
    expect(contents(replica)).toEqual(contents(group.replica));
    expect(digestOf(replica)).toBe(keyOf(body.digest));
    expect(digestOf(group.replica)).toBe(keyOf(body.digest));
  });

  it('writes what was changed, and a standby one snapshot behind fetches only that', () => {
    const group = filled(2000);
    const first = recorded(group.replica, group.store);
    const whole = group.store.written();
    const standby = restored(group, first.body);
    group.store.read();
    for (let i = 0; i < 20; i++) group.apply(keyFor(i * 97), `changed ${i} `.repeat(4));
    const { body } = recorded(group.replica, group.store);
    const written = group.store.written();
    expect(written).toBeLessThan(whole / 10);
    const next = restored(group, body, standby);
    expect(group.store.read()).toBeLessThanOrEqual(written);
    expect(contents(next)).toEqual(contents(group.replica));
    expect(contents(standby)).not.toEqual(contents(next));
  });

  it('builds upon the one before where that was changed while it was cut, too', () => {
    const group = filled(2000);
    const first = recorded(group.replica, group.store);
    const whole = group.store.written();
    const change = (value: string) => {
      for (let i = 0; i < 20; i++) group.apply(keyFor(i * 97), `${value} ${i} `.repeat(4));
    };
    change('before');
    let changes = 0;
    const meanwhile = () => {
      if (changes++ === 0) change('while');
    };
    const second = recorded(group.replica, group.store, { sliceSizeBytes: 100, meanwhile });
    const standby = restored(group, second.body, restored(group, first.body));
    change('after');
    group.store.written();
    const third = recorded(group.replica, group.store);
    expect(group.store.written()).toBeLessThan(whole / 10);
    group.store.read();
    const next = restored(group, third.body, standby);
    expect(group.store.read()).toBeLessThan(whole / 10);
    expect(contents(next)).toEqual(contents(group.replica));
  });

  it('has no chunks of two kinds that are equal, whoever chooses what is in them', () => {
    const group = filled(30);
    group.apply('large', 'x'.repeat(2000));
    const { deposited } = recorded(group.replica, group.store);
    const kinds = new Map<number, Set<string>>();
    for (const [key, { work }] of deposited.base.uses) {
      const [tag] = group.store.chunks.get(key) as Uint8Array;
      kinds.set(tag as number, (kinds.get(tag as number) ?? new Set()).add(work));
    }
    expect([...kinds.keys()].sort()).toEqual([1, 2, 3, 4]);
    expect([...kinds.values()].map(({ size }) => size)).toEqual([1, 1, 1, 1]);
  });

  it('is where it was found, whatever a later one says without being read', () => {
    const group = filled(300);
    const standby = restored(group, recorded(group.replica, group.store).body);
    // All behind it moves on a little when everything is put anew.
    group.apply(keyFor(0), 'longer than before, by some characters '.repeat(4));
    group.replica.base = null;
    const { body } = recorded(group.replica, group.store);
    const moved = restored(group, body, standby);
    const rows = moved.tables.trees.get('rows')?.root;
    expect(rows?.stored).toBeNull();
    expect(contents(moved)).toEqual(contents(group.replica));
    group.store.written();
    expect(contents(restored(group, recorded(moved, group.store).body))).toEqual(contents(moved));
    for (const { usedSizeBytes, sizeBytes } of moved.base?.uses.values() ?? []) {
      expect(usedSizeBytes).toBeLessThanOrEqual(sizeBytes);
    }
  });

  it('is what it was when it was begun, whatever is applied meanwhile', () => {
    const group = filled(300);
    const before = contents(group.replica);
    const { body, deposited } = cutWhole(group.replica, group.store, {
      sliceSizeBytes: 500,
      meanwhile: () => group.apply(keyFor(group.replica.tip.seq % 300), 'meanwhile'),
    });
    expect(contents(group.replica)).not.toEqual(before);
    expect(contents(restored(group, body))).toEqual(before);
    expect(deposited.placed.size).toBeGreaterThan(10);
  });

  it('builds upon nothing when its base does not stand any more', () => {
    const group = filled(300);
    recorded(group.replica, group.store);
    const whole = group.store.written();
    group.store.chunks.clear();
    group.apply(keyFor(1), 'x');
    const { body } = recorded(group.replica, group.store, { standing: [] });
    expect(group.store.written()).toBeGreaterThan(whole * 0.9);
    expect(contents(restored(group, body))).toEqual(contents(group.replica));
  });

  it('puts anew what somebody could not get', () => {
    const group = filled(300);
    const { deposited } = recorded(group.replica, group.store);
    const lost = [...deposited.base.uses.keys()].slice(0, 5);
    for (const key of lost) group.store.chunks.delete(key);
    group.apply(keyFor(1), 'x');
    const { body } = recorded(group.replica, group.store, { doubted: new Set(lost) });
    expect(contents(restored(group, body))).toEqual(contents(group.replica));
  });

  it('that was never recorded is built upon by nobody', () => {
    const group = filled(300);
    recorded(group.replica, group.store);
    const kept = new Map(group.store.chunks);
    for (let i = 0; i < 50; i++) group.apply(keyFor(i), 'lost');
    cutWhole(group.replica, group.store);
    group.store.chunks.clear();
    for (const [key, bytes] of kept) group.store.chunks.set(key, bytes);
    group.apply(keyFor(7), 'y');
    const { body } = recorded(group.replica, group.store);
    expect(contents(restored(group, body))).toEqual(contents(group.replica));
  });
});

describe('a long life of incremental snapshots', () => {
  const seeds = Array.from({ length: sampleSize(12, 4) }, (_, i) => i + 1);

  it.each(seeds)('restores every time, from nothing and from any older state (seed %d)', (seed) => {
    const random = seededRandom(`incremental/${seed}`);
    const group = filled(random.below(200));
    let standby: Replica | null = null;
    for (let round = 0; round < 60; round++) {
      const changes = random.below(random.chance(0.2) ? 300 : 20);
      for (let i = 0; i < changes; i++) {
        const key = keyFor(random.below(random.chance(0.5) ? 30 : 600));
        const size = random.chance(0.05) ? 400 + random.below(3000) : random.below(60);
        const value = random.chance(0.25) ? null : String(random.below(10)).repeat(size);
        group.apply(key, value);
      }
      group.stand();
      if (random.chance(0.15)) {
        cutWhole(group.replica, group.store);
        group.stand();
      }
      const doubted = new Set(
        [...(group.replica.base?.uses.keys() ?? [])].filter(() => random.chance(0.02)),
      );
      const { body, deposited } = recorded(group.replica, group.store, {
        doubted,
        sliceSizeBytes: 1 + random.below(5000),
        ...(random.chance(0.1) ? { standing: [] } : {}),
      });
      // Only what the manifest names is kept: everything else may be collected.
      const { uses } = deposited.base;
      for (const key of [...group.store.chunks.keys()]) {
        const isNamed = uses.has(key) || key === keyOf(body.manifest);
        if (!isNamed) group.store.chunks.delete(key);
      }
      for (const use of uses.values()) expect(use.usedSizeBytes).toBeGreaterThan(0);
      const expected = contents(group.replica);
      expect(contents(restored(group, body))).toEqual(expected);
      if (random.chance(0.5)) {
        standby = restored(group, body, standby);
        expect(contents(standby)).toEqual(expected);
        expect(digestOf(standby)).toBe(keyOf(body.digest));
      }
    }
    const stored = [...group.store.chunks.values()].reduce((sum, { length }) => sum + length, 0);
    const used = [...(group.replica.base?.uses.values() ?? [])].reduce(
      (sum, { usedSizeBytes }) => sum + usedSizeBytes,
      0,
    );
    expect(stored).toBeLessThan(3 * used + 20 * layout.chunkSizeBytes);
  });
});
