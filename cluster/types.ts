/** What the nodes of a cluster share: the registry of groups, and what they tell each other. */
import type { MemberReport } from '../replication/effects.js';

/** Where a group's members may be, and which of them should rather be the active. */
export interface Placement {
  /** Only these nodes; without it all. */
  readonly nodes?: readonly string[] | undefined;
  /** `zone`: other zones first, and only then where least is. Default `node`. */
  readonly spread?: 'node' | 'zone' | undefined;
  /** Of nodes, as candidates: the higher goes first, 0 without one. */
  readonly priorities?: Readonly<Record<string, number>> | undefined;
}

/** A group as the registry holds it: desired state, changed only by compare-and-set. */
export interface GroupConfig {
  readonly name: string;
  readonly kind: string;
  readonly groupId: string;
  /** 64 hexadecimal characters; `groupId` and the members' identities derive from it. */
  readonly seed: string;
  readonly standby: 'warm' | 'hot';
  readonly sync: { readonly everyEvents: number; readonly everyMs: number };
  /** Node of each member, by index. */
  readonly members: readonly { readonly node: string; readonly publicKey: string }[];
  readonly createdAtMs: number;
  /** Absent where a former version created the group. */
  readonly placement?: Placement | undefined;
  /** When nodes have more to do than they can at once: the higher goes first. Absent: 0. */
  readonly priority?: number | undefined;
  /** The last one, which may be over; null or absent: none, or it was lifted. */
  readonly pause?: Pause | null | undefined;
  /** How many losses of its log have been accepted; absent: none. */
  readonly era?: number | undefined;
  /** The latest of them. */
  readonly losses?: readonly AcceptedLoss[] | undefined;
}

/** Records that the broker's store had acknowledged and does not have: a decision to go on without them. */
export interface AcceptedLoss {
  /** The log goes on after this seq, of this epoch … */
  readonly through: number;
  readonly epoch: number;
  /** … though it is known to have gone as far as this. */
  readonly lostSeq: number;
  readonly lostEpoch: number;
  readonly by: string;
  readonly atMs: number;
}

/** Automatic failover is off for a while. */
export interface Pause {
  /** When it ends, by the wall clock of the node that took the order. */
  readonly untilMs: number;
  readonly ttlMs: number;
  readonly reason: string | null;
  readonly by: string;
}

export interface Cordon {
  readonly by: string;
  readonly atMs: number;
}

/** What the registry holds for the cluster as a whole: desired state, as a group's is. */
export interface ClusterConfig {
  /** Nodes that get no new members and are the last choice as candidates. */
  readonly cordons: Readonly<Record<string, Cordon>>;
  /** Of all groups. */
  readonly pause: Pause | null;
}

export const newClusterConfig: ClusterConfig = { cordons: {}, pause: null };

/** What a node says about itself when it starts, and with every beat. */
export interface NodeInfo {
  readonly id: string;
  /** Fixed-width, growing with the time of start: the later life of a node has the greater string. */
  readonly incarnation: string;
  readonly zone: string | null;
  readonly adminUrl: string | null;
  readonly pid: number | null;
  /** Names of the kinds it can run: a group's members belong where its kind is. */
  readonly kinds: readonly string[];
  readonly draining: boolean;
  /** Something starts the process again when it has ended; absent where a former version runs. */
  readonly supervised?: boolean | undefined;
}

export interface Beat {
  readonly info: NodeInfo;
  /** The members whose report changed since the last beat; all of them now and then. */
  readonly reports: readonly MemberReport[];
}

export interface ClusterTimings {
  /** How often a node beats. */
  readonly beatMs: number;
  /** Silence after which a node is suspected and probed. */
  readonly suspectAfterMs: number;
  /** Silence after which a node that still has a connection is given up on. */
  readonly hangTimeoutMs: number;
  /** After the return of the broker, how long nobody is judged; after a start, who was not heard of. */
  readonly graceMs: number;
  /** How long each further candidate waits before it acts in place of a better one. */
  readonly rankDelayMs: number;
  /** On silence alone: how long to look whether the log still advances. */
  readonly observeMs: number;
  /** How long a member's node may be down before the member is placed elsewhere. */
  readonly replaceAfterMs: number;
}

export const defaultTimings: ClusterTimings = {
  beatMs: 250,
  suspectAfterMs: 750,
  hangTimeoutMs: 2000,
  graceMs: 1000,
  rankDelayMs: 150,
  observeMs: 200,
  replaceAfterMs: 10_000,
};
