/** All callers of all groups, at a rate. */
import { Chance } from '../chance.js';
import { type Door, doorsOf } from '../clients/doors.js';
import { type History, newHistory } from '../history.js';
import { Caller } from './caller.js';
import type { GroupLoad } from './groups.js';

export interface WorkloadOptions {
  readonly loads: readonly GroupLoad[];
  readonly seed: number;
  /** Calls a second, over all groups. */
  readonly rate: number;
  readonly brokerUrls: readonly string[];
  readonly adminUrls: () => readonly string[];
  readonly adminToken: string | null;
}

/** So many that a record holds several commands: one at a time each, they wait for the broker's disk. */
const callersEach = 50;
/** Programs are many, plain requests and HTTP few: those cost most on the machine that is tested. */
const mix = [
  ...['program', 'program', 'nats', 'program', 'http'],
  ...['program', 'program', 'nats', 'program', 'program'],
] as const;

export class Workload {
  readonly histories: readonly History[];
  readonly #callers: readonly Caller[];
  #running: Promise<unknown> = Promise.resolve();

  private constructor(
    { loads, seed, rate }: WorkloadOptions,
    private readonly doors: readonly Door[],
  ) {
    this.histories = loads.map(({ name }) => newHistory(name));
    const everyMs = (1000 * callersEach * loads.length) / rate;
    this.#callers = loads.flatMap((load, i) => {
      const history = this.histories[i] as History;
      let last = 0;
      const nextNumber = () => ++last;
      return Array.from({ length: callersEach }, (_, caller) => {
        const name = `${load.name}-${caller}`;
        const door = doors.find((one) => one.name === mix[caller % mix.length]) as Door;
        const chance = new Chance(seed, name);
        return new Caller({ name, door, load, history, chance, everyMs, nextNumber });
      });
    });
  }

  static async open(options: WorkloadOptions): Promise<Workload> {
    return new Workload(options, await doorsOf(options));
  }

  start(): void {
    this.#running = Promise.all(this.#callers.map((caller) => caller.run()));
  }

  /** No new calls; resolves when each that was begun has ended. */
  async stop(): Promise<void> {
    for (const caller of this.#callers) caller.stop();
    await this.#running;
  }

  async close(): Promise<void> {
    await this.stop();
    await Promise.all(this.doors.map((door) => door.close()));
  }
}
