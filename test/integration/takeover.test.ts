/**
 * The node that drives an operation is killed at each of its steps: another goes on, and what was asked
 * for is so, with one change of the epoch. A sample of the steps; all of them with `npm run test:takeover`.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { GroupDocument } from '../../cluster/documents.js';
import type { AdminClient } from '../../src/client/admin.js';
import { type Cluster, startSharedCluster } from '../support/cluster.js';
import { type Killer, killerOf } from '../support/killer.js';
import type { NodeProcess } from '../support/node-process.js';
import { sampleOf } from '../support/sample.js';
import { until } from '../support/until.js';

let cluster: Cluster;
let killer: Killer;

beforeAll(async () => {
  // Nobody is replaced meanwhile: whoever dies comes back. And nobody is judged for being slow, so that
  // no group fails over but for the kill.
  const env = {
    UNDERSTUDY_REPLACE_AFTER_MS: '600000',
    UNDERSTUDY_HANG_TIMEOUT_MS: '20000',
    UNDERSTUDY_GRACE_MS: '4000',
  };
  cluster = await startSharedCluster({ nodes: 5, env });
  killer = await killerOf(cluster);
  await cluster.createGroup({ name: 'g', kind: 'counter' });
});

afterAll(async () => {
  await killer.close();
  await cluster.remove();
});

const nodeWithout = ({ members }: GroupDocument): NodeProcess => {
  const free = cluster.nodes.find(({ id }) => members.every(({ nodeId }) => nodeId !== id));
  if (free === undefined) throw new Error('every node hosts a member');
  return free;
};

const drivers = {
  'a bystander': nodeWithout,
  'the node of the active': (group: GroupDocument) => cluster.activeOf(group),
};

interface Case {
  readonly kind: 'switchover' | 'failover';
  readonly step: string;
  readonly who: keyof typeof drivers;
}

const cases: readonly Case[] = (
  [
    ['switchover', 'started'],
    ['switchover', 'syncing'],
    ['switchover', 'handing-off'],
    ['failover', 'started'],
    ['failover', 'promoting'],
  ] as const
).flatMap(([kind, step]) =>
  (Object.keys(drivers) as Case['who'][]).map((who) => ({ kind, step, who })),
);

/** Both kinds and both drivers, in the middle of it. */
const someCases = cases.filter(({ kind, step, who }) =>
  kind === 'switchover' ? step === 'syncing' : step === 'promoting' && who === 'a bystander',
);

describe('an operation whose driver is killed', () => {
  test.each(sampleOf(cases, someCases))('$kind at $step, driven by $who', async (one) => {
    const before = await cluster.whole('g');
    const driver = drivers[one.who](before);
    const [witness] = cluster.nodes.filter((node) => node !== driver);
    const other = cluster.adminOf(witness as NodeProcess);

    const ended = await killer.endedWithout(driver, one, (admin) => admin[one.kind]('g'), other);
    const opened = await until('the group is served', async () => {
      const group = await other.group('g');
      return group.activeNode !== null && group.epoch > before.epoch ? group : null;
    });
    await cluster.start();
    const after = await cluster.whole('g');

    expect(ended.kind).toBe(one.kind);
    expect(ended.driver).not.toBe(driver.id);
    // With the active died what was to be switched over: then the group has failed over by itself.
    const isSure = one.who === 'a bystander' || one.kind === 'failover';
    const outcome = isSure ? 'done' : expect.stringMatching(/^(done|failed)$/);
    expect([ended.state, opened.epoch]).toEqual([outcome, before.epoch + 1]);
    const changes = (await other.history('g')).filter(({ epoch }) => epoch > before.epoch);
    expect(changes).toEqual([expect.objectContaining({ epoch: before.epoch + 1 })]);
    if (one.who === 'a bystander') {
      const byWhom = one.kind === 'failover' ? ended.id : null;
      expect(changes[0]).toMatchObject({ cause: one.kind, operation: byWhom });
    }
    expect(after.activeNode).not.toBe(before.activeNode);
    expect(new Set(ended.steps.map(({ name }) => name)).size).toBe(ended.steps.length);
    await killer.untilUnlocked();
  });
});

const standbyOf = ({ members, activeIndex }: GroupDocument): number =>
  members.find(({ index }) => index !== activeIndex)?.index ?? -1;

const bystanders = ({ members }: GroupDocument): NodeProcess[] =>
  cluster.nodes.filter(({ id }) => members.every(({ nodeId }) => nodeId !== id));

test.each(sampleOf(['started', 'forgetting', 'syncing'], ['forgetting']))(
  'a reinit whose driver is killed at %s is done by another',
  async (step) => {
    const before = await cluster.whole('g');
    const [driver, witness] = bystanders(before) as [NodeProcess, NodeProcess];
    const index = standbyOf(before);
    const ask = (admin: AdminClient) => admin.reinit('g', index);
    const at = { kind: 'reinit', step };
    const ended = await killer.endedWithout(driver, at, ask, cluster.adminOf(witness));
    expect(ended).toMatchObject({ state: 'done', lastError: null, target: `g/${index}` });
    await cluster.start();
    expect(await cluster.whole('g')).toMatchObject({ epoch: before.epoch });
    await killer.untilUnlocked();
  },
);

test.each(sampleOf(['started', 'placing', 'syncing'], ['placing']))(
  'a replacement whose driver is killed at %s is done by another',
  async (step) => {
    const before = await cluster.whole('g');
    const [driver, target] = bystanders(before) as [NodeProcess, NodeProcess];
    const index = standbyOf(before);
    const ask = (admin: AdminClient) => admin.replace('g', index, { node: target.id });
    const at = { kind: 'replace', step };
    const ended = await killer.endedWithout(driver, at, ask, cluster.adminOf(target));
    expect(ended).toMatchObject({ state: 'done', lastError: null, target: `g/${index}` });
    await cluster.start();
    const after = await cluster.whole('g');
    expect(after.members[index]?.nodeId).toBe(target.id);
    expect(after.epoch).toBe(before.epoch);
    await killer.untilUnlocked();
  },
);

test.each(
  sampleOf(['started', 'removing', 'stopping', 'purging', 'releasing'], ['stopping', 'purging']),
)(
  'a deletion whose driver is killed at %s is done by another, and leaves nothing',
  async (step) => {
    const spec = { name: 'x', kind: 'counter', groupSeed: 'ab'.repeat(32) };
    const before = await cluster.createGroup(spec);
    await cluster.admin.deliver('x', { by: 7 });
    await cluster.admin.sync('x');
    const [driver, witness] = bystanders(before) as [NodeProcess, NodeProcess];
    const ask = (admin: AdminClient) => admin.deleteGroup('x');
    const ended = await killer.endedWithout(
      driver,
      { kind: 'delete', step },
      ask,
      cluster.adminOf(witness),
    );
    expect(ended).toMatchObject({ state: 'done', lastError: null, target: 'x' });
    await cluster.start();
    const again = await cluster.createGroup(spec);
    expect(again).toMatchObject({ groupId: before.groupId, seq: 0, epoch: 1 });
    await cluster.admin.deleteGroup('x');
    await killer.untilUnlocked();
  },
);

test('a node that is told to stop lets go of what it drives, and another goes on', async () => {
  const before = await cluster.whole('g');
  const driver = nodeWithout(before);
  const soon = new Date(Date.now() + 3000).toISOString();
  const { id } = await cluster.adminOf(driver).switchover('g', { scheduledAt: soon });
  driver.signal('SIGINT');
  expect(await driver.exited).toEqual({ code: 0, signal: null });
  const [witness] = cluster.nodes.filter((node) => node !== driver);
  const ended = await cluster.adminOf(witness as NodeProcess).operation(id, 15_000);
  expect(ended).toMatchObject({ state: 'done', driver: expect.not.stringMatching(driver.id) });
  expect(ended.steps.map(({ name }) => name)).toEqual([
    'scheduled',
    'started',
    'syncing',
    'handing-off',
    'done',
  ]);
  expect(Date.parse(ended.updatedAt)).toBeGreaterThanOrEqual(Date.parse(soon));
  await cluster.start();
  expect(await cluster.whole('g')).toMatchObject({ epoch: before.epoch + 1 });
});

test('a scheduled switchover is cancelled by a node that does not drive it', async () => {
  const before = await cluster.whole('g');
  const [one, other] = cluster.nodes.map((node) => cluster.adminOf(node));
  const later = new Date(Date.now() + 3_600_000).toISOString();
  const begun = await one?.switchover('g', { scheduledAt: later });
  expect(begun).toMatchObject({ state: 'running', step: 'scheduled', driver: 'node-1' });
  await other?.cancelOperation(begun?.id ?? '');
  const ended = await other?.operation(begun?.id ?? '', 10_000);
  expect(ended).toMatchObject({ state: 'cancelled', lastError: { code: 'conflict' } });
  expect(await cluster.admin.group('g')).toMatchObject({ epoch: before.epoch });
});
