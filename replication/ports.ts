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

/** Where the pieces of snapshots are kept. Immutable: a (snapshot, index) is written once. */
export interface SnapshotStore {
  /** Durable when `done` reports no failure. */
  put(
    snapshotId: string,
    chunks: readonly Uint8Array[],
    done: (failure: string | null) => void,
  ): void;
  /** All chunks in order. Contents are not trusted: the caller verifies them (I7). */
  get(
    snapshotId: string,
    chunkCount: number,
    done: (result: readonly Uint8Array[] | { readonly failure: string }) => void,
  ): void;
  /**
   * Forgets every snapshot of the group that is older than this one. Ids are
   * `<epoch>-<number>-<seq>` and ordered by epoch, then number: an active that was deposed can only
   * drop what its successor does not need either. Losing this call leaves garbage, nothing worse.
   */
  dropBefore(snapshotId: string): void;
}

/** A collision-resistant hash of 32 bytes; SHA-256 in production. */
export type Hash = (bytes: Uint8Array) => Uint8Array;
