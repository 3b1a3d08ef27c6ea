import type { Instant } from '../../replication/effects.js';
import type { Scheduler } from '../support/scheduler.js';

const beginning = 1_700_000_000_000;

/** A process's clock: a rate of its own, and a wall that may be off and jump. */
export class Clock {
  rate = 1;
  wallOffsetMs = 0;

  constructor(private readonly scheduler: Scheduler) {}

  now(): Instant {
    const monoMs = this.scheduler.now() * this.rate;
    return { monoMs, wallMs: beginning + monoMs + this.wallOffsetMs };
  }
}
