/**
 * The shapes of the admin API. Requests are checked against them; answers are only described by
 * them, and the type annotations keep them equal to the documents the backend hands out.
 */
import { z } from 'zod';
import type {
  ClusterDocument,
  GroupDetail,
  GroupDocument,
  GroupSpec,
  HistoryEntry,
  NodeDocument,
  PauseDocument,
} from '../../cluster/documents.js';
import { type ErrorCode, errorAdvice } from '../../replication/errors.js';
import { limits } from '../../replication/limits.js';
import { tokenHeader, tokenPattern } from '../client/token.js';
import type {
  EventPage,
  PauseAnswer,
  PauseRequest,
  Precondition,
  QueryRequest,
  TokenedRead,
} from './backend.js';

/** Makes the schema a named component of the OpenAPI document. */
export function component<Schema extends z.ZodType>(id: string, schema: Schema): Schema {
  return schema.meta({ id });
}

export const count = z.int().min(0);
export const errorCode = z.enum(Object.keys(errorAdvice) as [ErrorCode, ...ErrorCode[]]);
export const time = z.string().describe('ISO 8601');
const consistency = z.enum(['linearizable', 'local', 'standby']);

/** One token of a NATS subject. */
const name = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,64}$/, 'expected 1 to 64 letters, digits, "-" or "_"');

/** A whole number in a query string. */
function whole(least: number, most: number = Number.MAX_SAFE_INTEGER) {
  return z.preprocess(
    (text) => (typeof text === 'string' && /^\d{1,15}$/.test(text) ? Number(text) : text),
    z.int().min(least).max(most),
  );
}

/** For bodies that may be left out: `null` is what arrives then. */
function optionalBody<Schema extends z.ZodType>(schema: Schema) {
  return z.preprocess((body) => body ?? {}, schema);
}

const mostReadMs = 60_000;
const readTimeoutMs = <Schema extends z.ZodType>(schema: Schema) =>
  schema.describe('How long to look for a member that can answer; 10000 without it');

/** Opaque to callers; parsed by those who use it. */
const token = z.string().regex(tokenPattern, 'expected a token as an earlier answer gave it');
const tokenOfCaller = token
  .optional()
  .describe('Of an earlier answer: answer from no older state, see docs/admin-api.md');

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

const { placementNodes, priority } = limits;
const placementSchema = z.strictObject({
  nodes: z.array(name).min(1).max(placementNodes).optional().describe('Only these; without it all'),
  spread: z
    .enum(['node', 'zone'])
    .optional()
    .describe('`zone`: other zones come before less load; `node`, without it: the other way round'),
  priorities: z
    .record(name, z.int().min(-priority).max(priority))
    .refine((one) => Object.keys(one).length <= placementNodes, `at most ${placementNodes} nodes`)
    .optional()
    .describe('Of nodes as candidates, between those that are equally far: the higher goes first'),
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
  }),
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
export const replaceBody = optionalBody(z.strictObject({ node: name.optional() }));
export const rebalanceBody = optionalBody(z.strictObject({ dryRun: z.boolean().optional() }));
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
export const failoverBody = optionalBody(z.strictObject({ candidate: name.optional() }));

export const nodeSchema: z.ZodType<NodeDocument> = component(
  'Node',
  z.object({
    id: z.string(),
    incarnation: z.string(),
    state: z.enum(['up', 'suspect', 'down', 'drained']),
    cordoned: z.boolean(),
    zone: z.string().nullable(),
    adminUrl: z.string().nullable(),
    pid: z.int().nullable(),
    members: z.object({ active: count, standby: count }),
  }),
);
const pauseSchema: z.ZodType<PauseDocument> = component(
  'Pause',
  z.object({
    scope: z.enum(['group', 'all']).describe('`all`: it is a pause of all groups'),
    reason: z.string().nullable(),
    by: z.string(),
    until: time.describe('When it ends by itself'),
  }),
);
export const pauseAnswerSchema: z.ZodType<PauseAnswer> = z.object({
  pause: pauseSchema.nullable().describe('What is in force now; null: nothing'),
});
const memberSyncSchema = component(
  'MemberSync',
  z
    .object({
      doneSizeBytes: count.describe('Verified'),
      knownSizeBytes: count.describe('All that is known to be wanted; grows at the beginning'),
      bytesPerSecond: count.describe('Over the last seconds'),
      secondsLeft: count.nullable().describe('At this rate; null: nothing has come for seconds'),
      fromCache: count.describe('Bytes'),
      fromStore: count.describe('Bytes'),
      fromPeers: count.describe('Bytes'),
      corrupt: count.describe('Answers with other bytes than those asked for'),
    })
    .describe('A snapshot that the member is fetching'),
);
const memberSchema = component(
  'Member',
  z.object({
    index: count,
    nodeId: z.string(),
    publicKey: z.string(),
    role: z.enum(['active', 'standby']),
    healthy: z.boolean(),
    syncedThrough: count.describe('The last seq this member can serve without the log'),
    lastSync: time.nullable(),
    state: z.string(),
    lag: count.describe('Events it would have to replay to reach the seq of the group'),
    diverged: count.describe('How often its state differed from the group and was thrown away'),
    sync: memberSyncSchema.nullable(),
    error: z.string().nullable(),
  }),
);
const alarmSchema = component(
  'Alarm',
  z.object({
    at: time,
    index: count,
    nodeId: z.string(),
    code: z.string(),
    detail: z.string(),
  }),
);
const groupShape = z.object({
  name: z.string(),
  kind: z.string(),
  groupId: z.string(),
  origin: z.string(),
  epoch: count,
  health: z.object({
    status: z.enum(['healthy', 'degraded', 'dead']),
    healthy: count,
    total: count,
  }),
  activeIndex: count.nullable(),
  activeNode: z.string().nullable(),
  activeHealthy: z.boolean(),
  memberCount: count,
  standbyCount: count,
  members: z.array(memberSchema),
  seq: count,
  bufferedEventCount: count,
  reprotected: z.boolean(),
  paused: z.boolean(),
  pause: pauseSchema.nullable().describe('Automatic failover is off'),
  vacancy: z
    .object({ cause: z.string(), since: time })
    .nullable()
    .describe('Why somebody has to take over'),
  placement: placementSchema,
  quarantined: z.boolean(),
  standby: z.enum(['warm', 'hot']),
  sync: z.object({ everyEvents: count, everyMs: count }),
  createdAt: time,
});
export const groupSchema: z.ZodType<GroupDocument> = component('Group', groupShape);
export const groupDetailSchema: z.ZodType<GroupDetail> = component(
  'GroupDetail',
  groupShape.extend({
    alarms: z.array(alarmSchema).describe('Of the members that answer, newest first'),
  }),
);
export const clusterSchema: z.ZodType<ClusterDocument> = component(
  'Cluster',
  z.object({
    namespace: z.string(),
    version: z.string(),
    nodes: z.array(nodeSchema),
    pause: pauseSchema.nullable().describe('Of all groups'),
    groups: z.object({ total: count, healthy: count, degraded: count, dead: count }),
    broker: z.object({
      connected: z.boolean(),
      server: z.string().nullable(),
      version: z.string().nullable(),
      url: z.string().nullable(),
    }),
  }),
);
export const historyEntrySchema: z.ZodType<HistoryEntry> = component(
  'HistoryEntry',
  z.object({
    epoch: count,
    node: z.string(),
    index: count,
    cause: z.string(),
    operation: z.string().nullable().describe('Id of the operation that asked for it'),
    startedAt: time,
    fromSeq: count.describe('The last seq of the previous epoch'),
    phases: z
      .object({
        detectMs: z.number(),
        decideMs: z.number(),
        claimMs: z.number(),
        replayMs: z.number(),
        openMs: z.number(),
      })
      .nullable(),
    replayed: count,
    unavailableMs: z.number().nullable(),
  }),
);
export const kindSchema = z.object({ name: z.string(), version: z.int().min(1) });
export const readSchema: z.ZodType<TokenedRead> = component(
  'Read',
  z.object({
    value: z.unknown(),
    seq: count,
    epoch: count,
    member: count.describe('Index of the member that answered'),
    token: z.string().describe('For `Understudy-Token` of a read that must not be older'),
  }),
);
export const eventPageSchema: z.ZodType<EventPage> = component(
  'EventPage',
  z.object({
    events: z.array(z.object({ seq: count, epoch: count, at: time, event: z.unknown() })),
    next: count.nullable().describe('Pass as `from` for the next page; null: the end of the log'),
  }),
);
export const preconditionSchema: z.ZodType<Precondition> = component(
  'Precondition',
  z.object({ name: z.string(), ok: z.boolean(), detail: z.string() }),
);
export const dryRunSchema = z.object({
  ok: z.boolean(),
  preconditions: z.array(preconditionSchema),
});
export const throughSchema = z.object({ through: count });

export const problemSchema = component(
  'Problem',
  z.looseObject({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    code: z.enum(Object.keys(errorAdvice) as [string, ...string[]]),
    detail: z.string(),
    advice: z.enum(['retry', 'give-up', 'ask']),
    preconditions: z.array(preconditionSchema).optional(),
    rejection: z.object({ code: z.string(), detail: z.string() }).optional(),
  }),
);
const duplicate = z
  .boolean()
  .describe('True if the answer was decided by an earlier delivery of the same event');
export const deliveredSchema = component(
  'Delivered',
  z.object({
    results: z.array(
      z.union([
        z.object({ seq: count, result: z.unknown(), duplicate: duplicate.optional() }),
        z.object({ code: z.string(), detail: z.string(), duplicate: duplicate.optional() }),
      ]),
    ),
    seq: count
      .nullable()
      .describe('The highest seq among the answers; null: nothing was delivered'),
    epoch: count.nullable(),
    duplicate,
    token: z
      .string()
      .nullable()
      .describe('For `Understudy-Token` of a read that has to see these events'),
    problem: problemSchema
      .optional()
      .describe('Why the events after the last result were not answered'),
  }),
);
