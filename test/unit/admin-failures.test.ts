import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { type ErrorCode, errorAdvice, UnderstudyError } from '../../replication/errors.js';
import { problemOf, statusOf } from '../../src/admin/problems.js';
import { serve } from '../support/admin-server.js';
import { expectProblem } from '../support/expect-problem.js';

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

  test('evidence cannot replace what every problem has', () => {
    const error = new UnderstudyError('conflict', 'twice', { status: 200, code: 'done' });
    expect(problemOf(error)).toMatchObject({ status: 409, code: 'conflict' });
  });
});
