/** One who asks again and again, and notes what it is told. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Consistency } from '../../../replication/effects.js';
import type { Chance } from '../chance.js';
import type { Door, Identified } from '../clients/door.js';
import { type DeliveryOutcome, type History, nowMs } from '../history.js';
import type { GroupLoad } from './groups.js';

export interface CallerOptions {
  /** Unique in the run. */
  readonly name: string;
  readonly door: Door;
  readonly load: GroupLoad;
  readonly history: History;
  readonly chance: Chance;
  /** From the beginning of one call to that of the next, unless an answer takes longer. */
  readonly everyMs: number;
  /** Numbers the commands of all callers of the group. */
  readonly nextNumber: () => number;
}

const readShare = 0.25;
const repeatShare = 0.7;
/** Of the reads that could say what they must not be older than. */
const plainShare = 0.5;
const mostTries = 12;
const pauseMs = 100;
const consistencies: readonly Consistency[] = ['linearizable', 'local', 'standby'];

export class Caller {
  /** The last seq that it was told. */
  #seen = 0;
  #ownNumber = 0;
  #stopping = false;

  constructor(private readonly options: CallerOptions) {}

  async run(): Promise<void> {
    const { everyMs, chance } = this.options;
    let nextMs = nowMs() + chance.next() * everyMs;
    while (!this.#stopping) {
      const waitMs = nextMs - nowMs();
      if (waitMs > 0) await delay(waitMs);
      if (chance.happens(readShare)) await this.#read();
      else await this.#deliver();
      // Whoever had to wait does not make up for it: that would be a burst after each fault.
      nextMs = Math.max(nextMs + everyMs, nowMs());
    }
  }

  /** No new calls. `run` resolves when the present one has ended. */
  stop(): void {
    this.#stopping = true;
  }

  async #deliver(): Promise<void> {
    const { name: client, door, load, history, chance, nextNumber } = this.options;
    const n = nextNumber();
    const command = load.command(n, chance);
    const identified = this.#identify(n);
    const calledAt = nowMs();
    let tries = 0;
    let outcome: DeliveryOutcome;
    let wasLost = false;
    do {
      if (tries > 0) await delay(pauseMs);
      tries += 1;
      outcome = await door.deliver(load.name, command, identified);
      wasLost ||= outcome.kind === 'unknown';
    } while (isOpen(outcome) && tries < mostTries && chance.happens(repeatShare));
    // What was lost once may have been taken then, whatever became of the later tries.
    if (wasLost && outcome.kind === 'not-taken') outcome = { kind: 'unknown', code: outcome.code };
    const returnedAt = isOpen(outcome) ? Number.POSITIVE_INFINITY : nowMs();
    if (outcome.kind === 'accepted') this.#seen = Math.max(this.#seen, outcome.seq);
    const id = idOf(identified);
    history.deliveries.push({
      ...{ id, client, command, door: door.name, tries, outcome, calledAt, returnedAt },
    });
  }

  /** By key or by number in turn: what is a plain request has no numbers. */
  #identify(n: number): Identified {
    const { name, door, chance } = this.options;
    if (door.name === 'nats' || chance.happens(0.5)) return { kind: 'key', key: `${name}-${n}` };
    this.#ownNumber += 1;
    return { kind: 'number', session: name, number: this.#ownNumber };
  }

  async #read(): Promise<void> {
    const { name: client, door, load, history, chance } = this.options;
    const query = load.query(chance);
    if (query === null) return;
    const consistency = chance.pick(consistencies);
    // A library remembers what its client has seen; of a plain request it is seen what is promised without.
    const isPlain = consistency === 'linearizable' || chance.happens(plainShare);
    const minSeq = isPlain ? 0 : this.#seen;
    const asked = { query: query.name, args: query.args, consistency, minSeq };
    const calledAt = nowMs();
    try {
      const answer = await door.read(load.name, asked);
      const returnedAt = nowMs();
      this.#seen = Math.max(this.#seen, answer.seq);
      history.reads.push({ ...asked, ...answer, client, door: door.name, calledAt, returnedAt });
    } catch {
      history.unansweredReads += 1;
    }
  }
}

const isOpen = ({ kind }: DeliveryOutcome): boolean => kind === 'unknown' || kind === 'not-taken';

function idOf(identified: Identified): string {
  if (identified.kind === 'key') return identified.key;
  return `${identified.session}/${identified.number}`;
}
