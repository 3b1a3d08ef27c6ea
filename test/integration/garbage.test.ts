/** What no snapshot needs any more leaves the broker, and nothing else does. */
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest';
import type { GroupDocument } from '../../cluster/documents.js';
import { KvContent } from '../support/kv-content.js';
import type { NodeProcess } from '../support/node-process.js';
import { type SyncCluster, startSyncCluster } from '../support/sync-cluster.js';
import { until } from '../support/until.js';

const bulk = { pages: 2, perPage: 150, valueSizeChars: 4096, large: 6 };
const sync = { everyEvents: 1_000_000, everyMs: 3_600_000 };
const rounds = 12;

let cluster: SyncCluster;

beforeAll(async () => {
  cluster = await startSyncCluster();
});

afterAll(() => cluster.remove());

interface Filled {
  readonly group: GroupDocument;
  readonly content: KvContent;
}

/** Groups that are filled in the same round hold the same. */
async function filled(name: string, round: number): Promise<Filled> {
  await cluster.createGroup({ name, kind: 'kv', sync });
  const content = new KvContent((await cluster.client()).group(name));
  await content.fill(bulk, round);
  await cluster.admin.sync(name);
  return { group: await cluster.whole(name), content };
}

test('many snapshots and groups that are deleted leave no chunks behind, and take none', async () => {
  onTestFailed(() => cluster.printLogs());
  const { chunks, admin } = cluster;
  const kept = await filled('kept', 0);
  const twin = await filled('twin', 0);
  const other = await filled('other', 1);
  // A node that has begun anew has collected nothing yet, so it does as soon as it is told to.
  const [collecting] = cluster.standbysOf(kept.group) as [NodeProcess];
  await collecting.kill();
  await cluster.start();
  for (const name of ['kept', 'twin', 'other']) await cluster.whole(name);
  const ofTwin = await chunks.pinned(twin.group);
  const ofOther = await chunks.pinned(other.group);
  let put = (await chunks.all()).size;
  for (let round = 2; round < 2 + rounds; round++) {
    await kept.content.fillLarge(bulk.large, round);
    await admin.sync('kept');
    put += bulk.large;
  }
  for (const name of ['twin', 'other']) await cluster.adminOf(collecting).deleteGroup(name);
  const needed = await chunks.pinned(kept.group);
  const left = await until('nothing is there but what is needed', async () => {
    const all = await chunks.all();
    return [...all].every((hash) => needed.has(hash)) ? all : null;
  });

  const shared = [...ofTwin].filter((hash) => needed.has(hash));
  expect(shared.length).toBeGreaterThan(1);
  expect([...ofOther].some((hash) => needed.has(hash))).toBe(false);
  expect(left).toEqual(needed);
  expect(left.size).toBeLessThan(put / 3);
  expect(await chunks.pinned(twin.group)).toEqual(new Set());

  for (const node of cluster.nodes) cluster.emptyCache(node);
  const { index } = cluster.memberOn(collecting, kept.group);
  const { id } = await admin.reinit('kept', index);
  expect(await admin.operation(id, 20_000)).toMatchObject({ state: 'done' });
  await kept.content.expectAt(index, (await admin.group('kept')).seq);
});
