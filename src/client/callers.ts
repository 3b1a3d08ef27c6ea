import type { AnswerRun } from '../../replication/batch.js';
import type { UnderstudyError } from '../../replication/errors.js';
import { Rejected } from './errors.js';

/** What became of one delivered command. */
export interface Delivered<Result = unknown> {
  /** The seq of its last event; if it yielded none, of the last event before it. */
  readonly seq: number;
  readonly epoch: number;
  /** What the kind's `decide` returned for the caller. */
  readonly result: Result;
  /** True if an earlier delivery of the same command had been taken, and this is its answer. */
  readonly duplicate: boolean;
}

type Resolve = (delivered: Delivered) => void;
type Reject = (error: UnderstudyError) => void;

const gone = Number.POSITIVE_INFINITY;

/**
 * Those who wait for the commands of one batch, in the batch's order. Columns instead of an object
 * for each: hundreds of thousands pass through here every second.
 */
export class Callers {
  /** When the first of those who are left gives up; infinity: nobody is left. */
  expiresAtMs = gone;
  /** When the last gives up. */
  abandonedAtMs = 0;
  #resolves: Resolve[] = [];
  #rejects: Reject[] = [];
  /** When each gives up; infinity: has given up. */
  #deadlinesMs: number[] = [];
  #goneCount = 0;

  /** Adds the caller whose promise will be made, next, with the executor `enlist`. */
  add(deadlineMs: number): void {
    this.#deadlinesMs.push(deadlineMs);
    if (deadlineMs < this.expiresAtMs) this.expiresAtMs = deadlineMs;
    if (deadlineMs > this.abandonedAtMs) this.abandonedAtMs = deadlineMs;
  }

  readonly enlist = (resolve: Resolve, reject: Reject): void => {
    this.#resolves.push(resolve);
    this.#rejects.push(reject);
  };

  /** Rejects those whose time is up. */
  expire(nowMs: number, timeout: UnderstudyError): void {
    this.expiresAtMs = gone;
    for (const [i, deadlineMs] of this.#deadlinesMs.entries()) {
      if (deadlineMs <= nowMs) {
        this.#rejects[i]?.(timeout);
        this.#deadlinesMs[i] = gone;
        this.#goneCount++;
      } else if (deadlineMs < this.expiresAtMs) {
        this.expiresAtMs = deadlineMs;
      }
    }
  }

  /** Forgets those who have given up. Returns which are left; `null`: all. */
  compact(): ((_: unknown, i: number) => boolean) | null {
    if (this.#goneCount === 0) return null;
    const deadlinesMs = this.#deadlinesMs;
    const isLeft = (_: unknown, i: number): boolean => deadlinesMs[i] !== gone;
    this.#resolves = this.#resolves.filter(isLeft);
    this.#rejects = this.#rejects.filter(isLeft);
    this.#deadlinesMs = deadlinesMs.filter(isLeft);
    this.#goneCount = 0;
    return isLeft;
  }

  /** Rejects everybody. Who has given up or has been answered does not notice. */
  fail(error: UnderstudyError): void {
    for (const reject of this.#rejects) reject(error);
  }

  /** Tells the callers from `offset` on what the run says about their commands. */
  settle(offset: number, run: AnswerRun): void {
    const { count, epoch, eventCounts, results, rejections, duplicate } = run;
    const refused = rejections && new Map(rejections.map((rejection) => [rejection[0], rejection]));
    let seq = run.baseSeq;
    for (let i = 0; i < count; i++) {
      const rejection = refused?.get(i);
      if (rejection) {
        this.#rejects[offset + i]?.(rejectedAs(rejection[1], rejection[2], duplicate));
        continue;
      }
      seq += eventCounts === null ? 1 : (eventCounts[i] ?? 0);
      this.#resolves[offset + i]?.({ seq, epoch, result: results?.[i], duplicate });
    }
  }
}

/** Without a stack: it would lead here instead of to the caller, and be most of the cost. */
function rejectedAs(code: string, detail: string, duplicate: boolean): Rejected {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  const rejected = new Rejected(code, detail, duplicate);
  Error.stackTraceLimit = stackTraceLimit;
  return rejected;
}
