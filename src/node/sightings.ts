/**
 * What is seen of the registry, told on as it is (level-triggered). A watch tells of changes at once; but
 * a watch can lose one, fall silent or end. So now and then, and after the broker was gone, all is read
 * again if anything was written since, in one go, and whoever listens compares.
 */
import type { Logger } from 'pino';
import type { ClusterConfig, GroupConfig } from '../../cluster/types.js';
import { groupNameIn } from './registry-keys.js';

export interface RegistryEvents {
  group(config: GroupConfig, revision: number): void;
  gone(name: string): void;
  cluster(config: ClusterConfig, revision: number): void;
}

/** An entry as the store has it; `config` is null if it was deleted, and else what belongs under the key. */
export interface Sighting {
  readonly key: string;
  readonly revision: number;
  config(): GroupConfig | ClusterConfig | null;
}

/** The store of the entries. Everything may throw. */
export interface SightingSource {
  /** Grows with every change of any entry. */
  lastChange(): Promise<number>;
  /** The last of each key; what changes meanwhile may be missing. */
  all(): Promise<readonly Sighting[]>;
  get(key: string): Promise<Sighting | null>;
  /** From now on. `ended`: nothing more will come. */
  watch(onSighting: (sighting: Sighting) => void, ended: () => void): Promise<() => void>;
}

/** How long a change may stay unseen that no watch told of. */
export const rereadMs = 10_000;
/** Every so many times all is read though nothing was written: a reading may have missed something too. */
export const readAnywayEvery = 6;

export class Sightings {
  /** Revision by key. */
  readonly #known = new Map<string, number>();
  readonly #source: SightingSource;
  readonly #events: RegistryEvents;
  readonly #logger: Pick<Logger, 'warn' | 'debug'>;
  #timer: NodeJS.Timeout | null = null;
  #stopWatch: (() => void) | null = null;
  #isReading = false;
  #isClosed = false;
  readonly #looking = new Set<string>();
  /** As of the last complete reading. */
  #lastChange = Number.NaN;
  /** Looks since then that found nothing new. */
  #unchanged = 0;

  constructor(
    source: SightingSource,
    events: RegistryEvents,
    logger: Pick<Logger, 'warn' | 'debug'>,
  ) {
    this.#source = source;
    this.#events = events;
    this.#logger = logger;
  }

  /** Resolves once everything there is has been told. Throws what the source throws. */
  async open(): Promise<void> {
    await this.#read();
    this.#timer ??= setInterval(() => this.nudge(), rereadMs);
  }

  close(): void {
    this.#isClosed = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#stopWatch?.();
  }

  /** Something may have been missed. */
  nudge(): void {
    if (this.#isReading || this.#isClosed) return;
    this.#read().catch((error: unknown) => {
      this.#logger.debug({ err: error }, 'the registry cannot be read now; trying again later');
    });
  }

  /** The store may be an older one: whatever it has now counts, be it of a lower revision. */
  doubt(): void {
    for (const key of this.#known.keys()) this.#known.set(key, 0);
    this.#lastChange = Number.NaN;
    // It waits for what comes after the last that it was told, which may never come again.
    const stop = this.#stopWatch;
    this.#stopWatch = null;
    stop?.();
    this.nudge();
  }

  /** What is there of this one, read now. */
  async look(key: string): Promise<void> {
    const found = await this.#source.get(key);
    if (found === null) this.forget(key);
    else this.#see(found);
  }

  /** The same at leisure: whoever knows of more says so again with every beat. */
  catchUp(key: string): void {
    if (this.#looking.has(key) || this.#isClosed) return;
    this.#looking.add(key);
    this.look(key)
      .catch((error: unknown) => {
        this.#logger.debug({ err: error, key }, 'an entry cannot be read now; trying again later');
      })
      .finally(() => this.#looking.delete(key));
  }

  forget(key: string): void {
    const name = groupNameIn(key);
    if (this.#known.delete(key) && name !== null) this.#events.gone(name);
  }

  async #read(): Promise<void> {
    this.#isReading = true;
    try {
      // First: what is written while all is read is told by the watch, or changes `lastChange`.
      if (this.#stopWatch === null) await this.#watch();
      const change = await this.#source.lastChange();
      this.#unchanged = change === this.#lastChange ? this.#unchanged + 1 : 0;
      if (this.#unchanged % readAnywayEvery !== 0) return;
      await this.#readAll();
      this.#lastChange = change;
    } finally {
      this.#isReading = false;
    }
  }

  async #readAll(): Promise<void> {
    const all = await this.#source.all();
    const keys = new Set<string>();
    for (const sighting of all) {
      keys.add(sighting.key);
      this.#see(sighting);
    }
    // That one is missing proves nothing.
    for (const key of [...this.#known.keys()]) if (!keys.has(key)) await this.look(key);
  }

  #see(sighting: Sighting): void {
    const { key, revision } = sighting;
    if (this.#isClosed || revision <= (this.#known.get(key) ?? 0)) return;
    const config = sighting.config();
    if (config === null) return this.forget(key);
    this.#known.set(key, revision);
    if (groupNameIn(key) === null) this.#events.cluster(config as ClusterConfig, revision);
    else this.#events.group(config as GroupConfig, revision);
  }

  async #watch(): Promise<void> {
    let stop: (() => void) | null = null;
    const ended = () => {
      if (stop !== null && this.#stopWatch !== stop) return;
      this.#stopWatch = null;
      if (this.#isClosed) return;
      this.#logger.warn('the watch of the registry has ended; watching anew');
      this.nudge();
    };
    stop = await this.#source.watch((sighting) => this.#see(sighting), ended);
    if (this.#isClosed) stop();
    else this.#stopWatch = stop;
  }
}
