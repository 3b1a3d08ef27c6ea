/**
 * Pages of leaves as they were packed, looked at without taking them apart: keys that are ASCII, values
 * that are bytes. Nearly all are; whatever else a page may hold is read by `decodeLeaf`.
 *
 * It reads for itself: a msgpack reader that is in the middle of something else cannot be asked.
 */
import type { Room } from './leaf-memory.js';
import { entrySizeBytes } from './nodes.js';

/** Entry i's key, with the head that tells its length, is from keyAt[i] up to keyAt[i + 1]; its value likewise. */
export interface PlainPage {
  readonly bytes: Uint8Array;
  readonly count: number;
  readonly keyAt: readonly number[];
  readonly valueAt: readonly number[];
  /** As a leaf counts it. */
  readonly sizeBytes: number;
  /** Some keys have no value here: it tells what was changed of another page. */
  readonly isChange: boolean;
}

/** Where a reader is; `length` is of what begins there. */
interface Head {
  at: number;
  length: number;
}

const nothing = new Uint8Array(0);
const overheadSizeBytes = entrySizeBytes('', nothing);
const gone = 0xc0;

/** Null: it is none, or broken. */
export function plainPage(bytes: Uint8Array): PlainPage | null {
  const head: Head = { at: 0, length: 0 };
  if (!enterArray(bytes, head) || head.length !== 2 || !enterArray(bytes, head)) return null;
  const count = head.length;
  const keyAt = [head.at];
  let sizeBytes = count * overheadSizeBytes;
  for (let i = 0; i < count; i++) {
    if (!enterText(bytes, head)) return null;
    const end = head.at + head.length;
    // A key counts as many as it has UTF-16 code units, which are its bytes only so.
    while (head.at < end && (bytes[head.at] as number) < 0x80) head.at += 1;
    if (head.at !== end) return null;
    keyAt.push(end);
    sizeBytes += head.length;
  }
  if (!enterArray(bytes, head) || head.length !== count) return null;
  const valueAt = [head.at];
  let isChange = false;
  for (let i = 0; i < count; i++) {
    if (bytes[head.at] === gone) {
      head.at += 1;
      isChange = true;
    } else if (enterBytes(bytes, head)) {
      head.at += head.length;
      sizeBytes += head.length;
    } else return null;
    valueAt.push(head.at);
  }
  return head.at === bytes.length ? { bytes, count, keyAt, valueAt, sizeBytes, isChange } : null;
}

/** The entries of a plain page, made: its values are views of it. */
export function entriesOfPage(page: Uint8Array): {
  readonly keys: string[];
  readonly values: Uint8Array[];
} {
  const { bytes, count, keyAt, valueAt } = plainPage(page) as PlainPage;
  const keys: string[] = [];
  const values: Uint8Array[] = [];
  for (let i = 0; i < count; i++) {
    keys.push(text(bytes, afterHead(bytes, keyAt[i] as number), keyAt[i + 1] as number));
    const from = afterHead(bytes, valueAt[i] as number);
    values.push(bytes.subarray(from, valueAt[i + 1]));
  }
  return { keys, values };
}

function text(bytes: Uint8Array, from: number, to: number): string {
  return String.fromCharCode.apply(null, bytes.subarray(from, to) as unknown as number[]);
}

/** Neighbours in a page that are neighbours in the result, too. */
interface Run {
  readonly page: PlainPage;
  readonly from: number;
  to: number;
}

/** The content of a leaf: the first page, and what was changed on top of it, oldest first. */
export function mergedPage(pages: readonly PlainPage[], room: Room): Uint8Array {
  const runs: Run[] = [];
  const next = pages.map(() => 0);
  for (;;) {
    const newest = nextOf(pages, next);
    if (newest < 0) break;
    const page = pages[newest] as PlainPage;
    const at = (next[newest] as number)++;
    if (page.isChange && page.bytes[page.valueAt[at] as number] === gone) continue;
    const last = runs.at(-1);
    if (last?.page === page && last.to === at) last.to = at + 1;
    else runs.push({ page, from: at, to: at + 1 });
  }
  return written(runs, room);
}

/** Of the least key that is left, the newest page with it; older ones are moved past it. None: -1. */
function nextOf(pages: readonly PlainPage[], next: number[]): number {
  let best = -1;
  for (const [i, page] of pages.entries()) {
    const at = next[i] as number;
    if (at >= page.count) continue;
    const order =
      best < 0 ? -1 : compareKeys(page, at, pages[best] as PlainPage, next[best] as number);
    if (order === 0) (next[best] as number)++;
    if (order <= 0) best = i;
  }
  return best;
}

/** ASCII: in the order of their bytes, as of their code units. */
function compareKeys(a: PlainPage, i: number, b: PlainPage, j: number): number {
  let x = afterHead(a.bytes, a.keyAt[i] as number);
  let y = afterHead(b.bytes, b.keyAt[j] as number);
  const [endX, endY] = [a.keyAt[i + 1] as number, b.keyAt[j + 1] as number];
  for (; x < endX && y < endY; x++, y++) {
    const difference = (a.bytes[x] as number) - (b.bytes[y] as number);
    if (difference !== 0) return difference;
  }
  return endX - x - (endY - y);
}

function written(runs: readonly Run[], room: Room): Uint8Array {
  let count = 0;
  let keysSizeBytes = 0;
  let valuesSizeBytes = 0;
  for (const { page, from, to } of runs) {
    count += to - from;
    keysSizeBytes += (page.keyAt[to] as number) - (page.keyAt[from] as number);
    valuesSizeBytes += (page.valueAt[to] as number) - (page.valueAt[from] as number);
  }
  const head = arrayHead(count);
  const out = room(1 + 2 * head.length + keysSizeBytes + valuesSizeBytes);
  let at = 0;
  const put = (bytes: Uint8Array) => {
    out.set(bytes, at);
    at += bytes.length;
  };
  put(pair);
  put(head);
  for (const { page, from, to } of runs) put(page.bytes.subarray(page.keyAt[from], page.keyAt[to]));
  put(head);
  for (const { page, from, to } of runs) {
    put(page.bytes.subarray(page.valueAt[from], page.valueAt[to]));
  }
  return out;
}

// msgpack, as far as it is needed here.

const pair = Uint8Array.of(0x92);

function arrayHead(count: number): Uint8Array {
  if (count < 16) return Uint8Array.of(0x90 | count);
  if (count < 0x1_00_00) return Uint8Array.of(0xdc, count >>> 8, count);
  return Uint8Array.of(0xdd, count >>> 24, count >>> 16, count >>> 8, count);
}

function enterArray(bytes: Uint8Array, head: Head): boolean {
  const first = bytes[head.at] as number;
  if ((first & 0xf0) === 0x90) return enter(bytes, head, 0, first & 0x0f);
  if (first === 0xdc) return enter(bytes, head, 2, 0);
  return first === 0xdd && enter(bytes, head, 4, 0);
}

function enterText(bytes: Uint8Array, head: Head): boolean {
  const first = bytes[head.at] as number;
  if ((first & 0xe0) === 0xa0) return enter(bytes, head, 0, first & 0x1f);
  if (first === 0xd9) return enter(bytes, head, 1, 0);
  return first === 0xda && enter(bytes, head, 2, 0);
}

function enterBytes(bytes: Uint8Array, head: Head): boolean {
  const first = bytes[head.at] as number;
  if (first === 0xc4) return enter(bytes, head, 1, 0);
  if (first === 0xc5) return enter(bytes, head, 2, 0);
  return first === 0xc6 && enter(bytes, head, 4, 0);
}

/** Past the first byte and the bytes that tell a length. */
function enter(bytes: Uint8Array, head: Head, lengthBytes: number, known: number): boolean {
  let length = known;
  for (let i = 1; i <= lengthBytes; i++) length = length * 256 + (bytes[head.at + i] as number);
  head.at += 1 + lengthBytes;
  head.length = length;
  return true;
}

/** Of a text or bytes. */
function afterHead(bytes: Uint8Array, at: number): number {
  const first = bytes[at] as number;
  if (first < 0xc4) return at + 1;
  if (first === 0xc4 || first === 0xd9) return at + 2;
  return at + (first === 0xc5 || first === 0xda ? 3 : 5);
}
