import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { type ErrorCode, errorAdvice, UnderstudyError } from '../../replication/errors.js';
import { problemOf, statusOf } from '../../src/admin/problems.js';
import { serve } from '../support/admin-server.js';
import { expectProblem } from '../support/expect-problem.js';
import { until } from '../support/until.js';

describe('failures', () => {
  test.each(Object.keys(errorAdvice) as ErrorCode[])(
    '%s has one documented status',
    async (code) => {
      const { call, backend } = await serve();
      backend.clusterError = new UnderstudyError(code, 'the reason', { found: 1, expected: 2 });
      const answer = await call('GET', '/v1/cluster');
      expectProblem(answer, statusOf[code], code, /^the reason$/);
      expect(answer.body).toMatchObject({ found: 1, expected: 2 });
    },
  );

  test('the documented statuses are those', async () => {
    const text = await readFile('docs/admin-api.md', 'utf8');
    const rows = text.matchAll(/^\| (\d{3}) \| (.*) \|$/gm);
    const documented = [...rows].flatMap(([, status, codes = '']) =>
      [...codes.matchAll(/`([a-z-]+)`/g)].map(([, code]) => [code, Number(status)]),
    );
    expect(Object.fromEntries(documented)).toEqual(statusOf);
  });

  test('the unexpected is logged and not told', async () => {
    const { call, backend, logged } = await serve();
    backend.clusterError = new Error('secret: /etc/understudy');
    const answer = await call('GET', '/v1/cluster');
    expectProblem(answer, 500, 'internal', /^unexpected error; .* request req-/);
    expect(JSON.stringify(answer.body)).not.toContain('secret');
    expect(JSON.stringify(answer.body)).not.toMatch(/\.[jt]s:\d/);
    const request = answer.body.detail.split(' ').at(-1);
    expect(logged.some((line) => line.includes('secret') && line.includes(request))).toBe(true);
  });

  test('a node that has not joined knows of nothing, and does not say that there is nothing', async () => {
    const { call, backend } = await serve();
    backend.isJoined = false;
    for (const path of ['/v1/cluster', '/v1/groups', '/v1/groups/c', '/v1/nodes/n1', '/metrics']) {
      expectProblem(await call('GET', path), 503, 'not-ready', /ask again, or another node$/);
    }
    const event = await call('POST', '/v1/groups/c/events', { by: 1 });
    expectProblem(event, 503, 'not-ready', /ask again/);
    for (const path of ['/livez', '/readyz', '/openapi.json']) {
      expect((await call('GET', path)).status).toBe(200);
    }
    backend.isJoined = true;
    expect((await call('GET', '/v1/groups')).body).toHaveLength(1);
  });

  test('who is connected when a node begins to stop is still answered', async () => {
    const { url, backend, close } = await serve();
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    const ended = text(socket);
    let release = () => {};
    backend.gate = new Promise((resolve) => {
      release = resolve;
    });
    const delivered = new Promise((resolve) => {
      backend.onDeliver = resolve;
    });
    const head = 'host: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length';
    socket.write(`POST /v1/groups/c/events HTTP/1.1\r\n${head}: 8\r\n\r\n{"by":1}`);
    await delivered;
    const closed = close();
    await until('nobody can connect any more', () =>
      fetch(`${url}/livez`).then(
        () => false,
        () => true,
      ),
    );
    socket.write(`GET /v1/groups HTTP/1.1\r\n${head}: 0\r\n\r\n`);
    release();
    const [, ...answers] = (await ended).split('HTTP/1.1 ');
    await closed;
    expect(answers.map((answer) => answer.slice(0, 3))).toEqual(['200', '200']);
    expect(answers[1]).toContain('Connection: close');
  });

  test('evidence cannot replace what every problem has', () => {
    const error = new UnderstudyError('conflict', 'twice', { status: 200, code: 'done' });
    expect(problemOf(error)).toMatchObject({ status: 409, code: 'conflict' });
  });
});
