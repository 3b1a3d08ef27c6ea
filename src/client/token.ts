/**
 * What a caller has seen of a group. A read that is given it answers from no older state, whichever
 * member answers (P11): so it sees the caller's own writes, and never goes back in time.
 *
 * The epoch goes along because a seq alone does not tell one log from another: a group that was
 * deleted and made anew, or a log that came back from a backup, reaches the same seqs again.
 */
import type { AnswerRun } from '../../replication/batch.js';
import { UnderstudyError } from '../../replication/errors.js';

export interface Seen {
  readonly epoch: number;
  readonly seq: number;
}

/** Carries a token over HTTP, both ways. Lower case, as Node hands headers over. */
export const tokenHeader = 'understudy-token';

export const nothingSeen: Seen = { epoch: 0, seq: 0 };

/** Neither number of a log ever decreases, so each may be taken from another answer. */
export function laterOf(a: Seen, b: Seen): Seen {
  return { epoch: Math.max(a.epoch, b.epoch), seq: Math.max(a.seq, b.seq) };
}

/** Version, epoch and seq; opaque to those who hand it on. Ten digits of base 36 are exact numbers. */
export const tokenPattern = /^1\.([0-9a-z]{1,10})\.([0-9a-z]{1,10})$/;

export function tokenOf({ epoch, seq }: Seen): string {
  return `1.${epoch.toString(36)}.${seq.toString(36)}`;
}

/** Throws `bad-request`. */
export function parseToken(token: string): Seen {
  const [, epoch, seq] = tokenPattern.exec(token) ?? [];
  if (epoch !== undefined && seq !== undefined) {
    return { epoch: Number.parseInt(epoch, 36), seq: Number.parseInt(seq, 36) };
  }
  throw new UnderstudyError(
    'bad-request',
    `"${token}" is no token; pass one as an earlier answer gave it, unchanged`,
  );
}

/** The token of an answer to a caller who came with `before`: to be kept instead of it. */
export function tokenAfter(before: string | undefined, answer: Seen): string {
  return tokenOf(before === undefined ? answer : laterOf(parseToken(before), answer));
}

/** The state that the answers of a delivery tell of: rejections were decided on it as well. */
export function seenIn(runs: readonly AnswerRun[]): Seen {
  return runs.reduce((seen, run) => laterOf(seen, endOf(run)), nothingSeen);
}

function endOf({ count, epoch, baseSeq, eventCounts, rejections }: AnswerRun): Seen {
  const events = eventCounts
    ? eventCounts.reduce((sum, events) => sum + events, 0)
    : count - (rejections?.length ?? 0);
  return { epoch, seq: baseSeq + events };
}
