/** Puts pages together into chunks, so that a chunk is worth a message, and counts what is used of each. */
import { keyOf } from '../bytes.js';
import type { Hash } from '../ports.js';
import type { Segment } from '../state/stored.js';
import type { WorkKind } from '../sync/assembly.js';
import { chunkTags } from './chunk-tags.js';

export interface Chunk {
  readonly hash: Uint8Array;
  readonly bytes: Uint8Array;
  readonly work: WorkKind;
}

export interface Packed extends Chunk {
  readonly segments: readonly Segment[];
}

/** A segment whose chunk is not closed yet: it has no hash so far. */
interface OpenSegment {
  chunk: Uint8Array;
  readonly offset: number;
  readonly sizeBytes: number;
}

/** Pages of one kind, one after the other. Who adds some gets a segment that is named once it is closed. */
export class Packer {
  #bytes: Uint8Array;
  #used = 0;
  #segments: OpenSegment[] = [];

  constructor(
    readonly work: 'healing' | 'ranges',
    private readonly hash: Hash,
    private readonly chunkSizeBytes: number,
  ) {
    this.#bytes = new Uint8Array(0);
  }

  /** Whether as much must go into another chunk than what is open. */
  isFullFor(sizeBytes: number): boolean {
    return this.#used > 0 && this.#used + sizeBytes > this.chunkSizeBytes;
  }

  add(page: Uint8Array): Segment {
    if (this.#used === 0) this.#open(page.length);
    this.#bytes.set(page, this.#used);
    const segment = { chunk: this.#bytes, offset: this.#used, sizeBytes: page.length };
    this.#used += page.length;
    this.#segments.push(segment);
    return segment;
  }

  #open(leastSizeBytes: number): void {
    this.#bytes = new Uint8Array(Math.max(this.chunkSizeBytes, 1 + leastSizeBytes));
    this.#bytes[0] = chunkTags[this.work];
    this.#used = 1;
  }

  /** Null: nothing was added since the last. */
  close(): Packed | null {
    if (this.#used === 0) return null;
    const bytes = this.#bytes.subarray(0, this.#used);
    const hash = this.hash(bytes);
    const segments = this.#segments;
    for (const segment of segments) segment.chunk = hash;
    this.#segments = [];
    this.#used = 0;
    return { hash, bytes, work: this.work, segments };
  }
}

/** A chunk of a snapshot, and how much of it the snapshot uses. */
export interface ChunkUse {
  readonly hash: Uint8Array;
  readonly sizeBytes: number;
  readonly work: WorkKind;
  usedSizeBytes: number;
}

/** By `keyOf` their hashes. */
export type ChunkUses = Map<string, ChunkUse>;

export function copyUses(uses: ChunkUses): ChunkUses {
  return new Map([...uses].map(([key, use]) => [key, { ...use }]));
}

export function useSegments(uses: ChunkUses, segments: readonly Segment[], sign: 1 | -1): void {
  for (const { chunk, sizeBytes } of segments) {
    const use = uses.get(keyOf(chunk));
    if (use !== undefined) use.usedSizeBytes += sign * sizeBytes;
  }
}
