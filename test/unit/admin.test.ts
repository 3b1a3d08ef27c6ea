import { request as httpRequest } from 'node:http';
import { describe, expect, test } from 'vitest';
import { errorAdvice } from '../../replication/errors.js';
import { serve } from '../support/admin-server.js';
import { expectProblem } from '../support/expect-problem.js';

/** What contract.md promises and this cut serves. */
const promised = [
  'GET /livez',
  'GET /readyz',
  'GET /metrics',
  'GET /openapi.json',
  'GET /v1/cluster',
  'GET /v1/doctor',
  'GET /v1/nodes',
  'GET /v1/nodes/{node}',
  'GET /v1/kinds',
  'GET /v1/groups',
  'POST /v1/groups',
  'GET /v1/groups/{g}',
  'PATCH /v1/groups/{g}',
  'DELETE /v1/groups/{g}',
  'POST /v1/groups/{g}/events',
  'GET /v1/groups/{g}/events',
  'GET /v1/groups/{g}/state',
  'POST /v1/groups/{g}/query',
  'POST /v1/groups/{g}/sync',
  'POST /v1/groups/{g}/switchover',
  'POST /v1/groups/{g}/failover',
  'POST /v1/groups/{g}/members/{index}/reinit',
  'POST /v1/groups/{g}/pause',
  'POST /v1/groups/{g}/resume',
  'POST /v1/groups/{g}/accept-loss',
  'POST /v1/pause',
  'POST /v1/resume',
  'POST /v1/nodes/{node}/cordon',
  'POST /v1/nodes/{node}/uncordon',
  'GET /v1/groups/{g}/history',
  'GET /v1/operations',
  'GET /v1/operations/{id}',
  'DELETE /v1/operations/{id}',
  'POST /v1/groups/{g}/members/{index}/replace',
  'POST /v1/nodes/{node}/drain',
  'POST /v1/rebalance',
  'POST /v1/nodes/{node}/restart',
  'POST /v1/restart',
];

describe('the OpenAPI document', () => {
  test('has the promised routes and no others', async () => {
    const { call } = await serve();
    const { body } = await call('GET', '/openapi.json');
    const routes = Object.entries<Record<string, unknown>>(body.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect(routes.sort()).toEqual([...promised].sort());
  });

  test('is OpenAPI 3.1 without loose ends and knows every code', async () => {
    const { call } = await serve();
    const { body } = await call('GET', '/openapi.json');
    expect(body.openapi).toBe('3.1.0');
    expect(body.info.version).toBe('1.2.3');
    const { schemas } = body.components;
    const refs = JSON.stringify(body).matchAll(/"#\/components\/schemas\/(\w+)"/g);
    const named = new Set([...refs].map(([, id]) => id));
    expect([...named].sort()).toEqual(Object.keys(schemas).sort());
    expect(schemas.Problem.properties.code.enum).toEqual(Object.keys(errorAdvice));
    const deliver = body.paths['/v1/groups/{g}/events'].post.requestBody.content;
    expect(Object.keys(deliver)).toEqual(['application/json', 'application/x-ndjson']);
  });

  test('describes the documents the routes answer with', async () => {
    const { call } = await serve();
    const { schemas } = (await call('GET', '/openapi.json')).body.components;
    const group = (await call('GET', '/v1/groups/c')).body;
    expect(Object.keys(group).sort()).toEqual(Object.keys(schemas.GroupDetail.properties).sort());
    const [member] = group.members;
    expect(Object.keys(member).sort()).toEqual(Object.keys(schemas.Member.properties).sort());
    const [listed] = (await call('GET', '/v1/groups')).body;
    expect(Object.keys(listed).sort()).toEqual(Object.keys(schemas.Group.properties).sort());
    const cluster = (await call('GET', '/v1/cluster')).body;
    expect(Object.keys(cluster).sort()).toEqual(Object.keys(schemas.Cluster.properties).sort());
  });
});

describe('reading', () => {
  test('probes', async () => {
    const { call, backend } = await serve();
    expect((await call('GET', '/livez')).body).toEqual({ live: true, version: '1.2.3' });
    expect((await call('GET', '/readyz')).body).toEqual({ ready: true });
    backend.isReady = false;
    const unready = await call('GET', '/readyz');
    expectProblem(unready, 503, 'not-ready', /no connection to the broker/);
    expect(unready.headers.get('retry-after')).toBe('1');
    expect((await call('GET', '/livez')).status).toBe(200);
  });

  test('cluster, nodes and kinds', async () => {
    const { call, backend } = await serve();
    expect((await call('GET', '/v1/cluster')).body).toEqual(await backend.cluster());
    expect((await call('GET', '/v1/nodes')).body).toEqual(backend.nodeDocuments);
    expect((await call('GET', '/v1/nodes/n1')).body).toEqual(backend.nodeDocuments[0]);
    const missing = await call('GET', '/v1/nodes/n9');
    expectProblem(missing, 404, 'node-not-found', /no node n9; known: n1/);
    expect((await call('GET', '/v1/kinds')).body).toEqual([{ name: 'counter', version: 1 }]);
  });

  test('groups, history and operations', async () => {
    const { call, backend } = await serve();
    expect((await call('GET', '/v1/groups')).body).toEqual(await backend.groups());
    expect((await call('GET', '/v1/groups/c')).body).toEqual(await backend.group('c'));
    expectProblem(await call('GET', '/v1/groups/x'), 404, 'group-not-found', /no group x/);
    expect((await call('GET', '/v1/groups/c/history')).body).toEqual(await backend.history('c'));
    expect((await call('GET', '/v1/operations')).body).toEqual([]);
    const missing = await call('GET', '/v1/operations/op9');
    expectProblem(missing, 404, 'operation-not-found', /no operation op9/);
  });

  test('an operation can be waited for', async () => {
    const { call } = await serve();
    const started = await call('POST', '/v1/groups/c/failover');
    const location = started.headers.get('location');
    expect((await call('GET', `${location}`)).body.state).toBe('running');
    expect((await call('GET', `${location}?waitMs=1000`)).body.state).toBe('done');
    expectProblem(
      await call('GET', `${location}?waitMs=30001`),
      400,
      'bad-request',
      /query.waitMs/,
    );
  });
});

test('an operation can be cancelled while it runs', async () => {
  const { call } = await serve();
  const { body: started } = await call('POST', '/v1/groups/c/failover');
  const cancelled = await call('DELETE', `/v1/operations/${started.id}`);
  expect(cancelled).toMatchObject({ status: 202, body: { id: started.id, state: 'cancelled' } });
  const again = await call('DELETE', `/v1/operations/${started.id}`);
  expectProblem(again, 409, 'conflict', /it is cancelled/);
  expectProblem(await call('DELETE', '/v1/operations/x'), 404, 'operation-not-found', /x/);
});

test('a switchover is scheduled for a time, and for nothing else', async () => {
  const { call, backend } = await serve();
  const path = '/v1/groups/c/switchover';
  const scheduledAt = '2026-12-24T18:00:00+01:00';
  expect((await call('POST', path, { scheduledAt })).status).toBe(202);
  expect(backend.switchoverRequest).toEqual({ scheduledAt });
  const refused = await call('POST', path, { scheduledAt: 'tomorrow' });
  expectProblem(refused, 400, 'bad-request', /scheduledAt/);
});

describe('reading a log and a state', () => {
  test('events come in pages', async () => {
    const { call } = await serve();
    const events = Array.from({ length: 5 }, (_, i) => ({ by: i + 1 }));
    await call('POST', '/v1/groups/c/events', { events });
    const first = (await call('GET', '/v1/groups/c/events?limit=2')).body;
    expect(first.events.map((entry: { event: unknown }) => entry.event)).toEqual(
      events.slice(0, 2),
    );
    expect(first.next).toBe(3);
    const rest = (await call('GET', '/v1/groups/c/events?from=3&to=4')).body;
    expect(rest.events.map((entry: { seq: number }) => entry.seq)).toEqual([3, 4]);
    expect(rest.next).toBeNull();
    const wrong = await call('GET', '/v1/groups/c/events?from=4&to=3');
    expectProblem(wrong, 400, 'bad-request', /from 4 is above to 3/);
  });

  test('an event stream is refused in words', async () => {
    const { url } = await serve();
    const headers = { accept: 'text/event-stream' };
    const response = await fetch(`${url}/v1/groups/c/events`, { headers });
    expect(response.status).toBe(406);
    expect(await response.json()).toMatchObject({ code: 'unsupported' });
  });

  test('maps, sets and bigints have a JSON form', async () => {
    const { call } = await serve();
    const { body } = await call('GET', '/v1/groups/c/state?at=0&consistency=local');
    expect(body).toMatchObject({ value: { total: '0', tags: ['a'] }, seq: 0, epoch: 1, member: 0 });
  });

  test('a query passes its arguments, prototype names included', async () => {
    const { call } = await serve();
    const args = { constructor: 1 };
    const { body } = await call('POST', '/v1/groups/c/query', { name: 'get', args });
    expect(body).toMatchObject({ value: { total: 0, args }, seq: 0, epoch: 1, member: 0 });
    const nameless = await call('POST', '/v1/groups/c/query', { args });
    expectProblem(nameless, 400, 'bad-request', /body.name/);
  });
});

describe('acting', () => {
  test('a group is created, found and deleted', async () => {
    const { call, backend } = await serve();
    const spec = { name: 'd', kind: 'counter', memberCount: 3, standby: 'hot' };
    const created = await call('POST', '/v1/groups', spec);
    expect(created.status).toBe(201);
    expect(created.headers.get('location')).toBe('/v1/groups/d');
    expect(created.body).toMatchObject({ name: 'd', standby: 'hot' });
    expectProblem(await call('POST', '/v1/groups', spec), 409, 'group-exists', /d/);
    const unknown = await call('POST', '/v1/groups', { name: 'e', kind: 'x' });
    expectProblem(unknown, 404, 'factory-not-found', /no kind x; known: counter/);
    expect((await call('DELETE', '/v1/groups/d')).status).toBe(204);
    expectProblem(await call('DELETE', '/v1/groups/d'), 404, 'group-not-found', /no group d/);
    expect(new Set(backend.actors)).toEqual(new Set(['local']));
  });

  test('sync, switchover and failover', async () => {
    const { call } = await serve();
    expect((await call('POST', '/v1/groups/c/sync')).body).toEqual({ through: 0 });
    const started = await call('POST', '/v1/groups/c/switchover', { candidate: 'n2' });
    expect(started.status).toBe(202);
    expect(started.body).toMatchObject({ kind: 'switchover', state: 'running' });
    expect(started.headers.get('location')).toBe(`/v1/operations/${started.body.id}`);
    const dry = await call('POST', '/v1/groups/c/switchover', { dryRun: true });
    expect(dry.status).toBe(200);
    expect(dry.body).toMatchObject({ ok: true, preconditions: [{ name: 'lag' }] });
    const forced = await call('POST', '/v1/groups/c/failover', {});
    expect(forced.status).toBe(202);
    expect(forced.body.kind).toBe('failover');
  });

  test('a refused switchover lists every precondition', async () => {
    const { call, backend } = await serve();
    const preconditions = [
      { name: 'leader', ok: false, detail: 'n1 and not n2' },
      { name: 'lag', ok: false, detail: '7 events' },
      { name: 'broker', ok: true, detail: 'connected' },
    ];
    backend.switchoverAnswer = { kind: 'refused', preconditions };
    const answer = await call('POST', '/v1/groups/c/switchover', { leader: 'n2' });
    expectProblem(answer, 412, 'conflict', /leader: n1 and not n2; lag: 7 events$/);
    expect(answer.body.preconditions).toEqual(preconditions);
  });
});

describe('bad paths', () => {
  test.each([
    ['GET', '/v1/nothing', 404, /no GET \/v1\/nothing/],
    ['GET', '/', 404, /no GET \//],
    ['PUT', '/v1/groups/c', 405, /knows GET, HEAD, PATCH, DELETE, not PUT/],
    ['POST', '/v1/cluster', 405, /knows GET, HEAD, not POST/],
  ])('%s %s', async (method, path, status, detail) => {
    const { call } = await serve();
    const answer = await call(method, path);
    expectProblem(answer, status, 'unsupported', detail);
    if (status === 405) expect(answer.headers.get('allow')).toContain('GET');
  });

  test.each([
    ['/v1/groups/a%20b', /params.g: expected 1 to 64/],
    ['/v1/groups/a.b', /params.g: expected 1 to 64/],
    ['/v1/groups/%zz', /not a valid url component/],
    ['/v1/groups/c/events?from=-1', /query.from/],
    ['/v1/groups/c/events?from=', /query.from/],
    ['/v1/groups/c/events?limit=1e3', /query.limit/],
    ['/v1/groups/c/events?form=1', /query: .*"form"/],
    ['/v1/groups/c/state?consistency=eventual', /query.consistency/],
  ])('GET %s', async (path, detail) => {
    const { call } = await serve();
    expectProblem(await call('GET', path), 400, 'bad-request', detail);
  });
});

describe('bad bodies', () => {
  test.each([
    ['{"name":"d","kind":"counter"', /not JSON/],
    ['\ufeff\u0000', /not JSON/],
    ['', /body/],
    ['null', /body/],
    ['[]', /body/],
    ['{"name":"d"}', /body.kind/],
    ['{"name":"d","kind":"counter","memberCount":"3"}', /body.memberCount/],
    ['{"name":"d","kind":"counter","groupSeed":7}', /body.groupSeed/],
    ['{"name":"d.e","kind":"counter"}', /body.name/],
    ['{"name":"d","kind":"counter","members":3}', /body: .*"members"/],
    ['{"name":"d","kind":"counter","sync":{"every":3}}', /body.sync: .*"every"/],
    ['{"name":"d","kind":"counter","constructor":{}}', /body: .*"constructor"/],
    ['{"name":"d","kind":"counter","__proto__":{"memberCount":3}}', /__proto__/],
    ['{"name":"d","kind":"counter","sync":{"__proto__":{}}}', /__proto__/],
  ])('POST /v1/groups %j', async (body, detail) => {
    const { call, backend } = await serve();
    expectProblem(await call('POST', '/v1/groups', body), 400, 'bad-request', detail);
    expect(await backend.groups()).toHaveLength(1);
  });

  test('all problems with a body are told at once', async () => {
    const { call } = await serve();
    const { body } = await call('POST', '/v1/groups', { name: '', memberCount: '3' });
    expect(body.detail).toMatch(/body.name.*body.kind.*body.memberCount/);
  });

  test('bytes that are not UTF-8', async () => {
    const { url } = await serve();
    const headers = { 'content-type': 'application/json' };
    const body = new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x7d]);
    const response = await fetch(`${url}/v1/groups`, { method: 'POST', headers, body });
    expect(response.status).toBe(400);
    expect((await response.json()) as object).toMatchObject({
      detail: expect.stringMatching(/UTF-8/),
    });
  });

  test.each(['text/plain', 'application/x-www-form-urlencoded', 'application/x-ndjson'])(
    'content type %s',
    async (type) => {
      const { call } = await serve();
      const answer = await call('POST', '/v1/groups', '{}', { 'content-type': type });
      expectProblem(answer, 415, 'unsupported', new RegExp(`the request has ${type}`));
    },
  );

  test('a body over the limit', async () => {
    const { call } = await serve();
    const body = { name: 'x'.repeat(100_000), kind: 'counter' };
    expectProblem(await call('POST', '/v1/groups', body), 413, 'too-large', /too large/);
  });

  test('HTTP that is no HTTP', async () => {
    const { url } = await serve();
    const { port } = new URL(url);
    const answer = await new Promise((resolve, reject) => {
      const headers = { 'content-length': 'x' };
      const request = httpRequest({ port, method: 'POST', path: '/v1/groups', headers });
      request.on('response', ({ statusCode, headers: got }) => {
        resolve([statusCode, got['content-type']]);
      });
      request.on('error', reject);
      request.end();
    });
    expect(answer).toEqual([400, 'application/problem+json']);
  });
});
