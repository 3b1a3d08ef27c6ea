import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { UnderstudyError } from '../../replication/errors.js';
import { createAdminClient, Unreachable } from '../../src/client/admin.js';
import { serve } from '../support/admin-server.js';
import { FakeBackend, nodeDocument } from '../support/fake-backend.js';

/** A port where nobody listens any more. */
async function deadUrl(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return `http://127.0.0.1:${port}`;
}

/** Takes the request and then breaks the connection, as a node that is killed does. */
async function dyingNode(): Promise<{ url: string; requests: () => number }> {
  let requests = 0;
  const server = createServer((request) => {
    requests += 1;
    request.resume().on('end', () => request.socket.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, requests: () => requests };
}

async function answering(status: number, body: string): Promise<string> {
  const server = createServer((_request, response) => response.writeHead(status).end(body));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('calls', () => {
  test('read everything', async () => {
    const { backend, url } = await serve();
    const client = createAdminClient({ url });
    expect(await client.cluster()).toEqual(await backend.cluster());
    expect(await client.nodes()).toEqual(backend.nodeDocuments);
    expect(await client.node('n1')).toEqual(backend.nodeDocuments[0]);
    expect(await client.kinds()).toEqual([{ name: 'counter', version: 1 }]);
    expect(await client.groups()).toEqual(await backend.groups());
    expect(await client.group('c')).toEqual(await backend.group('c'));
    expect(await client.history('c')).toEqual(await backend.history('c'));
    expect(await client.operations()).toEqual([]);
    const read = await client.query('c', { name: 'get', args: { a: 1 } });
    expect(read.value).toEqual({ total: 0, args: { a: 1 } });
    expect((await client.state('c', { at: 0 })).value).toEqual({ total: '0', tags: ['a'] });
  });

  test('wait longer for a sync than for anything else', async () => {
    const { backend, url } = await serve();
    const client = createAdminClient({ url, timeoutMs: 50 });
    backend.syncGate = new Promise((resolve) => void setTimeout(resolve, 200));
    expect(await client.sync('c')).toEqual({ through: 0 });
    backend.syncGate = new Promise((resolve) => void setTimeout(resolve, 200));
    const { id } = await client.failover('c');
    expect((await client.operation(id, 1)).state).toBe('done');
  });

  test('act', async () => {
    const { backend, url } = await serve();
    const client = createAdminClient({ url });
    expect((await client.createGroup({ name: 'd', kind: 'counter' })).name).toBe('d');
    await client.deleteGroup('d');
    expect(await backend.groups()).toHaveLength(1);
    expect(await client.sync('c')).toEqual({ through: 0 });
    expect((await client.dryRun('c')).ok).toBe(true);
    const { id } = await client.switchover('c', { leader: 'n1' });
    expect((await client.operation(id)).state).toBe('running');
    expect((await client.operation(id, 1000)).state).toBe('done');
    const failover = await client.failover('c');
    expect(failover.kind).toBe('failover');
    expect((await client.cancelOperation(failover.id)).state).toBe('cancelled');
    expect((await client.reinit('c', 1)).kind).toBe('reinit');
  });

  test('hand on the token of what was delivered to reads of all kinds', async () => {
    const { backend, url } = await serve();
    const client = createAdminClient({ url });
    const { token } = await client.deliver('c', { by: 1 });
    const read = { consistency: 'standby', timeoutMs: 500 } as const;
    const after = token as string;
    expect(await client.query('c', { name: 'get', ...read, after })).toMatchObject({ token });
    expect(backend.lastRead).toMatchObject({ ...read, after });
    expect(await client.state('c', { ...read, minSeq: 1, after })).toMatchObject({ token });
    expect(backend.lastRead).toMatchObject({ ...read, minSeq: 1, after });
    const beyond = client.state('c', { after: '1.1.2' });
    await expect(beyond).rejects.toMatchObject({ code: 'not-ready', advice: 'retry' });
  });

  test('deliver and page', async () => {
    const { url } = await serve();
    const client = createAdminClient({ url });
    const first = await client.deliver('c', { by: 1 }, { key: 'k' });
    expect(first).toEqual({
      results: [{ seq: 1, result: { total: 1 } }],
      seq: 1,
      epoch: 1,
      duplicate: false,
      token: '1.1.1',
    });
    expect((await client.deliver('c', { by: 1 }, { key: 'k' })).duplicate).toBe(true);
    const numbers = { session: 's', first: 1, floor: 1 };
    const lines = await client.deliverLines('c', '{"by":2}\n{"by":3}\n', numbers);
    expect(lines.results).toMatchObject([{ seq: 2 }, { seq: 3 }]);
    const page = await client.events('c', { from: 2, limit: 1 });
    expect(page.events.map(({ seq }) => seq)).toEqual([2]);
    expect(page.next).toBe(3);
  });
});

describe('refusals', () => {
  test('have the code, the advice and the evidence of the problem document', async () => {
    const { backend, url } = await serve();
    const client = createAdminClient({ url });
    const rejection = { code: 'insufficient-funds', detail: '0 are there' };
    await expect(client.deliver('c', { by: -1 })).rejects.toMatchObject({
      name: 'UnderstudyError',
      code: 'rejected',
      advice: 'give-up',
      details: { rejection },
    });
    const preconditions = [{ name: 'lag', ok: false, detail: '7' }];
    backend.switchoverAnswer = { kind: 'refused', preconditions };
    const refused = { code: 'conflict', details: { preconditions } };
    await expect(client.switchover('c')).rejects.toMatchObject(refused);
  });

  test('in the middle of an answer count for all of it', async () => {
    const { backend, url } = await serve();
    const client = createAdminClient({ url });
    backend.deliverErrors = [undefined, new UnderstudyError('timeout', 'late')];
    const lines = '{"by":1}\n'.repeat(5000);
    const numbers = { session: 's', first: 1, floor: 1 };
    const failed = client.deliverLines('c', lines, numbers);
    await expect(failed).rejects.toMatchObject({ code: 'timeout', message: 'late' });
    const again = await client.deliverLines('c', lines, numbers);
    expect(again.results).toHaveLength(5000);
    expect(backend.total('c')).toBe(5000);
  });

  test.each([
    [502, '<html>bad gateway</html>', /HTTP status 502 without a problem document/],
    [200, '<html>welcome</html>', /is this the admin URL of a node/],
  ])('of something that is no node: %s', async (status, body, message) => {
    const client = createAdminClient({ url: await answering(status, body) });
    const error = { code: 'internal', message: expect.stringMatching(message) };
    await expect(client.cluster()).rejects.toMatchObject(error);
  });

  test.each(['127.0.0.1:7401', 'localhost:7401', 'ftp://x', ''])('of the URL %j', (url) => {
    expect(() => createAdminClient({ url })).toThrow(/expected something like http:/);
  });
});

describe('other nodes', () => {
  test('are asked when the first does not answer, and first from then on', async () => {
    const { url } = await serve();
    const dying = await dyingNode();
    const client = createAdminClient({ url: [await deadUrl(), dying.url, url] });
    expect(await client.kinds()).toHaveLength(1);
    expect(await client.kinds()).toHaveLength(1);
    expect(dying.requests()).toBe(1);
  });

  test('are learned from the answers', async () => {
    const backend = new FakeBackend('c');
    const one = await serve(backend);
    const two = await serve(backend);
    backend.nodeDocuments = [nodeDocument('n1', one.url), nodeDocument('n2', two.url)];
    const client = createAdminClient({ url: one.url });
    await client.nodes();
    await one.close();
    expect(await client.groups()).toHaveLength(1);
  });

  test('are asked next when a node has lost the broker', async () => {
    const one = await serve();
    const two = await serve();
    one.backend.clusterError = new UnderstudyError('broker-unavailable', 'gone');
    const client = createAdminClient({ url: [one.url, two.url] });
    await expect(client.cluster()).rejects.toMatchObject({ code: 'broker-unavailable' });
    expect((await client.cluster()).namespace).toBe('test');
  });

  test('get a delivery whose answer got lost, and apply it once', async () => {
    const backend = new FakeBackend('c');
    const { url } = await serve(backend);
    const dying = await dyingNode();
    const client = createAdminClient({ url: [dying.url, url] });
    expect((await client.deliver('c', { by: 1 })).seq).toBe(1);
    expect(dying.requests()).toBe(1);
    expect(backend.total('c')).toBe(1);
  });

  test('are not asked to do a second time what may be done', async () => {
    const { url, backend } = await serve();
    const dying = await dyingNode();
    const client = createAdminClient({ url: [dying.url, url] });
    const failed = client.failover('c');
    await expect(failed).rejects.toMatchObject({ code: 'unreachable', outcome: 'unknown' });
    await expect(failed).rejects.toThrow(/it may have been done/);
    expect(backend.operationDocuments).toEqual([]);
  });

  test('may do what the first cannot have got', async () => {
    const { url } = await serve();
    const client = createAdminClient({ url: [await deadUrl(), url] });
    const failover = await client.failover('c');
    expect(failover.kind).toBe('failover');
    expect((await client.cancelOperation(failover.id)).state).toBe('cancelled');
    expect((await client.reinit('c', 1)).kind).toBe('reinit');
  });

  test('that do not answer either make it unreachable', async () => {
    const urls = [await deadUrl(), await deadUrl()];
    const client = createAdminClient({ url: urls });
    const failed = client.deliver('c', { by: 1 });
    await expect(failed).rejects.toBeInstanceOf(Unreachable);
    await expect(failed).rejects.toMatchObject({ outcome: 'not-taken' });
    await expect(failed).rejects.toThrow(new RegExp(`${urls[0]}: ECONNREFUSED; ${urls[1]}: `));
  });

  test('are asked when one hangs', async () => {
    const hanging = createServer(() => undefined).listen(0, '127.0.0.1');
    await once(hanging, 'listening');
    onTestFinished(() => hanging.closeAllConnections());
    onTestFinished(() => void hanging.close());
    const { url } = await serve();
    const { port } = hanging.address() as AddressInfo;
    const client = createAdminClient({ url: [`http://127.0.0.1:${port}`, url], timeoutMs: 100 });
    expect(await client.kinds()).toHaveLength(1);
  });
});
