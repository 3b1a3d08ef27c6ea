/** Where the bytes of a tree's nodes are, once a snapshot has stored them. No part of any state. */

/** Where bytes are: in a chunk, named by its hash. */
export interface Segment {
  readonly chunk: Uint8Array;
  readonly offset: number;
  readonly sizeBytes: number;
}

export interface StoredLeaf {
  /** A base and what was changed on top of it, oldest first. */
  readonly segments: readonly Segment[];
}

export interface StoredBranch {
  readonly segment: Segment;
}
