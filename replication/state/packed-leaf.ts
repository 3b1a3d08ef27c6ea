/**
 * Leaves that came in one piece stay packed until somebody looks: a standby that only keeps a state has
 * one object for each leaf and none for its entries, which its collector would otherwise mark again and
 * again while the state comes in.
 */
import type { Leaf, Owner, StoredValue } from './nodes.js';
import { entrySizeBytes } from './nodes.js';
import type { StoredLeaf } from './stored.js';

interface Entries {
  readonly keys: string[];
  readonly values: StoredValue[];
}

export type Unpack = (page: Uint8Array) => Entries;

/** Nobody owns it, so no tree changes it in place. */
export class PackedLeaf implements Leaf {
  readonly level = 0;
  owner: Owner = {};
  hash: Uint8Array | null = null;
  stored: StoredLeaf | null = null;
  origin: Leaf | null = null;
  #page: Uint8Array | null;
  #entries: Entries | null = null;

  constructor(
    page: Uint8Array,
    readonly count: number,
    public sizeBytes: number,
    private readonly unpack: Unpack,
  ) {
    this.#page = page;
  }

  get keys(): string[] {
    return this.#unpacked().keys;
  }

  get values(): StoredValue[] {
    return this.#unpacked().values;
  }

  #unpacked(): Entries {
    this.#entries ??= this.unpack(this.#page as Uint8Array);
    this.#page = null;
    return this.#entries;
  }
}

/** Null: it is none of the plain ones, and has to be taken apart to see what it is. */
export function packedLeaf(page: Uint8Array, unpack: Unpack): PackedLeaf | null {
  const measured = measure(page);
  return measured && new PackedLeaf(page, measured.count, measured.sizeBytes, unpack);
}

interface Measured {
  readonly count: number;
  readonly sizeBytes: number;
}

/** Where a reader of msgpack is; `length` is of what begins there. */
interface Head {
  at: number;
  length: number;
}

/** Of a list of keys and as many values, if all keys are ASCII and all values are bytes. */
function measure(page: Uint8Array): Measured | null {
  const head: Head = { at: 0, length: 0 };
  if (!enterArray(page, head) || head.length !== 2) return null;
  if (!enterArray(page, head)) return null;
  const count = head.length;
  let sizeBytes = 0;
  for (let i = 0; i < count; i++) {
    if (!enterText(page, head)) return null;
    const end = head.at + head.length;
    // A key counts as many as it has UTF-16 code units, which are its bytes only so.
    while (head.at < end && (page[head.at] as number) < 0x80) head.at += 1;
    if (head.at !== end) return null;
    sizeBytes += head.length;
  }
  if (!enterArray(page, head) || head.length !== count) return null;
  const overheadSizeBytes = entrySizeBytes('', nothing);
  for (let i = 0; i < count; i++) {
    if (!enterBytes(page, head)) return null;
    head.at += head.length;
    sizeBytes += head.length + overheadSizeBytes;
  }
  return head.at === page.length ? { count, sizeBytes } : null;
}

const nothing = new Uint8Array(0);

function enterArray(page: Uint8Array, head: Head): boolean {
  const first = page[head.at] as number;
  if ((first & 0xf0) === 0x90) return enter(page, head, 0, first & 0x0f);
  if (first === 0xdc) return enter(page, head, 2, 0);
  return first === 0xdd && enter(page, head, 4, 0);
}

function enterText(page: Uint8Array, head: Head): boolean {
  const first = page[head.at] as number;
  if ((first & 0xe0) === 0xa0) return enter(page, head, 0, first & 0x1f);
  if (first === 0xd9) return enter(page, head, 1, 0);
  return first === 0xda && enter(page, head, 2, 0);
}

function enterBytes(page: Uint8Array, head: Head): boolean {
  const first = page[head.at] as number;
  if (first === 0xc4) return enter(page, head, 1, 0);
  if (first === 0xc5) return enter(page, head, 2, 0);
  return first === 0xc6 && enter(page, head, 4, 0);
}

/** Past the first byte and the bytes that tell a length. */
function enter(page: Uint8Array, head: Head, lengthBytes: number, known: number): boolean {
  let length = known;
  for (let i = 1; i <= lengthBytes; i++) length = length * 256 + (page[head.at + i] as number);
  head.at += 1 + lengthBytes;
  head.length = length;
  return true;
}
