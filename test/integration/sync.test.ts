/** A standby fetches a large snapshot while its sources, its broker or itself are killed. */
import { afterAll, beforeAll, beforeEach, expect, onTestFailed, onTestFinished, test } from 'vitest';
import type { GroupDocument, MemberSync } from '../../cluster/documents.js';
import type { GroupClient } from '../../src/client/group.js';
import { KvContent, loadCommand } from '../support/kv-content.js';
import { Load } from '../support/load.js';
import type { NodeProcess } from '../support/node-process.js';
import { StoredChunks } from '../support/stored-chunks.js';
import { type SyncCluster, startSyncCluster } from '../support/sync-cluster.js';

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
  const chunks = await StoredChunks.open(cluster.broker.url);
  const { manifest } = await chunks.snapshot(group);
  await chunks.close();
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

/** Each standby holds what the group holds, and nobody complains of what it was given. */
async function expectRight(): Promise<GroupDocument> {
  await cluster.start();
  const { through } = await cluster.admin.sync(name);
  const group = await cluster.whole(name);
  for (const node of cluster.standbysOf(group)) {
    await content.expectAt(cluster.memberOn(node, group).index, through);
  }
  const { alarms } = await cluster.admin.group(name);
  expect(alarms.filter(({ code }) => code === 'conflict')).toEqual([]);
  return group;
}

test('the active is killed: the sync goes on through the failover', async () => {
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
  expect(all.store + all.peers).toBeLessThan(sizeBytes + slackSizeBytes);
  await expectRight();
});
