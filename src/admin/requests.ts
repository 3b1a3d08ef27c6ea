/** What clients send: parameters, headers and bodies. The server validates them by these schemas. */
import { z } from 'zod';
import type { GroupChange, GroupSpec } from '../../cluster/documents.js';
import { limits } from '../../replication/limits.js';
import { tokenHeader } from '../client/token.js';
import type { AcceptLossRequest, PauseRequest, QueryRequest } from './backend.js';
import {
  component,
  consistency,
  count,
  groupPriority,
  mostReadMs,
  name,
  optionalBody,
  placementChange,
  placementSchema,
  readTimeoutMs,
  tokenOfCaller,
  whole,
} from './fields.js';

export const groupParams = z.strictObject({ g: name });
export const nodeParams = z.strictObject({ node: name });
export const memberParams = z.strictObject({ g: name, index: whole(0) });
export const operationParams = z.strictObject({ id: z.string().min(1).max(128) });

export const eventsQuery = z.strictObject({
  from: whole(1).default(1).describe('First seq'),
  to: whole(1).nullable().default(null).describe('Last seq; without it the end of the log'),
  limit: whole(1, 4096).default(1000).describe('Events in one page'),
});
export const stateQuery = z.strictObject({
  at: whole(0).nullable().default(null).describe('Any retained seq; without it the present one'),
  consistency: consistency.default('linearizable'),
  minSeq: whole(0).optional().describe('The state must have this seq at least'),
  timeoutMs: readTimeoutMs(whole(1, mostReadMs)).optional(),
});
export const waitQuery = z.strictObject({
  waitMs: whole(0, 30_000).default(0).describe('How long to wait for the operation to end'),
});
export const deliverQuery = z.strictObject({
  timeoutMs: whole(1, 60_000).default(30_000).describe('How long to look for an active, per batch'),
});
export const readHeaders = z.looseObject({ [tokenHeader]: tokenOfCaller });
export const deliverHeaders = z.looseObject({
  [tokenHeader]: tokenOfCaller,
  'idempotency-key': z
    .string()
    .min(1)
    .max(limits.keySizeBytes)
    .optional()
    .describe('Key of the one event in the body; refused with more than one'),
  'understudy-session': z
    .string()
    .regex(/^[\w-]{1,64};[1-9]\d{0,14};[1-9]\d{0,14}$/, 'expected <id>;<first>;<floor>')
    .optional()
    .describe('`<id>;<first>;<floor>`: makes the request repeatable, see docs/admin-api.md'),
});

export const groupSpecSchema: z.ZodType<GroupSpec> = component(
  'GroupSpec',
  z.strictObject({
    name,
    kind: z.string().min(1).max(128),
    // Described here, judged by the backend: a number of the wrong size is `invalid-config`.
    memberCount: z
      .int()
      .meta({ minimum: limits.members.least, maximum: limits.members.most })
      .optional(),
    groupSeed: z.string().meta({ pattern: '^[0-9a-fA-F]{64}$' }).optional(),
    standby: z.enum(['warm', 'hot']).optional(),
    sync: z
      .strictObject({ everyEvents: z.int().min(1).optional(), everyMs: z.int().min(1).optional() })
      .optional(),
    placement: placementSchema.optional(),
    priority: groupPriority.optional(),
  }),
);
export const groupChangeSchema: z.ZodType<GroupChange> = component(
  'GroupChange',
  z.strictObject({ priority: groupPriority.optional(), placement: placementChange.optional() }),
);
export const queryBody: z.ZodType<Omit<QueryRequest, 'after'>> = z.strictObject({
  name: z.string().min(1).max(128),
  args: z.unknown().optional(),
  consistency: consistency.optional(),
  minSeq: count.optional().describe('The state must have this seq at least'),
  timeoutMs: readTimeoutMs(z.int().min(1).max(mostReadMs)).optional(),
});
export const emptyBody = optionalBody(z.strictObject({}));
export const switchoverBody = optionalBody(
  z.strictObject({
    leader: name.optional(),
    candidate: name.optional(),
    dryRun: z.boolean().optional(),
    timeoutMs: z.int().min(1).max(60_000).optional().describe('How long writes may pause'),
    scheduledAt: z.iso
      .datetime({ offset: true })
      .optional()
      .describe('When to begin; what has to hold is judged then'),
  }),
);
export const pauseBody: z.ZodType<PauseRequest> = optionalBody(
  z.strictObject({
    ttlMs: z
      .int()
      .min(1)
      .max(limits.pauseMs)
      .optional()
      .describe('When it ends by itself; an hour without it'),
    reason: z.string().max(limits.pauseReasonChars).optional(),
  }),
);
export const acceptLossBody: z.ZodType<AcceptLossRequest> = z.strictObject({
  through: z.int().min(0).describe('Where the log ends: the last seq that is left'),
});
export const replaceBody = optionalBody(z.strictObject({ node: name.optional() }));
export const rebalanceBody = optionalBody(z.strictObject({ dryRun: z.boolean().optional() }));
export const failoverBody = optionalBody(z.strictObject({ candidate: name.optional() }));
