/** All callers of all groups, at a rate. */
import { Chance } from '../chance.js';
import { type Door, doorsOf } from '../clients/doors.js';
import {
  type DeliveryOutcome,
  type DoorName,
  type History,
  newHistory,
  nowMs,
} from '../history.js';
import { Caller } from './caller.js';
import type { GroupLoad } from './groups.js';
import { Told } from './told.js';

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
  #delivered = 0;
  readonly #told = new Told();
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

  /** One command of a scenario's own, tried once, and checked like all others. */
  async deliver(group: string, command: unknown, by: DoorName = 'nats'): Promise<DeliveryOutcome> {
    const door = this.doors.find(({ name }) => name === by) as Door;
    const history = this.histories.find((one) => one.group === group) as History;
    this.#delivered += 1;
    const id = `scenario-${this.#delivered}`;
    const calledAt = nowMs();
    const outcome = await door.deliver(group, command, { kind: 'key', key: id });
    const isOpen = outcome.kind === 'unknown' || outcome.kind === 'not-taken';
    const returnedAt = isOpen ? Number.POSITIVE_INFINITY : nowMs();
    const asked = { id, client: id, command, door: door.name, tries: 1 };
    history.deliveries.push({ ...asked, outcome, calledAt, returnedAt });
    return outcome;
  }

  /** The last seq that anybody was told of; 0: none. */
  acknowledged(group: string): number {
    const history = this.histories.find((one) => one.group === group);
    return history === undefined ? 0 : this.#told.of(history);
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
