/** The entries of a tree in the order of their keys, compared by UTF-16 code units. */
import { childIn, indexIn, isLeaf, type Node, type StoredValue } from './nodes.js';

/** Which entries, and in which order; all of them, ascending, without it. */
export interface Range {
  /** Keys that start with it. */
  readonly prefix?: string | undefined;
  /** Inclusive. */
  readonly from?: string | undefined;
  /** Exclusive. */
  readonly to?: string | undefined;
  /** At most so many. */
  readonly limit?: number | undefined;
  /** From the last to the first; `from` and `to` mean the same as without it. */
  readonly reverse?: boolean | undefined;
}

/** From `low` on, up to and without `high`. */
interface Bounds {
  readonly low: string;
  readonly high: string | undefined;
}

/** The root must not change meanwhile: freeze the tree, or do nothing else. */
export function* entriesOf(root: Node, range: Range): Generator<[string, StoredValue]> {
  const { limit = Number.POSITIVE_INFINITY, reverse = false } = range;
  const bounds = boundsOf(range);
  let left = limit;
  for (const { keys, values, from, to } of stretches(root, bounds, reverse)) {
    for (let i = from; i < to; i++) {
      if (left-- <= 0) return;
      const at = reverse ? to - 1 - (i - from) : i;
      yield [keys[at] as string, values[at] as StoredValue];
    }
  }
}

interface Stretch {
  readonly keys: readonly string[];
  readonly values: readonly StoredValue[];
  readonly from: number;
  readonly to: number;
}

function* stretches(node: Node, bounds: Bounds, reverse: boolean): Generator<Stretch> {
  const { low, high } = bounds;
  if (high !== undefined && high <= low) return;
  if (isLeaf(node)) {
    const { keys, values } = node;
    const to = high === undefined ? keys.length : indexIn(keys, high);
    yield { keys, values, from: indexIn(keys, low), to };
    return;
  }
  const first = childIn(node.bounds, low);
  const last = high === undefined ? node.children.length - 1 : childIn(node.bounds, high);
  for (let i = 0; i <= last - first; i++) {
    yield* stretches(node.children[reverse ? last - i : first + i] as Node, bounds, reverse);
  }
}

function boundsOf({ prefix = '', from = '', to }: Range): Bounds {
  const end = endOf(prefix);
  const isEndFirst = to === undefined || (end !== undefined && end < to);
  return { low: from < prefix ? prefix : from, high: isEndFirst ? end : to };
}

const lastUnit = 0xffff;

/** The first text after all that start with `prefix`; undefined: there is none. */
function endOf(prefix: string): string | undefined {
  let length = prefix.length;
  while (length > 0 && prefix.charCodeAt(length - 1) === lastUnit) length -= 1;
  if (length === 0) return undefined;
  return prefix.slice(0, length - 1) + String.fromCharCode(prefix.charCodeAt(length - 1) + 1);
}
