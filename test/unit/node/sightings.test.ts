/** Whatever the watch of the registry loses is found, and within a bound. */
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { GroupConfig } from '../../../cluster/types.js';
import { groupKey, groupNameIn } from '../../../src/node/registry-keys.js';
import {
  readAnywayEvery,
  rereadMs,
  type Sighting,
  type SightingSource,
  Sightings,
} from '../../../src/node/sightings.js';
import { seededRandom } from '../../support/scheduler.js';
import { groupOf } from '../cluster/support.js';

/** A bucket whose watch loses what it is told to lose. */
class Store implements SightingSource {
  readonly entries = new Map<string, { revision: number; config: GroupConfig | null }>();
  revision = 0;
  readings = 0;
  loses = () => false;
  isDown = false;
  /** Names that a reading leaves out. */
  readonly unread = new Set<string>();
  #onSighting: ((sighting: Sighting) => void) | null = null;
  #ended: () => void = () => undefined;

  put(name: string, config: GroupConfig | null = groupOf(['n0', 'n1'], { name })): void {
    this.revision += 1;
    this.entries.set(name, { revision: this.revision, config });
    if (!this.loses()) this.#onSighting?.(this.#sighting(name));
  }

  endWatch(): void {
    this.#onSighting = null;
    this.#ended();
  }

  get isWatched(): boolean {
    return this.#onSighting !== null;
  }

  #sighting(name: string): Sighting {
    const { revision, config } = this.entries.get(name) as { revision: number; config: null };
    return { key: groupKey(name), revision, config: () => config };
  }

  #check(): Promise<void> {
    return this.isDown ? Promise.reject(new Error('no broker')) : Promise.resolve();
  }

  async lastChange(): Promise<number> {
    await this.#check();
    return this.revision;
  }

  async all(): Promise<Sighting[]> {
    await this.#check();
    this.readings += 1;
    const names = [...this.entries.keys()].filter((name) => !this.unread.has(name));
    return names.map((name) => this.#sighting(name));
  }

  async get(key: string): Promise<Sighting | null> {
    await this.#check();
    const name = groupNameIn(key) as string;
    return this.entries.get(name)?.config ? this.#sighting(name) : null;
  }

  async watch(onSighting: (sighting: Sighting) => void, ended: () => void) {
    await this.#check();
    this.#onSighting = onSighting;
    this.#ended = ended;
    return () => {
      this.#onSighting = null;
      ended();
    };
  }
}

let store: Store;
let seen: Map<string, number>;
let told: number;
let sightings: Sightings;

beforeEach(() => {
  vi.useFakeTimers();
  store = new Store();
  seen = new Map();
  told = 0;
  const events = {
    group: ({ name }: GroupConfig, revision: number) => {
      told += 1;
      seen.set(name, revision);
    },
    gone: (name: string) => void seen.delete(name),
    cluster: () => undefined,
  };
  sightings = new Sightings(store, events, pino({ level: 'silent' }));
});

afterEach(() => {
  sightings.close();
  vi.useRealTimers();
});

const there = () =>
  new Map(
    [...store.entries]
      .filter(([, { config }]) => config !== null)
      .map(([name, { revision }]) => [name, revision]),
  );

describe('a store that comes back older than it was', () => {
  it('is told as it is now, and watched from there', async () => {
    store.put('a');
    store.put('b');
    store.put('b');
    await sightings.open();
    store.revision = 1;
    store.entries.delete('b');
    store.put('a');
    expect(seen.get('a')).toBe(2);
    store.put('c');
    store.revision = 0;
    store.put('a');
    expect(seen.get('a')).toBe(2);
    sightings.doubt();
    await vi.advanceTimersByTimeAsync(0);
    expect(seen).toEqual(there());
    expect(seen.get('a')).toBe(1);
    expect(store.isWatched).toBe(true);
    store.put('d');
    expect(seen.get('d')).toBe(2);
  });

  it('is watched once, however often it is doubted', async () => {
    await sightings.open();
    sightings.doubt();
    sightings.doubt();
    await vi.advanceTimersByTimeAsync(rereadMs);
    expect(store.isWatched).toBe(true);
    store.put('a');
    expect(told).toBe(1);
  });
});

describe('the sightings of the registry', () => {
  it('begin with everything there is, before anybody waits no longer', async () => {
    store.put('a');
    store.put('b');
    await sightings.open();
    expect(seen).toEqual(there());
  });

  it('follow the watch, and tell each change once', async () => {
    await sightings.open();
    store.put('a');
    store.put('a');
    store.put('b');
    store.put('a', null);
    await vi.advanceTimersByTimeAsync(rereadMs);
    expect(seen).toEqual(there());
    expect(told).toBe(3);
  });

  it('find what the watch has lost: creations, changes and deletions', async () => {
    for (const name of ['a', 'b', 'c']) store.put(name);
    await sightings.open();
    store.loses = () => true;
    store.put('a', null);
    store.put('b');
    store.put('d');
    expect(seen).not.toEqual(there());
    await vi.advanceTimersByTimeAsync(rereadMs);
    expect(seen).toEqual(there());
  });

  it('catch up with one entry at once when somebody knows of more, and ask once at a time', async () => {
    store.put('a');
    await sightings.open();
    store.loses = () => true;
    store.put('a');
    const get = vi.spyOn(store, 'get');
    for (let i = 0; i < 3; i++) sightings.catchUp(groupKey('a'));
    await vi.advanceTimersByTimeAsync(0);
    expect(seen).toEqual(there());
    expect(get).toHaveBeenCalledTimes(1);
    store.isDown = true;
    sightings.catchUp(groupKey('a'));
    await vi.advanceTimersByTimeAsync(0);
    store.isDown = false;
    store.put('a');
    sightings.catchUp(groupKey('a'));
    await vi.advanceTimersByTimeAsync(0);
    expect(seen).toEqual(there());
  });

  it('are level within a bound whatever is lost, over and over', async () => {
    const random = seededRandom('7');
    await sightings.open();
    store.loses = () => random.next() < 0.5;
    for (let round = 0; round < 50; round++) {
      for (let i = 0; i < 20; i++) {
        const name = `g${random.below(30)}`;
        if (random.next() < 0.3) store.put(name, null);
        else store.put(name);
      }
      await vi.advanceTimersByTimeAsync(rereadMs);
      expect(seen).toEqual(there());
    }
  });

  it('read nothing again while nothing is written, but for now and then', async () => {
    store.put('a');
    await sightings.open();
    expect(store.readings).toBe(1);
    await vi.advanceTimersByTimeAsync((readAnywayEvery - 1) * rereadMs);
    expect(store.readings).toBe(1);
    await vi.advanceTimersByTimeAsync(rereadMs);
    expect(store.readings).toBe(2);
  });

  it('do not take a group for gone because a reading has left it out', async () => {
    store.put('a');
    store.put('b');
    await sightings.open();
    store.unread.add('a');
    store.put('c');
    await vi.advanceTimersByTimeAsync(rereadMs);
    expect(seen).toEqual(there());
  });

  it('watch anew when the watch ends, and find what fell in between', async () => {
    await sightings.open();
    store.isDown = true;
    store.endWatch();
    store.put('a');
    await vi.advanceTimersByTimeAsync(rereadMs);
    expect(seen.size).toBe(0);
    store.isDown = false;
    sightings.nudge();
    await vi.advanceTimersByTimeAsync(0);
    expect(seen).toEqual(there());
    expect(store.isWatched).toBe(true);
    store.put('b');
    expect(seen).toEqual(there());
  });

  it('end with the node', async () => {
    await sightings.open();
    sightings.close();
    store.put('a');
    sightings.nudge();
    await vi.advanceTimersByTimeAsync(10 * rereadMs);
    expect(seen.size).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });
});
