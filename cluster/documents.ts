/** The documents operators see: one shape for the admin API, the command line and the client. */

import type { ErrorCode } from '../replication/errors.js';
import type { Placement } from './types.js';

export type NodeState = 'up' | 'suspect' | 'down' | 'drained';
export type MemberRole = 'active' | 'standby';

export interface NodeDocument {
  readonly id: string;
  readonly incarnation: string;
  readonly state: NodeState;
  readonly cordoned: boolean;
  readonly zone: string | null;
  readonly adminUrl: string | null;
  readonly pid: number | null;
  /** Something starts its process again when it has ended. */
  readonly supervised: boolean;
  readonly members: { readonly active: number; readonly standby: number };
}

/** A snapshot that a member is fetching. Sizes are bytes. */
export interface MemberSync {
  /** Verified. */
  readonly doneSizeBytes: number;
  /** All that is known to be wanted; grows at the beginning. */
  readonly knownSizeBytes: number;
  /** Over the last seconds. */
  readonly bytesPerSecond: number;
  /** At this rate, for what is known now; null: nothing has come for seconds. */
  readonly secondsLeft: number | null;
  /** Who gave what is done. */
  readonly fromCache: number;
  readonly fromStore: number;
  readonly fromPeers: number;
  /** Answers with other bytes than those asked for; they were asked for elsewhere. */
  readonly corrupt: number;
}

export interface MemberDocument {
  readonly index: number;
  readonly nodeId: string;
  /** The member's ed25519 public key, derived from the group's seed and its index. */
  readonly publicKey: string;
  readonly role: MemberRole;
  readonly healthy: boolean;
  /** The last seq this member can serve without the log; 0: nothing yet. */
  readonly syncedThrough: number;
  /** When it last synced, ISO 8601; null: never. A member synced at seq 0 has a time here. */
  readonly lastSync: string | null;
  /** What it is doing: empty, restoring, following, promoting, active, quarantined, unreachable. */
  readonly state: string;
  /** Events it would have to replay to reach the group's seq. */
  readonly lag: number;
  /** How often its state was found to differ from the group's and was thrown away (P13). */
  readonly diverged: number;
  /** Null: it fetches nothing. */
  readonly sync: MemberSync | null;
  /** Why it is quarantined or cannot sync; null: nothing is wrong. */
  readonly error: string | null;
}

/** Something about a member that an operator should know: a foreign record, a refused snapshot, … */
export interface AlarmDocument {
  /** ISO 8601. */
  readonly at: string;
  readonly index: number;
  readonly nodeId: string;
  readonly code: string;
  readonly detail: string;
}

export interface GroupHealth {
  readonly status: 'healthy' | 'degraded' | 'dead';
  readonly healthy: number;
  readonly total: number;
}

/** One thing that a check-up has looked at. */
export interface Finding {
  readonly level: 'ok' | 'warn' | 'fail';
  readonly code: string;
  /** The node, server, stream, group or member that it is about; null: all of them. */
  readonly about: string | null;
  readonly seen: string;
  /** Null: what was seen. */
  readonly expected: string | null;
  /** What to do; null: nothing. */
  readonly advice: string | null;
}

export interface DoctorDocument {
  /** Nothing failed. */
  readonly ok: boolean;
  /** The node that looked. */
  readonly node: string;
  /** ISO 8601. */
  readonly at: string;
  /** The worst first. */
  readonly findings: readonly Finding[];
}

/** The log does not hold any more what it held: the group serves nobody until that is accepted. */
export interface LossDocument {
  /** What is gone, as far as anybody knows: these seqs … */
  readonly fromSeq: number;
  readonly toSeq: number;
  /** … the last of them of this epoch. */
  readonly epoch: number;
  /** Where the log ended when that was found. */
  readonly endsAt: { readonly seq: number; readonly epoch: number };
  /** What is in place of the last. */
  readonly found: string;
  /** Members that still hold more than the log, the one with most first. */
  readonly heldBy: readonly {
    readonly index: number;
    readonly nodeId: string;
    readonly syncedThrough: number;
  }[];
}

/** A loss that an operator went on without. */
export interface AcceptedLossDocument {
  /** The log went on after this seq, of this epoch … */
  readonly through: number;
  readonly epoch: number;
  /** … though it was known to have gone as far as this. */
  readonly lostSeq: number;
  readonly lostEpoch: number;
  readonly by: string;
  readonly at: string;
}

/** Automatic failover is off. */
export interface PauseDocument {
  /** `all`: it is a pause of all groups. */
  readonly scope: 'group' | 'all';
  readonly reason: string | null;
  readonly by: string;
  /** When it ends by itself, ISO 8601. */
  readonly until: string;
}

/** Why a group needs a new active: the causes of its history. */
export interface VacancyDocument {
  readonly cause: string;
  /** ISO 8601. */
  readonly since: string;
}

export interface GroupDocument {
  readonly name: string;
  readonly kind: string;
  readonly groupId: string;
  /** The stable address clients deliver to; never changes at failover. */
  readonly origin: string;
  readonly epoch: number;
  readonly health: GroupHealth;
  readonly activeIndex: number | null;
  readonly activeNode: string | null;
  readonly activeHealthy: boolean;
  readonly memberCount: number;
  readonly standbyCount: number;
  readonly members: readonly MemberDocument[];
  readonly seq: number;
  /** Events past the oldest `syncedThrough` of a healthy standby: what a failover would replay at most. */
  readonly bufferedEventCount: number;
  /** False from a promotion until every member is healthy and has synced past it (P8). */
  readonly reprotected: boolean;
  readonly paused: boolean;
  /** Null: not paused. Of two pauses the one that ends last. */
  readonly pause: PauseDocument | null;
  /** Null: nobody needs to take over, or nobody knows yet. */
  readonly vacancy: VacancyDocument | null;
  readonly placement: Placement;
  /** When many groups need a new active at once: the higher goes first. */
  readonly priority: number;
  readonly quarantined: boolean;
  /** Null: nobody misses anything in the log. */
  readonly lost: LossDocument | null;
  /** The latest losses that were accepted. */
  readonly losses: readonly AcceptedLossDocument[];
  readonly standby: 'warm' | 'hot';
  readonly sync: { readonly everyEvents: number; readonly everyMs: number };
  readonly createdAt: string;
}

/** One group as its members tell of it now. */
export interface GroupDetail extends GroupDocument {
  /** The last alarms of the members that answer, since their nodes started; newest first. */
  readonly alarms: readonly AlarmDocument[];
}

export interface ClusterDocument {
  readonly namespace: string;
  readonly version: string;
  readonly nodes: readonly NodeDocument[];
  /** Of all groups; null: there is none. */
  readonly pause: PauseDocument | null;
  readonly groups: {
    readonly total: number;
    readonly healthy: number;
    readonly degraded: number;
    readonly dead: number;
  };
  readonly broker: {
    readonly connected: boolean;
    readonly server: string | null;
    readonly version: string | null;
    readonly url: string | null;
  };
}

/** One change of the writer, with a stopwatch. All times in milliseconds. */
export interface HistoryEntry {
  readonly epoch: number;
  readonly node: string;
  readonly index: number;
  /** created, disconnect, no-responders, silence, restarted, vacated, failover, switchover, rollback. */
  readonly cause: string;
  /** Id of the operation that asked for the promotion; null: none did, or the writer handed it over. */
  readonly operation: string | null;
  /** When the change began: the first sign that the old writer was gone. ISO 8601. */
  readonly startedAt: string;
  /** The last seq of the previous epoch. */
  readonly fromSeq: number;
  /** Null until the promoted active has opened. */
  readonly phases: {
    readonly detectMs: number;
    readonly decideMs: number;
    readonly claimMs: number;
    readonly replayMs: number;
    readonly openMs: number;
  } | null;
  /** Events replayed past what the member had. */
  readonly replayed: number;
  readonly unavailableMs: number | null;
}

export interface OperationDocument {
  readonly id: string;
  readonly kind: string;
  readonly target: string;
  readonly state: 'running' | 'done' | 'failed' | 'cancelled';
  readonly step: string;
  /** How often it was begun without having been done. */
  readonly attempts: number;
  /** Failed tries of the present step. */
  readonly retries: number;
  readonly lastError: { readonly code: ErrorCode; readonly detail: string } | null;
  readonly createdAt: string;
  readonly updatedAt: string;
  /** Until when it waits, ISO 8601; null: it does not, or only for a moment. */
  readonly wakeAt: string | null;
  /** The node that drives it; null: nobody does now. */
  readonly driver: string | null;
  readonly by: string;
  readonly steps: readonly {
    readonly name: string;
    readonly at: string;
    readonly detail?: string;
  }[];
}

/** What a user asks for when creating a group. */
export interface GroupSpec {
  readonly name: string;
  readonly kind: string;
  readonly memberCount?: number | undefined;
  /** 64 hexadecimal characters: 32 bytes. Drawn at random when absent. */
  readonly groupSeed?: string | undefined;
  readonly standby?: 'warm' | 'hot' | undefined;
  readonly sync?:
    | { readonly everyEvents?: number | undefined; readonly everyMs?: number | undefined }
    | undefined;
  readonly placement?: Placement | undefined;
  /** Default 0. */
  readonly priority?: number | undefined;
}

/** What an operator changes of a group: what is absent stays as it is. */
export interface GroupChange {
  readonly priority?: number | undefined;
  /** Null takes away what was given. Members stay where they are. */
  readonly placement?: { readonly [part in keyof Placement]: Placement[part] | null } | undefined;
}
