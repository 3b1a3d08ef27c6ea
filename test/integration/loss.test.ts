/**
 * Every process is killed, and the broker comes back with an older copy of its store, as after a power loss
 * with pages that were never written: the group says what is gone, and serves nobody until that is accepted.
 */
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { GroupDocument } from '../../cluster/documents.js';
import { type Cluster, startCluster } from '../support/cluster.js';
import { countingCommand, Load, readEvents } from '../support/load.js';
import type { NodeProcess } from '../support/node-process.js';
import { sampleOf } from '../support/sample.js';
import { until } from '../support/until.js';

async function start(standby: 'warm' | 'hot'): Promise<Cluster> {
  const env = { UNDERSTUDY_REPLACE_AFTER_MS: '600000' };
  const cluster = await startCluster({ env, hasCaches: true });
  await cluster.createGroup({ name: 'c', kind: 'counter', standby });
  return cluster;
}

const storeOf = ({ broker }: Cluster) => join(broker.dataDir, 'store');
const copyOf = (cluster: Cluster) => join(cluster.broker.dataDir, 'older');

const killBroker = (cluster: Cluster) => cluster.endBroker('SIGKILL');

/** What is written until the copy is all that will be left. */
async function keepCopy(cluster: Cluster): Promise<void> {
  await killBroker(cluster);
  cpSync(storeOf(cluster), copyOf(cluster), { recursive: true });
  await cluster.startBroker();
}

function bringCopyBack(cluster: Cluster): void {
  rmSync(storeOf(cluster), { recursive: true });
  cpSync(copyOf(cluster), storeOf(cluster), { recursive: true });
}

async function deliver(cluster: Cluster, count: number): Promise<void> {
  const load = new Load((await cluster.client()).group('c'), { command: countingCommand });
  await load.more(count);
  await load.stop();
  expect(load.failures).toEqual([]);
}

const isLost = ({ lost }: GroupDocument) => lost !== null;
const untilLost = (cluster: Cluster) => cluster.group('c', 'known to be lost', isLost);

async function refuses(cluster: Cluster, node: NodeProcess): Promise<void> {
  const admin = cluster.adminOf(node);
  const refused = {
    code: 'quarantined',
    message: expect.stringMatching(/accept-loss c --through/),
  };
  await expect(admin.deliver('c', { by: 1 })).rejects.toMatchObject(refused);
  await expect(admin.query('c', { name: 'get' })).rejects.toMatchObject(refused);
  const local = admin.query('c', { name: 'get', consistency: 'local' });
  await expect(local).rejects.toMatchObject(refused);
}

const failures = async (cluster: Cluster) =>
  (await cluster.admin.doctor()).findings
    .filter(({ level }) => level === 'fail')
    .map(({ code, about }) => `${code} ${about}`);

/** The group goes on from `through`, and says so. */
async function acceptedFrom(cluster: Cluster, through: number): Promise<void> {
  await expect(cluster.admin.acceptLoss('c', through + 1)).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringMatching(`ends at seq ${through} of epoch`),
  });
  expect(await failures(cluster)).toEqual(['log-lost c']);
  await cluster.admin.acceptLoss('c', through);
  const after = await cluster.whole('c');
  expect(after).toMatchObject({
    lost: null,
    quarantined: false,
    losses: [{ through, by: 'local' }],
  });
  expect(await readEvents(cluster.admin, 'c')).toHaveLength(through);
  expect(await failures(cluster)).toEqual([]);
  await deliver(cluster, 100);
  const events = await readEvents(cluster.admin, 'c');
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_, i) => i + 1));
  await expect(cluster.admin.acceptLoss('c', events.length)).rejects.toMatchObject({
    code: 'conflict',
  });
}

test('nodes that live through it stop the group, and say who still holds what is gone', async () => {
  const cluster = await start('warm');
  await deliver(cluster, 200);
  await keepCopy(cluster);
  await cluster.whole('c');
  const before = await readEvents(cluster.admin, 'c');
  await deliver(cluster, 300);
  const { seq, epoch } = await cluster.whole('c');
  await killBroker(cluster);
  bringCopyBack(cluster);
  await cluster.startBroker();
  // Whoever knows less may find out first; the active answers nobody meanwhile.
  const isAll = ({ lost, activeNode }: GroupDocument) => lost?.toSeq === seq && activeNode === null;
  const found = await cluster.group('c', `known to have lost seq ${seq}`, isAll);
  expect(found.lost).toMatchObject({ epoch });
  const { endsAt, heldBy } = found.lost as NonNullable<GroupDocument['lost']>;
  expect(endsAt.seq).toBeGreaterThanOrEqual(before.length);
  expect(found.lost?.fromSeq).toBe(endsAt.seq + 1);
  expect(heldBy[0]).toMatchObject({ syncedThrough: seq });
  for (const node of cluster.nodes) {
    await until(`${node.id} knows`, async () => (await cluster.adminOf(node).group('c')).lost);
    await refuses(cluster, node);
  }
  const alarms = (await cluster.admin.group('c')).alarms.map(({ code }) => code);
  expect(alarms).toContain('log-lost');
  await acceptedFrom(cluster, endsAt.seq);
}, 120_000);

/** Its disk knows that the log has gone as far as that. */
const remembers = (cluster: Cluster, { id }: NodeProcess, seq: number) =>
  until(`${id} remembers seq ${seq}`, () => {
    const text = cluster.read(`cache-${id}/ends.json`) ?? '{"groups":[]}';
    const { groups } = JSON.parse(text) as { groups: { end: { seq: number } }[] };
    return groups.some(({ end }) => end.seq >= seq);
  });

/** Of hot ones `npm test`, of both `npm run test:whole`: the nodes that live through it have warm ones. */
test.each(sampleOf<'warm' | 'hot'>(['warm', 'hot'], ['hot']))(
  'nodes that died with the broker remember how far the log went: %s standbys',
  async (standby) => {
    const cluster = await start(standby);
    await deliver(cluster, 100);
    await keepCopy(cluster);
    await cluster.whole('c');
    await deliver(cluster, 300);
    const { seq } = await cluster.whole('c');
    for (const node of cluster.nodes) await remembers(cluster, node, seq);
    await Promise.all([...cluster.nodes.map((node) => node.kill()), killBroker(cluster)]);
    bringCopyBack(cluster);
    await cluster.startBroker();
    await cluster.start();
    const found = await untilLost(cluster);
    expect(found.lost).toMatchObject({ toSeq: seq, heldBy: [] });
    // It was never served: the log is as it was left.
    const { endsAt } = found.lost as NonNullable<GroupDocument['lost']>;
    expect(found.lost?.fromSeq).toBe(endsAt.seq + 1);
    expect(endsAt.seq).toBeLessThan(seq);
    for (const node of cluster.nodes) {
      await until(`${node.id} knows`, async () => (await cluster.adminOf(node).group('c')).lost);
      await refuses(cluster, node);
    }
    await acceptedFrom(cluster, endsAt.seq);
    // What was accepted is not found again.
    await Promise.all(cluster.nodes.map((node) => node.kill()));
    await cluster.start();
    expect(await cluster.whole('c')).toMatchObject({ lost: null });
  },
  120_000,
);
