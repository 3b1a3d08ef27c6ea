/** A standby fetches a large snapshot while its sources, its broker or itself are killed. */
import {
  afterAll,
  beforeAll,
  beforeEach,
  expect,
  onTestFailed,
  onTestFinished,
  test,
} from 'vitest';
import type { GroupDocument, MemberSync } from '../../cluster/documents.js';
import type { GroupClient } from '../../src/client/group.js';
import { KvContent, loadCommand } from '../support/kv-content.js';
import { Load } from '../support/load.js';
import type { NodeProcess } from '../support/node-process.js';
import { type Fetched, type SyncCluster, startSyncCluster } from '../support/sync-cluster.js';

const name = 'big';
const bulk = { pages: 32, perPage: 170, valueSizeChars: 4096, large: 56 };
/** Nothing but a change of the active, or somebody's wish, makes a snapshot. */
const sync = { everyEvents: 1_000_000, everyMs: 3_600_000 };
/** The whole state takes some seconds. */
const slow = { bytesPerSecond: 5_000_000 };
/** What is asked for at once, and everything beside chunks that reaches a node meanwhile. */
const slackSizeBytes = 6_000_000;

let cluster: SyncCluster;
let client: GroupClient;
let content: KvContent;

beforeAll(async () => {
  cluster = await startSyncCluster();
  await cluster.createGroup({ name, kind: 'kv', sync });
  client = (await cluster.client()).group(name);
  content = new KvContent(client);
  await content.fill(bulk);
  await cluster.admin.sync(name);
}, 60_000);

afterAll(() => cluster.remove());

interface Cast {
  readonly group: GroupDocument;
  readonly active: NodeProcess;
  /** Begins anew, with nothing. */
  readonly syncing: NodeProcess;
  readonly other: NodeProcess;
}

let cast: Cast;

beforeEach(async () => {
  onTestFailed(() => cluster.printLogs());
  await cluster.start();
  await cluster.admin.sync(name);
  const group = await cluster.whole(name);
  const [syncing, other] = cluster.standbysOf(group) as [NodeProcess, NodeProcess];
  cast = { group, active: cluster.activeOf(group), syncing, other };
});

function startLoad(): Load {
  const load = new Load(client, { command: loadCommand, callers: 4 });
  onTestFinished(() => load.stop());
  return load;
}

/** The syncing node loses all it has and starts; resolves when its member has half of the snapshot. */
async function halfWay(): Promise<{ readonly sync: MemberSync; readonly sizeBytes: number }> {
  const { syncing, group } = cast;
  const { manifest } = await cluster.chunks.snapshot(group);
  const sizes = [...manifest.uses.values()].map(({ sizeBytes }) => sizeBytes);
  const sizeBytes = sizes.reduce((sum, size) => sum + size, 0);
  expect(sizes.length).toBeGreaterThan(100);
  await syncing.kill();
  cluster.emptyCache(syncing);
  cluster.proxyOf(syncing).charge(slow);
  await syncing.start();
  const isHalf = ({ doneSizeBytes }: MemberSync) => doneSizeBytes >= sizeBytes / 2;
  return { sync: await cluster.syncing(syncing, name, isHalf), sizeBytes };
}

/** As fast as it goes, until the member on the syncing node is there. */
async function held(): Promise<GroupDocument> {
  const { syncing } = cast;
  cluster.proxyOf(syncing).charge();
  return await cluster.group(name, `held by ${syncing.id}`, (group) => {
    const { healthy, sync } = cluster.memberOn(syncing, group);
    return healthy && sync === null;
  });
}

/** The syncing node's member holds what the group holds, and nobody was given anything that was wrong. */
async function expectRight(): Promise<void> {
  const { syncing } = cast;
  const { through } = await cluster.admin.sync(name);
  const group = await cluster.admin.group(name);
  const { index, healthy, error, syncedThrough } = cluster.memberOn(syncing, group);
  expect({ healthy, error, syncedThrough }).toEqual({
    healthy: true,
    error: null,
    syncedThrough: through,
  });
  await content.expectAt(index, through);
  expect(group.alarms.filter(({ code }) => code === 'conflict')).toEqual([]);
}

/** What is there already is not fetched again, whatever happened: at most what was under way. */
function expectResumed({ store, peers }: Fetched, sizeBytes: number): void {
  expect(store + peers).toBeLessThan(sizeBytes + slackSizeBytes);
}

test('the node of the active is killed: the sync goes on through the failover', async () => {
  const load = startLoad();
  const { syncing, active, other, group } = cast;
  const { sync: before, sizeBytes } = await halfWay();
  await active.kill();
  const after = await cluster.after(name, group.epoch);
  await load.round();
  await held();
  const all = await cluster.fetched(syncing);
  await load.round();
  await load.stop();
  expect(load.failures).toEqual([]);
  content.note(load);

  expect(before.fromPeers).toBeGreaterThan(0);
  expect(before.fromStore).toBeGreaterThan(0);
  expect(after.activeNode).toBe(other.id);
  expectResumed(all, sizeBytes);
  await expectRight();
});

test('the node of the other standby is killed: the sync goes on without it', async () => {
  const { syncing, other, group } = cast;
  const { sync: before, sizeBytes } = await halfWay();
  await other.kill();
  const after = await held();
  const all = await cluster.fetched(syncing);

  expect(before.fromPeers).toBeGreaterThan(0);
  expect(after).toMatchObject({ epoch: group.epoch, activeNode: group.activeNode });
  expectResumed(all, sizeBytes);
  await expectRight();
});

test('the syncing node is killed: what it had it takes from its disk', async () => {
  const { syncing } = cast;
  const { sync: before, sizeBytes } = await halfWay();
  await syncing.kill();
  const kept = cluster.cached(syncing).size;
  await syncing.start();
  await held();
  const { cache, store, peers, hits, damaged } = await cluster.fetched(syncing);

  expect(before.fromCache).toBe(0);
  expect(kept).toBeGreaterThan(0);
  // More, if it began anew meanwhile.
  expect(hits).toBeGreaterThanOrEqual(kept);
  expect(damaged).toBe(0);
  expect(cache).toBeGreaterThan(sizeBytes / 4);
  // The manifest comes on top of what it names.
  expect(cache + store + peers).toBeGreaterThanOrEqual(sizeBytes);
  expect(store + peers).toBeLessThan(sizeBytes + slackSizeBytes - cache);
  await expectRight();
});

test('the broker is killed and comes back: the sync goes on', async () => {
  const load = startLoad();
  const { syncing } = cast;
  const { sizeBytes } = await halfWay();
  await cluster.restartBroker('SIGKILL');
  await held();
  const all = await cluster.fetched(syncing);
  await load.round();
  await load.stop();
  expect(load.failures).toEqual([]);
  content.note(load);

  expect(all.cache).toBe(0);
  expectResumed(all, sizeBytes);
  await expectRight();
});

test('snapshots follow each other while one is fetched: it ends with the newest', async () => {
  const { syncing, active, other, group } = cast;
  const { sizeBytes } = await halfWay();
  cluster.proxyOf(syncing).charge({ bytesPerSecond: slow.bytesPerSecond / 3 });
  const { hashes } = await cluster.chunks.snapshot(group);
  const asked: Promise<{ through: number }>[] = [];
  for (let round = 1; round <= 3; round++) {
    await content.fillLarge(bulk.large, round);
    const { seq } = await cluster.admin.group(name);
    const through = cluster.admin.sync(name);
    // A test that fails before it waits for this has another failure to show.
    through.catch(() => undefined);
    asked.push(through);
    await cluster.snapshotAt(name, seq);
  }
  // What only the first needed is collected, and nobody keeps it.
  const needed = await cluster.chunks.pinned(group);
  const garbage = hashes.filter((hash) => !needed.has(hash));
  for (const hash of garbage) await cluster.chunks.drop(hash);
  for (const node of [active, other]) cluster.forget(node, garbage);
  const { healthy, sync: fetching } = cluster.memberOn(syncing, await cluster.admin.group(name));
  const after = await held();
  const told = await Promise.all(asked);
  const all = await cluster.fetched(syncing);

  expect(garbage.length).toBeGreaterThanOrEqual(bulk.large);
  expect({ healthy, isFetching: fetching !== null }).toEqual({ healthy: false, isFetching: true });
  expect(told.map(({ through }) => through).at(-1)).toBe(after.seq);
  const largeSizeBytes = 3_000_000;
  expectResumed(all, sizeBytes + largeSizeBytes);
  await expectRight();
});

test('a peer is slow, then peers have nothing: the rest comes from elsewhere', async () => {
  const { syncing, active, other } = cast;
  cluster.proxyOf(other).charge({ bytesPerSecond: 100_000 });
  const { sizeBytes } = await halfWay();
  for (const node of [active, other]) cluster.emptyCache(node);
  await held();
  const all = await cluster.fetched(syncing);
  cluster.proxyOf(other).charge();

  expect(all.store).toBeGreaterThan(sizeBytes / 2);
  expectResumed(all, sizeBytes);
  await expectRight();
});
