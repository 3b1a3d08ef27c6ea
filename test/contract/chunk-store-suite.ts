/** The contract of the `ChunkStore` and `ChunkGarbage` ports. */
import { createHash, randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Position } from '../../replication/ids.js';
import type { ChunkGarbage, ChunkStore, Fetched, Pin } from '../../replication/ports.js';
import { type Collected, collect } from '../../replication/snapshot/collection.js';
import type { ClientName, Expectations, Harness } from './harness.js';

type Failure = { readonly failure: string };
type Answer<Result> = Promise<Result | Failure>;

export const hashOf = (bytes: Uint8Array): Uint8Array =>
  createHash('sha256').update(bytes).digest();
/** Unlike any other: all tests share one store. */
const fresh = (sizeBytes = 100): Uint8Array => Uint8Array.from(randomBytes(sizeBytes));

export interface Store {
  readonly groupId: string;
  announce(id: string, reused?: readonly Uint8Array[]): Answer<{ standing: readonly string[] }>;
  /** Each chunk under its hash. */
  put(...chunks: readonly Uint8Array[]): Promise<string | null>;
  pin(id: string, chunks: readonly Uint8Array[]): Promise<string | null>;
  get(chunk: Uint8Array): Promise<Fetched>;
  dropBefore(id: string): void;
  /** Announced, put and pinned. */
  store(id: string, ...chunks: readonly Uint8Array[]): Promise<void>;
}

function awaited(harness: Harness, client: ClientName, groupId: string): Store {
  const port: ChunkStore = harness.chunks(client, groupId);
  const put = async (chunk: Uint8Array) =>
    await harness.wait(new Promise<string | null>((done) => port.put(hashOf(chunk), chunk, done)));
  const store: Store = {
    groupId,
    announce: (id, reused = []) =>
      harness.wait(new Promise((done) => port.announce(id, reused.map(hashOf), done))),
    async put(...chunks) {
      for (const chunk of chunks) {
        const failure = await put(chunk);
        if (failure !== null) return failure;
      }
      return null;
    },
    pin: (id, chunks) =>
      harness.wait(new Promise((done) => port.pin(id, chunks.map(hashOf), done))),
    get: (chunk) => harness.wait(new Promise((done) => port.get(hashOf(chunk), done))),
    dropBefore: (id) => port.dropBefore(id),
    async store(id, ...chunks) {
      expect(await store.announce(id)).toHaveProperty('standing');
      expect(await store.put(...chunks)).toBeNull();
      expect(await store.pin(id, chunks)).toBeNull();
    },
  };
  return store;
}

export interface Garbage {
  mark(): Promise<Position>;
  pins(through: Position): Promise<readonly Pin[]>;
  chunks(): Promise<readonly Uint8Array[]>;
  forget(chunk: Uint8Array, before: Position): Promise<string | null>;
  collect(): Answer<Collected>;
}

/** Throws where an answer is a failure. */
export function awaitedGarbage(harness: Harness, port: ChunkGarbage): Garbage {
  const ask = async <Result extends object>(
    request: (done: (result: Result | Failure) => void) => void,
  ) => {
    const result = await harness.wait(new Promise<Result | Failure>((done) => request(done)));
    if ('failure' in result) throw new Error(result.failure);
    return result;
  };
  return {
    mark: async () => (await ask<{ readonly at: Position }>((done) => port.mark(done))).at,
    pins: (through) => ask((done) => port.pins(through, done)),
    chunks: () => ask((done) => port.chunks(done)),
    forget: (chunk, before) =>
      harness.wait(new Promise((done) => port.forget(hashOf(chunk), before, done))),
    collect: () => harness.wait(new Promise((done) => collect(port, done))),
  };
}

const tries = 1000;

/** Each look lets time pass. */
async function eventually(what: string, look: () => Promise<boolean>): Promise<void> {
  for (let left = tries; left > 0; left--) if (await look()) return;
  throw new Error(`did not come true: ${what}`);
}

/** Quicker than to let the test runner compare megabytes. */
async function expectThere(store: Store, chunk: Uint8Array): Promise<void> {
  const got = await store.get(chunk);
  expect(got).toHaveProperty('kind', 'chunk');
  expect(got.kind === 'chunk' && Buffer.compare(got.bytes, chunk)).toBe(0);
}

interface World {
  open(client?: ClientName, groupId?: string): Store;
  garbage(client?: ClientName): Garbage;
  harness(): Harness;
}

export function chunkStoreSuite(expectations: Expectations): void {
  let harness: Harness;
  let groups = 0;
  let opened: Store[] = [];
  const world: World = {
    open(client = 'a', groupId = `${String(++groups).padStart(8, '0')}fedcba`) {
      const store = awaited(harness, client, groupId);
      opened.push(store);
      return store;
    },
    garbage: (client = 'b') => awaitedGarbage(harness, harness.garbage(client)),
    harness: () => harness,
  };

  describe(`chunk store on ${expectations.name}`, () => {
    beforeAll(async () => {
      harness = await expectations.open();
    });
    // What stays announced would keep the garbage of the next test alive.
    afterEach(() => {
      for (const store of opened) store.dropBefore('9-9-9');
      opened = [];
    });
    afterAll(() => harness?.close());
    contents(world);
    snapshots(world);
    collections(world);
    outages(world);
  });
}

function contents({ open, garbage }: World): void {
  it('gives back what was put, to everybody and every group', async () => {
    const [store, other] = [open(), open('b')];
    const chunks = [fresh(), fresh(1), new Uint8Array(0), fresh(512 * 1024)];
    expect(await store.put(...chunks)).toBeNull();
    for (const chunk of chunks) {
      await expectThere(store, chunk);
      await expectThere(other, chunk);
    }
  });

  it('gives back chunks that compress well, and those that only begin as if they did', async () => {
    const store = open();
    const sparse = new Uint8Array(512 * 1024).fill(7);
    const mixed = fresh(512 * 1024).fill(7, 0, 16 * 1024);
    const text = new TextEncoder().encode(`{"name":"${store.groupId}"}`.repeat(20_000));
    for (const chunk of [sparse, mixed, text]) {
      expect(await store.put(chunk)).toBeNull();
      await expectThere(store, chunk);
    }
  });

  it('says what it does not have', async () => {
    expect(await open().get(fresh())).toEqual({ kind: 'none' });
  });

  it('holds equal chunks of two groups once', async () => {
    const chunk = fresh();
    for (const store of [open(), open('b')]) expect(await store.put(chunk)).toBeNull();
    const hash = Buffer.from(hashOf(chunk));
    const all = await garbage().chunks();
    expect(all.filter((one) => hash.equals(one))).toHaveLength(1);
  });
}

function snapshots({ open }: World): void {
  it('tells which snapshots of the group stand when one is announced', async () => {
    const [store, other] = [open(), open()];
    await other.store('1-1-1', fresh());
    expect(await store.announce('1-4-1')).toEqual({ standing: [] });
    await store.store('1-5-40', fresh());
    await store.store('2-6-50', fresh());
    const { standing } = (await open('b', store.groupId).announce('3-1-60')) as {
      standing: string[];
    };
    expect(standing.toSorted()).toEqual(['1-5-40', '2-6-50']);
  });

  it('pins nothing that is not announced, or that was retired since', async () => {
    const store = open();
    const successor = open('b', store.groupId);
    expect(await store.pin('1-5-40', [])).toEqual(expect.any(String));
    await store.announce('1-5-40');
    successor.dropBefore('2-1-1');
    await eventually('the announcement is retired', async () => {
      await store.announce('1-5-41');
      successor.dropBefore('2-1-1');
      await successor.announce('2-1-1');
      return (await store.pin('1-5-41', [])) !== null;
    });
    expect(await store.pin('1-5-40', [])).toEqual(expect.any(String));
    expect(await successor.pin('2-1-1', [])).toBeNull();
  });

  it('takes each call again, as after an unknown outcome', async () => {
    const store = open();
    const chunk = fresh();
    await store.announce('1-5-40', [chunk]);
    await store.announce('1-5-40');
    await store.put(chunk, chunk);
    expect(await store.pin('1-5-40', [chunk])).toBeNull();
    await store.store('1-5-40', chunk);
    expect(await store.announce('1-6-50')).toEqual({ standing: ['1-5-40'] });
  });

  it('retires what is older by epoch and number, and nothing else', async () => {
    const [store, other] = [open(), open()];
    const ids = ['1-9-90', '2-9-95', '2-10-96', '2-11-97', '3-1-98'];
    for (const id of ids) await store.store(id, fresh());
    await other.store('1-9-90', fresh());
    store.dropBefore('2-10-96');
    let standing: readonly string[] = [];
    await eventually('older ones are retired', async () => {
      const answer = await store.announce('4-1-1');
      standing = 'standing' in answer ? answer.standing : [];
      return standing.length <= 3;
    });
    expect(standing.toSorted()).toEqual(['2-10-96', '2-11-97', '3-1-98']);
    expect(await other.announce('1-10-91')).toEqual({ standing: ['1-9-90'] });
  });
}

function collections({ open, garbage }: World): void {
  /** `garbageChunk` was put before what the others are tested on. */
  const collectUntilGone = async (store: Store, garbageChunk: Uint8Array) =>
    await eventually('the garbage is gone', async () => {
      await garbage().collect();
      return (await store.get(garbageChunk)).kind === 'none';
    });

  it('takes what nobody names, and spares what is pinned', async () => {
    const store = open();
    const [pinned, nobodys] = [fresh(), fresh()];
    await store.store('1-5-40', pinned);
    await store.put(nobodys);
    await collectUntilGone(store, nobodys);
    await expectThere(store, pinned);
  });

  it('spares what was put since an announcement, and what that reuses', async () => {
    const [store, other] = [open(), open('b')];
    const [reused, own, others, nobodys] = [fresh(), fresh(), fresh(), fresh()];
    await store.store('1-5-40', reused);
    await store.put(nobodys);
    expect(await store.announce('1-6-50', [reused])).toEqual({ standing: ['1-5-40'] });
    expect(await store.put(own)).toBeNull();
    expect(await other.put(others)).toBeNull();
    store.dropBefore('1-6-50');
    await collectUntilGone(store, nobodys);
    for (const chunk of [reused, own, others]) await expectThere(store, chunk);
    expect(await store.pin('1-6-50', [reused, own])).toBeNull();
    await collectUntilGone(store, others);
    for (const chunk of [reused, own]) await expectThere(store, chunk);
  });

  it('spares what another group names, until that retires it, too', async () => {
    const [store, other] = [open(), open('b')];
    const chunk = fresh();
    await store.store('1-5-40', chunk);
    await other.store('7-5-40', chunk);
    store.dropBefore('2-1-1');
    const nobodys = fresh();
    await store.put(nobodys);
    await collectUntilGone(store, nobodys);
    await expectThere(store, chunk);
    other.dropBefore('8-1-1');
    await collectUntilGone(store, chunk);
  });

  it('shows what is pinned and what is only announced, with their places', async () => {
    const store = open();
    const [whole, reused] = [fresh(), fresh()];
    const first = await garbage().mark();
    await store.store('1-5-40', whole);
    await store.announce('1-6-50', [reused]);
    const last = await garbage().mark();
    const pins = await garbage().pins(last);
    const naming = (chunk: Uint8Array) => {
      const hash = Buffer.from(hashOf(chunk));
      return pins.filter(({ chunks }) => chunks.some((one) => hash.equals(one)));
    };
    expect(naming(whole).map(({ isOpen }) => isOpen)).toEqual([false]);
    expect(naming(reused).map(({ isOpen }) => isOpen)).toEqual([true]);
    const places = [first, ...[...naming(whole), ...naming(reused)].map(({ at }) => at), last];
    expect(places).toEqual(places.toSorted((a, b) => a - b));
  });

  it('forgets nothing that was put again, however late it is asked to', async () => {
    const store = open();
    const [again, once] = [fresh(), fresh()];
    await store.put(again, once);
    const mark = await garbage().mark();
    await store.put(again);
    for (const chunk of [again, once]) expect(await garbage().forget(chunk, mark)).toBeNull();
    await expectThere(store, again);
    await eventually('it is gone', async () => (await store.get(once)).kind === 'none');
    expect(await garbage().forget(once, mark)).toBeNull();
  });
}

function outages({ open, garbage, harness }: World): void {
  it('keeps what it stored when its server is killed, and takes a broken put once more', async () => {
    const store = open();
    const chunks = Array.from({ length: 20 }, () => fresh(64 * 1024));
    await store.store('1-5-40', ...chunks);
    await store.announce('1-6-50', chunks);
    const broken = store.put(...Array.from({ length: 20 }, () => fresh(64 * 1024)));
    await harness().kill('snapshots');
    await broken;
    await harness().recover();
    const late = fresh();
    await eventually('it takes a chunk again', async () => (await store.put(late)) === null);
    await harness().complete();
    expect(await store.pin('1-6-50', [...chunks, late])).toBeNull();
    expect(await garbage().collect()).toHaveProperty('pins');
    for (const chunk of [...chunks, late]) {
      await expectThere(open('b', store.groupId), chunk);
    }
  });
}
