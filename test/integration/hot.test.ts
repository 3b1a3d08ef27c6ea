/** What hot standbys are for, and how they come to hold what they hold. */
import { afterAll, beforeAll, expect, onTestFailed, onTestFinished, test } from 'vitest';
import type { GroupDocument, GroupSpec, HistoryEntry } from '../../cluster/documents.js';
import type { SnapshotBody } from '../../replication/record.js';
import { type Cluster, startCluster, startSharedCluster } from '../support/cluster.js';
import { countingCommand, Load, settle } from '../support/load.js';
import { newestSnapshot } from '../support/log-watch.js';

const shards = 4;
/** Nothing but a change of the active, or somebody's wish, makes a snapshot. */
const sync = { everyEvents: 1_000_000, everyMs: 3_600_000 };
/** What is under way in the moment of a death: callers and some records. */
const callers = 4;
const little = 100;
const much = 500;

let cluster: Cluster;
let count = 0;

beforeAll(async () => {
  cluster = await startSharedCluster({ env: { UNDERSTUDY_SHARDS: `${shards}` } });
});

afterAll(() => cluster.remove());

/** A group of its own for each test, under load until the test ends. */
async function busyGroup(standby: NonNullable<GroupSpec['standby']>, host = cluster) {
  onTestFailed(() => host.printLogs());
  await host.start();
  const name = `${standby}-${++count}`;
  const group = await host.createGroup({ name, kind: 'counter', standby, sync });
  const counter = (await host.client()).group(name);
  const load = new Load(counter, { command: countingCommand, callers });
  onTestFinished(() => load.stop());
  await load.more(much);
  return { name, group, load };
}

/** The group once all its members hold what it held just now, however it goes on. */
async function level(name: string, host = cluster): Promise<GroupDocument> {
  const { seq } = await host.admin.group(name);
  return await host.group(name, `level with seq ${seq}`, ({ members, health }) => {
    const isThere = members.every(({ syncedThrough }) => syncedThrough >= seq);
    return isThere && health.healthy === health.total;
  });
}

function checkPhases({ phases, unavailableMs }: HistoryEntry): void {
  const { detectMs, decideMs, claimMs, replayMs, openMs } = phases ?? {};
  for (const ms of [detectMs, decideMs, claimMs, replayMs, openMs]) expect(ms).toBeGreaterThan(-1);
  expect(claimMs).toBeGreaterThan(0);
  expect(unavailableMs).toBeGreaterThanOrEqual(claimMs as number);
}

test('a failover of a hot group replays next to nothing', async () => {
  const { name, group, load } = await busyGroup('hot');
  await level(name);
  await cluster.activeOf(group).kill();
  const entry = await cluster.epoch(name, 2);
  await load.round();
  const events = await settle(load, cluster.admin, name);
  expect(entry.fromSeq).toBeGreaterThan(much);
  expect(events.length).toBeGreaterThan(entry.fromSeq);
  expect(entry.replayed).toBeLessThan(little);
  checkPhases(entry);
});

test('a failover of a warm group replays what is past its snapshot', async () => {
  const { name, group, load } = await busyGroup('warm');
  const { through } = await cluster.admin.sync(name);
  await load.more(much);
  await cluster.activeOf(group).kill();
  const entry = await cluster.epoch(name, 2);
  await load.round();
  await settle(load, cluster.admin, name);
  expect(through).toBeGreaterThan(0);
  expect(entry.replayed).toBe(entry.fromSeq - through);
  expect(entry.replayed).toBeGreaterThanOrEqual(much);
  checkPhases(entry);
});

test('hot standbys are level with a busy group, and again after their node was killed', async () => {
  // Nobody looks at the log's end on its own: following is all there is.
  const own = await startCluster({ env: { UNDERSTUDY_POLL_MS: '600000' } });
  const { name, group, load } = await busyGroup('hot', own);
  const first = await level(name, own);
  await load.more(much);
  const second = await level(name, own);
  expect(second.seq).toBeGreaterThan(first.seq);
  const [standby] = own.standbysOf(group);
  await standby?.kill();
  await load.more(much);
  await standby?.start();
  await level(name, own);
  await load.more(much);
  await level(name, own);
  const events = await settle(load, own.admin, name);
  const after = await level(name, own);
  expect(after).toMatchObject({ epoch: 1, activeNode: group.activeNode, seq: events.length });
  expect(after.members.map(({ diverged }) => diverged)).toEqual([0, 0, 0]);
});

test('hot standbys follow again after the broker was killed', async () => {
  const { name, load } = await busyGroup('hot');
  await level(name);
  for (let times = 0; times < 2; times++) {
    await cluster.restartBroker('SIGKILL');
    await load.round();
    await load.more(much);
    await level(name);
  }
  const events = await settle(load, cluster.admin, name);
  const after = await level(name);
  expect(after.members.map(({ syncedThrough }) => syncedThrough)).toEqual(
    after.members.map(() => events.length),
  );
});

test('a standby cuts the snapshots of a hot group, and every other one compares', async () => {
  const { name, group, load } = await busyGroup('hot');
  await level(name);
  const { through } = await cluster.admin.sync(name);
  const record = await newestSnapshot(cluster.broker.url, group.groupId, shards);
  await settle(load, cluster.admin, name);
  const body = record?.body as SnapshotBody;
  const standbys = group.members.map(({ index }) => index).filter((i) => i !== group.activeIndex);
  expect(record?.writer.index).toBe(group.activeIndex);
  expect(standbys).toContain(body.cutter);
  expect(body.mark).not.toBeNull();
  expect(body.at).toBeGreaterThanOrEqual(through);
  expect((await cluster.admin.group(name)).alarms).toEqual([]);
});

test('a switchover of a hot group under load loses nothing and replays nothing', async () => {
  const { name, group, load } = await busyGroup('hot');
  await level(name);
  const { id } = await cluster.admin.switchover(name, { leader: group.activeNode as string });
  expect(await cluster.admin.operation(id, 20_000)).toMatchObject({ state: 'done' });
  const entry = await cluster.epoch(name, 2);
  await load.round();
  await level(name);
  await settle(load, cluster.admin, name);
  const after = await cluster.whole(name);
  expect(entry).toMatchObject({ cause: 'switchover', replayed: 0, node: after.activeNode });
  expect(after.activeNode).not.toBe(group.activeNode);
  checkPhases(entry);
});
