import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { findNode } from '../../../cluster/find-node.js';
import type { Backend } from '../backend.js';
import { answers } from '../openapi.js';
import { nodeParams, operationParams, waitQuery } from '../requests.js';
import {
  clusterSchema,
  doctorSchema,
  kindSchema,
  nodeSchema,
  operationSchema,
} from '../schemas.js';

type App = ReturnType<typeof typed>;

function typed(server: FastifyInstance) {
  return server.withTypeProvider<ZodTypeProvider>();
}

/** Cluster, nodes, kinds and operations. */
export function clusterRoutes(server: FastifyInstance, backend: Backend): void {
  const app = typed(server);
  const config = { role: 'viewer' } as const;
  app.get(
    '/v1/cluster',
    {
      config,
      schema: {
        tags: ['cluster'],
        summary: 'Everything at a glance',
        response: answers({ 200: clusterSchema }),
      },
    },
    () => backend.cluster(),
  );
  app.get(
    '/v1/doctor',
    {
      config,
      schema: {
        tags: ['cluster'],
        summary: 'A check-up: what is seen, what is expected, what to do',
        response: answers({ 200: doctorSchema }),
      },
    },
    () => backend.doctor(),
  );
  app.get(
    '/v1/nodes',
    {
      config,
      schema: {
        tags: ['cluster'],
        summary: 'All nodes',
        response: answers({ 200: z.array(nodeSchema) }),
      },
    },
    () => backend.nodes(),
  );
  app.get(
    '/v1/nodes/:node',
    {
      config,
      schema: {
        tags: ['cluster'],
        summary: 'One node',
        params: nodeParams,
        response: answers({ 200: nodeSchema }),
      },
    },
    async ({ params }) => findNode(await backend.nodes(), params.node),
  );
  app.get(
    '/v1/kinds',
    {
      config,
      schema: {
        tags: ['cluster'],
        summary: 'Kinds this node runs',
        response: answers({ 200: z.array(kindSchema) }),
      },
    },
    () => backend.kinds(),
  );
  operationRoutes(app, backend);
}

function operationRoutes(app: App, backend: Backend): void {
  const config = { role: 'viewer' } as const;
  app.get(
    '/v1/operations',
    {
      config,
      schema: {
        tags: ['operations'],
        summary: 'All operations',
        response: answers({ 200: z.array(operationSchema) }),
      },
    },
    () => backend.operations(),
  );
  app.get(
    '/v1/operations/:id',
    {
      config,
      schema: {
        tags: ['operations'],
        summary: 'One operation, now or when it ends',
        params: operationParams,
        querystring: waitQuery,
        response: answers({ 200: operationSchema }),
      },
    },
    ({ params, query }) => backend.operation(params.id, query.waitMs),
  );
  app.delete(
    '/v1/operations/:id',
    {
      config: { role: 'operator' },
      schema: {
        tags: ['operations'],
        summary: 'Ask an operation to end',
        params: operationParams,
        response: answers({ 202: operationSchema }),
      },
    },
    async (request, reply) => {
      const by = request.identity?.name ?? 'local';
      const operation = await backend.cancelOperation(request.params.id, { by });
      return reply.code(202).send(operation);
    },
  );
}
