/**
 * What one sync puts together, apart from where the pieces come from. The controller fetches what an
 * assembly wants, verifies its hash, and hands it over; what is in the pieces only the assembly knows.
 */

/**
 * `healing`: the snapshot's manifest and directories, compared with what is held already, so that only
 * what differs is fetched. `ranges`: entries of tables. `values`: single large values, and what of a
 * state is in no table.
 */
export const workKinds = ['healing', 'ranges', 'values'] as const;
export type WorkKind = (typeof workKinds)[number];

export interface Want {
  readonly work: WorkKind;
  /** Of the whole chunk. */
  readonly hash: Uint8Array;
  readonly sizeBytes: number;
}

export interface Assembly {
  /** What is wanted to begin with. Asked once. */
  begin(): readonly Want[];
  /**
   * A chunk that was wanted; its hash is right. Returns what is wanted because of what is in it, or
   * why nothing can come of this snapshot: then what its record names was never a snapshot (I7).
   */
  accept(hash: Uint8Array, bytes: Uint8Array): readonly Want[] | { readonly problem: string };
  /** There is something to do beside waiting for chunks. */
  readonly hasWork: boolean;
  /** Goes on with it, about so many bytes. Returns as `accept` does. */
  work(sizeBytes: number): readonly Want[] | { readonly problem: string };
  /** Bytes that are there and wait to be worked on: they count against the watermarks. */
  readonly waitingSizeBytes: number;
}
