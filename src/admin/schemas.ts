/**
 * The shapes of the admin API. Requests are checked against them; answers are only described by
 * them, and the type annotations keep them equal to the documents the backend hands out.
 */
import { z } from 'zod';
import type {
  ClusterDocument,
  DoctorDocument,
  GroupDetail,
  GroupDocument,
  HistoryEntry,
  NodeDocument,
  OperationDocument,
  PauseDocument,
} from '../../cluster/documents.js';
import type { Plan } from '../../cluster/plan.js';
import { errorAdvice } from '../../replication/errors.js';
import type { EventPage, PauseAnswer, Precondition, TokenedRead } from './backend.js';
import { component, count, errorCode, groupPriority, placementSchema, time } from './fields.js';

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
    supervised: z.boolean().describe('Something starts its process again when it has ended'),
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
const place = { seq: count, epoch: count };
const lossSchema = component(
  'Loss',
  z
    .object({
      fromSeq: count,
      toSeq: count,
      epoch: count.describe('Of the last that is gone'),
      endsAt: z.object(place).describe('Where the log ended when that was found'),
      found: z.string().describe('What is in place of the last that is gone'),
      heldBy: z
        .array(z.object({ index: count, nodeId: z.string(), syncedThrough: count }))
        .describe('Members that still hold more than the log'),
    })
    .describe('Seqs that were acknowledged and are not in the log any more'),
);
const acceptedLossSchema = component(
  'AcceptedLoss',
  z.object({
    through: count.describe('The log went on after this seq'),
    epoch: count,
    lostSeq: count.describe('It was known to have gone as far as this'),
    lostEpoch: count,
    by: z.string(),
    at: time,
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
  priority: groupPriority,
  quarantined: z.boolean(),
  lost: lossSchema.nullable().describe('The group serves nobody until it is accepted'),
  losses: z.array(acceptedLossSchema).describe('The latest that were accepted'),
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
export const doctorSchema: z.ZodType<DoctorDocument> = component(
  'Doctor',
  z.object({
    ok: z.boolean().describe('Nothing failed'),
    node: z.string().describe('Who looked'),
    at: time,
    findings: z.array(
      z.object({
        level: z.enum(['ok', 'warn', 'fail']),
        code: z.string(),
        about: z.string().nullable(),
        seen: z.string(),
        expected: z.string().nullable(),
        advice: z.string().nullable(),
      }),
    ),
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
        why: z.enum(['drain', 'placement', 'zone', 'members', 'actives']),
      }),
    ),
    stays: z
      .array(z.object({ group: z.string(), index: count, node: z.string(), why: z.string() }))
      .describe('Members that cannot leave a node that should be emptied'),
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
