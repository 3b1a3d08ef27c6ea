/** What the admin API needs from its node. The API itself knows HTTP and nothing else. */
import type {
  ClusterDocument,
  DoctorDocument,
  GroupChange,
  GroupDetail,
  GroupDocument,
  GroupSpec,
  HistoryEntry,
  NodeDocument,
  OperationDocument,
  PauseDocument,
} from '../../cluster/documents.js';
import type { Precondition, SwitchoverRequest } from '../../cluster/operations/switchover.js';
import type { Plan } from '../../cluster/plan.js';
import type { Batch, BatchAnswer } from '../../replication/batch.js';
import type { Consistency } from '../../replication/effects.js';

export interface ReadAnswer {
  readonly value: unknown;
  readonly seq: number;
  readonly epoch: number;
  /** Index of the member that answered. */
  readonly member: number;
}

/** With what a later read, of any member, has to be given to see no older state. */
export interface TokenedRead extends ReadAnswer {
  readonly token: string;
}

/** What a read promises, and how long to look for a member that can keep it. */
export interface ReadRequest {
  /** Default `linearizable`. */
  readonly consistency?: Consistency | undefined;
  /** Answer from a state that has at least this seq. */
  readonly minSeq?: number | undefined;
  /** A token: answer from a state that holds what it stands for. */
  readonly after?: string | undefined;
  /** Default 10000. */
  readonly timeoutMs?: number | undefined;
}

export interface QueryRequest extends ReadRequest {
  readonly name: string;
  readonly args?: unknown;
}

export interface StateRequest extends ReadRequest {
  /** The state at exactly this seq; null: the present one. */
  readonly at?: number | null | undefined;
}

export interface EventEntry {
  readonly seq: number;
  readonly epoch: number;
  /** When the active recorded it, ISO 8601. */
  readonly at: string;
  readonly event: unknown;
}

export interface EventPage {
  readonly events: readonly EventEntry[];
  /** Pass as `from` for the next page; null: the end of the log was reached. */
  readonly next: number | null;
}

export interface Actor {
  /** Name of the token that asked, or `local` without authentication. */
  readonly by: string;
}

/** A precondition of a switchover; all of them are reported at once. */
export type { Precondition, SwitchoverRequest };

export interface PauseRequest {
  /** After so long it ends by itself. Default 3600000. */
  readonly ttlMs?: number | undefined;
  readonly reason?: string | undefined;
}

export interface AcceptLossRequest {
  /** Where the log ends: the last seq that is left. */
  readonly through: number;
}

export interface PauseAnswer {
  /** What is in force now: of a group perhaps the pause of all groups. Null: nothing. */
  readonly pause: PauseDocument | null;
}

export type SwitchoverAnswer =
  | { readonly kind: 'started'; readonly operation: OperationDocument }
  | { readonly kind: 'dry-run'; readonly preconditions: readonly Precondition[] }
  | { readonly kind: 'refused'; readonly preconditions: readonly Precondition[] };

export type RestartAnswer =
  | { readonly kind: 'started'; readonly operation: OperationDocument }
  | { readonly kind: 'refused'; readonly preconditions: readonly Precondition[] };

export interface ReplaceRequest {
  readonly index: number;
  /** Where to; without it the best node. */
  readonly node?: string | undefined;
}

export interface RebalanceRequest {
  readonly dryRun?: boolean | undefined;
}

export type RebalanceAnswer =
  | { readonly kind: 'started'; readonly operation: OperationDocument }
  | { readonly kind: 'dry-run'; readonly plan: Plan };

/** Beyond this a caller's HTTP library gives up on an answer that has not begun. */
export const longestSyncMs = 240_000;

/** What a node has counted since it started. */
export interface NodeCounters {
  readonly node: string;
  /** By kind of heavy work: members that are at it, and that wait for a permit. */
  readonly permits: Readonly<Record<string, { readonly held: number; readonly waiting: number }>>;
  /** Members that have ended, by how. */
  readonly ended: Readonly<Record<string, number>>;
  /** Of snapshots that its members fetched. */
  readonly fetched: {
    readonly fromSizeBytes: {
      readonly cache: number;
      readonly store: number;
      readonly peers: number;
    };
    /** Answers with other bytes than those asked for. */
    readonly corrupt: number;
  };
  readonly cache: {
    readonly hits: number;
    readonly misses: number;
    readonly corrupt: number;
    readonly sizeBytes: number;
  };
}

/** Every method throws `UnderstudyError` with one of the contract's codes. */
export interface Backend {
  /** True once this node is connected and has read the registry. */
  ready(): { readonly ready: boolean; readonly reason: string };
  /** False while the node starts: what it does not know of may well be there. */
  hasJoined(): boolean;
  cluster(): Promise<ClusterDocument>;
  nodes(): Promise<readonly NodeDocument[]>;
  /** A check-up of broker, nodes and groups. */
  doctor(): Promise<DoctorDocument>;
  kinds(): readonly { readonly name: string; readonly version: number }[];
  groups(): Promise<readonly GroupDocument[]>;
  counters(): NodeCounters;
  group(name: string): Promise<GroupDetail>;
  createGroup(spec: GroupSpec, actor: Actor): Promise<GroupDetail>;
  /** Throws `group-not-found`, `node-not-found`, `placement-failed`. */
  changeGroup(name: string, change: GroupChange, actor: Actor): Promise<GroupDetail>;
  deleteGroup(name: string, actor: Actor): Promise<void>;
  /** Retries the same batch until answered or for `timeoutMs` (`timeout`: outcome unknown). */
  deliver(
    group: string,
    batch: Batch,
    timeoutMs: number,
  ): Promise<BatchAnswer & { readonly ok: true }>;
  /** Up to `limit` events with from <= seq <= to. */
  events(
    group: string,
    range: { from: number; to: number | null; limit: number },
  ): Promise<EventPage>;
  /** Throws `not-ready` if no state holds what the request asks for, as `query` does. */
  state(group: string, request: StateRequest): Promise<ReadAnswer>;
  query(group: string, request: QueryRequest): Promise<ReadAnswer>;
  /** Answers when the standbys hold it. Throws `timeout`, with the operation's id, if that takes long. */
  sync(group: string, actor: Actor): Promise<{ readonly through: number }>;
  switchover(group: string, request: SwitchoverRequest, actor: Actor): Promise<SwitchoverAnswer>;
  failover(
    group: string,
    request: { candidate?: string | undefined },
    actor: Actor,
  ): Promise<OperationDocument>;
  /** Throws `member-not-found`, `conflict` for the active, `not-ready` if its node is down. */
  reinit(group: string, index: number, actor: Actor): Promise<OperationDocument>;
  /** No new members, and the last choice as a candidate. Throws `node-not-found`. */
  cordon(node: string, actor: Actor): Promise<NodeDocument>;
  uncordon(node: string, actor: Actor): Promise<NodeDocument>;
  /** Automatic failover off, of one group or (null) of all; replaces an earlier pause. */
  pause(group: string | null, request: PauseRequest, actor: Actor): Promise<PauseAnswer>;
  resume(group: string | null, actor: Actor): Promise<PauseAnswer>;
  /**
   * Throws `member-not-found`, `conflict` for the active, `node-not-found`, `placement-failed` if no node
   * can take it.
   */
  replace(group: string, request: ReplaceRequest, actor: Actor): Promise<OperationDocument>;
  /** Throws `node-not-found`. */
  drain(node: string, actor: Actor): Promise<OperationDocument>;
  rebalance(request: RebalanceRequest, actor: Actor): Promise<RebalanceAnswer>;
  /** `node` null: all of them, one after the other. Throws `node-not-found`. */
  restart(node: string | null, actor: Actor): Promise<RestartAnswer>;
  /**
   * The group goes on from where its log ends. Throws `conflict` if its log has lost nothing, or ends
   * elsewhere than at `through`.
   */
  acceptLoss(group: string, request: AcceptLossRequest, actor: Actor): Promise<GroupDetail>;
  history(group: string): Promise<readonly HistoryEntry[]>;
  operations(): Promise<readonly OperationDocument[]>;
  /** Waits up to `waitMs` for the operation to end. */
  operation(id: string, waitMs: number): Promise<OperationDocument>;
  /** Asks it to end. Throws `operation-not-found`, `conflict` if it is over already. */
  cancelOperation(id: string, actor: Actor): Promise<OperationDocument>;
}
