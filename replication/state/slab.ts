/**
 * Memory for the values of tables. What a packer hands out is a view of its own buffer, and a value kept
 * as it came would hold all of that.
 *
 * A buffer of one's own costs some 90 bytes beside its view, so small values share one. A shared buffer
 * lives until the last of its values is gone, and it is never filled again: if n values share it and keys
 * are overwritten at random, it lives for about 1 + 1/2 + … + 1/n of their lifetimes. With 64 KiB for 64
 * values of 1 KiB each, a table takes five times its size. So only what is small shares, few at a time,
 * and a value that outlives its neighbours never holds more than `slabSizeBytes`.
 */
const slabSizeBytes = 1024;
const sharedSizeBytes = 128;

export class Slab {
  #bytes = new Uint8Array(0);
  #used = 0;

  /** The same bytes, in memory that they keep to themselves or share with some of their kind. */
  keep(bytes: Uint8Array): Uint8Array {
    if (bytes.length >= sharedSizeBytes) return new Uint8Array(bytes);
    if (this.#used + bytes.length > this.#bytes.length) {
      this.#bytes = new Uint8Array(slabSizeBytes);
      this.#used = 0;
    }
    const kept = this.#bytes.subarray(this.#used, this.#used + bytes.length);
    kept.set(bytes);
    this.#used += bytes.length;
    return kept;
  }
}
