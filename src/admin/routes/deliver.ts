import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { UnderstudyError } from '../../../replication/errors.js';
import { limits } from '../../../replication/limits.js';
import { tokenHeader } from '../../client/token.js';
import type { Backend } from '../backend.js';
import { acceptOnlyJson } from '../body.js';
import { type Delivery, deliverMany, deliverOne, type Source } from '../delivery.js';
import { type Incoming, listedEvents, readEvent, readItem, readLine } from '../incoming.js';
import { readLines } from '../ndjson.js';
import { parseSession, SessionPool } from '../numbering.js';
import { answers } from '../openapi.js';
import { HttpError, toUnderstudyError } from '../problems.js';
import { deliverHeaders, deliverQuery, groupParams } from '../requests.js';
import { deliveredSchema } from '../schemas.js';
import { parseJson } from '../values.js';

/** A JSON body is held in memory whole; larger deliveries come as NDJSON. */
const bodyLimitBytes = 4 * 1024 * 1024;

/** In a scope of its own: here bodies are events, which may hold what an admin body may not. */
export function deliverRoutes(server: FastifyInstance, backend: Backend): void {
  const pool = new SessionPool();
  void server.register((scope, _options, done) => {
    const app = scope.withTypeProvider<ZodTypeProvider>();
    acceptOnlyJson(app, bodyLimitBytes, parseJson);
    app.addContentTypeParser('application/x-ndjson', (_request, body, done) => done(null, body));
    app.post(
      '/v1/groups/:g/events',
      {
        config: { role: 'writer' },
        schema: {
          tags: ['events'],
          summary: 'Deliver one event, {"events": [...]}, or NDJSON',
          params: groupParams,
          querystring: deliverQuery,
          headers: deliverHeaders,
          response: answers({ 200: deliveredSchema }),
        },
      },
      (request, reply) => {
        const session = request.headers['understudy-session'];
        const numbers = session === undefined ? null : parseSession(session);
        const { timeoutMs } = request.query;
        const after = request.headers[tokenHeader];
        const delivery = { backend, pool, group: request.params.g, timeoutMs, numbers, after };
        return deliverBody(delivery, request, reply);
      },
    );
    done();
  });
}

async function deliverBody(
  delivery: Delivery,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  refuseEncoding(request);
  const key = request.headers['idempotency-key'] as string | undefined;
  const events = listedEvents(request.body);
  const source = sourceOf(request.body, events);
  if (source === undefined) {
    const delivered = await deliverOne(delivery, withKey(request.body, key));
    reply.header(tokenHeader, delivered.token);
    return delivered;
  }
  if (key !== undefined) {
    const detail =
      'Idempotency-Key is for one event; with several give each its key: {"key","event"}';
    throw new UnderstudyError('bad-request', detail);
  }
  const explain = (error: unknown) => explained(error, request);
  const { token, document } = await deliverMany(delivery, source, explain);
  if (token !== null) reply.header(tokenHeader, token);
  return reply
    .type('application/json; charset=utf-8')
    .send(Readable.from(document, { highWaterMark: 1 }));
}

/** Nothing for a body that is one event. */
function sourceOf(body: unknown, events: readonly unknown[] | undefined): Source | undefined {
  if (body instanceof Readable) return { source: linesOf(body), total: null };
  return events && { source: itemsOf(events), total: events.length };
}

function refuseEncoding({ headers }: FastifyRequest): void {
  const encoding = headers['content-encoding'] ?? 'identity';
  if (encoding === 'identity') return;
  const detail = `the body has the content encoding ${encoding}; send it without one`;
  throw new HttpError(415, { code: 'unsupported', detail });
}

/** An error in the middle of an answer that has begun. */
function explained(error: unknown, request: FastifyRequest): UnderstudyError {
  const known = toUnderstudyError(error, request.id);
  if (known.code === 'internal') request.log.error({ err: error }, 'delivery failed');
  return known;
}

function withKey(body: unknown, key: string | undefined): Incoming {
  const incoming = readEvent(body);
  if (key === undefined || !incoming.ok) return incoming;
  if (incoming.key === null || incoming.key === key) return { ...incoming, key };
  const detail = `Idempotency-Key is ${key} and the event's own key ${incoming.key}; send one`;
  return { ok: false, code: 'bad-request', detail };
}

async function* linesOf(body: Readable): AsyncGenerator<Incoming[]> {
  // Giving up must not destroy the request: its socket still carries the answer. What is left of
  // the body is read and dropped, or the connection would be stuck behind it.
  const input = body.iterator({ destroyOnReturn: false });
  try {
    for await (const lines of readLines(input, limits.eventSizeBytes)) yield lines.map(readLine);
  } finally {
    body.resume();
  }
}

/** As many as fit a batch at a time, so that only those are encoded at once. */
function* itemsOf(events: readonly unknown[]): Generator<Incoming[]> {
  for (let at = 0; at < events.length; at += limits.batchEvents) {
    const part = events.slice(at, at + limits.batchEvents);
    yield part.map((value, i) => readItem(value, at + i));
  }
}
