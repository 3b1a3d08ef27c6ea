import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { OperationDocument } from '../../../cluster/documents.js';
import { UnderstudyError } from '../../../replication/errors.js';
import { tokenAfter, tokenHeader } from '../../client/token.js';
import type { Actor, Backend, ReadAnswer, TokenedRead } from '../backend.js';
import { answers } from '../openapi.js';
import { HttpError, notNow } from '../problems.js';
import {
  emptyBody,
  eventsQuery,
  failoverBody,
  groupChangeSchema,
  groupParams,
  groupSpecSchema,
  memberParams,
  queryBody,
  readHeaders,
  stateQuery,
  switchoverBody,
} from '../requests.js';
import {
  dryRunSchema,
  eventPageSchema,
  groupDetailSchema,
  groupSchema,
  historyEntrySchema,
  operationSchema,
  readSchema,
  throughSchema,
} from '../schemas.js';

type App = ReturnType<typeof typed>;

function typed(server: FastifyInstance) {
  return server.withTypeProvider<ZodTypeProvider>();
}

const viewer = { role: 'viewer' } as const;
const writer = { role: 'writer' } as const;
const operator = { role: 'operator' } as const;
const admin = { role: 'admin' } as const;

const actor = (request: FastifyRequest): Actor => ({ by: request.identity?.name ?? 'local' });

export function groupRoutes(server: FastifyInstance, backend: Backend): void {
  const app = typed(server);
  lifecycleRoutes(app, backend);
  readRoutes(app, backend);
  actionRoutes(app, backend);
  memberRoutes(app, backend);
}

function lifecycleRoutes(app: App, backend: Backend): void {
  const tags = ['groups'];
  app.get(
    '/v1/groups',
    {
      config: viewer,
      schema: { tags, summary: 'All groups', response: answers({ 200: z.array(groupSchema) }) },
    },
    () => backend.groups(),
  );
  app.post(
    '/v1/groups',
    {
      config: operator,
      schema: {
        tags,
        summary: 'Create a group',
        body: groupSpecSchema,
        response: answers({ 201: groupDetailSchema }),
      },
    },
    async (request, reply) => {
      const group = await backend.createGroup(request.body, actor(request));
      return reply.code(201).header('location', `/v1/groups/${group.name}`).send(group);
    },
  );
  app.get(
    '/v1/groups/:g',
    {
      config: viewer,
      schema: {
        tags,
        summary: 'One group',
        params: groupParams,
        response: answers({ 200: groupDetailSchema }),
      },
    },
    ({ params }) => backend.group(params.g),
  );
  app.patch(
    '/v1/groups/:g',
    {
      config: operator,
      schema: {
        tags,
        summary: 'Change the priority or the placement of a group; its members stay where they are',
        params: groupParams,
        body: groupChangeSchema,
        response: answers({ 200: groupDetailSchema }),
      },
    },
    (request) => backend.changeGroup(request.params.g, request.body, actor(request)),
  );
  app.delete(
    '/v1/groups/:g',
    {
      config: admin,
      schema: {
        tags,
        summary: 'Delete a group and its log',
        params: groupParams,
        response: answers({ 204: z.null() }),
      },
    },
    async (request, reply) => {
      await backend.deleteGroup(request.params.g, actor(request));
      return reply.code(204).send();
    },
  );
}

function readRoutes(app: App, backend: Backend): void {
  const tags = ['reads'];
  app.get(
    '/v1/groups/:g/events',
    {
      config: viewer,
      schema: {
        tags,
        summary: 'A page of the log',
        params: groupParams,
        querystring: eventsQuery,
        response: answers({ 200: eventPageSchema }),
      },
    },
    ({ params, query, headers }) => {
      refuseStream(headers.accept);
      refuseEmptyRange(query);
      return backend.events(params.g, query);
    },
  );
  app.get(
    '/v1/groups/:g/state',
    {
      config: viewer,
      schema: {
        tags,
        summary: 'The whole state, now or at a retained seq',
        params: groupParams,
        querystring: stateQuery,
        headers: readHeaders,
        response: answers({ 200: readSchema }),
      },
    },
    async ({ params, query, headers }, reply) => {
      const after = headers[tokenHeader];
      return shown(await backend.state(params.g, { ...query, after }), after, reply);
    },
  );
  app.post(
    '/v1/groups/:g/query',
    {
      config: writer,
      schema: {
        tags,
        summary: "Run one of the kind's queries",
        params: groupParams,
        body: queryBody,
        headers: readHeaders,
        response: answers({ 200: readSchema }),
      },
    },
    async ({ params, body, headers }, reply) => {
      const after = headers[tokenHeader];
      return shown(await backend.query(params.g, { ...body, after }), after, reply);
    },
  );
  app.get(
    '/v1/groups/:g/history',
    {
      config: viewer,
      schema: {
        tags,
        summary: 'Every change of the writer, with a stopwatch',
        params: groupParams,
        response: answers({ 200: z.array(historyEntrySchema) }),
      },
    },
    ({ params }) => backend.history(params.g),
  );
}

function actionRoutes(app: App, backend: Backend): void {
  const tags = ['actions'];
  app.post(
    '/v1/groups/:g/sync',
    {
      config: operator,
      schema: {
        tags,
        summary: 'Bring all standbys up to the present seq',
        params: groupParams,
        body: emptyBody,
        response: answers({ 200: throughSchema }),
      },
    },
    (request) => backend.sync(request.params.g, actor(request)),
  );
  app.post(
    '/v1/groups/:g/switchover',
    {
      config: operator,
      schema: {
        tags,
        summary: 'Hand over to a standby as planned, losing nothing',
        params: groupParams,
        body: switchoverBody,
        response: answers({ 200: dryRunSchema, 202: operationSchema }),
      },
    },
    async (request, reply) => {
      const answer = await backend.switchover(request.params.g, request.body, actor(request));
      if (answer.kind === 'started') return accepted(reply, answer.operation);
      const { preconditions } = answer;
      if (answer.kind === 'dry-run') {
        return { ok: preconditions.every(({ ok }) => ok), preconditions };
      }
      throw notNow(preconditions);
    },
  );
  app.post(
    '/v1/groups/:g/failover',
    {
      config: operator,
      schema: {
        tags,
        summary: 'Promote a standby without waiting for the active',
        params: groupParams,
        body: failoverBody,
        response: answers({ 202: operationSchema }),
      },
    },
    async (request, reply) => {
      const { g } = request.params;
      return accepted(reply, await backend.failover(g, request.body, actor(request)));
    },
  );
}

function memberRoutes(app: App, backend: Backend): void {
  app.post(
    '/v1/groups/:g/members/:index/reinit',
    {
      config: operator,
      schema: {
        tags: ['actions'],
        summary: 'Make a standby forget what it holds and sync anew',
        params: memberParams,
        body: emptyBody,
        response: answers({ 202: operationSchema }),
      },
    },
    async (request, reply) => {
      const { g, index } = request.params;
      return accepted(reply, await backend.reinit(g, index, actor(request)));
    },
  );
}

function accepted(reply: FastifyReply, operation: OperationDocument): FastifyReply {
  return reply.code(202).header('location', `/v1/operations/${operation.id}`).send(operation);
}

/** A query may return nothing; the answer says `null` then, and not no value at all. */
function shown(answer: ReadAnswer, after: string | undefined, reply: FastifyReply): TokenedRead {
  const token = tokenAfter(after, answer);
  reply.header(tokenHeader, token);
  return { ...answer, value: answer.value ?? null, token };
}

function refuseStream(accept: string | undefined): void {
  if (!accept?.includes('text/event-stream')) return;
  const detail =
    'events come as JSON pages here, not as text/event-stream; page with from and next';
  throw new HttpError(406, { code: 'unsupported', detail });
}

function refuseEmptyRange({ from, to }: { from: number; to: number | null }): void {
  if (to === null || from <= to) return;
  throw new UnderstudyError('bad-request', `from ${from} is above to ${to}; swap them`);
}
