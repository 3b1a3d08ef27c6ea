/**
 * Carries parcels to a group's active until they are answered or nobody waits for them any more.
 *
 * A parcel always travels with identical contents, so carrying it again is harmless (P4). Whoever
 * answers first is believed; later answers to the same parcel are ignored. Refusals by which nothing
 * was taken make the whole courier pause, so that parcels stay in order and a group without an
 * active is not stormed; a notice that an active has opened ends the pause at once.
 */
import { type ErrorCode, errorAdvice, type UnderstudyError } from '../../replication/errors.js';
import { Alarm } from './alarm.js';
import { failure, type Outcome, Timeout } from './errors.js';
import type { Correspondent, Link, LinkProblem } from './link.js';

export interface Parcel<Answer> {
  readonly payload: Uint8Array;
  /** False: two deliveries would count twice, so it is sent again only if nobody was there. */
  readonly repeatable: boolean;
  /** When the first of those who wait for it gives up. */
  readonly expiresAtMs: number;
  /** When the last of them does. */
  readonly abandonedAtMs: number;
  answered(answer: Answer): void;
  failed(error: UnderstudyError): void;
  /** Tells those whose time is up. Returns when the next one's is; infinity: nobody waits any more. */
  expire(nowMs: number, timeout: UnderstudyError): number;
}

export interface Refusal {
  readonly ok: false;
  readonly code: ErrorCode | 'moved';
  readonly detail: string;
}

/** How a courier differs from one of deliveries. */
export interface CourierOptions {
  /** Parcels that need no order: one that is answered `not-ready` waits alone. */
  readonly unordered?: boolean;
  /** What to tell those whose time is up after this refusal; null: a `Timeout`. */
  readonly late?: (last: Refusal) => UnderstudyError | null;
}

interface Transit<Answer> {
  readonly id: number;
  readonly parcel: Parcel<Answer>;
  expiresAtMs: number;
  attempt: number;
  /** Refused or never sent; goes out when the pause ends. */
  waiting: boolean;
  /** When the present attempt is given up and the parcel sent again. */
  overdueAtMs: number;
  /** Attempts that somebody may have received. */
  received: number;
  lastRefusal: Refusal | null;
}

/** What a courier needs of a link. */
export type Carrier = Pick<Link, 'up' | 'join' | 'send'>;

const attemptMs = { first: 2000, most: 5000 };
const pauseMs = { least: 5, most: 250 };
const nobody: Refusal = { ok: false, code: 'moved', detail: 'nobody listens there' };

/** Before the next attempt, after so many that ended at once; at random, so that callers spread. */
function pauseAfter(attempts: number): number {
  const longestMs = Math.min(pauseMs.least * 2 ** Math.min(attempts, 10), pauseMs.most);
  return longestMs * (0.5 + Math.random() / 2);
}

export class Courier<Answer extends { readonly ok: true }> implements Correspondent {
  readonly subject: string;
  readonly #link: Carrier;
  readonly #address: number;
  readonly #read: (data: Uint8Array) => Answer | Refusal;
  readonly #options: CourierOptions;
  /** In the order in which they were handed in, which is the order in which they are carried. */
  readonly #transits = new Map<number, Transit<Answer>>();
  readonly #alarm = new Alarm((nowMs) => this.#sweep(nowMs));
  #lastId = 0;
  #epoch = 0;
  /** When the pause ends; infinity: there is none. */
  #resumeAtMs = Number.POSITIVE_INFINITY;
  #pauses = 0;

  /** `read` makes an answer or a refusal of a reply; what it throws fails the parcel. */
  constructor(
    link: Carrier,
    subject: string,
    read: (data: Uint8Array) => Answer | Refusal,
    options: CourierOptions = {},
  ) {
    this.subject = subject;
    this.#link = link;
    this.#read = read;
    this.#options = options;
    this.#address = link.join(this);
  }

  carry(parcel: Parcel<Answer>): void {
    const transit: Transit<Answer> = {
      id: ++this.#lastId,
      parcel,
      expiresAtMs: parcel.expiresAtMs,
      attempt: 0,
      waiting: true,
      overdueAtMs: Number.POSITIVE_INFINITY,
      received: 0,
      lastRefusal: null,
    };
    this.#transits.set(transit.id, transit);
    this.#alarm.by(transit.expiresAtMs);
    if (this.#resumeAtMs === Number.POSITIVE_INFINITY) this.#send(transit);
  }

  /** An active serves `epoch` now. What was sent to an earlier one may be stuck there. */
  opened(epoch: number): void {
    this.#pauses = 0;
    const isNew = epoch > this.#epoch;
    if (isNew) this.#epoch = epoch;
    this.#resend(isNew ? 'all' : 'waiting');
  }

  onReconnect(): void {
    this.#pauses = 0;
    this.#resend('all');
  }

  onLost({ code, detail }: LinkProblem): void {
    for (const transit of this.#transits.values()) {
      this.#fail(transit, failure(code, detail, outcomeOf(transit)));
    }
  }

  /** Fails what is left and lets go of the timer. */
  close(): void {
    for (const transit of this.#transits.values()) {
      this.#fail(transit, this.#timeout(transit, outcomeOf(transit), 'the client was closed'));
    }
    this.#alarm.stop();
  }

  onReply(id: number, attempt: number, data: Uint8Array | null): void {
    const transit = this.#transits.get(id);
    if (!transit) return;
    if (data === null) {
      transit.received--;
      if (attempt === transit.attempt) this.#pause(transit, nobody);
      return;
    }
    const answer = this.#readOrRefuse(data);
    if (answer.ok) return this.#answered(transit, answer);
    // Only the present attempt's refusal counts: one resend for each attempt, never a storm.
    if (attempt === transit.attempt) this.#refused(transit, answer);
  }

  #readOrRefuse(data: Uint8Array): Answer | Refusal {
    try {
      return this.#read(data);
    } catch (error) {
      const detail = `the reply cannot be read: ${(error as Error).message}`;
      return { ok: false, code: 'internal', detail };
    }
  }

  #answered(transit: Transit<Answer>, answer: Answer): void {
    this.#pauses = 0;
    this.#transits.delete(transit.id);
    transit.parcel.answered(answer);
  }

  #refused(transit: Transit<Answer>, refusal: Refusal): void {
    const { code, detail } = refusal;
    const again = code === 'moved' || errorAdvice[code] === 'retry';
    if (again && transit.parcel.repeatable) {
      const alone = this.#options.unordered && code === 'not-ready';
      return alone ? this.#postpone(transit, refusal) : this.#pause(transit, refusal);
    }
    const known = code === 'moved' ? 'not-ready' : code;
    // This attempt was refused; an earlier one may have been taken by somebody else.
    const outcome = transit.received > 1 ? 'unknown' : 'not-taken';
    this.#fail(transit, failure(known, detail, outcome));
  }

  #fail(transit: Transit<Answer>, error: UnderstudyError): void {
    this.#transits.delete(transit.id);
    transit.parcel.failed(error);
  }

  /** Holds the parcel, and with it all that follow, until an active is announced or some time passed. */
  #pause(transit: Transit<Answer>, why: Refusal): void {
    transit.waiting = true;
    transit.overdueAtMs = Number.POSITIVE_INFINITY;
    transit.lastRefusal = why;
    if (this.#resumeAtMs !== Number.POSITIVE_INFINITY) return;
    this.#resumeAtMs = performance.now() + pauseAfter(this.#pauses++);
    this.#alarm.by(this.#resumeAtMs);
  }

  /** Holds this parcel only: what it asks for is not there yet, which says nothing of the others. */
  #postpone(transit: Transit<Answer>, why: Refusal): void {
    transit.lastRefusal = why;
    transit.overdueAtMs = performance.now() + pauseAfter(transit.attempt);
    this.#alarm.by(transit.overdueAtMs);
  }

  #resend(which: 'all' | 'waiting'): void {
    this.#resumeAtMs = Number.POSITIVE_INFINITY;
    for (const transit of this.#transits.values()) {
      const again = which === 'all' && transit.parcel.repeatable;
      if (transit.waiting || again) this.#send(transit);
    }
  }

  #send(transit: Transit<Answer>): void {
    transit.waiting = !this.#link.up;
    transit.overdueAtMs = Number.POSITIVE_INFINITY;
    if (transit.waiting) return;
    const { id, parcel } = transit;
    const problem = this.#link.send(
      this.#address,
      id,
      ++transit.attempt,
      this.subject,
      parcel.payload,
    );
    if (problem) {
      return this.#fail(transit, failure(problem.code, problem.detail, outcomeOf(transit)));
    }
    transit.received++;
    if (!parcel.repeatable) return;
    const patienceMs = Math.min(attemptMs.first + 1000 * (transit.attempt - 1), attemptMs.most);
    transit.overdueAtMs = performance.now() + patienceMs;
    this.#alarm.by(transit.overdueAtMs);
  }

  #sweep(nowMs: number): number {
    if (nowMs >= this.#resumeAtMs) this.#resend('waiting');
    let nextMs = this.#resumeAtMs;
    for (const transit of this.#transits.values()) {
      if (nowMs >= transit.expiresAtMs) this.#expire(transit, nowMs);
      if (nowMs >= transit.overdueAtMs && this.#transits.has(transit.id)) this.#send(transit);
      if (!this.#transits.has(transit.id)) continue;
      nextMs = Math.min(nextMs, transit.expiresAtMs, transit.overdueAtMs);
    }
    return nextMs;
  }

  #expire(transit: Transit<Answer>, nowMs: number): void {
    const last = nowMs >= transit.parcel.abandonedAtMs;
    const outcome = last ? outcomeOf(transit) : 'unknown';
    const known = transit.lastRefusal && this.#options.late?.(transit.lastRefusal);
    const error = known ?? this.#timeout(transit, outcome, 'no answer in time');
    transit.expiresAtMs = transit.parcel.expire(nowMs, error);
    if (transit.expiresAtMs === Number.POSITIVE_INFINITY) this.#transits.delete(transit.id);
  }

  #timeout(transit: Transit<Answer>, outcome: Outcome, what: string): Timeout {
    const heard = heardWords(transit.lastRefusal);
    const advice =
      outcome === 'unknown'
        ? 'it may have been taken: repeat it with the same key'
        : 'nobody received it: is there such a group, and do its nodes run?';
    return new Timeout(
      `${what} on ${this.subject} after ${transit.attempt} attempts${heard}; ${advice}`,
      outcome,
    );
  }
}

function heardWords(last: Refusal | null): string {
  if (last === null) return '';
  if (last === nobody) return `, ${nobody.detail}`;
  return `, the last reply was "${last.code}: ${last.detail}"`;
}

function outcomeOf(transit: { readonly received: number }): Outcome {
  return transit.received > 0 ? 'unknown' : 'not-taken';
}
