import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { assertSafeBinding, isLoopback, loadAuth, type Role, roles } from '../../src/admin/auth.js';
import { listen } from '../../src/admin/server.js';
import { serve } from '../support/admin-server.js';
import { FakeBackend } from '../support/fake-backend.js';

const sha256 = (token: string) => createHash('sha256').update(token).digest('hex');

async function tokenFile(content: unknown): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'understudy-auth-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const path = join(directory, 'tokens.json');
  await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

/** A server with one token for each role, called as the role is. */
async function guarded(backend?: FakeBackend) {
  const tokens = roles.map((role) => ({ name: `the-${role}`, role, sha256: sha256(`t-${role}`) }));
  return await serve(backend, await loadAuth(await tokenFile({ tokens })));
}

const bearer = (role: string) => ({
  'content-type': 'application/json',
  authorization: `Bearer t-${role}`,
});

const matrix: [method: string, path: string, body: unknown, needed: Role][] = [
  ['GET', '/v1/cluster', undefined, 'viewer'],
  ['GET', '/v1/nodes', undefined, 'viewer'],
  ['GET', '/v1/nodes/n1', undefined, 'viewer'],
  ['GET', '/v1/kinds', undefined, 'viewer'],
  ['GET', '/v1/groups', undefined, 'viewer'],
  ['GET', '/v1/groups/c', undefined, 'viewer'],
  ['GET', '/v1/groups/c/events', undefined, 'viewer'],
  ['GET', '/v1/groups/c/state', undefined, 'viewer'],
  ['GET', '/v1/groups/c/history', undefined, 'viewer'],
  ['GET', '/v1/operations', undefined, 'viewer'],
  ['GET', '/v1/operations/op1', undefined, 'viewer'],
  ['POST', '/v1/groups/c/events', { by: 1 }, 'writer'],
  ['POST', '/v1/groups/c/query', { name: 'get' }, 'writer'],
  ['POST', '/v1/groups', { name: 'd', kind: 'counter' }, 'operator'],
  ['POST', '/v1/groups/c/sync', {}, 'operator'],
  ['POST', '/v1/groups/c/switchover', {}, 'operator'],
  ['POST', '/v1/groups/c/failover', {}, 'operator'],
  ['POST', '/v1/groups/c/pause', {}, 'operator'],
  ['POST', '/v1/groups/c/resume', {}, 'operator'],
  ['POST', '/v1/pause', {}, 'operator'],
  ['POST', '/v1/resume', {}, 'operator'],
  ['POST', '/v1/nodes/n1/cordon', {}, 'operator'],
  ['POST', '/v1/nodes/n1/uncordon', {}, 'operator'],
  ['DELETE', '/v1/operations/op1', undefined, 'operator'],
  ['POST', '/v1/groups/c/members/1/replace', {}, 'operator'],
  ['POST', '/v1/nodes/n1/drain', {}, 'operator'],
  ['POST', '/v1/rebalance', { dryRun: true }, 'operator'],
  ['POST', '/v1/nodes/n1/restart', {}, 'operator'],
  ['POST', '/v1/restart', {}, 'operator'],
  ['DELETE', '/v1/groups/c', undefined, 'admin'],
];

async function callAs(role: Role, [method, path, body]: (typeof matrix)[number]) {
  const backend = new FakeBackend('c');
  await backend.failover('c');
  const { url } = await guarded(backend);
  const { authorization } = bearer(role);
  const type = { 'content-type': 'application/json' };
  const init =
    body === undefined
      ? { headers: { authorization } }
      : { headers: { authorization, ...type }, body: JSON.stringify(body) };
  const response = await fetch(url + path, { method, ...init });
  const text = await response.text();
  return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
}

describe('roles', () => {
  test.each(matrix)('%s %s %j needs %s', async (...row) => {
    const needed = row[3];
    for (const role of roles) {
      const { status, body } = await callAs(role, row);
      if (roles.indexOf(role) >= roles.indexOf(needed)) {
        expect(status).toBeLessThan(300);
        continue;
      }
      expect(body).toMatchObject({ status: 403, code: 'forbidden' });
      expect(body.detail).toBe(
        `this needs the role ${needed} and the token "the-${role}" has ${role}`,
      );
    }
  });

  test('what a token does bears its name', async () => {
    const { call, backend } = await guarded();
    await call('POST', '/v1/groups', { name: 'd', kind: 'counter' }, bearer('operator'));
    expect(backend.actors).toEqual(['the-operator']);
  });
});

describe('tokens', () => {
  test.each([
    [undefined, /got no Authorization header/],
    ['Basic dXNlcjpwYXNz', /got another form of it/],
    ['Bearer ', /got another form of it/],
    ['Bearer wrong', /not in the token file/],
    [`Bearer ${sha256('t-admin')}`, /not in the token file/],
  ])('%s is 401', async (authorization, detail) => {
    const { url } = await guarded();
    const headers: Record<string, string> = authorization ? { authorization } : {};
    const response = await fetch(`${url}/v1/cluster`, { headers });
    expect(response.status).toBe(401);
    expect(response.headers.get('www-authenticate')).toMatch(/^Bearer/);
    const problem = { code: 'unauthorized', detail: expect.stringMatching(detail) };
    expect(await response.json()).toMatchObject(problem);
  });

  test('probes and the OpenAPI document need none', async () => {
    const { call } = await guarded();
    for (const path of ['/livez', '/readyz', '/openapi.json']) {
      expect((await call('GET', path)).status).toBe(200);
    }
    expect((await call('GET', '/nothing')).status).toBe(404);
  });

  test('a body is not even read without one', async () => {
    const { call, ndjson, backend } = await guarded();
    expect((await call('POST', '/v1/groups/c/events', '{broken')).status).toBe(401);
    expect((await ndjson('/v1/groups/c/events', '{"by":1}\n')).status).toBe(401);
    expect(backend.batches).toEqual([]);
  });
});

describe('the token file', () => {
  const good = { name: 'a', role: 'viewer', sha256: sha256('x') };

  test.each([
    ['not JSON', '{', /JSON/],
    ['a list', [good], /expected object/],
    ['no tokens', { tokens: [] }, /tokens: /],
    ['an unknown role', { tokens: [{ ...good, role: 'root' }] }, /tokens.0.role: /],
    ['a token in the clear', { tokens: [{ ...good, sha256: 'x' }] }, /64 hexadecimal/],
    ['an unknown field', { tokens: [{ ...good, token: 'x' }] }, /"token"/],
    ['one name twice', { tokens: [good, { ...good, sha256: sha256('y') }] }, /same name/],
    ['one token twice', { tokens: [good, { ...good, name: 'b' }] }, /same sha256/],
  ])('%s is refused', async (_name, content, reason) => {
    const path = await tokenFile(content);
    const error = { code: 'invalid-config', message: expect.stringMatching(reason) };
    await expect(loadAuth(path)).rejects.toMatchObject(error);
    await expect(loadAuth(path)).rejects.toThrow(path);
  });

  test('a missing file is refused', async () => {
    const missing = { code: 'invalid-config', message: expect.stringMatching(/ENOENT/) };
    await expect(loadAuth('/nowhere/tokens.json')).rejects.toMatchObject(missing);
  });

  test('upper-case hashes are the same hashes', async () => {
    const token = { ...good, sha256: good.sha256.toUpperCase() };
    const auth = await loadAuth(await tokenFile({ tokens: [token] }));
    expect(auth.identify('Bearer x')).toEqual({ name: 'a', role: 'viewer' });
  });
});

describe('without a token file', () => {
  test('everybody on this machine may do everything, and the log says so', async () => {
    const { call, logged } = await serve();
    expect((await call('DELETE', '/v1/groups/c')).status).toBe(204);
    expect(logged.join()).toMatch(/no token file.*loopback only/);
  });

  test.each(['127.0.0.1', '127.9.9.9', '::1', '[::1]', 'localhost'])('%s is loopback', (host) => {
    expect(isLoopback(host)).toBe(true);
    expect(() => assertSafeBinding(host, null)).not.toThrow();
  });

  test.each(['0.0.0.0', '::', '10.0.0.1', 'example.com', '127.0.0.1.example.com', ''])(
    'binding to %j is refused',
    async (host) => {
      expect(() => assertSafeBinding(host, null)).toThrow(
        /set a token file or listen on 127.0.0.1/,
      );
      expect(() => assertSafeBinding(host, '/tokens.json')).not.toThrow();
      const never = undefined as never;
      const started = listen(never, { host, port: 0, tokenFile: null });
      await expect(started).rejects.toMatchObject({ code: 'invalid-config' });
    },
  );

  test.each([
    [{ host: 'evil.example' }, 403],
    [{ host: 'evil.example:7401' }, 403],
    [{ origin: 'http://evil.example' }, 403],
    [{ origin: 'null' }, 403],
    [{ host: 'localhost:1', origin: 'http://localhost:1' }, 200],
    [{ host: '[::1]:1' }, 200],
  ])('a web page cannot act in the name of its visitor: %j', async (headers, status) => {
    const { url } = await serve();
    const { port } = new URL(url);
    const got = await new Promise((resolve, reject) => {
      const options = { port, method: 'POST', path: '/v1/groups/c/sync', headers };
      const request = httpRequest(options, (response) => resolve(response.statusCode));
      request.on('error', reject).end();
    });
    expect(got).toBe(status);
  });
});
