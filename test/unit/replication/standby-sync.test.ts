/** A standby that fetches a snapshot: from whom, what it says meanwhile, and what disturbs it. */
import { describe, expect, it } from 'vitest';
import { keyOf } from '../../../replication/bytes.js';
import type { Effect } from '../../../replication/effects.js';
import { report } from '../../../replication/member.js';
import type { StoredRecord } from '../../../replication/ports.js';
import { encodeRecord, type LogRecord } from '../../../replication/record.js';
import { signed } from '../../../replication/signature.js';
import { Forger } from './forger.js';
import { replicaOf } from './hot-group.js';
import { contentsOf, keyFor, rows } from './rows.js';
import { flipped } from './store.js';
import { activeRig, after, batchOf, Rig, type Store } from './support.js';

let first = 1;
function change(rig: Rig, key: string, value: unknown): void {
  first += 10;
  rig.deliver(batchOf([{ key, value }], { first, floor: 1 }));
  rig.settle();
}

function sync(rig: Rig): void {
  rig.sync();
  rig.settle();
}

/** An active that has recorded a snapshot of a few dozen rows. */
function rowsRig(): Rig {
  const rig = activeRig({ kind: rows });
  for (let i = 0; i < 60; i++) change(rig, keyFor(i), `value ${i} `.repeat(4));
  sync(rig);
  return rig;
}

const rowsOf = (rig: Rig) => contentsOf(replicaOf(rig)).rows;

/** A member that does not know any peers yet. */
const newStandby = (store: Store, index = 1) => new Rig(store, index, { kind: rows });

/** Started, and told of these; it has found the snapshot record, and asked for the manifest. */
function fetching(store: Store, peers: readonly string[] = []): Rig {
  const rig = newStandby(store).feed({ kind: 'start' });
  rig.feed({ kind: 'peers', nodes: peers });
  rig.settleOnly('read-last', 'read-at');
  expect(rig.state).toBe('restoring');
  return rig;
}

const sourcesOf = (rig: Rig): string[] => {
  const fetches = rig.pending.filter((effect): effect is Extract<Effect, { kind: 'fetch' }> => {
    return effect.kind === 'fetch';
  });
  return fetches.map(({ source }) => (source.kind === 'peer' ? source.node : source.kind));
};

/** Everything asked of the cache is not there. */
function missCache(rig: Rig): void {
  const asked = sourcesOf(rig).length;
  for (let i = 0; i < asked; i++) {
    const { call, generation, source } = rig.take('fetch');
    if (source.kind !== 'cache') throw new Error('not of the cache');
    rig.feed({ kind: 'fetched', call, generation, result: { kind: 'none' } });
  }
}

describe('a corrupt chunk', () => {
  it('of the store is refused, reported, and fetched from a peer', () => {
    const active = rowsRig();
    const { store } = active;
    const hashes = store.newestChunks();
    store.nodes.set('n5', new Map(store.chunks));
    for (const hash of hashes) {
      const key = keyOf(hash);
      const good = store.chunks.get(key) as Uint8Array;
      store.chunks.set(key, flipped(good));
      const rig = newStandby(store)
        .feed({ kind: 'peers', nodes: ['n5'] })
        .feed({ kind: 'start' });
      rig.settle().pass(3000);
      expect(rowsOf(rig)).toEqual(rowsOf(active));
      const [alarm, ...more] = rig.alarms();
      expect(more).toEqual([]);
      if (alarm !== undefined) expect(alarm).toMatch(/the store gave other bytes for chunk/);
      store.chunks.set(key, good);
    }
  });

  it('of a peer is refused, reported, and fetched from the store; that peer is asked no more', () => {
    const active = rowsRig();
    const { store } = active;
    store.nodes.set('n5', new Map([...store.chunks].map(([key, bytes]) => [key, flipped(bytes)])));
    const rig = newStandby(store)
      .feed({ kind: 'peers', nodes: ['n5'] })
      .feed({ kind: 'start' });
    rig.settle();
    expect(rowsOf(rig)).toEqual(rowsOf(active));
    expect(rig.alarms()).toEqual([
      expect.stringMatching(/peer n5 gave other bytes .* It is not asked any more$/),
    ]);
  });
});

describe('a chunk that nobody has', () => {
  it('is told to the writer, whose next snapshot has it, and the standby is in sync', () => {
    const active = rowsRig();
    const { store } = active;
    const lost = [...(replicaOf(active).base?.uses.values() ?? [])].find(
      ({ work }) => work === 'ranges',
    )?.hash as Uint8Array;
    store.chunks.delete(keyOf(lost));
    const rig = newStandby(store).feed({ kind: 'start' }).settle();
    rig.pass(3000);
    expect(rig.member.replica).toBeNull();
    expect(rig.alarms()).toEqual([
      expect.stringMatching(/^snapshot refused: 1 of .* cannot be had/),
    ]);
    const told = rig.told.find((effect) => effect.kind === 'report-lost');
    expect(told).toEqual({ kind: 'report-lost', node: 'n0', hashes: [lost] });
    active.feed({ kind: 'chunks-lost', hashes: [lost] }).settle();
    rig.pass(5000);
    expect(rowsOf(rig)).toEqual(rowsOf(active));
    expect(report(rig.member)).toMatchObject({ state: 'standby', error: null });
  });

  it('leaves a standby with what it held, and able to answer and to lead', () => {
    const active = rowsRig();
    const { store } = active;
    const rig = newStandby(store).feed({ kind: 'start' }).settle();
    const before = rowsOf(rig);
    for (let i = 0; i < 60; i++) change(active, keyFor(i), 'other');
    sync(active);
    store.chunks.delete(keyOf(store.newestChunks().at(-1) as Uint8Array));
    rig.pass(4000);
    expect(rowsOf(rig)).toEqual(before);
    expect(rig.result(rig.read('get', 'standby'))).toMatchObject({ ok: true });
    rig.promote(1).settle();
    expect(rig.state).toBe('active');
    expect(rowsOf(rig)).toEqual(rowsOf(active));
  });
});

describe('a snapshot that lies', () => {
  it('is refused, and the standby keeps what it held', () => {
    const active = rowsRig();
    const { store } = active;
    const rig = newStandby(store).feed({ kind: 'start' }).settle();
    const before = rowsOf(rig);
    change(active, keyFor(0), 'other');
    const forger = new Forger();
    const body = { ...forger.with({ kind: 'other' }), at: active.member.tip.seq };
    for (const [key, bytes] of forger.group.store.chunks) store.chunks.set(key, bytes);
    const { bytes } = store.records.at(-1) as StoredRecord;
    const record = after(store.decoded().at(-1) as LogRecord, bytes, body);
    store.append(encodeRecord(signed(record, active.member.config)));
    rig.pass(1000);
    expect(rig.alarms()).toEqual([
      expect.stringMatching(/^snapshot refused: .*holds other version 1, this node runs rows/),
    ]);
    expect(rowsOf(rig)).toEqual(before);
    expect(rig.told.some(({ kind }) => kind === 'report-lost')).toBe(false);
  });
});

describe('a sync', () => {
  it('asks its node, then peers and the store', () => {
    const rig = fetching(rowsRig().store, ['n5']);
    expect(sourcesOf(rig)).toEqual(['cache']);
    missCache(rig);
    expect(sourcesOf(rig)).toEqual(['n5']);
    rig.settleOnly('fetch');
    expect(report(rig.member).sync).toBeNull();
  });

  it('asks peers that the member was told of before it began, and those it is told of later', () => {
    const { store } = rowsRig();
    const rig = fetching(store, ['n5', 'n6']);
    missCache(rig);
    expect(sourcesOf(rig)).toEqual(['n5']);
    rig.feed({ kind: 'peers', nodes: ['n6', 'n7'] });
    // n5 is gone: what it was asked for is asked of another.
    expect(sourcesOf(rig)).toEqual(['n5', 'n6']);
    store.nodes.set('n7', new Map(store.chunks));
    rig.settle();
    expect(report(rig.member).lastSyncMs).toBe(rig.nowMs);
    expect(rig.alarms()).toEqual([]);
  });

  it('tells how far it is, and nothing once it is done', () => {
    const active = rowsRig();
    const { store } = active;
    const rig = fetching(store);
    const manifest = { pending: 0, active: 1, completed: 0 };
    expect(report(rig.member).sync).toMatchObject({
      generation: 'g/1/60',
      work: { healing: manifest },
      doneSizeBytes: 0,
      fromSizeBytes: { cache: 0, store: 0, peers: 0 },
      sinceMs: rig.nowMs,
    });
    missCache(rig);
    const { call, generation, hash } = rig.take('fetch');
    const bytes = store.chunks.get(keyOf(hash)) as Uint8Array;
    rig.feed({ kind: 'fetched', call, generation, result: { kind: 'chunk', bytes } }).work();
    const { sync: told } = report(rig.member);
    expect(told?.work.healing.completed).toBe(1);
    expect(told?.fromSizeBytes.store).toBe(bytes.length);
    expect(told?.knownSizeBytes).toBeGreaterThan(bytes.length);
    rig.settle();
    expect(report(rig.member).sync).toBeNull();
  });

  it('fetches what differs from what is held', () => {
    const active = rowsRig();
    const rig = newStandby(active.store).feed({ kind: 'start' }).settle();
    const whole = rig.carried.filter((kind) => kind === 'keep-chunk').length;
    change(active, keyFor(30), 'changed');
    sync(active);
    rig.pass(500);
    expect(rowsOf(rig)).toEqual(rowsOf(active));
    const all = rig.carried.filter((kind) => kind === 'keep-chunk').length;
    expect(all - whole).toBeLessThan(active.store.newestChunks().length);
    expect(all - whole).toBeLessThan(whole);
  });

  it('of a member that was active fetches what differs from the state it threw away', () => {
    const active = rowsRig();
    const { store } = active;
    const rival = newStandby(store).feed({ kind: 'start' }).settle().promote(1).settle();
    change(rival, 'more', 1);
    rival.tick(100).settle();
    const held = new Set(replicaOf(active).base?.uses.keys());
    const lacks = store.newestChunks().filter((hash) => !held.has(keyOf(hash)));
    expect(lacks.length).toBeLessThan(store.newestChunks().length);
    const before = active.carried.length;
    change(active, 'lost', 1);
    active.pass(1000);
    expect(active.state).toBe('standby');
    expect(rowsOf(active)).toEqual(rowsOf(rival));
    const kept = active.carried.slice(before).filter((kind) => kind === 'keep-chunk');
    expect(kept).toHaveLength(lacks.length);
    expect(active.member.remains).toBeNull();
  });
});

describe('in the middle of a sync', () => {
  /** The manifest has come, and the rest is on its way. */
  function halfway(store: Store): Rig {
    const rig = fetching(store);
    missCache(rig);
    const { call, generation, hash } = rig.take('fetch');
    const bytes = store.chunks.get(keyOf(hash)) as Uint8Array;
    rig.feed({ kind: 'fetched', call, generation, result: { kind: 'chunk', bytes } }).work();
    expect(rig.holds('fetch')).toBe(true);
    return rig;
  }

  it('a promotion leaves it, replays the log, and what still comes is nobody’s', () => {
    const active = rowsRig();
    const rig = halfway(active.store).promote(1);
    expect(report(rig.member).sync).toBeNull();
    rig.settle();
    expect(rig.state).toBe('active');
    expect(rowsOf(rig)).toEqual(rowsOf(active));
    expect(rig.alarms()).toEqual([]);
  });

  it('an operator’s wish to begin anew leaves it, and the next one is whole', () => {
    const active = rowsRig();
    const rig = halfway(active.store);
    const late = rig.take('fetch');
    expect(rig.reinited(rig.reinit())).toBeNull();
    const { call, generation, hash } = late;
    const bytes = active.store.chunks.get(keyOf(hash)) as Uint8Array;
    rig.feed({ kind: 'fetched', call, generation, result: { kind: 'chunk', bytes } });
    expect(report(rig.member)).toMatchObject({ state: 'starting', sync: null });
    rig.settle();
    expect(rowsOf(rig)).toEqual(rowsOf(active));
  });

  it('what was held is written to by nobody, and read by everybody', () => {
    const active = rowsRig();
    const { store } = active;
    const rig = newStandby(store).feed({ kind: 'start' }).settle();
    const before = rowsOf(rig);
    for (let i = 0; i < 60; i++) change(active, keyFor(i), 'other');
    sync(active);
    rig.tick(500);
    for (let i = 0; rig.isBusy; i++) {
      if (rig.state === 'restoring') expect(rowsOf(rig)).toEqual(before);
      const [effect] = rig.pending;
      if (effect === undefined) rig.feed({ kind: 'work', sizeBytes: 1 });
      else rig.settleOnly(effect.kind);
      if (i > 100) throw new Error('it takes for ever');
    }
    expect(rowsOf(rig)).toEqual(rowsOf(active));
  });
});
