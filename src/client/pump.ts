/**
 * Makes batches of single deliveries. What is delivered in one turn of the event loop travels
 * together; while all places in flight are taken, what comes in fills the next batches.
 */
import { randomBytes } from 'node:crypto';
import type { UnderstudyError } from '../../replication/errors.js';
import { Alarm } from './alarm.js';
import type { Budget } from './budget.js';
import type { Delivered } from './callers.js';
import { type Answered, CommandBatch, sizeOf } from './command-batch.js';
import type { Courier } from './courier.js';
import { Timeout } from './errors.js';

/**
 * Batches in flight: two that the active commits, two that it decides to be the next record, and as
 * many on their way in each direction. More would only wait longer.
 */
const batchesInFlight = 8;

type Carries = Pick<Courier<Answered>, 'carry' | 'subject'>;

export class Pump {
  readonly #courier: Carries;
  readonly #budget: Budget;
  readonly #session = randomBytes(16).toString('hex');
  readonly #alarm = new Alarm((nowMs) => this.#expire(nowMs));
  /** Oldest first; commands are added to the last. */
  #open: CommandBatch[] = [];
  /** In order of their numbers. The first has not ended, so its numbers are the session's floor. */
  readonly #inFlight: CommandBatch[] = [];
  #nextNumber = 1;
  #awake = false;

  constructor(courier: Carries, budget: Budget) {
    this.#courier = courier;
    this.#budget = budget;
  }

  /** Throws `Overloaded` if too much is waiting. */
  deliver(command: Uint8Array, key: string | undefined, timeoutMs: number): Promise<Delivered> {
    const sizeBytes = sizeOf(command, key);
    this.#budget.take(1, sizeBytes);
    const batch = this.#batchFor(sizeBytes);
    const deadlineMs = performance.now() + timeoutMs;
    batch.add(command, key, sizeBytes, deadlineMs);
    this.#alarm.by(deadlineMs);
    this.#wake();
    return new Promise(batch.callers.enlist);
  }

  /** Fails what has not been sent. */
  close(error: UnderstudyError): void {
    for (const batch of this.#open) batch.failed(error);
    this.#open = [];
    this.#alarm.stop();
  }

  #batchFor(sizeBytes: number): CommandBatch {
    const last = this.#open.at(-1);
    if (last?.hasRoomFor(sizeBytes)) return last;
    const batch = new CommandBatch((ended) => this.#ended(ended));
    this.#open.push(batch);
    return batch;
  }

  #wake(): void {
    if (this.#awake || this.#inFlight.length >= batchesInFlight) return;
    this.#awake = true;
    setImmediate(() => this.#send());
  }

  #send(): void {
    this.#awake = false;
    while (this.#inFlight.length < batchesInFlight) {
      const batch = this.#open.shift();
      if (!batch) return;
      const floor = this.#inFlight[0]?.first ?? this.#nextNumber;
      batch.seal(this.#session, this.#nextNumber, floor);
      this.#nextNumber += batch.count;
      this.#inFlight.push(batch);
      this.#courier.carry(batch);
    }
  }

  #ended(batch: CommandBatch): void {
    this.#budget.give(batch.taken, batch.sizeBytes);
    while (this.#inFlight[0]?.ended) this.#inFlight.shift();
    if (this.#open.length > 0) this.#wake();
  }

  /** Numbers are given when a batch is sealed, so a command that leaves before leaves no gap. */
  #expire(nowMs: number): number {
    let nextMs = Number.POSITIVE_INFINITY;
    for (const batch of this.#open) {
      if (batch.expiresAtMs <= nowMs) batch.expire(nowMs, this.#tooLate());
      nextMs = Math.min(nextMs, batch.expiresAtMs);
    }
    this.#open = this.#open.filter((batch) => !batch.ended);
    return nextMs;
  }

  #tooLate(): Timeout {
    return new Timeout(
      `no answer in time on ${this.#courier.subject}, and not sent: ${batchesInFlight} earlier ` +
        'batches are not answered; does the group have an active that keeps up?',
      'not-taken',
    );
  }
}
