/** What a delivery or a query can fail with, and what the caller should do about each. */
import { type ErrorCode, UnderstudyError } from '../../replication/errors.js';

/**
 * The kind refused this command on the group's present state; nothing of it is in the log.
 * Do not send it again unchanged: correct it, or wait for a state in which it is acceptable.
 */
export class Rejected extends UnderstudyError {
  override readonly name = 'Rejected';
  constructor(
    /** Kebab-case, chosen by the kind. `bad-request`: the command does not fit the kind's schema. */
    readonly rejectionCode: string,
    /** The kind's explanation. */
    readonly detail: string,
    /** True if this was decided by an earlier delivery of the same command. */
    readonly duplicate: boolean,
  ) {
    super('rejected', `${rejectionCode}: ${detail}`, { rejectionCode, detail, duplicate });
  }
}

/** Too much is waiting in this client; the command was not taken. Await some answers, then go on. */
export class Overloaded extends UnderstudyError {
  override readonly name = 'Overloaded';
  constructor(message: string, details?: Record<string, unknown>) {
    super('overloaded', message, details);
  }
}

/** The command can never fit; it was not taken. Split it, or keep bulk data outside the event. */
export class TooLarge extends UnderstudyError {
  override readonly name = 'TooLarge';
  constructor(message: string, details?: Record<string, unknown>) {
    super('too-large', message, details);
  }
}

/** The call itself is wrong; nothing was taken. Correct the program. */
export class BadRequest extends UnderstudyError {
  override readonly name = 'BadRequest';
  constructor(message: string, details?: Record<string, unknown>) {
    super('bad-request', message, details);
  }
}

/** `not-taken`: nobody can have received it. `unknown`: it may be in the log now, or later. */
export type Outcome = 'not-taken' | 'unknown';

/**
 * No answer in time. With `outcome` `unknown`, deliver the same command again with the same key: it
 * is then applied once. Without a key it may be applied twice.
 */
export class Timeout extends UnderstudyError {
  override readonly name = 'Timeout';
  constructor(
    message: string,
    readonly outcome: Outcome,
  ) {
    super('timeout', message, { outcome });
  }
}

/** The error for a refusal that came over the wire; `details` say whether something may be taken. */
export function failure(code: ErrorCode, detail: string, outcome: Outcome): UnderstudyError {
  const details = { outcome };
  if (code === 'too-large') return new TooLarge(detail, details);
  if (code === 'bad-request') return new BadRequest(detail, details);
  if (code === 'overloaded') return new Overloaded(detail, details);
  if (code === 'timeout') return new Timeout(detail, outcome);
  return new UnderstudyError(code, detail, details);
}
