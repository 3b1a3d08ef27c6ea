/** What every problem document has. */
import { expect } from 'vitest';
import { type ErrorCode, errorAdvice } from '../../replication/errors.js';
import type { Answer } from './admin-server.js';

export function expectProblem(
  answer: Answer,
  status: number,
  code: ErrorCode,
  detail: RegExp,
): void {
  expect(answer.body).toMatchObject({ status, code, detail: expect.stringMatching(detail) });
  expect(answer.status).toBe(status);
  expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/);
  expect(answer.body.type).toBe(`urn:understudy:problem:${code}`);
  expect(answer.body.advice).toBe(errorAdvice[code]);
}
