/**
 * A leaf that stays packed until somebody looks at its entries: a standby that only keeps a state has one
 * object for each leaf, and none for its entries, which its collector would otherwise mark again and again
 * while the state comes in. Nobody owns it, so no tree changes it in place.
 */
import type { Leaf, Owner, StoredValue } from './nodes.js';
import { entriesOfPage, type PlainPage } from './plain-page.js';
import type { StoredLeaf } from './stored.js';

export class PackedLeaf implements Leaf {
  readonly level = 0;
  owner: Owner = {};
  hash: Uint8Array | null = null;
  stored: StoredLeaf | null = null;
  origin: Leaf | null = null;
  sizeBytes: number;
  readonly count: number;
  #packed: Uint8Array | null;
  #keys: string[] = [];
  #values: StoredValue[] = [];

  /** The page holds no changes, and its bytes are kept. */
  constructor({ bytes, count, sizeBytes }: PlainPage) {
    this.#packed = bytes;
    this.count = count;
    this.sizeBytes = sizeBytes;
  }

  /** Null: somebody has looked. */
  get packed(): Uint8Array | null {
    return this.#packed;
  }

  get keys(): string[] {
    this.#unpack();
    return this.#keys;
  }

  get values(): StoredValue[] {
    this.#unpack();
    return this.#values;
  }

  #unpack(): void {
    if (this.#packed === null) return;
    const { keys, values } = entriesOfPage(this.#packed);
    this.#packed = null;
    this.#keys = keys;
    this.#values = values;
  }
}
