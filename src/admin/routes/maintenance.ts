import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { Actor, Backend } from '../backend.js';
import { answers } from '../openapi.js';
import { acceptLossBody, emptyBody, groupParams, nodeParams, pauseBody } from '../requests.js';
import { groupDetailSchema, nodeSchema, pauseAnswerSchema } from '../schemas.js';

type App = ReturnType<typeof typed>;

function typed(server: FastifyInstance) {
  return server.withTypeProvider<ZodTypeProvider>();
}

const config = { role: 'operator' } as const;
const tags = ['maintenance'];

const actor = (request: FastifyRequest): Actor => ({ by: request.identity?.name ?? 'local' });

/** Cordons of nodes; pauses of automatic failover. */
export function maintenanceRoutes(server: FastifyInstance, backend: Backend): void {
  const app = typed(server);
  cordonRoutes(app, backend);
  groupPauseRoutes(app, backend);
  acceptLossRoute(app, backend);
  pauseRoutes(app, backend);
}

function cordonRoutes(app: App, backend: Backend): void {
  const common = { tags, params: nodeParams, body: emptyBody };
  const response = answers({ 200: nodeSchema });
  app.post(
    '/v1/nodes/:node/cordon',
    {
      config,
      schema: { ...common, summary: 'No new members, and the last choice to take over', response },
    },
    (request) => backend.cordon(request.params.node, actor(request)),
  );
  app.post(
    '/v1/nodes/:node/uncordon',
    { config, schema: { ...common, summary: 'A node like the others again', response } },
    (request) => backend.uncordon(request.params.node, actor(request)),
  );
}

function groupPauseRoutes(app: App, backend: Backend): void {
  const common = { tags, params: groupParams };
  const response = answers({ 200: pauseAnswerSchema });
  app.post(
    '/v1/groups/:g/pause',
    {
      config,
      schema: { ...common, summary: 'Automatic failover off', body: pauseBody, response },
    },
    (request) => backend.pause(request.params.g, request.body, actor(request)),
  );
  app.post(
    '/v1/groups/:g/resume',
    {
      config,
      schema: { ...common, summary: 'Automatic failover on again', body: emptyBody, response },
    },
    (request) => backend.resume(request.params.g, actor(request)),
  );
}

function acceptLossRoute(app: App, backend: Backend): void {
  app.post(
    '/v1/groups/:g/accept-loss',
    {
      config,
      schema: {
        tags,
        summary: 'Go on from where the log ends, without what it has lost',
        params: groupParams,
        body: acceptLossBody,
        response: answers({ 200: groupDetailSchema }),
      },
    },
    (request) => backend.acceptLoss(request.params.g, request.body, actor(request)),
  );
}

function pauseRoutes(app: App, backend: Backend): void {
  const response = answers({ 200: pauseAnswerSchema });
  app.post(
    '/v1/pause',
    {
      config,
      schema: { tags, summary: 'Automatic failover of all groups off', body: pauseBody, response },
    },
    (request) => backend.pause(null, request.body, actor(request)),
  );
  app.post(
    '/v1/resume',
    {
      config,
      schema: {
        tags,
        summary: 'Ends the pause of all groups; those with a pause of their own stay paused',
        body: emptyBody,
        response,
      },
    },
    (request) => backend.resume(null, actor(request)),
  );
}
