/** What the schemas of requests and of documents are made of. */
import { z } from 'zod';
import { type ErrorCode, errorAdvice } from '../../replication/errors.js';
import { limits } from '../../replication/limits.js';
import { tokenPattern } from '../client/token.js';

/** Makes the schema a named component of the OpenAPI document. */
export function component<Schema extends z.ZodType>(id: string, schema: Schema): Schema {
  return schema.meta({ id });
}

export const count = z.int().min(0);
export const errorCode = z.enum(Object.keys(errorAdvice) as [ErrorCode, ...ErrorCode[]]);
export const time = z.string().describe('ISO 8601');
export const consistency = z.enum(['linearizable', 'local', 'standby']);

/** One token of a NATS subject. */
export const name = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,64}$/, 'expected 1 to 64 letters, digits, "-" or "_"');

/** A whole number in a query string. */
export function whole(least: number, most: number = Number.MAX_SAFE_INTEGER) {
  return z.preprocess(
    (text) => (typeof text === 'string' && /^\d{1,15}$/.test(text) ? Number(text) : text),
    z.int().min(least).max(most),
  );
}

/** For bodies that may be left out: `null` is what arrives then. */
export function optionalBody<Schema extends z.ZodType>(schema: Schema) {
  return z.preprocess((body) => body ?? {}, schema);
}

export const mostReadMs = 60_000;
export const readTimeoutMs = <Schema extends z.ZodType>(schema: Schema) =>
  schema.describe('How long to look for a member that can answer; 10000 without it');

/** Opaque to callers; parsed by those who use it. */
export const token = z
  .string()
  .regex(tokenPattern, 'expected a token as an earlier answer gave it');
export const tokenOfCaller = token
  .optional()
  .describe('Of an earlier answer: answer from no older state, see docs/admin-api.md');

const { placementNodes, priority } = limits;
const rank = z.int().min(-priority).max(priority);
export const groupPriority = rank.describe(
  'When many groups need a new active at once: the higher goes first',
);
const placementNodeList = z
  .array(name)
  .min(1)
  .max(placementNodes)
  .describe('Only these; without it all');
const placementSpread = z
  .enum(['node', 'zone'])
  .describe('`zone`: other zones come before less load; `node`, without it: the other way round');
const placementPriorities = z
  .record(name, rank)
  .refine((one) => Object.keys(one).length <= placementNodes, `at most ${placementNodes} nodes`)
  .describe('Of nodes as candidates, between those that are equally far: the higher goes first');
export const placementSchema = z.strictObject({
  nodes: placementNodeList.optional(),
  spread: placementSpread.optional(),
  priorities: placementPriorities.optional(),
});
/** What is absent stays as it is. */
export const placementChange = z.strictObject({
  nodes: placementNodeList.nullable().optional(),
  spread: placementSpread.nullable().optional(),
  priorities: placementPriorities.nullable().optional(),
});
