/**
 * The answers under idempotency keys as snapshots store them: pages of some answers each, in the order of
 * recording, in a tree. So a snapshot costs what was recorded since the last one, and not all that is known.
 *
 * K1 Which pages there are is a function of the recorded answers and their order alone (I5).
 * K2 A page never changes: what is forgotten stays in it until everything in it is.
 * K3 An answer counts if its ordinal is `first` or later, and no later one has its key.
 */
import { entriesOf, type Layout, type Node, Tree } from './state/tree.js';
import { decode, Encoder } from './state/values.js';

export interface KeyedAnswer {
  /** Its place among all that were ever recorded, from 0. */
  readonly ordinal: number;
  readonly epoch: number;
  readonly seq: number;
  readonly result: unknown;
  readonly rejection: readonly [code: string, detail: string] | null;
}

type Packed = [key: string, epoch: number, seq: number, result: unknown, rejection: unknown];

export interface KeyPages {
  /** Pages by the ordinal of their first answer. */
  readonly tree: Tree;
  /** Those ordinals, ascending: found from the tree. */
  readonly starts: number[];
  /** What belongs to the next page. */
  open: (readonly [key: string, answer: KeyedAnswer])[];
  /** As the caller reckons them, all together. */
  openSizeBytes: number;
  /** Of the next answer: how many have been recorded. */
  next: number;
  first: number;
  encoder: Encoder | null;
}

/** What of it is no page; the second is part of the state as well. */
export type OpenPage = readonly [next: number, first: number, open: readonly Packed[]];

const answersInPage = 32;
/** A page ends sooner with large answers. */
const pageSizeBytes = 8 * 1024;
/** Every ordinal has as many digits: texts are in the order of the numbers. */
const digits = 10;

export function newKeyPages(layout: Layout, root?: Node): KeyPages {
  const tree = new Tree(layout, root);
  return {
    tree,
    starts: [...entriesOf(tree.root, {})].map(([name]) => Number.parseInt(name, 36)),
    open: [],
    openSizeBytes: 0,
    next: 0,
    first: 0,
    encoder: null,
  };
}

/** The answer's ordinal is `next`. `sizeBytes`: as the caller reckons it. */
export function noteKey(
  pages: KeyPages,
  key: string,
  answer: KeyedAnswer,
  sizeBytes: number,
): void {
  pages.open.push([key, answer]);
  pages.openSizeBytes += sizeBytes;
  pages.next += 1;
  const most = pages.tree.layout.answersInPage ?? answersInPage;
  if (pages.open.length >= most || pages.openSizeBytes >= pageSizeBytes) endPage(pages);
}

function endPage(pages: KeyPages): void {
  const { tree, open, starts } = pages;
  pages.encoder ??= new Encoder(tree.layout);
  const start = pages.next - open.length;
  tree.set(nameOf(start), pages.encoder.encode(open.map(packed)));
  starts.push(start);
  pages.open = [];
  pages.openSizeBytes = 0;
}

/** The oldest answer that counted is the one with this ordinal, and is forgotten (K3). */
export function forgetThrough(pages: KeyPages, ordinal: number): void {
  const { tree, starts, open } = pages;
  pages.first = ordinal + 1;
  const openStart = pages.next - open.length;
  while (starts.length > 0 && (starts[1] ?? openStart) <= pages.first) {
    tree.delete(nameOf(starts.shift() as number));
  }
}

/** All that may count, in the order of recording: a later answer stands for an earlier one of its key. */
export function* answersIn(
  pages: KeyPages,
): Generator<readonly [key: string, answer: KeyedAnswer]> {
  for (const [name, value] of entriesOf(pages.tree.root, {})) {
    const start = Number.parseInt(name, 36);
    for (const [i, one] of (decode(value) as Packed[]).entries()) {
      if (start + i >= pages.first) yield [one[0], unpacked(one, start + i)];
    }
  }
  for (const [key, answer] of pages.open) {
    if (answer.ordinal >= pages.first) yield [key, answer];
  }
}

export function packOpenPage({ next, first, open }: KeyPages): OpenPage {
  return [next, first, open.map(packed)];
}

/** `sizeOf`: as the caller reckoned it when it was recorded. */
export function unpackOpenPage(
  pages: KeyPages,
  [next, first, open]: OpenPage,
  sizeOf: (key: string, answer: KeyedAnswer) => number,
): void {
  pages.next = next;
  pages.first = first;
  for (const [i, one] of open.entries()) {
    const answer = unpacked(one, next - open.length + i);
    pages.open.push([one[0], answer]);
    pages.openSizeBytes += sizeOf(one[0], answer);
  }
}

const nameOf = (ordinal: number): string => ordinal.toString(36).padStart(digits, '0');

function packed([key, { epoch, seq, result, rejection }]: KeyPages['open'][number]): Packed {
  return [key, epoch, seq, result, rejection];
}

function unpacked([, epoch, seq, result, rejection]: Packed, ordinal: number): KeyedAnswer {
  return { ordinal, epoch, seq, result, rejection: rejection as KeyedAnswer['rejection'] };
}
