/** A standby's node dies for good: the member moves to a spare node, or waits for its own. */
import { expect, test } from 'vitest';
import { type Cluster, clusterOfFile, startCluster } from '../support/cluster.js';
import { Load } from '../support/load.js';
import { until } from '../support/until.js';

const env = { UNDERSTUDY_REPLACE_AFTER_MS: '1000' };

const shared = clusterOfFile({ nodes: 4, env });

const keys = 60_000;

/** A state that takes a while to fetch, so that a member can be seen before its first sync. */
async function fill(cluster: Cluster, group: string): Promise<void> {
  const lines = Array.from({ length: keys }, (_, i) =>
    JSON.stringify({ type: 'set', key: `key-${i}`, value: `value-${i}-${'x'.repeat(50)}` }),
  );
  const numbers = { session: 'fill', first: 1, floor: 1 };
  await cluster.admin.deliverLines(group, lines.join('\n'), numbers, { timeoutMs: 20_000 });
  await cluster.admin.sync(group);
}

test('a lost member moves to the spare node and counts when it has synced', async () => {
  const cluster = shared();
  const before = await cluster.createGroup({ name: 'large', kind: 'kv' });
  await fill(cluster, 'large');
  const hosts = before.members.map(({ nodeId }) => nodeId);
  const spare = cluster.nodes.find(({ id }) => !hosts.includes(id));
  const kv = (await cluster.client()).group('large');
  const command = (caller: number, n: number) => ({ type: 'set', key: `${caller}/${n}`, value: n });
  const load = new Load(kv, { command, callers: 2 });
  await load.more();
  const [lost] = cluster.standbysOf(before);
  const index = before.members.findIndex(({ nodeId }) => nodeId === lost?.id);
  await lost?.kill();
  const early: unknown[] = [];
  const moved = await cluster.group('large', 'whole on other nodes', ({ members, health }) => {
    const member = members[index];
    if (member?.healthy && member.lastSync === null) early.push(member);
    return member?.nodeId === spare?.id && health.healthy === 3;
  });
  await load.more();
  await load.stop();

  expect(load.failures).toEqual([]);
  expect(await kv.query('size')).toMatchObject({ value: keys + load.accepted.length });
  expect(early).toEqual([]);
  const expected = hosts.map((id, i) => (i === index ? spare?.id : id));
  expect(moved.members.map(({ nodeId }) => nodeId)).toEqual(expected);
  expect(moved).toMatchObject({ epoch: 1, activeNode: before.activeNode });
  // The old host comes back to a group that does without it.
  await lost?.start();
  await until('the node that came back hosts nothing', async () => {
    const { state, members } = await cluster.admin.node(lost?.id as string);
    return state === 'up' && members.active + members.standby === 0;
  });
  const after = await cluster.whole('large');
  expect(after.members.map(({ nodeId }) => nodeId)).toEqual(expected);
});

test('the moved member takes over like any other', async () => {
  const cluster = shared();
  const before = await cluster.createGroup({ name: 'small', kind: 'counter' });
  const counter = (await cluster.client()).group('small');
  for (let i = 1; i <= 5; i++) await counter.deliver({ by: i });
  const [lost] = cluster.standbysOf(before);
  await lost?.kill();
  const hosts = new Set(before.members.map(({ nodeId }) => nodeId));
  const spare = cluster.nodes.find(({ id }) => !hosts.has(id))?.id;
  const isMoved = ({ health, members }: typeof before) =>
    health.healthy === 3 && members.some(({ nodeId }) => nodeId === spare);
  await cluster.group('small', 'whole on other nodes', isMoved);
  const { id } = await cluster.admin.failover('small', { candidate: spare });
  expect(await cluster.admin.operation(id, 10_000)).toMatchObject({ state: 'done' });
  expect(await counter.query('get')).toMatchObject({ value: { total: 15, count: 5 }, epoch: 2 });
  expect(await cluster.admin.group('small')).toMatchObject({ activeNode: spare });
});

test('without a spare node the member keeps its place until its node returns', async () => {
  const cluster = await startCluster({ env });
  const before = await cluster.createGroup({ name: 'alone', kind: 'counter' });
  const hosts = before.members.map(({ nodeId }) => nodeId);
  const counter = (await cluster.client()).group('alone');
  const [lost] = cluster.standbysOf(before);
  await lost?.kill();
  const degraded = await cluster.group('alone', 'degraded', ({ health }) => health.healthy === 2);
  expect(await counter.deliver({ by: 1 })).toMatchObject({ seq: 1 });
  const sinceMs = performance.now();
  await until('replaceAfterMs has passed', () => performance.now() - sinceMs > 1500);
  const later = await cluster.admin.group('alone');
  for (const { members } of [degraded, later]) {
    expect(members.map(({ nodeId }) => nodeId)).toEqual(hosts);
  }
  await lost?.start();
  const after = await cluster.whole('alone');
  expect(after.members.map(({ nodeId }) => nodeId)).toEqual(hosts);
  expect(after.epoch).toBe(before.epoch);
});
