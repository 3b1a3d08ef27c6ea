/**
 * The wire between the clients and the modelled broker: latency, loss, partitions and crashes.
 *
 * Every call is answered exactly once, unless its client has crashed: then never.
 */
import type { Random, Scheduler } from './scheduler.js';

/** Probabilities per request. Each has dice of its own: turning one up leaves the others' rolls alone. */
export interface FaultRates {
  /** The request never arrives. */
  requestLost: number;
  /** The request takes effect, its answer never arrives. */
  answerLost: number;
  /** The request arrives after its caller has given up. */
  slow: number;
  /** A later request of the same client may overtake it. */
  reordered: number;
  /** A read is answered from an older prefix of the log. */
  staleRead: number;
  chunkCorrupted: number;
  /** A chunk is not found, or a put breaks off in the middle. */
  chunkMissing: number;
  /** A replay leaves a record out, or hands one over twice. */
  replayGap: number;
  /** A record never arrives at one of those who follow the log live. */
  tailLost: number;
}

export const noFaults: Readonly<FaultRates> = {
  requestLost: 0,
  answerLost: 0,
  slow: 0,
  reordered: 0,
  staleRead: 0,
  chunkCorrupted: 0,
  chunkMissing: 0,
  replayGap: 0,
  tailLost: 0,
};

export interface WireOptions {
  /** How long an answer is waited for. */
  readonly timeoutMs: number;
  /** One way. */
  readonly latencyMs: { readonly least: number; readonly most: number };
}

export interface Client {
  readonly name: string;
  isAlive: boolean;
  isPartitioned: boolean;
  /** Raised when everything on the wire is dropped. */
  link: number;
  /** Raised when what the broker sent unasked is dropped: then at least. */
  pushes: number;
  /** Requests of a client arrive in the order they were sent, unless slow or reordered. */
  lastArrivalMs: number;
  readonly calls: Set<{ giveUp(): void }>;
}

/** What the broker sends a client unasked: in order, or not at all. */
export interface Channel {
  readonly client: Client;
  lastArrivalMs: number;
}

/** One request and its single answer. */
export class Call<Answer> {
  readonly #link: number;

  constructor(
    readonly client: Client,
    readonly deadlineMs: number,
    private readonly done: (answer: Answer) => void,
    private readonly lost: Answer,
  ) {
    this.#link = client.link;
    client.calls.add(this);
  }

  get isOpen(): boolean {
    return this.client.isAlive && this.client.calls.has(this);
  }

  get isConnected(): boolean {
    return !this.client.isPartitioned && this.client.link === this.#link;
  }

  settle(answer: Answer): void {
    if (!this.isOpen) return;
    this.client.calls.delete(this);
    this.done(answer);
  }

  giveUp(): void {
    this.settle(this.lost);
  }
}

export class Wire {
  readonly details: Random;
  readonly #scheduler: Scheduler;
  readonly #options: WireOptions;
  readonly #rates: Readonly<FaultRates>;
  readonly #latency: Random;
  /** Its own, so that whoever follows the log leaves the times of requests alone. */
  readonly #pushLatency: Random;
  readonly #dice: Record<keyof FaultRates, Random>;
  readonly #clients = new Map<string, Client>();

  constructor(scheduler: Scheduler, options: WireOptions, rates: Readonly<FaultRates>) {
    this.#scheduler = scheduler;
    this.#options = options;
    this.#rates = rates;
    this.#latency = scheduler.fork('broker latency');
    this.#pushLatency = scheduler.fork('broker push latency');
    this.details = scheduler.fork('broker fault details');
    const names = Object.keys(noFaults) as (keyof FaultRates)[];
    this.#dice = Object.fromEntries(
      names.map((name) => [name, scheduler.fork(`broker ${name}`)]),
    ) as Record<keyof FaultRates, Random>;
  }

  client(name: string): Client {
    let client = this.#clients.get(name);
    if (!client) {
      client = {
        name,
        isAlive: true,
        isPartitioned: false,
        link: 0,
        pushes: 0,
        lastArrivalMs: 0,
        calls: new Set(),
      };
      this.#clients.set(name, client);
    }
    return client;
  }

  partition(name: string): void {
    const client = this.client(name);
    client.isPartitioned = true;
    client.link++;
    client.pushes++;
  }

  heal(name: string): void {
    this.client(name).isPartitioned = false;
  }

  disconnect(name: string): void {
    const client = this.client(name);
    client.pushes++;
    const calls = [...client.calls];
    this.#scheduler.after(0, () => {
      for (const call of calls) call.giveUp();
    });
  }

  crash(name: string): void {
    this.client(name).isAlive = false;
    this.#clients.delete(name);
  }

  /** The server that was sending to everybody is gone. */
  dropPushes(): void {
    for (const client of this.#clients.values()) client.pushes++;
  }

  strikes(fault: keyof FaultRates): boolean {
    return this.#dice[fault].chance(this.#rates[fault]);
  }

  latencyMs(dice: Random = this.#latency): number {
    const { least, most } = this.#options.latencyMs;
    return least + dice.next() * (most - least);
  }

  call<Answer>(client: Client, done: (answer: Answer) => void, lost: Answer): Call<Answer> {
    return new Call<Answer>(client, this.#scheduler.now() + this.#options.timeoutMs, done, lost);
  }

  send<Answer>(call: Call<Answer>, arrive: () => void): void {
    if (!call.client.isAlive) return;
    if (call.client.isPartitioned || this.strikes('requestLost')) return this.leaveUnanswered(call);
    const arrivalMs = this.#arrivalMs(call.client);
    if (arrivalMs >= call.deadlineMs) this.leaveUnanswered(call);
    this.#scheduler.after(arrivalMs - this.#scheduler.now(), () => {
      if (call.isConnected) arrive();
      else this.leaveUnanswered(call);
    });
  }

  answer<Answer>(call: Call<Answer>, answer: Answer): void {
    if (!call.isOpen) return;
    const latencyMs = this.latencyMs();
    const isLate = this.#scheduler.now() + latencyMs >= call.deadlineMs;
    if (isLate || !call.isConnected || this.strikes('answerLost'))
      return this.leaveUnanswered(call);
    this.#scheduler.after(latencyMs, () => {
      if (call.isConnected) call.settle(answer);
      else this.leaveUnanswered(call);
    });
  }

  /** What needs no answer and is repeated until it arrives, on its way to the broker. */
  pass(arrive: () => void): void {
    this.#scheduler.after(this.latencyMs(this.#pushLatency), arrive);
  }

  /** Nobody waits for it, and nobody learns that it was lost. */
  push(channel: Channel, arrive: () => void): void {
    const { client } = channel;
    const { pushes } = client;
    if (!client.isAlive || client.isPartitioned) return;
    const nowMs = this.#scheduler.now();
    const arrivalMs = nowMs + this.latencyMs(this.#pushLatency);
    channel.lastArrivalMs = Math.max(channel.lastArrivalMs, arrivalMs);
    this.#scheduler.after(channel.lastArrivalMs - nowMs, () => {
      if (client.isAlive && client.pushes === pushes) arrive();
    });
  }

  /** The caller hears nothing and gives up when its time is over. */
  leaveUnanswered<Answer>(call: Call<Answer>): void {
    if (!call.isOpen) return;
    const leftMs = Math.max(0, call.deadlineMs - this.#scheduler.now());
    this.#scheduler.after(leftMs, () => call.giveUp());
  }

  #arrivalMs(client: Client): number {
    const nowMs = this.#scheduler.now();
    const { latencyMs, timeoutMs } = this.#options;
    const arrivalMs = nowMs + this.latencyMs();
    if (this.strikes('slow')) return arrivalMs + timeoutMs * (1 + this.details.next());
    if (this.strikes('reordered')) return arrivalMs + latencyMs.most * 4 * this.details.next();
    client.lastArrivalMs = Math.max(client.lastArrivalMs, arrivalMs);
    return client.lastArrivalMs;
  }
}
