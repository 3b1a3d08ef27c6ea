/**
 * P14: every queue, table and loop of a group has a limit, all of them here.
 * Tables that are part of the replicated state must be equal on every member, so these are constants
 * of the program's version, not settings.
 */
export const limits = {
  /** One event as encoded by the client (msgpack). 256 KiB: two always fit a record. */
  eventSizeBytes: 256 * 1024,
  /** Encoded events of one batch; a batch is never split over records. */
  batchSizeBytes: 256 * 1024,
  batchEvents: 4096,
  /** Events and headers of one record: half of the broker's default 1 MiB message limit (P2). */
  recordSizeBytes: 512 * 1024,
  /** What an active holds for clients who have no answer yet: about eight full records. */
  intakeSizeBytes: 4 * 1024 * 1024,
  intakeEvents: 65_536,
  /** Reads that wait for the next quiet point of an active. */
  waitingReads: 4096,
  /** Requests for a sync that wait for the next snapshot. */
  waitingSyncs: 256,
  sessionSizeChars: 64,
  /** Unanswered numbers a session may hold; 16 full batches. */
  sessionWindow: 65_536,
  /** Sessions remembered per group. */
  sessions: 65_536,
  /**
   * All they hold, answers included, as reckoned in `answer-size.ts`. So many sessions with one small
   * answer each take half of it.
   */
  answersSizeBytes: 64 * 1024 * 1024,
  /** Answers of one session above its floor: no single one may fill the table. */
  sessionAnswersSizeBytes: 16 * 1024 * 1024,
  /** A session may be forgotten after this much recorded time without a delivery … */
  sessionIdleMs: 24 * 60 * 60 * 1000,
  /** … unless it is one of the latest: a clock that jumps ahead must not make it forget a retry. */
  sessionsKept: 4096,
  /** A full session table evicts sessions idle for this long; no client retries for longer. */
  sessionEvictMs: 60 * 60 * 1000,
  /** Idempotency keys remembered per group, oldest forgotten first … */
  keys: 262_144,
  /** … beyond this size too, reckoned in the same way. With keys of 36 characters the number is first. */
  keysSizeBytes: 96 * 1024 * 1024,
  keySizeBytes: 256,
  /** A rejection's `detail` is cut to this many characters: it is recorded with the decision. */
  rejectionCodeChars: 64,
  rejectionDetailChars: 256,
  /** Epochs a group's history keeps. */
  historyEpochs: 256,
  /** Nesting depth of an event or a query's arguments. */
  valueDepth: 64,
  members: { least: 2, most: 9 },
  /** Tables of a kind. */
  tables: 64,
  /** Modules of durable state machines of a kind: an operation has at most one machine of each. */
  machines: 32,
  /** Machines of a group that are in a state which is not final. */
  activeMachines: 16_384,
  /** Machines that have ended and are remembered, the one that ended first is forgotten first. */
  endedMachines: 65_536,
  /** States that a machine has left and that are remembered, the oldest forgotten first. */
  machineHistory: 256,
  operationChars: 256,
  /** What a trigger hands to its transition, as msgpack. */
  triggerOutputSizeBytes: 64 * 1024,
  /** A transition's or a trigger's error: it is recorded. */
  machineErrorChars: 512,
  /** Alarms of an active about machines that have no place in its code. */
  machineAlarms: 16,
  /** Rows that one query of machines answers with. */
  machineRows: 256,
  /** A table's key, and one value of it as msgpack. */
  tableKeyChars: 1024,
  tableValueSizeBytes: 16 * 1024 * 1024,
  /** A table's tree: a larger leaf is split, and so is a branch with more children. */
  leafSizeBytes: 32 * 1024,
  branchChildren: 64,
  /** A larger value is stored apart from its leaf: whoever changes a neighbour does not pay for it. */
  largeValueSizeBytes: 32 * 1024,
  /** One chunk of a snapshot. */
  chunkSizeBytes: 512 * 1024,
  /** Chunks of one snapshot: 4 GiB of encoded state. */
  snapshotChunks: 8192,
  /** Requests of one sync on the network at once, on its own node's cache, and on one peer. */
  syncRequests: 32,
  syncCacheRequests: 8,
  syncPeerRequests: 4,
  /** Different nodes that one sync asks; a group has fewer members. */
  syncPeers: 16,
  /** Chunks under way or waiting to be worked on: beyond the high mark a sync asks for nothing … */
  syncHighSizeBytes: 32 * 1024 * 1024,
  syncHighChunks: 36,
  /** … until it is below both low ones. */
  syncLowSizeBytes: 16 * 1024 * 1024,
  syncLowChunks: 24,
  /** Alarms of one sync. */
  syncAlarms: 8,
  /** Chunks that one sync reports as lost. */
  syncLost: 64,
  /** Live records a hot standby holds back while it fills a gap; more of them are read again. */
  tailBacklogSizeBytes: 8 * 1024 * 1024,
  /** Digests a hot standby remembers until the snapshot record they belong to. */
  marks: 8,
  /** A member whose state was found to differ this often is quarantined until `reinit`. */
  divergences: 3,
  /** A member that crashes this often in a row is quarantined until `reinit`. */
  memberCrashes: 8,
  /** How often a candidate tries its claim again when the old writer's last appends still land. */
  claimAttempts: 16,
  /** A hot standby that lacks no more than this of the furthest one counts as level with it. */
  levelEvents: 1000,
  /** Nodes and priorities that a group's placement names. */
  placementNodes: 64,
  /** Losses of a group's log that were accepted and are remembered. */
  acceptedLosses: 16,
  /** Groups of which a node's disk remembers where their log ended. */
  rememberedEnds: 8192,
  /** What one check-up tells, the worst first. */
  doctorFindings: 1000,
  /** Either way; the higher priority goes first. */
  priority: 1000,
  /** Cordoned nodes of a cluster. */
  cordons: 256,
  /** The longest pause, and why it was made. */
  pauseMs: 7 * 24 * 60 * 60_000,
  pauseReasonChars: 256,
  /** Operations on record: the ones that ended first are forgotten first. */
  operations: 1000,
  /** Operations that run at once. */
  operationsRunning: 256,
  /** One operation as JSON. */
  operationSizeBytes: 32 * 1024,
  /** Steps in an operation's history; of more, the first and the latest are kept. */
  operationSteps: 32,
  /** A detail or an error of an operation is cut to this many characters. */
  operationDetailChars: 1024,
  /** Failed tries of one step. */
  operationRetries: 20,
  /** What an operation does without a pause. */
  operationHops: 64,
  /** Locks of all operations. */
  operationLocks: 1024,
} as const;
