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
  /** Its own, so that what comes back leaves the others' messages alone. */
  readonly #echoes: Random;
  rates: BusRates;
  /** The broker itself is there; a restart drops what is on the way. */
  up = true;

  constructor(scheduler: Scheduler, rates: BusRates) {
    this.#scheduler = scheduler;
    this.#random = scheduler.fork('bus');
    this.#echoes = scheduler.fork('bus echoes');
    this.rates = rates;
  }

  /** Delivers to a peer as it is when the message arrives. */
  send(from: Peer, to: Peer, task: () => void): void {
    this.#carry(from, to, task, this.#random);
  }

  /** What a peer hears of itself: lost, slow and stopped like everything else. */
  echo(peer: Peer, task: () => void): void {
    this.#carry(peer, peer, task, this.#echoes);
  }

  #carry(from: Peer, to: Peer, task: () => void, random: Random): void {
    if (!this.up || from.partitioned || !from.alive) return;
    if (random.chance(this.rates.messageLost)) return;
    const { life } = to;
    this.#scheduler.after(this.#latencyMs(random), () => {
      if (!this.up || to.partitioned || !to.alive || to.life !== life) return;
      to.run(task);
    });
  }

  #latencyMs(random: Random): number {
    const slow = random.chance(this.rates.messageSlow) ? random.next() * 400 : 0;
    return 0.1 + random.next() + slow;
  }
}
