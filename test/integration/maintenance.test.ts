/** Pauses, cordons and priorities on nodes that run: what operators ask for by command, and what dies. */
import { expect, test } from 'vitest';
import type { GroupDetail } from '../../cluster/documents.js';
import { cli } from '../support/cli.js';
import { type Cluster, clusterOfFile, startCluster } from '../support/cluster.js';
import { until } from '../support/until.js';

const shared = clusterOfFile();

/** The command, asked of the nodes that can answer. */
async function understudy(cluster: Cluster, ...args: string[]): Promise<string> {
  const urls = cluster.nodes.filter((node) => node.isAnswering).map(({ adminUrl }) => adminUrl);
  const { code, stdout, stderr } = await cli(['--url', urls.join(), ...args]);
  if (code !== 0) throw new Error(`understudy ${args.join(' ')}: ${code}\n${stderr}`);
  return stdout;
}

/** What every living node says of a group, once `isTrue` of all of it. */
async function everywhere(
  cluster: Cluster,
  group: string,
  isTrue: (group: GroupDetail) => boolean,
): Promise<GroupDetail[]> {
  return await until(`every node says so of ${group}`, async () => {
    const nodes = cluster.nodes.filter((node) => node.isAnswering);
    const seen = await Promise.all(nodes.map((node) => cluster.adminOf(node).group(group)));
    return seen.every(isTrue) ? seen : null;
  });
}

const isVacant = ({ activeNode, vacancy }: GroupDetail) => activeNode === null && vacancy !== null;

test('a paused group whose active is killed stays without one, says why, and fails over when resumed', async () => {
  const cluster = shared();
  const before = await cluster.createGroup({ name: 'other', kind: 'counter' });
  const place = ['--priorities', 'node-1=1,node-2=2,node-3=3'];
  await understudy(cluster, 'create', 'c', '--kind', 'counter', ...place);
  const { activeNode } = await cluster.whole('c');
  if (before.activeNode !== activeNode) {
    const { id } = await cluster.admin.failover('other', { candidate: activeNode as string });
    expect(await cluster.admin.operation(id, 10_000)).toMatchObject({ state: 'done' });
  }
  const { epoch } = await cluster.whole('other');
  const counter = (await cluster.client()).group('c');
  await counter.deliver({ by: 7 });
  await cluster.admin.sync('c');
  await cluster.whole('c');

  const paused = await understudy(cluster, 'pause', 'c', '--ttl', '10m', '--reason', 'new disks');
  expect(paused).toMatch(/^c: paused by local until .*: new disks$/m);
  await everywhere(cluster, 'c', (group) => group.paused);
  expect(await understudy(cluster, 'switchover', 'c', '--dry-run').catch(String)).toMatch(
    /switchover c --dry-run: 1/,
  );
  await cluster.node(activeNode).kill();
  // The same death: who fails over has seen it, and so have all who decide on the paused one.
  await cluster.after('other', epoch);
  const seen = await everywhere(cluster, 'c', isVacant);
  for (const group of seen) {
    expect(group).toMatchObject({ epoch: 1, paused: true, activeNode: null });
    expect(group.pause).toMatchObject({ scope: 'group', reason: 'new disks', by: 'local' });
    expect(group.vacancy?.cause).toMatch(/^(disconnect|no-responders)$/);
  }
  expect(await understudy(cluster, 'groups')).toMatch(
    /^c .*no active since .* \((disconnect|no-responders)\).*paused by local until .*: new disks/m,
  );

  expect(await understudy(cluster, 'resume', 'c')).toBe('c: not paused\n');
  const after = await cluster.after('c', 1);
  // The index is higher, and so is the priority.
  const best = ['node-3', 'node-2'].find((id) => id !== activeNode);
  expect(after).toMatchObject({ epoch: 2, activeNode: best, pause: null, vacancy: null });
  expect(await counter.query('get')).toMatchObject({ value: { total: 7, count: 1 }, epoch: 2 });
});

test('a pause of all groups ends by itself, and until then operators may still fail over', async () => {
  const cluster = shared();
  const before = await cluster.createGroup({ name: 'all', kind: 'counter' });
  await understudy(cluster, 'pause', '--all', '--ttl', '1h');
  await everywhere(cluster, 'all', ({ pause }) => pause?.scope === 'all');
  // A group without any active yet is no failover.
  await cluster.createGroup({ name: 'new', kind: 'counter' });
  await cluster.activeOf(before).kill();
  await everywhere(cluster, 'all', isVacant);

  const { id } = await cluster.admin.failover('all');
  const ended = await cluster.admin.operation(id, 10_000);
  expect(ended).toMatchObject({ state: 'done' });
  const although = ended.steps.find(({ name }) => name === 'promoting')?.detail;
  expect(although).toMatch(/although paused by local until .*understudy resume --all/);
  const second = await cluster.after('all', 1);

  await cluster.node(before.activeNode).start();
  await cluster.whole('all');
  const { pause } = await cluster.admin.pause(null, { ttlMs: 6000 });
  await everywhere(cluster, 'all', (group) => group.pause?.until === pause?.until);
  await cluster.activeOf(second).kill();
  await everywhere(cluster, 'all', (group) => isVacant(group) && group.paused);
  await cluster.after('all', 2);
  const { startedAt, unavailableMs } = await cluster.epoch('all', 3);
  const openedAtMs = Date.parse(startedAt) + (unavailableMs ?? 0);
  // The node that took the order and those that count it down read one clock, at moments apart.
  expect(openedAtMs).toBeGreaterThan(Date.parse(pause?.until ?? '') - 500);
  expect((await cluster.admin.cluster()).pause).toBeNull();
}, 60_000);

test('cordons that are asked for at once are all kept, and a cordoned node still takes over from another', async () => {
  const cluster = shared();
  const before = await cluster.createGroup({ name: 'cordoned', kind: 'counter' });
  await Promise.all(cluster.nodes.map((node) => cluster.adminOf(node).cordon(node.id)));
  await until('every node is cordoned for every other', async () => {
    const seen = await Promise.all(cluster.nodes.map((node) => cluster.adminOf(node).nodes()));
    return seen.flat().every(({ cordoned }) => cordoned);
  });
  const refused = cluster.admin.createGroup({ name: 'd', kind: 'counter' });
  await expect(refused).rejects.toMatchObject({ code: 'placement-failed' });
  await cluster.activeOf(before).kill();
  expect(await cluster.after('cordoned', 1)).toMatchObject({ epoch: 2 });
});

test('a cordoned node gets no lost member, however little it carries, until it is uncordoned', async () => {
  const env = { UNDERSTUDY_REPLACE_AFTER_MS: '1000' };
  const cluster = await startCluster({ nodes: 5, env });
  const before = await cluster.createGroup({ name: 'c', kind: 'counter' });
  const hosts = before.members.map(({ nodeId }) => nodeId);
  const spares = cluster.nodes.map(({ id }) => id).filter((id) => !hosts.includes(id));
  const [first = '', second = ''] = spares;
  const [lost] = cluster.standbysOf(before);
  expect(await understudy(cluster, 'cordon', first)).toMatch(/up, cordoned/);
  await until('every node knows of the cordon', async () => {
    const seen = cluster.nodes.map((node) => cluster.adminOf(node).node(first));
    return (await Promise.all(seen)).every(({ cordoned }) => cordoned);
  });
  await lost?.kill();
  const isOn = (id: string) => (group: typeof before) =>
    group.health.healthy === 3 && group.members.some(({ nodeId }) => nodeId === id);
  const moved = await cluster.group('c', `whole with ${second}`, isOn(second));
  expect(moved.members.map(({ nodeId }) => nodeId)).not.toContain(first);

  expect(await understudy(cluster, 'uncordon', first)).not.toMatch(/cordoned/);
  await cluster.node(second).kill();
  await cluster.group('c', `whole with ${first}`, isOn(first));
}, 60_000);
