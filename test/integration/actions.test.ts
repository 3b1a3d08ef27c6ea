/** What operators do to a group that works, and what a node does when it is told to go. */
import { expect, test } from 'vitest';
import type { GroupDocument } from '../../cluster/documents.js';
import type { UnderstudyError } from '../../replication/errors.js';
import { clusterOfFile } from '../support/cluster.js';
import { countingCommand, Load, settle } from '../support/load.js';

/** So that nobody is judged who stands still. */
const shared = clusterOfFile({ env: { UNDERSTUDY_HANG_TIMEOUT_MS: '20000' } });

test('a switchover under load fails no delivery and leaves a whole group', async () => {
  const cluster = shared();
  const before = await cluster.createGroup({ name: 'under-load', kind: 'counter' });
  const load = new Load((await cluster.client()).group('under-load'), { command: countingCommand });
  await load.more();
  const candidate = cluster.standbysOf(before).at(-1)?.id;
  const leader = before.activeNode as string;
  const begun = await cluster.admin.switchover('under-load', { leader, candidate });
  const ended = await cluster.admin.operation(begun.id, 10_000);
  await load.more();
  await settle(load, cluster.admin, 'under-load');

  expect(ended).toMatchObject({
    state: 'done',
    kind: 'switchover',
    target: 'under-load',
    lastError: null,
  });
  expect(ended.steps.map(({ name }) => name)).toEqual([
    'started',
    'syncing',
    'handing-off',
    'done',
  ]);
  await cluster.whole('under-load');
  // A snapshot that was cut just now is fetched in a moment.
  const areAtRest = ({ members }: GroupDocument) =>
    members.every(({ state }) => state !== 'restoring');
  const after = await cluster.group('under-load', 'at rest', areAtRest);
  expect(after).toMatchObject({ epoch: 2, activeNode: candidate });
  const old = after.members.find(({ nodeId }) => nodeId === leader);
  expect(old).toMatchObject({ role: 'standby', healthy: true, state: 'standby' });
  expect(await cluster.epoch('under-load', 2)).toMatchObject({
    cause: 'switchover',
    node: candidate,
  });
});

test('a switchover to a candidate that stands still is rolled back: the old active serves on', async () => {
  const cluster = shared();
  const before = await cluster.createGroup({ name: 'rolled-back', kind: 'counter' });
  const load = new Load((await cluster.client()).group('rolled-back'), {
    command: countingCommand,
  });
  await load.more();
  const [candidate] = cluster.standbysOf(before);
  await cluster.admin.sync('rolled-back');
  candidate?.freeze();
  const asked = { candidate: candidate?.id, timeoutMs: 500 };
  const { id } = await cluster.adminOf(cluster.activeOf(before)).switchover('rolled-back', asked);
  const ended = await cluster.admin.operation(id, 30_000);
  await load.more();
  candidate?.thaw();
  await settle(load, cluster.admin, 'rolled-back');

  expect(ended).toMatchObject({ state: 'failed' });
  const after = await cluster.whole('rolled-back');
  expect(after.activeNode).toBe(before.activeNode);
}, 60_000);

test('two operators who ask for a failover at once share one operation and one epoch', async () => {
  const cluster = shared();
  const before = await cluster.createGroup({ name: 'shared', kind: 'counter' });
  const load = new Load((await cluster.client()).group('shared'), { command: countingCommand });
  await load.more();
  const [one, other] = cluster.nodes.map((node) => cluster.adminOf(node));
  const begun = await Promise.all([one?.failover('shared'), other?.failover('shared')]);
  const ids = begun.map((operation) => operation?.id as string);
  const ended = await Promise.all([
    one?.operation(ids[0] ?? '', 20_000),
    other?.operation(ids[1] ?? '', 20_000),
  ]);
  await load.more();
  await settle(load, cluster.admin, 'shared');

  expect(new Set(ids).size).toBe(1);
  expect(ended[0]).toMatchObject({ state: 'done', kind: 'failover', attempts: 1 });
  expect(ended[1]).toEqual(ended[0]);
  const after = await cluster.whole('shared');
  expect(after.epoch).toBe(before.epoch + 1);
  expect(after.activeNode).not.toBe(before.activeNode);
  expect(await cluster.epoch('shared', 2)).toMatchObject({ cause: 'failover' });
});

test('a forced failover wins every time against an active that keeps appending', async () => {
  const cluster = shared();
  const before = await cluster.createGroup({ name: 'forced', kind: 'counter' });
  const load = new Load((await cluster.client()).group('forced'), { command: countingCommand });
  await load.more();
  const times = 8;
  for (let n = 0; n < times; n++) {
    const { id } = await cluster.admin.failover('forced');
    const ended = await cluster.admin.operation(id, 20_000);
    expect(ended).toMatchObject({ state: 'done', lastError: null });
    await load.more(50);
  }
  await settle(load, cluster.admin, 'forced');
  const after = await cluster.whole('forced');
  expect(after.epoch).toBe(before.epoch + times);
  const causes = (await cluster.admin.history('forced')).map(({ cause }) => cause);
  expect(causes.filter((cause) => cause === 'failover')).toHaveLength(times);
});

test('a failover without a standby that is alive is refused and changes nothing', async () => {
  const cluster = shared();
  const before = await cluster.createGroup({ name: 'alone', kind: 'counter' });
  await Promise.all(cluster.standbysOf(before).map((node) => node.kill()));
  await cluster.group('alone', 'alone', ({ health }) => health.healthy === 1);
  const error = (await cluster.admin.failover('alone').catch((e: unknown) => e)) as UnderstudyError;
  expect(error.code).toBe('no-healthy-member');
  const operations = await cluster.admin.operations();
  expect(operations.filter(({ target }) => target === 'alone')).toEqual([]);
  const after = await cluster.admin.group('alone');
  expect(after).toMatchObject({ epoch: before.epoch, activeNode: before.activeNode });
  const answer = await (await cluster.client()).group('alone').deliver({ by: 1 });
  expect(answer).toMatchObject({ seq: 1, epoch: before.epoch });
});

test('SIGTERM hands the active over before the node ends', async () => {
  const cluster = shared();
  const before = await cluster.createGroup({ name: 'handed-over', kind: 'counter' });
  const load = new Load((await cluster.client()).group('handed-over'), {
    command: countingCommand,
  });
  await load.more();
  const node = cluster.activeOf(before);
  node.signal('SIGTERM');
  const exit = await node.exited;
  await load.more();
  await settle(load, cluster.admin, 'handed-over');
  expect(exit).toEqual({ code: 0, signal: null });
  const after = await cluster.after('handed-over', before.epoch);
  expect(after.epoch).toBe(2);
  expect(await cluster.epoch('handed-over', 2)).toMatchObject({
    cause: 'switchover',
    node: after.activeNode,
  });
});

test('SIGINT ends a node without a hand-over, and a second one takes over', async () => {
  const cluster = shared();
  const before = await cluster.createGroup({ name: 'ended', kind: 'counter' });
  const load = new Load((await cluster.client()).group('ended'), { command: countingCommand });
  await load.more();
  const node = cluster.activeOf(before);
  node.signal('SIGINT');
  expect(await node.exited).toEqual({ code: 0, signal: null });
  await load.more();
  await settle(load, cluster.admin, 'ended');
  const { cause } = await cluster.epoch('ended', 2);
  expect(['disconnect', 'no-responders']).toContain(cause);
});
