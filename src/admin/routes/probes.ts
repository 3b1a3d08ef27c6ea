import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { UnderstudyError } from '../../../replication/errors.js';
import type { Backend } from '../backend.js';
import { metricsOf, metricsType } from '../metrics.js';
import { answers } from '../openapi.js';

const open = { role: 'open' } as const;
const publicly = { tags: ['probes'], security: [] };

export function probeRoutes(
  app: FastifyInstance,
  { backend, version }: { readonly backend: Backend; readonly version: string },
): void {
  app.get(
    '/livez',
    {
      config: open,
      schema: {
        ...publicly,
        summary: 'The process runs',
        response: answers({ 200: z.object({ live: z.literal(true), version: z.string() }) }),
      },
    },
    () => ({ live: true, version }),
  );
  app.get(
    '/readyz',
    {
      config: open,
      schema: {
        ...publicly,
        summary: 'The node is connected and has read the registry',
        response: answers({ 200: z.object({ ready: z.literal(true) }) }),
      },
    },
    () => {
      const { ready, reason } = backend.ready();
      if (ready) return { ready: true };
      throw new UnderstudyError('not-ready', `this node is not ready: ${reason}`);
    },
  );
  app.get(
    '/openapi.json',
    {
      config: open,
      schema: {
        ...publicly,
        summary: 'This document',
        response: answers({ 200: z.looseObject({ openapi: z.string() }) }),
      },
    },
    () => app.swagger(),
  );
  metricsRoute(app, backend);
}

function metricsRoute(app: FastifyInstance, backend: Backend): void {
  let scrape: (() => Promise<string>) | null = null;
  const text = { 'text/plain': { schema: z.string() } };
  app.get(
    '/metrics',
    {
      config: { role: 'viewer' },
      schema: {
        tags: ['probes'],
        summary: 'What this node measures, in the text format of Prometheus',
        response: answers({ 200: { description: 'Metrics', content: text } }),
      },
    },
    async (_request, reply) => {
      scrape ??= metricsOf(backend);
      return await reply
        .type(metricsType)
        .serializer(String)
        .send(await scrape());
    },
  );
}
