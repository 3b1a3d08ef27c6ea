/**
 * The node that drives an operation is killed at each of its steps: another goes on, and what was asked
 * for is so, with one change of the epoch.
 */
import { type KV, Kvm } from '@nats-io/kv';
import { connect, type NatsConnection } from 'nats';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { GroupDocument, OperationDocument } from '../../cluster/documents.js';
import type { AdminClient } from '../../src/client/admin.js';
import { namesFor } from '../../src/nats/subjects.js';
import { type Cluster, startSharedCluster } from '../support/cluster.js';
import type { NodeProcess } from '../support/node-process.js';
import { until } from '../support/until.js';

let cluster: Cluster;
let connection: NatsConnection;
let operations: KV;

beforeAll(async () => {
  // Nobody is replaced meanwhile: whoever dies comes back. And nobody is judged for being slow, so that
  // no group fails over but for the kill.
  const env = {
    UNDERSTUDY_REPLACE_AFTER_MS: '600000',
    UNDERSTUDY_HANG_TIMEOUT_MS: '20000',
    UNDERSTUDY_GRACE_MS: '4000',
  };
  cluster = await startSharedCluster({ nodes: 4, env });
  connection = await connect({ servers: cluster.broker.url });
  operations = await new Kvm(connection).open(namesFor('understudy').operationsBucket);
  await cluster.createGroup({ name: 'g', kind: 'counter' });
});

afterAll(async () => {
  await connection.close();
  await cluster.remove();
});

/** Kills the node as soon as the step of the operation is on record; returns the operation's id. */
async function killAt(node: NodeProcess, { kind, step }: Case): Promise<string> {
  const watch = await operations.watch({ ignoreDeletes: true });
  let id = '';
  try {
    for await (const entry of watch) {
      if (!entry.isUpdate || !entry.key.startsWith(`${kind}.`)) continue;
      if (entry.json<{ step: string }>().step !== step) continue;
      node.signal('SIGKILL');
      id = entry.key;
      break;
    }
  } finally {
    watch.stop();
  }
  await node.exited;
  return id;
}

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

/** Begun by that node, which dies, and ended by somebody. */
async function endedWithout(
  driver: NodeProcess,
  one: Case,
  other: AdminClient,
): Promise<OperationDocument> {
  const killed = killAt(driver, one);
  // Its answer may die with it.
  const asked = cluster
    .adminOf(driver)
    [one.kind]('g')
    .catch(() => null);
  const id = await killed;
  await asked;
  return await other.operation(id, 15_000);
}

describe('an operation whose driver is killed', () => {
  test.each(cases)('$kind at $step, driven by $who', async (one) => {
    const before = await cluster.whole('g');
    const driver = drivers[one.who](before);
    const [witness] = cluster.nodes.filter((node) => node !== driver);
    const other = cluster.adminOf(witness as NodeProcess);

    const ended = await endedWithout(driver, one, other);
    const opened = await until('the group is served', async () => {
      const group = await other.group('g');
      return group.activeNode !== null && group.epoch > before.epoch ? group : null;
    });
    await driver.start();
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
    const locks = await operations.get('_locks');
    expect(locks?.json()).toEqual({});
  });
});

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
  await driver.start();
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
