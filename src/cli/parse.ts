/** Values of options and arguments; a wrong one is wrong usage. */
import { type Command, InvalidArgumentError } from 'commander';
import { parseToken } from '../client/token.js';

/** A parser for whole numbers in a range. */
export function whole(least: number, most = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most) return value;
    const range = most === Number.MAX_SAFE_INTEGER ? `from ${least}` : `from ${least} to ${most}`;
    throw new InvalidArgumentError(`expected a whole number ${range}.`);
  };
}

/** The same, below zero as well. */
export function integer(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^-?\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(`expected a whole number from ${least} to ${most}.`);
  };
}

const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** A whole number and its unit, as milliseconds. */
export function duration(text: string): number {
  const [, count, unit = ''] = /^([1-9]\d{0,9})(ms|s|m|h|d)$/.exec(text) ?? [];
  if (count !== undefined) return Number(count) * (unitMs[unit] as number);
  throw new InvalidArgumentError(
    'expected a whole number and ms, s, m, h or d, such as 90s or 1h.',
  );
}

/** `a=1,b=-2`. */
export function priorities(text: string): Record<string, number> {
  const pairs = text.split(',').map((pair) => /^([\w-]{1,64})=(-?\d{1,4})$/.exec(pair));
  if (pairs.every((pair) => pair !== null)) {
    return Object.fromEntries(pairs.map(([, node = '', priority]) => [node, Number(priority)]));
  }
  throw new InvalidArgumentError('expected nodes with whole numbers, such as a=10,b=-1.');
}

export function names(text: string): string[] {
  return text.split(',').map((name) => name.trim());
}

export function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new InvalidArgumentError(`expected JSON: ${(error as Error).message}.`);
  }
}

/** The token as it was given. */
export function token(text: string): string {
  try {
    parseToken(text);
    return text;
  } catch (error) {
    throw new InvalidArgumentError(`${(error as Error).message}.`);
  }
}

export interface Scope {
  readonly all?: true;
}

/** A group or node, or null: all of them. Exactly one of both has to be named. */
export function scopeOf(
  command: Command,
  what: 'group' | 'node',
  name: string | undefined,
  { all }: Scope,
): string | null {
  if ((name === undefined) === (all === true)) return name ?? null;
  return command.error(`error: name one ${what}, or --all`, { exitCode: 2 });
}
