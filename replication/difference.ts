/** Where two states differ first, for people: evidence of a kind that is not deterministic (P13). */
import { limits } from './limits.js';

const shownChars = 60;

/** `state.accounts.7: 5 here, 7 in the group's`, or null: no difference that can be seen. */
export function firstDifference(mine: unknown, theirs: unknown, path = 'state'): string | null {
  return compare(mine, theirs, path, 0);
}

function compare(mine: unknown, theirs: unknown, path: string, depth: number): string | null {
  if (Object.is(mine, theirs)) return null;
  if (depth > limits.valueDepth) return null;
  const [a, b] = [entriesOf(mine), entriesOf(theirs)];
  if (a === null || b === null) return isSame(mine, theirs) ? null : shown(mine, theirs, path);
  for (const [key, value] of a) {
    const at = `${path}.${cut(key)}`;
    if (!b.has(key)) return `${at}: ${brief(value)} here, nothing in the group's`;
    const difference = compare(value, b.get(key), at, depth + 1);
    if (difference !== null) return difference;
  }
  for (const [key, value] of b) {
    if (!a.has(key)) return `${path}.${cut(key)}: nothing here, ${brief(value)} in the group's`;
  }
  const order = [...a.keys()];
  const at = [...b.keys()].findIndex((key, i) => order[i] !== key);
  if (at < 0) return null;
  return `${path}: the same entries in another order, from ${cut(order[at] ?? '')} on`;
}

/** The parts of a value that has parts. A Set's members are told apart by what they look like. */
function entriesOf(value: unknown): ReadonlyMap<string, unknown> | null {
  if (value instanceof Map) {
    return new Map([...value].map(([key, each]) => [textOf(key), each]));
  }
  if (value instanceof Set) return new Map([...value].map((each) => [textOf(each), each]));
  if (Array.isArray(value)) return new Map(value.map((each, i) => [String(i), each as unknown]));
  const isPlain = typeof value === 'object' && value !== null && !isLeaf(value);
  return isPlain ? new Map(Object.entries(value)) : null;
}

/** Bytes and times are shown as a whole. */
const isLeaf = (value: object): boolean => ArrayBuffer.isView(value) || 'toISOString' in value;

/** Bytes and times; anything else that has no parts was compared before. */
function isSame(mine: unknown, theirs: unknown): boolean {
  const haveParts = typeof mine === 'object' && typeof theirs === 'object';
  return haveParts && textOf(mine) === textOf(theirs);
}

function shown(mine: unknown, theirs: unknown, path: string): string {
  return `${path}: ${brief(mine)} here, ${brief(theirs)} in the group's`;
}

const brief = (value: unknown): string => cut(textOf(value));

function cut(text: string): string {
  return text.length > shownChars ? `${text.slice(0, shownChars)}…` : text;
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}
