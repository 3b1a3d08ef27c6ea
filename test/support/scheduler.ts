/**
 * Virtual time and seeded chance: a run is a pure function of its seed.
 *
 * Two events of the same time run in the order in which they were scheduled.
 */

/** A stream of pseudo-random numbers. Drawing from one never changes what another yields. */
export interface Random {
  /** At least 0, below 1. */
  next(): number;
  /** An integer, at least 0, below `end`. */
  below(end: number): number;
  /** True with this probability. */
  chance(probability: number): boolean;
  /** Depends on this stream's seed and the label only, not on what was drawn before. */
  fork(label: string): Random;
}

export interface Scheduler {
  /** Milliseconds since the run began; may have a fraction. */
  now(): number;
  /** Runs `run` once, `ms` from now; never before the present event has returned. */
  after(ms: number, run: () => void): () => void;
  random(): number;
  fork(label: string): Random;
}

export interface VirtualScheduler extends Scheduler {
  /** Runs the next event; false if there is none. */
  step(): boolean;
  /** Runs every event up to and including `untilMs`; afterwards it is `untilMs`. */
  run(untilMs: number): void;
  /** Events that are yet to run. */
  readonly pending: number;
}

/** Hashes text to four words, enough to start sfc32 in unrelated states for similar seeds. */
function seedWords(text: string): [number, number, number, number] {
  const words: [number, number, number, number] = [0x9e3779b9, 0x243f6a88, 0xb7e15162, 1];
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    words[0] = Math.imul(words[0] ^ code, 0x85ebca6b);
    words[1] = Math.imul(words[1] ^ (words[0] >>> 13), 0xc2b2ae35);
    words[2] = Math.imul(words[2] ^ (words[1] >>> 16), 0x27d4eb2f);
  }
  return words;
}

export function seededRandom(seed: string): Random {
  let [a, b, c, counter] = seedWords(seed);
  const next = (): number => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum;
    return (sum >>> 0) / 4294967296;
  };
  // The first words of neighbouring seeds still resemble each other.
  for (let i = 0; i < 12; i++) next();
  return {
    next,
    below: (end) => Math.floor(next() * end),
    chance: (probability) => probability > 0 && next() < probability,
    fork: (label) => seededRandom(`${seed}/${label}`),
  };
}

interface Event {
  readonly atMs: number;
  readonly order: number;
  /** Null: cancelled. It stays in the heap until its time comes. */
  run: (() => void) | null;
}

const isBefore = (a: Event, b: Event): boolean =>
  a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);

/** A binary heap, earliest event first. */
class EventHeap {
  readonly #events: Event[] = [];

  get first(): Event | undefined {
    return this.#events[0];
  }

  push(event: Event): void {
    const events = this.#events;
    let at = events.push(event) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = events[above] as Event;
      if (!isBefore(event, parent)) break;
      events[at] = parent;
      at = above;
    }
    events[at] = event;
  }

  removeFirst(): void {
    const events = this.#events;
    const moved = events.pop();
    if (moved === undefined || events.length === 0) return;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= events.length) break;
      if (
        below + 1 < events.length &&
        isBefore(events[below + 1] as Event, events[below] as Event)
      ) {
        below++;
      }
      const child = events[below] as Event;
      if (!isBefore(child, moved)) break;
      events[at] = child;
      at = below;
    }
    events[at] = moved;
  }
}

/** Throws `RangeError` for a delay that is not a number of milliseconds, 0 or more. */
export function virtualScheduler(seed: string | number): VirtualScheduler {
  const random = seededRandom(String(seed));
  const heap = new EventHeap();
  let nowMs = 0;
  let order = 0;
  let pending = 0;

  const step = (): boolean => {
    for (let event = heap.first; event; event = heap.first) {
      heap.removeFirst();
      if (event.run === null) continue;
      const { run } = event;
      event.run = null;
      pending--;
      nowMs = event.atMs;
      run();
      return true;
    }
    return false;
  };

  const nextAtMs = (): number => {
    while (heap.first?.run === null) heap.removeFirst();
    return heap.first?.atMs ?? Number.POSITIVE_INFINITY;
  };

  return {
    now: () => nowMs,
    after(ms, run) {
      if (!(ms >= 0 && ms < Number.POSITIVE_INFINITY)) throw new RangeError(`delay of ${ms} ms`);
      const event: Event = { atMs: nowMs + ms, order: order++, run };
      heap.push(event);
      pending++;
      return () => {
        if (event.run === null) return;
        event.run = null;
        pending--;
      };
    },
    random: random.next,
    fork: random.fork,
    step,
    run(untilMs) {
      while (nextAtMs() <= untilMs) step();
      nowMs = Math.max(nowMs, untilMs);
    },
    get pending() {
      return pending;
    },
  };
}
