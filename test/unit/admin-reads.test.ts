/** What reads over HTTP promise: tokens in and out, seqs that must be there, members begun anew. */
import { describe, expect, test } from 'vitest';
import { limits } from '../../replication/limits.js';
import { type Answer, serve } from '../support/admin-server.js';

const events = '/v1/groups/c/events';
const query = '/v1/groups/c/query';
const state = '/v1/groups/c/state';

const json = { 'content-type': 'application/json' };
const withToken = (token: string) => ({ ...json, 'understudy-token': token });

const tokenIn = ({ headers }: Answer) => headers.get('understudy-token');

function expectRefusal(answer: Answer, status: number, code: string, detail: RegExp): void {
  expect(answer.body).toMatchObject({ status, code, detail: expect.stringMatching(detail) });
  expect(answer.status).toBe(status);
}

/** `call` sends no headers without a body. */
async function stateAfter(url: string, token: string, search = ''): Promise<Answer> {
  const response = await fetch(`${url}${state}${search}`, {
    headers: { 'understudy-token': token },
  });
  return { status: response.status, headers: response.headers, body: await response.json() };
}

describe('a token', () => {
  test('comes with every delivery, in the header and in the body', async () => {
    const { call, ndjson } = await serve();
    const one = await call('POST', events, { by: 1 });
    expect(tokenIn(one)).toBe('1.1.1');
    expect(one.body.token).toBe('1.1.1');
    const several = await call('POST', events, { events: [{ by: 1 }, { by: 1 }, { by: -9 }] });
    expect(tokenIn(several)).toBe('1.1.3');
    expect(several.body.token).toBe('1.1.3');
    const lines = await ndjson(events, '{"by":1}\n{"by":1}\n');
    expect(lines.body.token).toBe('1.1.5');
  });

  test('of a delivery that is answered while it goes on is in the body only', async () => {
    const { call } = await serve();
    const many = Array.from({ length: limits.batchEvents + 1 }, () => ({ by: 1 }));
    const answer = await call('POST', events, { events: many });
    expect(tokenIn(answer)).toBeNull();
    expect(answer.body.token).toBe(`1.1.${many.length.toString(36)}`);
  });

  test('comes with a rejection: it was decided on a state as well', async () => {
    const { call } = await serve();
    const rejected = await call('POST', events, { by: -1 }, withToken('1.1.7'));
    expect(rejected.status).toBe(422);
    expect(tokenIn(rejected)).toBe('1.1.7');
  });

  test('of a delivery covers what the caller had seen before', async () => {
    const { call, ndjson } = await serve();
    const before = { 'understudy-token': '1.1.7' };
    expect((await ndjson(events, '{"by":1}\n', before)).body.token).toBe('1.1.7');
    expect(tokenIn(await call('POST', events, { by: 1 }, withToken('1.1.7')))).toBe('1.1.7');
    const several = await call('POST', events, { events: [{ by: 1 }] }, withToken('1.1.2'));
    expect(tokenIn(several)).toBe('1.1.3');
  });

  test('is missing where nothing reached the group', async () => {
    const { ndjson } = await serve();
    const nothing = await ndjson(events, '{"by":\n');
    expect(nothing.body).toMatchObject({ seq: null, token: null });
    expect(tokenIn(nothing)).toBeNull();
    const kept = await ndjson(events, '{"by":\n', { 'understudy-token': '1.1.7' });
    expect(kept.body.token).toBe('1.1.7');
  });

  test('comes with every read and reaches the backend', async () => {
    const { call, backend, url } = await serve();
    await call('POST', events, { by: 1 });
    const asked = { name: 'get', consistency: 'standby', minSeq: 1, timeoutMs: 500 };
    const answer = await call('POST', query, asked, withToken('1.1.1'));
    expect(answer.body).toMatchObject({ seq: 1, epoch: 1, member: 0, token: '1.1.1' });
    expect(tokenIn(answer)).toBe('1.1.1');
    expect(backend.lastRead).toEqual({ ...asked, after: '1.1.1' });
    const whole = await stateAfter(url, '1.1.1', '?consistency=standby&minSeq=1&timeoutMs=500');
    expect(whole.body).toMatchObject({ seq: 1, token: '1.1.1' });
    expect(tokenIn(whole)).toBe('1.1.1');
    const read = { consistency: 'standby', minSeq: 1, timeoutMs: 500, after: '1.1.1' };
    expect(backend.lastRead).toEqual(read);
  });

  test('never goes back: the answer of a state of the past carries what the caller had seen', async () => {
    const { call, url } = await serve();
    await call('POST', events, { events: [{ by: 1 }, { by: 1 }] });
    const past = await stateAfter(url, '1.1.2', '?at=1');
    expect(past.body).toMatchObject({ seq: 1, token: '1.1.2' });
  });

  test.each([
    ['a later seq', '1.1.1'],
    ['a later epoch', '1.2.0'],
  ])('of %s than the log has had gets no older answer', async (_what, token) => {
    const { call, url } = await serve();
    const answer = await call('POST', query, { name: 'get' }, withToken(token));
    expectRefusal(answer, 503, 'not-ready', /at seq 0 of epoch 1/);
    expectRefusal(await stateAfter(url, token), 503, 'not-ready', /at seq 0 of epoch 1/);
  });

  test.each(['x', '1.1', '1.1.1.1', '2.1.1', '1.A.1', '1.-1.1', `1.1.${'z'.repeat(11)}`])(
    'that is malformed is refused: %s',
    async (token) => {
      const { call, backend, url } = await serve();
      const refusal = [400, 'bad-request', /headers\.understudy-token: expected a token/] as const;
      expectRefusal(await call('POST', query, { name: 'get' }, withToken(token)), ...refusal);
      expectRefusal(await stateAfter(url, token), ...refusal);
      expectRefusal(await call('POST', events, { by: 1 }, withToken(token)), ...refusal);
      expect(backend.batches).toEqual([]);
    },
  );

  test('is described by the OpenAPI document, as header of requests and answers', async () => {
    const { call } = await serve();
    const { paths } = (await call('GET', '/openapi.json')).body;
    for (const route of [
      paths['/v1/groups/{g}/events'].post,
      paths['/v1/groups/{g}/query'].post,
      paths['/v1/groups/{g}/state'].get,
    ]) {
      expect(route.responses['200'].headers['understudy-token'].schema.type).toBe('string');
      const names = route.parameters.map((parameter: { name: string }) => parameter.name);
      expect(names).toContain('understudy-token');
    }
    expect(paths['/v1/groups/{g}/history'].get.responses['200'].headers).toBeUndefined();
  });
});

describe('a read that asks for a seq', () => {
  test('that is not there yet is not answered with less', async () => {
    const { call } = await serve();
    const early = await call('POST', query, { name: 'get', minSeq: 1 });
    expectRefusal(early, 503, 'not-ready', /asked for 1/);
    expectRefusal(await call('GET', `${state}?minSeq=1`), 503, 'not-ready', /asked for 1/);
    await call('POST', events, { by: 1 });
    expect((await call('GET', `${state}?minSeq=1`)).body.seq).toBe(1);
  });

  test.each(['minSeq=-1', 'minSeq=x', 'timeoutMs=0', 'timeoutMs=60001', 'consistency=eventual'])(
    'is refused with %s',
    async (search) => {
      const { call } = await serve();
      const name = search.replace(/=.*/, '');
      const detail = new RegExp(`query.${name}`);
      expectRefusal(await call('GET', `${state}?${search}`), 400, 'bad-request', detail);
    },
  );
});

describe('beginning a member anew', () => {
  const reinit = (index: number | string) => `/v1/groups/c/members/${index}/reinit`;

  test('is an operation', async () => {
    const { call } = await serve();
    const started = await call('POST', reinit(1));
    expect(started.status).toBe(202);
    expect(started.body).toMatchObject({ kind: 'reinit', target: 'c/1', state: 'running' });
    expect(started.headers.get('location')).toBe(`/v1/operations/${started.body.id}`);
  });

  test('is refused for the active, for nobody and for nonsense', async () => {
    const { call } = await serve();
    expectRefusal(await call('POST', reinit(0)), 409, 'conflict', /switch over first/);
    expectRefusal(await call('POST', reinit(3)), 404, 'member-not-found', /no member 3/);
    expectRefusal(await call('POST', reinit('x')), 400, 'bad-request', /params.index/);
    const spare = await call('POST', reinit(1), { force: true });
    expectRefusal(spare, 400, 'bad-request', /force/);
  });
});

test('alarms are part of one group, and not of the list', async () => {
  const { call, backend } = await serve();
  const at = '2026-01-02T03:04:05.678Z';
  backend.alarms = [{ at, index: 1, nodeId: 'n2', code: 'internal', detail: 'refused' }];
  expect((await call('GET', '/v1/groups/c')).body.alarms).toEqual(backend.alarms);
  expect((await call('GET', '/v1/groups')).body[0]).not.toHaveProperty('alarms');
});
