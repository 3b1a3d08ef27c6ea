/** Values of options and arguments; a wrong one is wrong usage. */
import { InvalidArgumentError } from 'commander';
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
