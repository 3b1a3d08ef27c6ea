/** Groups come and go over the admin API; what is refused leaves nothing behind. */
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from 'nats';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { namesFor } from '../../src/nats/subjects.js';
import { type Cluster, startSharedCluster } from '../support/cluster.js';

const seed = '00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff';
let cluster: Cluster;

beforeAll(async () => {
  cluster = await startSharedCluster();
});

afterAll(() => cluster.remove());

async function ask(method: string, path: string, body?: unknown) {
  const url = `${cluster.nodes[0]?.adminUrl}${path}`;
  const response = await fetch(url, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    headers: body === undefined ? {} : { 'content-type': 'application/json' },
  });
  const text = await response.text();
  return {
    status: response.status,
    type: response.headers.get('content-type'),
    body: text === '' ? null : JSON.parse(text),
  };
}

/**
 * How many messages the broker holds of all groups together, but for chunks of snapshots: groups share
 * those, and what nobody names any more is collected later.
 */
async function stored(): Promise<number> {
  const connection = await connect({ servers: cluster.broker.url });
  try {
    const manager = await jetstreamManager(connection);
    const { allChunks, pinMark } = namesFor('understudy');
    const chunkPrefix = allChunks.slice(0, -1);
    const streams = await manager.streams.list('understudy.>').next();
    const subjects = await Promise.all(
      streams.map(async ({ config: { name } }) => {
        const { state } = await manager.streams.info(name, { subjects_filter: '>' });
        return Object.entries(state.subjects ?? {});
      }),
    );
    const ours = subjects.flat().filter(([it]) => it !== pinMark && !it.startsWith(chunkPrefix));
    return ours.reduce((sum, [, count]) => sum + count, 0);
  } finally {
    await connection.close();
  }
}

test.each([
  ['one member', { memberCount: 1 }, 'invalid-config'],
  ['ten members', { memberCount: 10 }, 'invalid-config'],
  ['an unknown kind', { kind: 'unknown' }, 'factory-not-found'],
  ['a short seed', { groupSeed: '00ff' }, 'invalid-config'],
  ['a seed that is no hexadecimal number', { groupSeed: 'z'.repeat(64) }, 'invalid-config'],
  ['more members than nodes', { memberCount: 4 }, 'placement-failed'],
  ['a node nobody knows', { placement: { nodes: ['node-1', 'node-9'] } }, 'node-not-found'],
  ['too few allowed nodes', { placement: { nodes: ['node-1'] } }, 'placement-failed'],
])('a group with %s is refused, and nothing is created', async (_what, spec, code) => {
  const before = await stored();
  const { status, type, body } = await ask('POST', '/v1/groups', {
    name: 'refused',
    kind: 'counter',
    ...spec,
  });
  expect(body.code).toBe(code);
  expect(status).toBe(body.status);
  expect(status).toBeGreaterThanOrEqual(400);
  expect(status).toBeLessThan(500);
  expect(type).toMatch(/^application\/problem\+json/);
  expect(body.detail).not.toBe('');
  expect((await ask('GET', '/v1/groups')).body).toEqual([]);
  expect(await stored()).toBe(before);
});

test('a second group of the same name or seed is refused', async () => {
  await cluster.createGroup({ name: 'one', kind: 'counter', groupSeed: seed });
  const sameName = await ask('POST', '/v1/groups', { name: 'one', kind: 'counter' });
  expect(sameName).toMatchObject({ status: 409, body: { code: 'group-exists' } });
  const spec = { name: 'two', kind: 'counter', groupSeed: seed };
  const sameSeed = await ask('POST', '/v1/groups', spec);
  expect(sameSeed).toMatchObject({ status: 409, body: { code: 'group-exists' } });
  const groups = await cluster.admin.groups();
  expect(groups.map(({ name }) => name)).toEqual(['one']);
  await cluster.admin.deleteGroup('one');
});

test('the same seed gives the same identity again, and an empty group', async () => {
  const emptyAt = await stored();
  const spec = { name: 'phoenix', kind: 'counter', groupSeed: seed };
  const first = await cluster.createGroup(spec);
  const { deliver } = cluster.admin;
  for (const by of [1, 2, 3]) await deliver.call(cluster.admin, 'phoenix', { by });
  await cluster.admin.sync('phoenix');
  expect(await stored()).toBeGreaterThan(emptyAt + 3);
  await cluster.admin.deleteGroup('phoenix');
  expect(await stored()).toBe(emptyAt);
  expect(await ask('GET', '/v1/groups/phoenix')).toMatchObject({
    body: { code: 'group-not-found' },
  });

  const second = await cluster.createGroup(spec);
  const keys = (group: typeof first) => group.members.map(({ publicKey }) => publicKey);
  expect(second.groupId).toBe(first.groupId);
  expect(keys(second)).toEqual(keys(first));
  expect(new Set(keys(second)).size).toBe(3);
  expect(second).toMatchObject({ seq: 0, epoch: 1 });
  expect((await cluster.admin.events('phoenix')).events).toEqual([]);
  const { value } = await cluster.admin.query('phoenix', { name: 'get' });
  expect(value).toEqual({ total: 0, count: 0 });
  await cluster.admin.deleteGroup('phoenix');
});

test('a switchover whose preconditions fail names all of them, and changes nothing', async () => {
  const group = await cluster.createGroup({ name: 'g', kind: 'counter' });
  const active = group.activeNode as string;
  const wrong = cluster.standbysOf(group)[0]?.id;
  const request = { leader: wrong, candidate: active };
  const { status, body } = await ask('POST', '/v1/groups/g/switchover', request);
  expect({ status, code: body.code }).toEqual({ status: 412, code: 'conflict' });
  const failed = body.preconditions.filter(({ ok }: { ok: boolean }) => !ok);
  expect(failed.map(({ name }: { name: string }) => name)).toEqual([
    'leader-guard',
    'candidate-is-another-node',
    'candidate-healthy-and-synced',
  ]);
  const dryRun = await cluster.admin.dryRun('g', { leader: active, candidate: wrong });
  expect(dryRun.ok).toBe(true);
  const refused = await cluster.admin.dryRun('g', request);
  expect(refused).toEqual({ ok: false, preconditions: body.preconditions });
  const operations = await cluster.admin.operations();
  expect(operations.filter(({ kind }) => kind === 'switchover')).toEqual([]);
  expect(await cluster.admin.group('g')).toMatchObject({ epoch: 1, activeNode: active });
  await cluster.admin.deleteGroup('g');
});

test('a node stops although somebody holds a connection and never asks for anything', async () => {
  const node = cluster.node('node-3');
  const socket = createConnection({ host: '127.0.0.1', port: Number(new URL(node.adminUrl).port) });
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  socket.write('GET /livez HTTP/1.1\r\nHost: it\r\n');
  // The node has taken the connection when it answers another that came later.
  await fetch(`${node.adminUrl}/livez`);
  const closed = once(socket, 'close');
  node.signal('SIGTERM');
  expect(await node.exited).toEqual({ code: 0, signal: null });
  await closed;
  await cluster.start();
});
