import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { OperationDocument } from '../../../cluster/documents.js';
import type { Actor, Backend, RestartAnswer } from '../backend.js';
import { answers } from '../openapi.js';
import { notNow } from '../problems.js';
import { emptyBody, memberParams, nodeParams, rebalanceBody, replaceBody } from '../requests.js';
import { operationSchema, planSchema } from '../schemas.js';

const config = { role: 'operator' } as const;

const actor = (request: FastifyRequest): Actor => ({ by: request.identity?.name ?? 'local' });

const accepted = (reply: FastifyReply, operation: OperationDocument): FastifyReply =>
  reply.code(202).header('location', `/v1/operations/${operation.id}`).send(operation);

type App = ReturnType<typeof typed>;

function typed(server: FastifyInstance) {
  return server.withTypeProvider<ZodTypeProvider>();
}

/** What puts members elsewhere, and what takes nodes away for a while. */
export function moveRoutes(server: FastifyInstance, backend: Backend): void {
  const app = typed(server);
  memberRoutes(app, backend);
  restartRoutes(app, backend);
}

function restartRoutes(app: App, backend: Backend): void {
  const common = {
    tags: ['cluster'],
    body: emptyBody,
    response: answers({ 202: operationSchema }),
  };
  const summary = 'End a node, so that its supervisor starts it anew';
  app.post(
    '/v1/nodes/:node/restart',
    { config, schema: { ...common, summary, params: nodeParams } },
    async (request, reply) => {
      return restarting(reply, await backend.restart(request.params.node, actor(request)));
    },
  );
  app.post(
    '/v1/restart',
    { config, schema: { ...common, summary: 'Restart all nodes, one after the other' } },
    async (request, reply) => restarting(reply, await backend.restart(null, actor(request))),
  );
}

function restarting(reply: FastifyReply, answer: RestartAnswer): FastifyReply {
  if (answer.kind === 'started') return accepted(reply, answer.operation);
  throw notNow(answer.preconditions);
}

function memberRoutes(app: App, backend: Backend): void {
  app.post(
    '/v1/groups/:g/members/:index/replace',
    {
      config,
      schema: {
        tags: ['actions'],
        summary: 'Place a standby on another node',
        params: memberParams,
        body: replaceBody,
        response: answers({ 202: operationSchema }),
      },
    },
    async (request, reply) => {
      const { g, index } = request.params;
      const asked = { index, node: request.body.node };
      return accepted(reply, await backend.replace(g, asked, actor(request)));
    },
  );
  app.post(
    '/v1/nodes/:node/drain',
    {
      config,
      schema: {
        tags: ['cluster'],
        summary: 'Move everything off a node',
        params: nodeParams,
        body: emptyBody,
        response: answers({ 202: operationSchema }),
      },
    },
    async (request, reply) =>
      accepted(reply, await backend.drain(request.params.node, actor(request))),
  );
  app.post(
    '/v1/rebalance',
    {
      config,
      schema: {
        tags: ['cluster'],
        summary: 'Level the nodes, or only tell the moves that would',
        body: rebalanceBody,
        response: answers({ 200: planSchema, 202: operationSchema }),
      },
    },
    async (request, reply) => {
      const answer = await backend.rebalance(request.body, actor(request));
      return answer.kind === 'started' ? accepted(reply, answer.operation) : answer.plan;
    },
  );
}
