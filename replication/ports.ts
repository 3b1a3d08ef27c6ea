/**
 * What replication needs from the outside. Callbacks, not promises: the simulation decides the order
 * of every completion, and a promise would hide one. Each call completes exactly once; a callback
 * never runs before the call has returned.
 */
import type { Position } from './ids.js';

export interface StoredRecord {
  readonly position: Position;
  readonly bytes: Uint8Array;
}

/** A record that was heard of live. */
export interface TailedRecord extends StoredRecord {
  /** Where the group's record before it is stored; 0: it is the first. Shows what was missed. */
  readonly previous: Position;
}

/**
 * What became of an append (P3). `unknown` covers every case in which the record may be stored now
 * or later: timeout, disconnect, an error that was never classified.
 */
export type AppendOutcome =
  | { readonly kind: 'stored'; readonly position: Position }
  /** Refused for good: the log's last record of the group is not the expected one (10071). */
  | { readonly kind: 'wrong-last' }
  /** Another checked append on the subject is in flight on the broker (10164). */
  | { readonly kind: 'busy' }
  /** Nobody took it: no responders. Safe to send again. */
  | { readonly kind: 'not-stored' }
  /** The store is full or the record too large for it: refused, and it will be refused again. */
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'unknown' };

export type ReadOutcome =
  | { readonly kind: 'record'; readonly record: StoredRecord }
  | { readonly kind: 'none' }
  | { readonly kind: 'failed'; readonly reason: string };

/** What is at a position, for certain. */
export type Proof =
  | { readonly kind: 'record'; readonly record: StoredRecord }
  /** The log does not go that far, or holds something else there, or nothing any more. */
  | { readonly kind: 'gone'; readonly found: string }
  | { readonly kind: 'failed'; readonly reason: string };

export interface ReplaySink {
  /** In log order, each once. The bytes are the sink's to keep. */
  records(batch: readonly StoredRecord[]): void;
  /** Everything up to `through` has been handed over, or the reason why it cannot be. */
  end(failure: string | null): void;
}

/**
 * The log of one group: one subject of a shard stream.
 *
 * Ordering promise: records are read in the order in which they were stored, positions strictly
 * increase. Reads are hints: they may come from a replica that lags or a leader that was deposed
 * (`none` never proves absence). Only a stored append proves what the tail is.
 */
export interface Log {
  /** Stores `bytes` if the group's last record is at `expected` (0: none yet). */
  append(bytes: Uint8Array, expected: Position, done: (outcome: AppendOutcome) => void): void;
  /** The group's last record. */
  last(done: (outcome: ReadOutcome) => void): void;
  /** The group's first record after `after`. */
  next(after: Position, done: (outcome: ReadOutcome) => void): void;
  /** The record of this group at exactly `at`. */
  at(at: Position, done: (outcome: ReadOutcome) => void): void;
  /**
   * What is at `at`, from a leader that has a majority behind it: the one read that is no hint. An
   * election may still make it wrong for a moment.
   */
  prove(at: Position, done: (proof: Proof) => void): void;
  /** All records after `after` and up to `through`, in batches. Returns a way to stop early. */
  replay(after: Position, through: Position, sink: ReplaySink): () => void;
  /**
   * Follows the log live: the records stored from now on, that is from some moment after the call.
   * Each at most once, in the order stored: positions strictly increase. Any of them may be missing,
   * and silence proves nothing. `sink` never runs before the call has returned, nor after the
   * returned way to stop was taken. The bytes are the sink's to keep.
   */
  tail(sink: (record: TailedRecord) => void): () => void;
}

/** What became of asking somebody for a chunk. */
export type Fetched =
  /** Not verified: whoever asked compares its hash (I7). */
  | { readonly kind: 'chunk'; readonly bytes: Uint8Array }
  /** It answered, and does not have it. */
  | { readonly kind: 'none' }
  | { readonly kind: 'failed'; readonly reason: string };

/**
 * Where the chunks of snapshots are kept: immutable bytes under their own hash, shared by all
 * snapshots of all groups of the namespace. What is not named by a pin may be collected.
 *
 * A snapshot is stored in this order: `announce` it, `put` what is new, `pin` it whole. From the end
 * of `announce` until `dropBefore` retires the snapshot, no collection takes what it names (I7).
 */
export interface ChunkStore {
  /**
   * Protects, from here on, the chunks in `reused` and all that is put from now on. `standing`: the ids
   * of this group's snapshots that were pinned before and still are: only what one of those names may
   * be relied on without putting it again.
   */
  announce(
    snapshotId: string,
    reused: readonly Uint8Array[],
    done: (result: { readonly standing: readonly string[] } | { readonly failure: string }) => void,
  ): void;
  /** Durable when `done` reports no failure. What is there already under this hash is replaced. */
  put(hash: Uint8Array, bytes: Uint8Array, done: (failure: string | null) => void): void;
  /**
   * Everything the snapshot consists of is stored: names all of it. Durable before `done`. Fails unless
   * this store's own announcement of it still stands: then it has to be announced again.
   */
  pin(
    snapshotId: string,
    chunks: readonly Uint8Array[],
    done: (failure: string | null) => void,
  ): void;
  get(hash: Uint8Array, done: (result: Fetched) => void): void;
  /**
   * Retires every snapshot of the group that is older than this one, pinned or only announced. Ids are
   * `<epoch>-<number>-<seq>` and ordered by epoch, then number: an active that was deposed can only
   * drop what its successor does not need either. Losing this call leaves garbage, nothing worse.
   */
  dropBefore(snapshotId: string): void;
}

/** Chunks that this node keeps for itself and for its peers. May forget any of them at any time. */
export interface ChunkCache {
  /** Not verified. */
  get(hash: Uint8Array, done: (result: Fetched) => void): void;
  keep(hash: Uint8Array, bytes: Uint8Array): void;
}

/** Asks another node for a chunk it keeps. */
export type AskPeer = (node: string, hash: Uint8Array, done: (result: Fetched) => void) => void;

/**
 * What collecting garbage needs of the store: all of it in one order, that of the store's stream.
 */
export interface ChunkGarbage {
  /** Stores a mark, and tells where. */
  mark(done: (result: { readonly at: Position } | { readonly failure: string }) => void): void;
  /**
   * All pins and announcements, of all groups, that stand at one moment after the mark at `through` was
   * stored; some may be stored after the mark.
   */
  pins(
    through: Position,
    done: (result: readonly Pin[] | { readonly failure: string }) => void,
  ): void;
  /** The hashes of all chunks there are. One that is missing here is only collected later. */
  chunks(done: (result: readonly Uint8Array[] | { readonly failure: string }) => void): void;
  /** Forgets the chunk if it was last put before this position. */
  forget(hash: Uint8Array, before: Position, done: (failure: string | null) => void): void;
}

export interface Pin {
  readonly at: Position;
  /** Only announced: what was put after it may be its own. */
  readonly isOpen: boolean;
  readonly chunks: readonly Uint8Array[];
}

/** A collision-resistant hash of 32 bytes; SHA-256 in production. */
export type Hash = (bytes: Uint8Array) => Uint8Array;
