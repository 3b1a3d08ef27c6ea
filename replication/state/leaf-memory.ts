/**
 * Memory for the leaves of a state that comes in as a whole: a few large stretches that are filled one after the
 * other, in place of a buffer for each leaf.
 *
 * It is shared memory, though nothing is shared, because V8 does not reckon with that: it collects all garbage, and
 * marks everything there is, whenever 64 MiB of other buffers have come. The chunks that leaves are copied from
 * are such buffers, and more bytes than the leaves, so that what a former state has left is found soon enough.
 *
 * A stretch lives as long as one of its leaves is packed, so all of them are never more than the state was that came
 * in. Only what comes in as a whole is put here: if it were some leaves of many snapshots, stretches with little
 * left in them would take several times the state.
 */

/** Memory systems give large pages only for what is larger than those, of 2 MiB mostly. */
export const stretchSizeBytes = 16 * 1024 * 1024;

/** Gives memory for so many bytes. */
export type Room = (sizeBytes: number) => Uint8Array;

/** Gives a stretch; about so much more will be asked for. */
export type Stretches = (sizeBytes: number, moreSizeBytes: number) => SharedArrayBuffer;

export const ownRoom: Room = (sizeBytes) => new Uint8Array(sizeBytes);

const newStretch: Stretches = (sizeBytes) => new SharedArrayBuffer(sizeBytes);

export class LeafMemory {
  #stretch: Uint8Array = new Uint8Array(0);
  #used = 0;
  #expectedSizeBytes = 0;

  constructor(private readonly stretches = newStretch) {}

  /** So much more is to come, about. */
  expect(sizeBytes: number): void {
    this.#expectedSizeBytes += sizeBytes;
  }

  readonly room: Room = (sizeBytes) => {
    if (this.#used + sizeBytes > this.#stretch.length) this.#open(sizeBytes);
    const room = this.#stretch.subarray(this.#used, this.#used + sizeBytes);
    this.#used += sizeBytes;
    this.#expectedSizeBytes -= sizeBytes;
    return room;
  };

  #open(leastSizeBytes: number): void {
    const expected = Math.min(stretchSizeBytes, this.#expectedSizeBytes);
    const sizeBytes = Math.max(expected, leastSizeBytes);
    this.#stretch = new Uint8Array(this.stretches(sizeBytes, this.#expectedSizeBytes - sizeBytes));
    this.#used = 0;
  }
}
