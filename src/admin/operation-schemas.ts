/** The shapes of operations and plans. */
import { z } from 'zod';
import type { OperationDocument } from '../../cluster/documents.js';
import type { Plan } from '../../cluster/plan.js';
import { component, count, errorCode, time } from './schemas.js';

export const operationSchema: z.ZodType<OperationDocument> = component(
  'Operation',
  z.object({
    id: z.string(),
    kind: z.string(),
    target: z.string(),
    state: z.enum(['running', 'done', 'failed', 'cancelled']),
    step: z.string(),
    attempts: count.describe('How often it was begun without having been done'),
    retries: count.describe('Failed tries of the present step'),
    lastError: z.object({ code: errorCode, detail: z.string() }).nullable(),
    createdAt: time,
    updatedAt: time,
    wakeAt: time.nullable().describe('Until when it waits; null: it does not, or for a moment'),
    driver: z.string().nullable().describe('The node that drives it'),
    by: z.string(),
    steps: z.array(z.object({ name: z.string(), at: time, detail: z.string().exactOptional() })),
  }),
);
export const planSchema: z.ZodType<Plan> = component(
  'Plan',
  z.object({
    moves: z.array(
      z.object({
        kind: z.enum(['switchover', 'move']),
        group: z.string(),
        index: count,
        from: z.string(),
        to: z.string(),
        why: z.enum(['drain', 'zone', 'members', 'actives']),
      }),
    ),
    stays: z
      .array(z.object({ group: z.string(), index: count, node: z.string(), why: z.string() }))
      .describe('Members that cannot leave a node that should be emptied'),
  }),
);
