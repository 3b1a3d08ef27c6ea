/** A process that may end, begin anew, and stand still. */
import type { Random, Scheduler } from '../support/scheduler.js';
import type { Peer } from './bus.js';
import { Clock } from './clock.js';

export abstract class Process implements Peer {
  abstract readonly name: string;
  readonly clock: Clock;
  life = 0;
  alive = false;
  partitioned = false;
  paused = false;
  /** What arrived while the process stood still. */
  #inbox: (() => void)[] = [];

  constructor(
    private readonly scheduler: Scheduler,
    private readonly order: Random,
  ) {
    this.clock = new Clock(scheduler);
  }

  protected begin(): void {
    this.life += 1;
    this.alive = true;
    this.paused = false;
    this.#inbox = [];
  }

  protected end(): void {
    this.alive = false;
    this.paused = false;
  }

  pause(): void {
    this.paused = true;
  }

  /** Everything that waited runs in any order: nothing promises that timers come first. */
  resume(): void {
    this.paused = false;
    const waiting = this.#inbox;
    this.#inbox = [];
    while (waiting.length > 0) {
      const [task] = waiting.splice(this.order.below(waiting.length), 1);
      this.scheduler.after(0, () => this.run(task as () => void));
    }
  }

  run(task: () => void): void {
    if (!this.alive) return;
    if (this.paused) this.#inbox.push(task);
    else task();
  }

  later(ms: number, task: () => void): () => void {
    const runs = this.inThisLife();
    return this.scheduler.after(Math.max(0, ms) / this.clock.rate, () => runs(task));
  }

  soon(task: () => void): void {
    this.later(0, task);
  }

  /** Runs tasks as long as nothing has ended it since. */
  inThisLife(): (task: () => void) => void {
    const { life } = this;
    return (task) => {
      if (this.life === life) this.run(task);
    };
  }
}
