/** What a command that failed says, and its exit code. */
import { UnderstudyError } from '../../replication/errors.js';
import { Unreachable } from '../client/admin.js';

export const exitCodes = { done: 0, failed: 1, usage: 2, unreachable: 3 } as const;

/** A failure whose document is on stdout already, beside the part that was done. */
export class PartlyDone extends Error {
  override readonly cause: unknown;
  constructor(cause: unknown) {
    super('failed midway');
    this.cause = cause;
  }
}

export function exitCodeOf(error: unknown): number {
  return error instanceof Unreachable ? exitCodes.unreachable : exitCodes.failed;
}

/** For `--json`. */
export function documentOf(error: unknown): { readonly error: object } {
  const { message } = error as Error;
  if (error instanceof UnderstudyError) {
    const { code, advice, details } = error;
    return { error: { ...details, code, detail: message, advice } };
  }
  const code = error instanceof Unreachable ? error.code : 'internal';
  return { error: { code, detail: message } };
}

/** For a reader. */
export function wordsOf(error: unknown): string {
  const { message } = error as Error;
  if (error instanceof UnderstudyError) return `understudy: ${error.code}: ${message}\n`;
  if (error instanceof Unreachable) return `understudy: unreachable: ${message}\n`;
  return `understudy: ${message}\n`;
}
