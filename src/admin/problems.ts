/** Every refusal of the admin API as `application/problem+json` (RFC 9457). */
import type { FastifyError } from 'fastify';
import { type ErrorCode, UnderstudyError } from '../../replication/errors.js';
import type { Precondition } from './backend.js';

export const problemType = 'application/problem+json';

/** The one status of each code; the routes that answer otherwise throw an `HttpError`. */
export const statusOf = {
  'bad-request': 400,
  'invalid-config': 400,
  'factory-not-found': 404,
  'group-not-found': 404,
  'group-exists': 409,
  'node-not-found': 404,
  'member-not-found': 404,
  'placement-failed': 409,
  'no-healthy-member': 503,
  'not-ready': 503,
  paused: 409,
  conflict: 409,
  rejected: 422,
  overloaded: 429,
  'too-large': 413,
  timeout: 504,
  unauthorized: 401,
  forbidden: 403,
  'broker-unavailable': 503,
  quarantined: 409,
  'operation-not-found': 404,
  unsupported: 501,
  internal: 500,
} as const satisfies Record<ErrorCode, number>;

/** An error whose status is more exact than its code: no such route, method, media type, … */
export class HttpError extends UnderstudyError {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    error: { code: ErrorCode; detail: string; details?: Record<string, unknown> },
    headers: Record<string, string> = {},
  ) {
    super(error.code, error.detail, error.details);
    this.status = status;
    this.headers = headers;
  }
}

/** Something was judged before it was begun, and all that was looked at is told. */
export function notNow(preconditions: readonly Precondition[]): HttpError {
  const failed = preconditions.filter(({ ok }) => !ok);
  const detail = `not now: ${failed.map((one) => `${one.name}: ${one.detail}`).join('; ')}`;
  return new HttpError(412, { code: 'conflict', detail, details: { preconditions } });
}

export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: ErrorCode;
  readonly detail: string;
  readonly advice: string;
  /** The error's evidence: `preconditions`, `rejection`, … */
  readonly [extension: string]: unknown;
}

export function problemOf(error: UnderstudyError): Problem {
  const { code, advice } = error;
  const words = code.replaceAll('-', ' ');
  return {
    ...error.details,
    type: `urn:understudy:problem:${code}`,
    title: words.charAt(0).toUpperCase() + words.slice(1),
    status: error instanceof HttpError ? error.status : statusOf[code],
    code,
    detail: error.message,
    advice,
  };
}

/** Headers that belong to an error, whichever route it comes from. */
export function headersOf(error: UnderstudyError): Readonly<Record<string, string>> {
  if (error instanceof HttpError) return error.headers;
  if (error.code === 'unauthorized') return { 'www-authenticate': 'Bearer realm="understudy"' };
  return error.advice === 'retry' ? { 'retry-after': '1' } : {};
}

/** What a caller is told about anything that was thrown; the unexpected keeps its secrets. */
export function toUnderstudyError(error: unknown, requestId: string): UnderstudyError {
  if (error instanceof UnderstudyError) return error;
  const known = fromFastify(error as Partial<FastifyError>);
  if (known !== undefined) return known;
  const detail = `unexpected error; the node's log says more under request ${requestId}`;
  return new UnderstudyError('internal', detail, undefined, error);
}

function fromFastify(error: Partial<FastifyError>): UnderstudyError | undefined {
  if (error.validation !== undefined) return fromValidation(error);
  const detail = error.message ?? '';
  if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE') {
    const advice = 'send many events as application/x-ndjson, which has no limit but one per line';
    return new UnderstudyError('too-large', `${detail}; ${advice}`);
  }
  if (error.code === 'ECONNRESET') {
    return new UnderstudyError('bad-request', 'the connection broke before the body was complete');
  }
  const status = error.statusCode ?? 500;
  if (status < 400 || status >= 500) return undefined;
  return new HttpError(status, { code: 'bad-request', detail });
}

function fromValidation(error: Partial<FastifyError>): UnderstudyError {
  const where = error.validationContext?.replace('querystring', 'query') ?? 'request';
  const problems = (error.validation ?? []).map(({ instancePath, message }) => {
    const path = instancePath === '/' ? '' : instancePath.replaceAll('/', '.');
    return `${where}${path}: ${message ?? 'invalid'}`;
  });
  return new UnderstudyError('bad-request', problems.join('; '));
}
