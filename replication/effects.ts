/** What goes into a member's `step` and what comes out. Data only: a driver executes it. */
import type { Batch, BatchAnswer } from './batch.js';
import type { End, Loss } from './ends.js';
import type { ErrorCode } from './errors.js';
import type { Epoch, Position, Seq, WriterId } from './ids.js';
import type { Kind } from './kind.js';
import type {
  AppendOutcome,
  Fetched,
  Hash,
  Proof,
  ReadOutcome,
  StoredRecord,
  TailedRecord,
} from './ports.js';
import type { EpochNote } from './replica.js';
import type { Identity } from './signature.js';
import type { Stretches } from './state/leaf-memory.js';
import type { SyncProgress } from './sync/progress.js';

/** The time a step happens at. Only `wallMs` may be off or jump; nothing safe depends on either. */
export interface Instant {
  /** Monotonic, for durations. */
  readonly monoMs: number;
  /** Since 1970, for what is recorded. */
  readonly wallMs: number;
}

export interface MemberConfig {
  readonly group: string;
  readonly groupId: string;
  readonly kind: Kind;
  readonly hash: Hash;
  /** Memory for a state that comes in. Default: made when it is needed. */
  readonly stretches?: Stretches;
  readonly id: WriterId;
  readonly identity: Identity;
  /** A warm standby holds the last snapshot; a hot one also follows the log. */
  readonly standby: 'warm' | 'hot';
  /** Packing a state of this size is nothing a command would notice. */
  readonly cheapSizeBytes: number;
  /** Fewer missing events than this are replayed rather than replaced by a snapshot. */
  readonly replayEvents: number;
  /** A snapshot is due after this many events or this much time with at least one event. */
  readonly sync: { readonly everyEvents: number; readonly everyMs: number };
  /** How often a standby looks at the log's end for a snapshot it was not told of. */
  readonly pollMs: number;
  /** How many losses of the log have been accepted: what was known before the last is void. */
  readonly era: number;
}

/** Why a member is asked to become the writer, with the stopwatch so far. */
export interface PromotionCause {
  readonly cause: string;
  /** The epoch that is to be ended. A log that is further on has made the request void. */
  readonly endsEpoch: Epoch;
  /** Wall clock of the first sign that the old writer was gone. */
  readonly startedAtMs: number;
  readonly detectMs: number;
  readonly decideMs: number;
  readonly operation: string | null;
  /** On silence alone: look for this long whether the log still advances before claiming (P9). */
  readonly observeMs: number;
}

/**
 * What a read promises (P11). `linearizable`: nothing older than any answer given before it was asked.
 * `local`: the active's committed state. `standby`: some member's state, an exact prefix of the log.
 */
export type Consistency = 'linearizable' | 'local' | 'standby';

export interface ReadRequest {
  readonly request: number;
  readonly consistency: Consistency;
  /** The state must have this seq at least; a standby that has not is given a moment. */
  readonly minSeq: Seq;
  /** Name of a query of the kind; null: only where the member stands is asked for. */
  readonly query: string | null;
  readonly args: unknown;
}

export type Input =
  | { readonly kind: 'start' }
  | { readonly kind: 'tick' }
  | { readonly kind: 'deliver'; readonly request: number; readonly batch: Batch }
  | ({ readonly kind: 'read' } & ReadRequest)
  /** Cut a snapshot unless the newest one is at the present seq. */
  | { readonly kind: 'sync'; readonly request: number }
  | ({ readonly kind: 'promote' } & PromotionCause)
  /** An operator wants this member to forget what it holds and begin anew; an active refuses. */
  | { readonly kind: 'reinit'; readonly request: number }
  /** Leave the role to `target` on purpose; serve on if no claim follows within the budget. */
  | {
      readonly kind: 'hand-off';
      readonly request: number;
      readonly target: number;
      readonly budgetMs: number;
    }
  /** Somebody says the group is in this epoch now. A hint: looked up in the log. */
  | { readonly kind: 'epoch-seen'; readonly epoch: Epoch }
  | { readonly kind: 'snapshot-seen'; readonly position: Position; readonly seq: Seq }
  /** The active tells of more than this member has: for a warm one of a snapshot at `seq`. A hint. */
  | { readonly kind: 'behind'; readonly seq: Seq }
  /** The connection to the log was lost: it may not come back as what it was. */
  | { readonly kind: 'suspect' }
  /** The furthest record that another member had from the log. */
  | { readonly kind: 'end-told'; readonly end: End }
  /** Another member says that the log has lost this record. A hint: looked up in the log. */
  | { readonly kind: 'loss-told'; readonly known: End }
  /** The hot standbys that follow the log as far as the node knows, lowest index first. A hint. */
  | { readonly kind: 'followers'; readonly indexes: readonly number[] }
  /** A follower's attestation of a mark, as it encoded it. */
  | { readonly kind: 'attested'; readonly bytes: Uint8Array }
  /** The program that runs this member gives up on it. */
  | { readonly kind: 'quarantine'; readonly detail: string }
  | { readonly kind: 'tailed'; readonly call: number; readonly record: TailedRecord }
  | { readonly kind: 'appended'; readonly call: number; readonly outcome: AppendOutcome }
  | { readonly kind: 'read-done'; readonly call: number; readonly outcome: ReadOutcome }
  | { readonly kind: 'proved'; readonly call: number; readonly outcome: Proof }
  | { readonly kind: 'replayed'; readonly call: number; readonly records: readonly StoredRecord[] }
  | { readonly kind: 'replay-ended'; readonly call: number; readonly failure: string | null }
  /** A trigger of a machine has fired, or failed. `chance`: from 0 to 1, spreads retries. */
  | {
      readonly kind: 'trigger-ended';
      readonly call: number;
      readonly result: { readonly output: unknown } | { readonly failure: string };
      readonly chance: number;
    }
  /** Time for a slice of what is cut or compared beside everything else: about so many bytes of it. */
  | { readonly kind: 'work'; readonly sizeBytes: number }
  /** Nodes that may hold chunks of this group's snapshots, other than this one. A hint. */
  | { readonly kind: 'peers'; readonly nodes: readonly string[] }
  /** Somebody could not get these chunks of a recorded snapshot anywhere. A hint. */
  | { readonly kind: 'chunks-lost'; readonly hashes: readonly Uint8Array[] }
  | {
      readonly kind: 'announced';
      readonly call: number;
      readonly result: { readonly standing: readonly string[] } | { readonly failure: string };
    }
  | { readonly kind: 'chunk-put'; readonly call: number; readonly failure: string | null }
  | { readonly kind: 'pinned'; readonly call: number; readonly failure: string | null }
  | {
      readonly kind: 'fetched';
      readonly call: number;
      /** As in the request: what a former generation asked for is nobody's any more. */
      readonly generation: string;
      readonly result: Fetched;
    };

/** Whom a chunk is asked of. */
export type Source =
  | { readonly kind: 'cache' }
  | { readonly kind: 'store' }
  | { readonly kind: 'peer'; readonly node: string };

/** One run of a trigger, for the state that its machine is in. */
export interface TriggerRun {
  readonly operation: string;
  readonly machine: string;
  readonly step: number;
  readonly state: string;
  readonly transition: string;
  readonly data: unknown;
  /** 1 for the first run of this active. */
  readonly attempt: number;
}

export type ReadResult =
  | { readonly ok: true; readonly value: unknown; readonly seq: Seq; readonly epoch: Epoch }
  | { readonly ok: false; readonly code: ErrorCode | 'moved'; readonly detail: string };

export type Effect =
  | {
      readonly kind: 'append';
      readonly call: number;
      readonly bytes: Uint8Array;
      readonly expected: Position;
    }
  | { readonly kind: 'read-last'; readonly call: number }
  | { readonly kind: 'read-next'; readonly call: number; readonly after: Position }
  | { readonly kind: 'read-at'; readonly call: number; readonly at: Position }
  | { readonly kind: 'prove'; readonly call: number; readonly at: Position }
  | {
      readonly kind: 'replay';
      readonly call: number;
      readonly after: Position;
      readonly through: Position;
    }
  /** Hand over what is stored from now on, until it is stopped. */
  | { readonly kind: 'tail'; readonly call: number }
  /** Nobody listens to this replay or tail any more. */
  | { readonly kind: 'stop'; readonly call: number }
  | {
      readonly kind: 'announce';
      readonly call: number;
      readonly id: string;
      readonly reused: readonly Uint8Array[];
    }
  | {
      readonly kind: 'put-chunk';
      readonly call: number;
      readonly hash: Uint8Array;
      readonly bytes: Uint8Array;
    }
  | {
      readonly kind: 'pin';
      readonly call: number;
      readonly id: string;
      readonly chunks: readonly Uint8Array[];
    }
  | {
      readonly kind: 'fetch';
      readonly call: number;
      readonly generation: string;
      readonly source: Source;
      readonly hash: Uint8Array;
    }
  /** A verified chunk that the next sync here, or a peer, may want. */
  | { readonly kind: 'keep-chunk'; readonly hash: Uint8Array; readonly bytes: Uint8Array }
  /** For the writer, which is on `node`: it should put these anew with its next snapshot. */
  | {
      readonly kind: 'report-lost';
      readonly node: string;
      readonly hashes: readonly Uint8Array[];
    }
  | { readonly kind: 'drop-snapshots'; readonly before: string }
  /** Run this trigger of a machine until it ends or is disarmed. */
  | ({ readonly kind: 'arm'; readonly call: number } & TriggerRun)
  | { readonly kind: 'disarm'; readonly call: number }
  | { readonly kind: 'answer'; readonly request: number; readonly answer: BatchAnswer }
  | { readonly kind: 'answer-read'; readonly request: number; readonly result: ReadResult }
  | {
      readonly kind: 'answer-sync';
      readonly request: number;
      readonly result: { readonly through: Seq } | { readonly failure: string };
    }
  | { readonly kind: 'answer-hand-off'; readonly request: number; readonly failure: string | null }
  | { readonly kind: 'answer-reinit'; readonly request: number; readonly failure: string | null }
  /** From here on this member takes deliveries and reads. */
  | { readonly kind: 'open'; readonly epoch: Epoch }
  /** From here on it does not; requests it already holds are answered `moved`. */
  | { readonly kind: 'close' }
  | {
      readonly kind: 'announce-snapshot';
      readonly epoch: Epoch;
      readonly position: Position;
      readonly seq: Seq;
    }
  /** The writer has left: `target` may claim at once. */
  | { readonly kind: 'announce-handoff'; readonly epoch: Epoch; readonly target: number }
  /** For the writer, which is on `node`; losing it costs a snapshot. */
  | { readonly kind: 'attest'; readonly node: string; readonly bytes: Uint8Array }
  | { readonly kind: 'epoch-noted'; readonly note: EpochNote }
  | { readonly kind: 'alarm'; readonly code: AlarmCode; readonly detail: string };

/** `log-lost`: the log does not hold any more what it held. */
export type AlarmCode = ErrorCode | 'log-lost';

/** What a member tells the world about itself; the driver sends it with the node's beat. */
export interface MemberReport {
  readonly group: string;
  readonly index: number;
  readonly state: MemberState;
  readonly epoch: Epoch;
  /** The last seq this member can serve without the log. */
  readonly syncedThrough: Seq;
  /** Wall clock of the last sync; null: never. */
  readonly lastSyncMs: number | null;
  /** The group's seq as this member knows it. */
  readonly seq: Seq;
  /** Of the newest snapshot as this member knows it. */
  readonly snapshotSeq: Seq;
  /** The writer of `epoch`; null: nobody yet. */
  readonly writer: WriterId | null;
  /** The seq the epoch began at; told by its active only, 0 otherwise. */
  readonly fromSeq: Seq;
  /** It follows the log, and stands where it says up to some milliseconds. */
  readonly hot: boolean;
  /** How often its state was found to differ from the group's, and thrown away. */
  readonly diverged: number;
  /** How far the snapshot is that is being fetched, in whatever state; null: none is. */
  readonly sync: SyncProgress | null;
  readonly error: string | null;
  readonly era: number;
  /** The furthest record it knows the log to hold, or to have held; null: none. */
  readonly known: End | null;
  /** Null: the log holds what it held, as far as this member knows. */
  readonly loss: Loss | null;
}

export const memberStates = [
  /** Looking at the log for what there is. */
  'starting',
  /** Fetching and verifying a snapshot. */
  'restoring',
  'standby',
  /** Claiming, replaying, opening. */
  'promoting',
  'active',
  /** Has written its last record of the epoch and waits for its successor. */
  'handing-off',
  /** The kind threw on replay, or the log cannot be followed (P15), or it has lost records. */
  'quarantined',
] as const;
export type MemberState = (typeof memberStates)[number];
