/** What anybody can send over NATS with a plain client, and nodes inside the user's own process. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { connect, headers } from 'nats';
import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { createAdminClient } from '../../src/client/admin.js';
import { createClient, defineKind, type RunningNode, startNode } from '../../src/index.js';
import { startTestBroker } from '../support/broker.js';
import { clusterOfFile } from '../support/cluster.js';
import { until } from '../support/until.js';

const kinds = resolve('examples/kinds.mjs');
const shared = clusterOfFile({ env: { UNDERSTUDY_KINDS: kinds } });

test('plain NATS requests deliver and query in JSON, across a failover', async () => {
  const cluster = shared();
  const group = await cluster.createGroup({ name: 'counter', kind: 'counter' });
  const connection = await connect({ servers: cluster.broker.url });
  onTestFinished(() => connection.close());
  const ask = async (subject: string, body: unknown, key?: string) => {
    const keyed = headers();
    if (key !== undefined) keyed.set('Idempotency-Key', key);
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const answer = await connection.request(subject, text, { timeout: 5000, headers: keyed });
    return answer.json();
  };
  const deliver = (body: unknown, key?: string) => ask('understudy.deliver.counter', body, key);
  const first = { seq: 1, epoch: 1, results: [{ seq: 1, result: null }], duplicate: false };
  expect(await deliver({ by: 1 }, 'k')).toEqual(first);
  expect(await deliver({ by: 1 }, 'k')).toEqual({ ...first, duplicate: true });
  const results = [
    { seq: 2, result: null },
    { seq: 3, result: null },
  ];
  const two = await deliver({ events: [{ by: 2 }, { by: 3 }] });
  expect(two).toEqual({ seq: 3, epoch: 1, results, duplicate: false });
  expect(await deliver('{"by":')).toMatchObject({ code: 'bad-request' });
  expect(await deliver({ by: 'x' })).toMatchObject({
    code: expect.any(String),
    detail: expect.stringContaining('by'),
  });
  await cluster.activeOf(group).kill();
  await cluster.after('counter', 1);
  expect(await deliver({ by: 1 }, 'k')).toEqual({ ...first, duplicate: true });
  const query = await ask('understudy.query.counter', { name: 'get' });
  expect(query).toMatchObject({ value: { total: 6, count: 3 }, seq: 3, epoch: 2 });
  const unknown = await ask('understudy.query.counter', { name: 'unknown' });
  expect(unknown).toMatchObject({ code: 'bad-request' });
});

const notes = defineKind({
  name: 'notes',
  version: 1,
  init: (): { list: string[] } => ({ list: [] }),
  apply(state, event: { note: string }) {
    state.list.push(event.note);
  },
  queries: { list: (state) => state.list },
});

test('three nodes in one process run a kind of their program, and survive each other', async () => {
  const broker = await startTestBroker();
  onTestFinished(() => broker.remove());
  const nodes: RunningNode[] = [];
  onTestFinished(async () => void (await Promise.all(nodes.map((node) => node.stop()))));
  for (const id of ['a', 'b', 'c']) {
    const options = { id, servers: [broker.url], admin: { port: 0 } };
    nodes.push(await startNode(options, { kinds: [notes], logger: pino({ level: 'silent' }) }));
  }
  const client = await createClient({ servers: broker.url });
  onTestFinished(() => client.close(0));
  const admin = createAdminClient({ url: nodes.map(({ adminUrl }) => adminUrl) });
  const { activeNode } = await until('the group is placed', () =>
    admin.createGroup({ name: 'n', kind: 'notes' }),
  );
  const group = client.group<typeof notes>('n');
  await group.deliver({ note: 'one' });
  await nodes.find(({ id }) => id === activeNode)?.stop();
  expect(await group.deliver({ note: 'two' })).toMatchObject({ seq: 2, epoch: 2 });
  const { value } = await group.query('list');
  expect(value).toEqual(['one', 'two']);
});

test("the example's kinds load from a file and decide as documented", async () => {
  const cluster = shared();
  expect(await cluster.admin.kinds()).toContainEqual({ name: 'seats', version: 1 });
  await cluster.createGroup({ name: 'stalls', kind: 'seats' });
  const stalls = (await cluster.client()).group('stalls');
  await stalls.deliver({ type: 'book', seat: 'A1', guest: 'Ada' });
  await stalls.deliver({ type: 'book', seat: 'A2', guest: 'Ada' });
  const taken = stalls.deliver({ type: 'book', seat: 'A1', guest: 'Bob' });
  await expect(taken).rejects.toMatchObject({ code: 'rejected', rejectionCode: 'taken' });
  const left = await stalls.deliver({ type: 'leave', guest: 'Ada' });
  expect(left).toMatchObject({ seq: 4, result: { freed: 2 } });
  expect(await stalls.query('count')).toMatchObject({ value: 0, seq: 4 });
});

test('a kinds file that cannot be loaded keeps the node from starting, and says why', async () => {
  const broker = await startTestBroker();
  onTestFinished(() => broker.remove());
  const dir = mkdtempSync(join(tmpdir(), 'understudy-kinds-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  const kindsFile = join(dir, 'missing.mjs');
  const options = { id: 'a', servers: [broker.url], admin: { port: 0 }, kindsFile };
  const started = startNode(options, { logger: pino({ level: 'silent' }) });
  await expect(started).rejects.toMatchObject({
    code: 'invalid-config',
    message: expect.stringContaining(kindsFile),
  });
});
