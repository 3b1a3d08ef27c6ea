/** What an active makes of its cuts: when they fail, when chunks are lost, when it is deposed. */
import { describe, expect, it, test } from 'vitest';
import { keyOf } from '../../../replication/bytes.js';
import type { MemberConfig } from '../../../replication/effects.js';
import { wakeAtMs } from '../../../replication/member.js';
import type { SnapshotBody } from '../../../replication/record.js';
import { hasWork } from '../../../replication/work.js';
import { HotGroup, leafChunksOf, replicaOf } from './hot-group.js';
import { contentsOf, keyFor, rows } from './rows.js';
import { activeRig, batchOf, causeOf, type Rig, type Store, standbyRig } from './support.js';

let first = 1;
const change = (key: string, value: unknown) => {
  first += 10;
  return batchOf([{ key, value }], { first, floor: 1 });
};

/** Of a group with tables; it has recorded a snapshot of all of these rows. */
function rowsRig(count = 40, rest: Partial<MemberConfig> = {}): Rig {
  const rig = activeRig({ kind: rows, ...rest });
  for (let i = 0; i < count; i++) rig.deliver(change(keyFor(i), `value ${i} `.repeat(4)));
  rig.settle().sync();
  return rig.settle();
}

const snapshotsIn = (store: Store): SnapshotBody[] =>
  store.decoded().flatMap(({ body }) => (body.type === 'snapshot' ? [body] : []));

/** Chunks of the newest snapshot, but for its manifest and core. */
function pagesIn(rig: Rig): Uint8Array[] {
  const { base } = replicaOf(rig);
  return [...(base?.uses.values() ?? [])]
    .filter(({ work }) => work !== 'values')
    .map(({ hash }) => hash);
}

function lose(rig: Rig, hashes: readonly Uint8Array[]): Rig {
  for (const hash of hashes) rig.store.chunks.delete(keyOf(hash));
  return rig.feed({ kind: 'chunks-lost', hashes });
}

const announced = (rig: Rig): string[] => {
  const [effect] = rig.pending;
  if (effect?.kind !== 'announce') throw new Error(`not announced: ${effect?.kind}`);
  return effect.reused.map(keyOf);
};

describe('an active that is told of lost chunks', () => {
  it('puts them anew at once with its next snapshot, although nothing was written since', () => {
    const rig = rowsRig();
    const lost = pagesIn(rig).slice(0, 2);
    const before = snapshotsIn(rig.store).length;
    lose(rig, lost);
    expect(announced(rig)).not.toEqual(expect.arrayContaining(lost.map(keyOf)));
    expect(announced(rig).length).toBeGreaterThan(0);
    rig.settle();
    expect(snapshotsIn(rig.store)).toHaveLength(before + 1);
    const standby = standbyRig(rig.store, 1, { kind: rows });
    expect(contentsOf(replicaOf(standby)).rows).toEqual(contentsOf(replicaOf(rig)).rows);
    expect(wakeAtMs(rig.member)).toBe(Number.POSITIVE_INFINITY);
    // They are in doubt no longer.
    expect(rig.synced(rig.sync())).toEqual({ through: 40 });
    expect(rig.pending).toEqual([]);
  });

  it('does nothing if these are none of its snapshot', () => {
    const rig = rowsRig();
    rig.feed({ kind: 'chunks-lost', hashes: [Uint8Array.of(1, 2, 3)] });
    expect(rig.pending).toEqual([]);
    expect(rig.member.role).toMatchObject({ active: { cutting: { doubted: new Set() } } });
  });

  it('cuts another one if the newest snapshot was cut before it led: it may have another one', () => {
    const rig = rowsRig();
    const { role } = rig.member;
    if (role.state !== 'active') throw new Error(role.state);
    role.active.cutting.newestId = null;
    const before = snapshotsIn(rig.store).length;
    rig.feed({ kind: 'chunks-lost', hashes: [Uint8Array.of(1, 2, 3)] });
    rig.settle();
    expect(snapshotsIn(rig.store)).toHaveLength(before + 1);
    // Once: from here on it knows which is the newest.
    rig.feed({ kind: 'chunks-lost', hashes: [Uint8Array.of(1, 2, 3)] });
    expect(rig.pending).toEqual([]);
  });

  it('goes on doubting them if the next one fails, whatever it fails with', () => {
    const rig = rowsRig();
    const lost = pagesIn(rig).slice(0, 2);
    const keys = lost.map(keyOf);
    lose(rig, lost);
    const fail = {
      announce: () => {
        const { call } = rig.take('announce');
        rig.feed({ kind: 'announced', call, result: { failure: 'no leader' } });
      },
      put: () => {
        rig.settleOnly('announce');
        rig.feed({ kind: 'chunk-put', call: rig.take('put-chunk').call, failure: 'no leader' });
      },
      pin: () => {
        rig.settleOnly('announce', 'put-chunk', 'keep-chunk');
        // What was put before is gone again by the next time.
        for (const key of keys) rig.store.chunks.delete(key);
        rig.feed({ kind: 'pinned', call: rig.take('pin').call, failure: 'no leader' });
      },
    };
    for (const [i, act] of [fail.announce, fail.put, fail.pin, fail.announce].entries()) {
      expect(announced(rig)).not.toEqual(expect.arrayContaining(keys));
      act();
      expect(rig.alarms()).toEqual(new Array(i + 1).fill('no snapshot: no leader'));
      rig.pending = [];
      const pauseMs = 1000 * 2 ** i;
      expect(wakeAtMs(rig.member)).toBe(rig.nowMs + pauseMs);
      rig.tick(pauseMs - 1);
      expect(rig.pending).toEqual([]);
      rig.tick(1);
    }
    expect(announced(rig)).not.toEqual(expect.arrayContaining(keys));
    rig.settle();
    const standby = standbyRig(rig.store, 1, { kind: rows });
    expect(contentsOf(replicaOf(standby)).rows).toEqual(contentsOf(replicaOf(rig)).rows);
  });

  it('waits with what it is told during a cut for the one after', () => {
    const rig = rowsRig();
    const [one, two] = pagesIn(rig) as [Uint8Array, Uint8Array];
    lose(rig, [one]).settleOnly('announce');
    const before = snapshotsIn(rig.store).length;
    rig.feed({ kind: 'chunks-lost', hashes: [two] });
    // The next is due soon, though nothing is new.
    rig.storeCut().settleOnly('append', 'drop-snapshots');
    rig.pending = [];
    rig.tick(1000);
    expect(snapshotsIn(rig.store)).toHaveLength(before + 1);
    const reused = announced(rig);
    expect(reused).not.toContain(keyOf(two));
    expect(reused.length).toBeGreaterThan(0);
  });

  it('cuts the next one alone if the one with them was cut elsewhere, though nothing is new', () => {
    const group = new HotGroup(3).add('a');
    group.sync();
    expect(snapshotsIn(group.store).at(-1)?.cutter).toBe(1);
    const [core] = group.store.newestChunks() as [Uint8Array];
    group.store.chunks.delete(keyOf(core));
    group.active.feed({ kind: 'chunks-lost', hashes: [core] });
    group.settle();
    expect(snapshotsIn(group.store).at(-1)).toMatchObject({ cutter: 0, at: 1 });
    expect(replicaOf(standbyRig(group.store, 5)).tip.seq).toBe(1);
    const { length } = group.store.records;
    group.pass(100_000);
    expect(group.store.records).toHaveLength(length);
  });
});

describe('a snapshot whose base was retired meanwhile', () => {
  it('is put anew as a whole', () => {
    const rig = rowsRig();
    const { store } = rig;
    rig.deliver(change('more', 1));
    rig.settle();
    store.pins.clear();
    store.chunks.clear();
    rig.sync();
    expect(announced(rig).length).toBeGreaterThan(0);
    rig.settle();
    const standby = standbyRig(store, 1, { kind: rows });
    expect(contentsOf(replicaOf(standby)).rows).toEqual(contentsOf(replicaOf(rig)).rows);
  });
});

describe('while a snapshot is cut', () => {
  it('commands are served, and it holds nothing of them', () => {
    const rig = rowsRig();
    const before = contentsOf(replicaOf(rig)).rows;
    rig.deliver(change('before', 0));
    rig.settle();
    rig.isResting = true;
    rig.sync();
    rig.settle();
    let served = 0;
    for (; hasWork(rig.member); served++) {
      rig.feed({ kind: 'work', sizeBytes: 200 });
      const request = rig.deliver(change(keyFor(served % 40), 'meanwhile'));
      rig.settle();
      expect(rig.answer(request)).toMatchObject({ ok: true });
    }
    expect(served).toBeGreaterThan(3);
    rig.isResting = false;
    rig.settle();
    const standby = standbyRig(rig.store, 1, { kind: rows });
    expect(contentsOf(replicaOf(standby)).rows).toEqual([['before', 0], ...before]);
    expect(contentsOf(replicaOf(rig)).rows).not.toEqual([['before', 0], ...before]);
  });

  it('nothing else is cut', () => {
    const rig = rowsRig();
    rig.deliver(change('more', 1));
    rig.settle().sync();
    rig.settleOnly('announce');
    rig.deliver(change('more', 2));
    rig.settleOnly('append').sync();
    expect(rig.pending.filter(({ kind }) => kind === 'announce')).toEqual([]);
  });

  test.each<[string, (rig: Rig) => void]>([
    ['is announced', () => undefined],
    ['has chunks on their way', (rig) => rig.settleOnly('announce')],
    ['is about to be pinned', (rig) => rig.settleOnly('announce', 'put-chunk', 'keep-chunk')],
    ['waits for its record', (rig) => rig.storeCut()],
  ])('an active that is deposed as it %s never records it', (_, act) => {
    const rig = rowsRig();
    rig.deliver(change('more', 1));
    rig.settle().sync();
    act(rig);
    const rival = standbyRig(rig.store, 1, { kind: rows }).promote(1).settle();
    expect(rival.state).toBe('active');
    const before = snapshotsIn(rig.store).map(({ id }) => id);
    rig.deliver(change('too late', 1));
    rig.settle();
    expect(rig.state).toBe('standby');
    expect(hasWork(rig.member)).toBe(false);
    rig.pass(40_000);
    expect(snapshotsIn(rig.store).map(({ id }) => id)).toEqual(before);
    rival.tick(100).settle();
    expect(snapshotsIn(rig.store).at(-1)?.id).toMatch(/^2-/);
    // It sleeps by now, and its node hears of the snapshot with a beat.
    rig.feed({ kind: 'behind', seq: replicaOf(rival).tip.seq }).settle();
    rig.pass(2000);
    expect(contentsOf(replicaOf(rig)).rows).toEqual(contentsOf(replicaOf(rival)).rows);
  });

  it('a hand-off ends it, and whoever waits for it is told', () => {
    const rig = rowsRig();
    rig.deliver(change('more', 1));
    rig.settle();
    const request = rig.sync();
    rig.settleOnly('announce');
    rig.handOff(1);
    rig.settleOnly('append');
    expect(rig.state).toBe('handing-off');
    expect(rig.synced(request)).toMatchObject({ failure: expect.stringMatching(/not the active/) });
    const before = snapshotsIn(rig.store).length;
    expect(hasWork(rig.member)).toBe(false);
    rig.settle();
    expect(snapshotsIn(rig.store)).toHaveLength(before);
  });
});

describe('a new active', () => {
  it('builds upon the snapshot it was restored from: it stores what was changed since', () => {
    const rig = rowsRig(200);
    const standby = standbyRig(rig.store, 1, { kind: rows });
    expect(replicaOf(standby).base?.snapshotId).toBe(snapshotsIn(rig.store).at(-1)?.id);
    const leaves = leafChunksOf(standby);
    expect(leaves.length).toBeGreaterThan(10);
    standby.feed({ kind: 'promote', ...causeOf(1) }).settle();
    standby.deliver(change('more', 1));
    standby.settle().tick(100);
    expect(announced(standby)).toEqual(expect.arrayContaining(leaves));
    standby.settle();
    expect(replicaOf(standby).base?.snapshotId).toMatch(/^2-/);
    expect(leafChunksOf(standby).filter((key) => !leaves.includes(key))).toHaveLength(1);
    const third = standbyRig(rig.store, 2, { kind: rows });
    expect(contentsOf(replicaOf(third)).rows).toEqual(contentsOf(replicaOf(standby)).rows);
  });
});
