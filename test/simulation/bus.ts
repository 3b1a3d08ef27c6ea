/** Core NATS in virtual time: messages to nodes and clients, lost, slow, or stopped by a partition. */
import type { Random, Scheduler } from '../support/scheduler.js';

export interface BusRates {
  readonly messageLost: number;
  readonly messageSlow: number;
}

/** Whoever is connected to the broker. `life` changes when it dies: old messages are not for it. */
export interface Peer {
  readonly name: string;
  life: number;
  alive: boolean;
  partitioned: boolean;
  /** Runs now, or when the process goes on. */
  run(task: () => void): void;
}

export class Bus {
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  rates: BusRates;
  /** The broker itself is there; a restart drops what is on the way. */
  up = true;

  constructor(scheduler: Scheduler, rates: BusRates) {
    this.#scheduler = scheduler;
    this.#random = scheduler.fork('bus');
    this.rates = rates;
  }

  /** Delivers to a peer as it is when the message arrives. */
  send(from: Peer, to: Peer, task: () => void): void {
    if (!this.up || from.partitioned || !from.alive) return;
    if (this.#random.chance(this.rates.messageLost)) return;
    const { life } = to;
    this.#scheduler.after(this.#latencyMs(), () => {
      if (!this.up || to.partitioned || !to.alive || to.life !== life) return;
      to.run(task);
    });
  }

  #latencyMs(): number {
    const slow = this.#random.chance(this.rates.messageSlow) ? this.#random.next() * 400 : 0;
    return 0.1 + this.#random.next() + slow;
  }
}
