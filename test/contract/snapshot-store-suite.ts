/** The contract of the `SnapshotStore` port. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ClientName, Expectations, Harness } from './harness.js';

interface AwaitedStore {
  put(snapshotId: string, chunks: readonly Uint8Array[]): Promise<string | null>;
  get(
    snapshotId: string,
    chunkCount: number,
  ): Promise<readonly Uint8Array[] | { readonly failure: string }>;
  dropBefore(snapshotId: string): void;
}

function awaited(harness: Harness, client: ClientName, groupId: string): AwaitedStore {
  const port = harness.snapshots(client, groupId);
  return {
    put: (id, chunks) => harness.wait(new Promise((done) => port.put(id, chunks, done))),
    get: (id, count) => harness.wait(new Promise((done) => port.get(id, count, done))),
    dropBefore: (id) => port.dropBefore(id),
  };
}

const chunk = (value: number, sizeBytes = 3) => new Uint8Array(sizeBytes).fill(value);
const missing = { failure: expect.stringContaining('') as unknown };

/** Quicker than to let the test runner compare megabytes. */
function expectSame(
  result: readonly Uint8Array[] | { readonly failure: string },
  chunks: readonly Uint8Array[],
): void {
  const got = 'failure' in result ? [] : result;
  expect(got.map(({ length }) => length)).toEqual(chunks.map(({ length }) => length));
  expect(got.every((one, i) => Buffer.compare(one, chunks[i] ?? chunk(0)) === 0)).toBe(true);
}

interface Store extends AwaitedStore {
  readonly groupId: string;
}

interface World {
  open(client?: ClientName, groupId?: string): Store;
  harness(): Harness;
}

export function snapshotStoreSuite(expectations: Expectations): void {
  let harness: Harness;
  let groups = 0;
  const open = (
    client: ClientName = 'a',
    groupId = `${String(++groups).padStart(8, '0')}fedcba`,
  ) => ({ groupId, ...awaited(harness, client, groupId) });

  describe(`snapshot store on ${expectations.name}`, () => {
    beforeAll(async () => {
      harness = await expectations.open();
    });
    afterAll(() => harness?.close());
    contents({ open, harness: () => harness });
    drops({ open, harness: () => harness });
    outages({ open, harness: () => harness });
  });
}

function contents({ open }: World): void {
  it('gives back what was put, to everybody', async () => {
    const store = open();
    const chunks = [chunk(1), chunk(2, 1), chunk(3)];
    expect(await store.put('1-5-40', chunks)).toBeNull();
    expect(await store.get('1-5-40', 3)).toEqual(chunks);
    expect(await open('b', store.groupId).get('1-5-40', 3)).toEqual(chunks);
  });

  it('gives back 40 chunks of 512 KiB in order, two readers at once', async () => {
    const store = open();
    const chunks = Array.from({ length: 40 }, (_, i) => chunk(i + 1, 512 * 1024));
    expect(await store.put('1-5-40', chunks)).toBeNull();
    for (const result of await Promise.all([store.get('1-5-40', 40), store.get('1-5-40', 40)])) {
      expectSame(result, chunks);
    }
  });

  it('says what is missing: a snapshot, a chunk, another group', async () => {
    const store = open();
    await store.put('1-5-40', [chunk(1), chunk(2)]);
    expect(await store.get('1-6-50', 1)).toEqual(missing);
    expect(await store.get('1-5-40', 3)).toEqual(missing);
    expect(await open().get('1-5-40', 2)).toEqual(missing);
    expect(await store.get('1-5-40', 2)).toEqual([chunk(1), chunk(2)]);
  });

  it('takes the same put again, as after an unknown outcome', async () => {
    const store = open();
    const chunks = [chunk(1), chunk(2)];
    expect(await store.put('1-5-40', chunks.slice(0, 1))).toBeNull();
    expect(await store.put('1-5-40', chunks)).toBeNull();
    expect(await store.get('1-5-40', 2)).toEqual(chunks);
  });

  it('keeps a chunk as it was written first', async () => {
    const store = open();
    expect(await store.put('1-5-40', [chunk(1)])).toBeNull();
    expect(await open('b', store.groupId).put('1-5-40', [chunk(9), chunk(2)])).toBeNull();
    expect(await store.get('1-5-40', 2)).toEqual([chunk(1), chunk(2)]);
  });
}

function drops({ open }: World): void {
  it('drops what is older by epoch and number, and nothing else', async () => {
    const store = open();
    const other = open();
    const ids = ['1-9-90', '2-9-95', '2-10-96', '2-11-97', '3-1-98'];
    for (const id of ids) expect(await store.put(id, [chunk(1), chunk(2)])).toBeNull();
    expect(await other.put('1-9-90', [chunk(3)])).toBeNull();
    store.dropBefore('2-10-96');
    const kept: string[] = [];
    const isGone = async (id: string) => 'failure' in (await store.get(id, 2));
    for (let left = 1000; left > 0 && !(await isGone('2-9-95')); left--);
    for (const id of ids) if (!(await isGone(id))) kept.push(id);
    expect(kept).toEqual(['2-10-96', '2-11-97', '3-1-98']);
    expect(await other.get('1-9-90', 1)).toEqual([chunk(3)]);
  });
}

const tries = 1000;

/** The broker may take connections before it serves the stream. */
async function putWhenBack(store: Store, id: string, chunks: readonly Uint8Array[]) {
  let failure: string | null = '';
  for (let left = tries; left > 0 && failure !== null; left--)
    failure = await store.put(id, chunks);
  expect(failure).toBeNull();
}

function outages({ open, harness }: World): void {
  it('keeps what it stored when its server is killed, and takes a broken put once more', async () => {
    const store = open();
    const chunks = Array.from({ length: 40 }, (_, i) => chunk(i + 1, 64 * 1024));
    expect(await store.put('1-5-40', chunks)).toBeNull();
    const broken = store.put('1-6-50', chunks);
    await harness().kill('snapshots');
    await broken;
    await harness().recover();
    await putWhenBack(store, '1-6-50', chunks);
    await harness().complete();
    for (const id of ['1-5-40', '1-6-50']) {
      expectSame(await open('b', store.groupId).get(id, chunks.length), chunks);
    }
  });
}
