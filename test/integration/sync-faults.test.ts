/**
 * Chunks are not what they should be: in the store, on a peer's disk, on the own disk, anywhere. Of the ways in which
 * the only copy can be spoilt `npm test` has some, `npm run test:whole` all.
 */
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, beforeEach, expect, onTestFailed, test } from 'vitest';
import type { AlarmDocument, GroupDocument, MemberDocument } from '../../cluster/documents.js';
import { packChunk, unpackChunk } from '../../src/nats/chunk-codec.js';
import { cli } from '../support/cli.js';
import { KvContent } from '../support/kv-content.js';
import type { NodeProcess } from '../support/node-process.js';
import { sampleOf } from '../support/sample.js';
import type { StoredSnapshot } from '../support/stored-chunks.js';
import { type SyncCluster, startSyncCluster } from '../support/sync-cluster.js';
import { until } from '../support/until.js';

const bulk = { pages: 2, perPage: 150, valueSizeChars: 4096, large: 6 };
/** Snapshots are cut when a test asks for them, or when somebody lacks one. */
const sync = { everyEvents: 1_000_000, everyMs: 3_600_000 };
/** What is put anew takes so long that somebody sees it lacking. */
const slow = { bytesPerSecond: 800_000 };

let cluster: SyncCluster;
let count = 0;

beforeAll(async () => {
  cluster = await startSyncCluster();
});

afterAll(() => cluster.remove());

interface Cast {
  readonly name: string;
  readonly content: KvContent;
  readonly group: GroupDocument;
  readonly active: NodeProcess;
  readonly syncing: NodeProcess;
  readonly other: NodeProcess;
  readonly snapshot: StoredSnapshot;
}

let cast: Cast;

beforeEach(async () => {
  onTestFailed(() => cluster.printLogs());
  cast = await filledGroup(`g${++count}`);
});

/** A group whose members all hold its newest snapshot, as every cache does. */
async function filledGroup(name: string): Promise<Cast> {
  await cluster.createGroup({ name, kind: 'kv', sync });
  const content = new KvContent((await cluster.client()).group(name));
  await content.fill(bulk, count);
  await cluster.admin.sync(name);
  const group = await cluster.whole(name);
  const [syncing, other] = cluster.standbysOf(group) as [NodeProcess, NodeProcess];
  const snapshot = await cluster.chunks.snapshot(group);
  return { name, content, group, active: cluster.activeOf(group), syncing, other, snapshot };
}

const allOf = ({ manifestHash, hashes }: StoredSnapshot) => [manifestHash, ...hashes];
const member = (group: GroupDocument): MemberDocument => cluster.memberOn(cast.syncing, group);

/** The syncing member forgets what it holds, and fetches all of it: resolves when it has begun. */
async function beginAnew(): Promise<{ readonly held: Promise<void> }> {
  const { id } = await cluster.admin.reinit(cast.name, member(cast.group).index);
  const untilHeld = async () => {
    const ended = await cluster.admin.operation(id, 20_000);
    expect(ended).toMatchObject({ state: 'done', lastError: null });
  };
  const held = untilHeld();
  // A test that fails before it waits for this has another failure to show.
  held.catch(() => undefined);
  return { held };
}

/** With nothing on its disk. */
async function fetchAnew(): Promise<void> {
  cluster.emptyCache(cast.syncing);
  const { held } = await beginAnew();
  await held;
}

/** The syncing member holds what the group holds. */
async function expectRight(): Promise<void> {
  const { name, content } = cast;
  const { through } = await cluster.admin.sync(name);
  const group = await cluster.whole(name);
  expect(member(group)).toMatchObject({ error: null, syncedThrough: through });
  await content.expectAt(member(group).index, through);
}

/** Nobody has this chunk: the member says so, and gets well without anybody's help. */
async function expectLostAndFound(hash: string): Promise<void> {
  const { name, syncing, group, snapshot } = cast;
  for (const node of cluster.nodes) cluster.forget(node, [hash]);
  cluster.emptyCache(syncing);
  cluster.proxyOf(syncing).charge(slow);
  const { held } = await beginAnew();
  const isLacking = (now: GroupDocument) => member(now).error !== null;
  const lacking = await cluster.group(name, 'without what one member lacks', isLacking);
  cluster.proxyOf(syncing).charge();
  await held;
  const healed = await cluster.whole(name);
  const { body } = await cluster.chunks.snapshot(group);

  const problem = /^1 of \d+ chunks cannot be had/;
  expect(lacking.health).toEqual({ status: 'degraded', healthy: 2, total: 3 });
  expect(member(lacking)).toMatchObject({ healthy: false, error: expect.stringMatching(problem) });
  expect(await alarms()).toContainEqual(alarmOf('internal', /snapshot refused: 1 of \d+ chunks/));
  expect(healed).toMatchObject({ epoch: group.epoch, activeNode: group.activeNode });
  expect(body.id).not.toBe(snapshot.body.id);
  await expectStored();
  await expectRight();
}

/** The store has all that the newest snapshot needs, as it should be. */
async function expectStored(): Promise<void> {
  for (const hash of allOf(await cluster.chunks.snapshot(cast.group))) {
    expect(await hashOf(await cluster.chunks.get(hash))).toBe(hash);
  }
}

async function hashOf(packed: Uint8Array | null): Promise<string> {
  const found = packed && (await unpackChunk(packed));
  return found?.kind === 'chunk' ? sha256(found.bytes) : 'nothing';
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** Alarms of the syncing member about this group. */
async function alarms(): Promise<AlarmDocument[]> {
  const group = await cluster.admin.group(cast.name);
  return group.alarms.filter(({ index }) => index === member(group).index);
}

const alarmOf = (code: string, detail: RegExp) =>
  expect.objectContaining({ code, detail: expect.stringMatching(detail) });

type Spoil = (packed: Uint8Array, other: Uint8Array) => Promise<Uint8Array> | Uint8Array;

const spoilings: Readonly<Record<string, Spoil>> = {
  'other bytes': (packed) => packChunk(createHash('sha512').update(packed).digest()),
  'cut off': (packed) => packed.subarray(0, packed.length / 2),
  'another chunk': (_packed, other) => other,
  'one bit of it wrong': (packed) => flipped(packed),
  'nothing that was ever a chunk': () => new TextEncoder().encode('{"hello":"world"}'),
  empty: () => new Uint8Array(0),
};

function flipped(packed: Uint8Array): Uint8Array {
  const copy = packed.slice();
  copy[copy.length >> 1] = (copy[copy.length >> 1] as number) ^ 1;
  return copy;
}

interface Shelf {
  read(hash: string): Promise<Uint8Array>;
  write(hash: string, packed: Uint8Array): Promise<void>;
}

const store: Shelf = {
  read: async (hash) => (await cluster.chunks.get(hash)) as Uint8Array,
  write: (hash, packed) => cluster.chunks.put(hash, packed),
};

function diskOf(node: NodeProcess): Shelf {
  const paths = cluster.cached(node);
  const pathOf = (hash: string) => paths.get(hash) as string;
  return {
    read: (hash) => readFile(pathOf(hash)),
    write: (hash, packed) => writeFile(pathOf(hash), packed),
  };
}

/** All of them, each in another way. */
async function spoilAll(hashes: readonly string[], shelf: Shelf): Promise<void> {
  const ways = Object.values(spoilings);
  const packed = await Promise.all(hashes.map((hash) => shelf.read(hash)));
  for (const [i, hash] of hashes.entries()) {
    const spoil = ways[i % ways.length] as Spoil;
    const [mine, next] = [packed[i], packed[(i + 1) % packed.length]] as [Uint8Array, Uint8Array];
    await shelf.write(hash, await spoil(mine, next));
  }
}

test('all chunks in the store are spoilt: peers have them, and it is told of the store', async () => {
  const { name, active, syncing, snapshot } = cast;
  await spoilAll(allOf(snapshot), store);
  const before = await cluster.fetched(syncing);
  await fetchAnew();
  const after = await cluster.fetched(syncing);

  expect(after.corrupt).toBeGreaterThan(before.corrupt);
  expect(after).toMatchObject({ cache: before.cache, store: before.store });
  const wrong = /the store gave other bytes for chunk [0-9a-f]{16}, with the hash [0-9a-f]{16}/;
  expect(await alarms()).toEqual([alarmOf('conflict', wrong)]);
  const { stdout } = await cli(['--url', active.adminUrl, 'group', name]);
  expect(stdout.replaceAll(/\s+/g, ' ')).toMatch(wrong);
  await expectRight();
});

test('all chunks of the peers are spoilt: the store has them, and no peer is asked twice', async () => {
  const { syncing, active, other, snapshot } = cast;
  for (const node of [active, other]) await spoilAll(allOf(snapshot), diskOf(node));
  const before = await cluster.fetched(syncing);
  await fetchAnew();
  const after = await cluster.fetched(syncing);

  expect(after).toMatchObject({ cache: before.cache, peers: before.peers });
  const wrong = ({ id }: NodeProcess) =>
    alarmOf('conflict', new RegExp(`peer ${id} gave other bytes .* It is not asked any more`));
  const told = await alarms();
  expect(told).toEqual(expect.arrayContaining([wrong(active), wrong(other)]));
  expect(told).toHaveLength(2);
  await expectRight();
});

test('half of the own disk is spoilt: that is fetched, and kept as it should be', async () => {
  const { syncing, snapshot } = cast;
  const hashes = allOf(snapshot);
  const spoilt = hashes.slice(0, hashes.length / 2);
  await spoilAll(spoilt, diskOf(syncing));
  const before = await cluster.fetched(syncing);
  const { held } = await beginAnew();
  await held;
  const after = await cluster.fetched(syncing);

  expect(after.damaged - before.damaged).toBe(spoilt.length);
  expect(after.hits - before.hits).toBe(hashes.length - spoilt.length);
  const disk = diskOf(syncing);
  await until('all of it is on the disk as it should be', async () => {
    const found = await Promise.all(hashes.map(async (hash) => hashOf(await disk.read(hash))));
    return found.every((hash, i) => hash === hashes[i]);
  });
  expect(await alarms()).toEqual([]);
  await expectRight();
});

/** Spoils the chunk with this hash wherever it is. */
type Way = (hash: string) => Promise<void>;

const ways: Readonly<Record<string, Way>> = {
  ...Object.fromEntries(Object.entries(spoilings).map(([how, spoil]) => [how, spoilStored(spoil)])),
  gone: (hash) => cluster.chunks.drop(hash),
};

function spoilStored(spoil: Spoil): Way {
  return async (hash) => {
    const { manifestHash } = cast.snapshot;
    const [packed, other] = await Promise.all([store.read(hash), store.read(manifestHash)]);
    await store.write(hash, await spoil(packed, other));
  };
}

/** Of what can be unpacked, what cannot, and what is not there. */
const someWays = ['other bytes', 'cut off', 'gone'];

test.each(sampleOf(Object.keys(ways), someWays))(
  'a chunk is %s, and nobody else has it: the next snapshot does',
  async (how) => {
    const { hashes, manifest } = cast.snapshot;
    const uses = [...manifest.uses.values()];
    const hash = hashes[uses.findIndex(({ work }) => work === 'ranges')] as string;
    await (ways[how] as Way)(hash);
    await expectLostAndFound(hash);
  },
);

test('there is garbage for the manifest: peers have it, and else another is made', async () => {
  const { manifestHash } = cast.snapshot;
  await store.write(manifestHash, await packChunk(new TextEncoder().encode('garbage')));
  await fetchAnew();
  await expectRight();
  await expectLostAndFound(manifestHash);
});
