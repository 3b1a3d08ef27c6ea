import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { OperationDocument } from '../../../cluster/documents.js';
import type { Actor, Backend } from '../backend.js';
import { answers } from '../openapi.js';
import { operationSchema, planSchema } from '../operation-schemas.js';
import { emptyBody, memberParams, nodeParams, rebalanceBody, replaceBody } from '../schemas.js';

const config = { role: 'operator' } as const;

const actor = (request: FastifyRequest): Actor => ({ by: request.identity?.name ?? 'local' });

const accepted = (reply: FastifyReply, operation: OperationDocument): FastifyReply =>
  reply.code(202).header('location', `/v1/operations/${operation.id}`).send(operation);

/** What puts members elsewhere. */
export function moveRoutes(server: FastifyInstance, backend: Backend): void {
  const app = server.withTypeProvider<ZodTypeProvider>();
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
