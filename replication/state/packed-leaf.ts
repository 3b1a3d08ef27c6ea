/**
 * A leaf that stays packed until somebody looks at its entries: a standby that only keeps a state has few
 * objects for each leaf, and none for its entries, which its collector would otherwise mark again and again
 * while the state comes in. Nobody owns it, so no tree changes it in place.
 */
import type { Leaf, Owner, StoredValue } from './nodes.js';
import { entriesOfPage, type PlainPage } from './plain-page.js';
import type { StoredLeaf } from './stored.js';

const nobody: Owner = {};

interface Entries {
  readonly keys: string[];
  readonly values: StoredValue[];
}

export class PackedLeaf implements Leaf {
  readonly level = 0;
  readonly owner = nobody;
  hash: Uint8Array | null = null;
  stored: StoredLeaf | null = null;
  origin: Leaf | null = null;
  sizeBytes: number;
  readonly count: number;
  #packed: Uint8Array | null;
  #entries: Entries | null = null;

  /** The page holds no changes. Its bytes are kept, and may be a part of something larger. */
  constructor({ bytes, count, sizeBytes }: Pick<PlainPage, 'bytes' | 'count' | 'sizeBytes'>) {
    this.#packed = bytes;
    this.count = count;
    this.sizeBytes = sizeBytes;
  }

  /** Null: somebody has looked. */
  get packed(): Uint8Array | null {
    return this.#packed;
  }

  get keys(): string[] {
    return this.#unpacked().keys;
  }

  get values(): StoredValue[] {
    return this.#unpacked().values;
  }

  #unpacked(): Entries {
    if (this.#packed !== null) {
      this.#entries = entriesOfPage(ownBytes(this.#packed));
      this.#packed = null;
    }
    return this.#entries as Entries;
  }
}

/** Values live longer than their leaf does: all they hold is what came with them in it. */
function ownBytes(bytes: Uint8Array): Uint8Array {
  return bytes.length === bytes.buffer.byteLength ? bytes : new Uint8Array(bytes);
}
