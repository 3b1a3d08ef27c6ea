/** The OpenAPI document: made from the routes' schemas, with what they cannot describe. */
import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod';
import type { z } from 'zod';
import { tokenHeader } from '../client/token.js';
import { problemType } from './problems.js';
import { problemSchema } from './schemas.js';

const eventsPath = '/v1/groups/{g}/events';

export function openApiOptions(version: string): FastifyDynamicSwaggerOptions {
  return {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Understudy admin API',
        description: 'Every node serves all of it.',
        version,
      },
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
      security: [{ token: [] }],
    },
    transform: jsonSchemaTransform,
    transformObject: (document) => finish(jsonSchemaTransformObject(document)),
  };
}

/** An answer that is not JSON. */
interface OtherAnswer {
  readonly description: string;
  readonly content: Readonly<Record<string, { readonly schema: z.ZodType }>>;
}

/** Response schemas of a route: its own and the problem document for everything else. */
export function answers(own: Record<number, z.ZodType | OtherAnswer>): Record<string, unknown> {
  const problem = {
    description: 'A refusal or failure; `code` says which',
    content: { [problemType]: { schema: problemSchema } },
  };
  return { ...own, default: problem };
}

/** The parts of an OpenAPI document that are touched here. */
interface Document {
  components?: { schemas?: Record<string, unknown> };
  paths?: Record<string, Partial<Record<'get' | 'post', Route>>>;
}

interface Route {
  requestBody?: unknown;
  responses?: Record<string, { headers?: unknown }>;
}

function finish<Generated extends object>(document: Generated): Generated {
  return withTokens(withEventBodies(usedComponents(document))) as Generated;
}

/** The generator makes an input and an output form of each component; this keeps those in use. */
function usedComponents(document: Document): Document {
  const { schemas = {}, ...others } = document.components ?? {};
  const used = new Map<string, unknown>();
  const queue: unknown[] = [document.paths ?? {}];
  for (const part of queue) {
    for (const [, id = ''] of JSON.stringify(part).matchAll(/#\/components\/schemas\/(\w+)"/g)) {
      if (used.has(id)) continue;
      used.set(id, schemas[id]);
      queue.push(schemas[id]);
    }
  }
  return { ...document, components: { ...others, schemas: Object.fromEntries(used) } };
}

const event = { type: 'object', description: 'An event of the kind' };
const keyed = {
  type: 'object',
  description: 'An event with its idempotency key',
  properties: { key: { type: 'string' }, event },
  required: ['key', 'event'],
  additionalProperties: false,
};
const many = {
  type: 'object',
  properties: { events: { type: 'array', items: { anyOf: [keyed, event] } } },
  required: ['events'],
  additionalProperties: false,
};

function withEventBodies(document: Document): Document {
  const post = document.paths?.[eventsPath]?.post;
  if (post === undefined) return document;
  post.requestBody = {
    required: true,
    content: {
      'application/json': { schema: { anyOf: [many, keyed, event] } },
      'application/x-ndjson': {
        schema: { type: 'string', description: 'One event, or {"key","event"}, on each line' },
      },
    },
  };
  return document;
}

const tokenHeaders = {
  [tokenHeader]: {
    description:
      'Pass it to a read that must not answer from an older state. Missing if a delivery is answered ' +
      'while it goes on: then only the end of the document has it',
    schema: { type: 'string' },
  },
};

function withTokens(document: Document): Document {
  const { paths = {} } = document;
  const routes = [
    paths[eventsPath]?.post,
    paths['/v1/groups/{g}/query']?.post,
    paths['/v1/groups/{g}/state']?.get,
  ];
  for (const route of routes) {
    const answer = route?.responses?.['200'];
    if (answer !== undefined) answer.headers = tokenHeaders;
  }
  return document;
}
