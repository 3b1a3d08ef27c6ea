import { describe, expect, it } from 'vitest';
import { position } from '../../../replication/ids.js';
import type { ChunkGarbage, Pin } from '../../../replication/ports.js';
import { type Collected, collect } from '../../../replication/snapshot/collection.js';
import {
  announce,
  type Broken,
  collecting,
  cut,
  explore,
  inTurn,
  retire,
  Store,
} from './collecting.js';

/** Snapshot `w` is pinned and names `a`; `g` is garbage. */
function storeWith(broken: Broken): Store {
  const store = new Store(broken);
  for (const chunk of ['a', 'g']) store.put(chunk);
  store.whole.set('w', { at: store.next(), chunks: ['a'] });
  store.needed.set('w', new Set(['a']));
  return store;
}

/** One snapshot after the other reuses `a`, and the one before is retired. */
function line(broken: Broken) {
  const store = storeWith(broken);
  const cutter = inTurn(
    cut(store, { id: 'x', base: 'w', reused: ['a'], own: ['b'] }),
    retire(store, 'w'),
    cut(store, { id: 'y', base: 'x', reused: ['a'], own: [] }),
    retire(store, 'x'),
  );
  return { store, actors: [cutter, collecting(store)] };
}

/** What one cuts is retired by somebody else at any time, and it goes on to reuse it. */
function deposed(broken: Broken) {
  const store = storeWith(broken);
  const cutter = inTurn(
    cut(store, { id: 'x', base: 'w', reused: [], own: ['b'] }),
    announce(store, { id: 'z', base: 'x', reused: ['b'] }),
  );
  return { store, actors: [cutter, retire(store, 'x'), collecting(store)] };
}

/** What is reused is retired by somebody else at any time, and `g` is put although it is there. */
function shared(broken: Broken) {
  const store = storeWith(broken);
  const cutter = cut(store, { id: 'x', base: 'w', reused: ['a'], own: ['g'] });
  return { store, actors: [cutter, retire(store, 'w'), collecting(store)] };
}

function twoCollectors(broken: Broken) {
  const store = storeWith(broken);
  const cutter = cut(store, { id: 'x', base: 'w', reused: ['a'], own: ['g'] });
  return { store, actors: [cutter, collecting(store), collecting(store)] };
}

describe('cutters and collectors, in every order of their steps', () => {
  it.each([
    ['a line of snapshots that reuse a chunk', line, ['g']],
    ['a snapshot that is retired while it is cut', deposed, ['g']],
    ['chunks that another snapshot names, or nobody', shared, []],
    ['two collectors', twoCollectors, []],
  ])('never lose what a snapshot needs: %s', (_name, world, garbage) => {
    const { runs, violation, collected } = explore(() => world(null));
    expect(violation).toBeNull();
    expect([...collected]).toEqual(garbage);
    expect(runs).toBeGreaterThan(1000);
  });

  it.each<[NonNullable<Broken>, (broken: Broken) => ReturnType<typeof line>]>([
    ['G2: puts nothing that is there', shared],
    ['G3: looks at the pins before it announces', shared],
    ['G4: pins without looking at its announcement', deposed],
    ['G6: reads up to the mark', line],
    ['G6: reads twice, up to a mark each time', line],
    ['G7: takes no account of announcements', line],
    ['G7: forgets whatever was put since', shared],
  ])('would lose something without the rule %s', (broken, world) => {
    expect(explore(() => world(broken)).violation).toMatch(/^\w lacks \w after/);
  });
});

const hash = (n: number) => Uint8Array.of(n >> 8, n & 255);
type Result = Collected | { readonly failure: string };

interface Script {
  readonly pins?: readonly Pin[] | { readonly failure: string };
  readonly chunks?: readonly Uint8Array[] | { readonly failure: string };
  readonly mark?: { readonly failure: string };
}

/** A port that answers at once with what is written here, and leaves the requests to forget open. */
function run({ pins = [], chunks = [], mark }: Script) {
  const forgotten: { readonly hash: Uint8Array; readonly before: number }[] = [];
  const open: ((failure: string | null) => void)[] = [];
  const results: Result[] = [];
  const port: ChunkGarbage = {
    mark: (done) => done(mark ?? { at: position(50) }),
    pins: (_through, done) => done(pins),
    chunks: (done) => done(chunks),
    forget: (one, before, done) => {
      forgotten.push({ hash: one, before });
      open.push(done);
    },
  };
  collect(port, (result) => void results.push(result));
  return { forgotten, open, results };
}

describe('collecting', () => {
  const many = Array.from({ length: 100 }, (_, i) => hash(i));

  it('forgets what nobody names, if it was put before the mark and every announcement', () => {
    const pins: Pin[] = [
      { at: position(9), isOpen: false, chunks: [hash(1)] },
      { at: position(20), isOpen: true, chunks: [hash(2)] },
      { at: position(70), isOpen: true, chunks: [] },
    ];
    const { forgotten, open, results } = run({ pins, chunks: [1, 2, 3, 300].map(hash) });
    expect(forgotten).toEqual([hash(3), hash(300)].map((each) => ({ hash: each, before: 20 })));
    for (const done of open) done(null);
    expect(results).toEqual([{ chunks: 4, unneeded: 2, pins: 3, open: 2 }]);
  });

  it('has 64 requests in flight at most, and ends with the last of them', () => {
    const { forgotten, open, results } = run({ chunks: many });
    expect(forgotten).toHaveLength(64);
    for (const done of open) done(null);
    expect(forgotten.map((each) => each.hash)).toEqual(many);
    expect(results).toEqual([{ chunks: 100, unneeded: 100, pins: 0, open: 0 }]);
  });

  it('begins nothing more after a failure, and waits for what is in flight', () => {
    const { forgotten, open, results } = run({ chunks: many });
    open[0]?.('no leader');
    open[1]?.(null);
    expect([forgotten.length, results]).toEqual([64, []]);
    for (const done of open.slice(2)) done('another');
    expect([forgotten.length, results]).toEqual([64, [{ failure: 'no leader' }]]);
  });

  it.each<[string, Script]>([
    ['the mark', { mark: { failure: 'x' }, chunks: many }],
    ['the pins', { pins: { failure: 'x' }, chunks: many }],
    ['the chunks', { chunks: { failure: 'x' } }],
  ])('forgets nothing if %s cannot be had', (_name, script) => {
    const { forgotten, results } = run(script);
    expect([forgotten, results]).toEqual([[], [{ failure: 'x' }]]);
  });

  it('is done at once if there is nothing to forget', () => {
    expect(run({}).results).toEqual([{ chunks: 0, unneeded: 0, pins: 0, open: 0 }]);
  });
});
