/**
 * Cutters and collectors that take turns, step by step, in every order there is: the world in which the
 * rules G1 to G7 of collection.ts are tried, and broken.
 */
import { type Position, position } from '../../../replication/ids.js';
import type { ChunkGarbage, Pin } from '../../../replication/ports.js';
import { collect } from '../../../replication/snapshot/collection.js';

/** Which rule is broken on purpose; null: none. */
export type Broken =
  | 'G2: puts nothing that is there'
  | 'G3: looks at the pins before it announces'
  | 'G4: pins without looking at its announcement'
  | 'G6: reads up to the mark'
  | 'G6: reads twice, up to a mark each time'
  | 'G7: takes no account of announcements'
  | 'G7: forgets whatever was put since'
  | null;

interface Pinned {
  readonly at: Position;
  readonly chunks: readonly string[];
}

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (hash: Uint8Array) => new TextDecoder().decode(hash);

/** Its steps end with a `yield` each. */
type Actor = Generator<void, void>;

export class Store {
  readonly chunks = new Map<string, Position>();
  readonly open = new Map<string, Pinned>();
  readonly whole = new Map<string, Pinned>();
  /** What a snapshot has put or relies on, until it is retired or given up. */
  readonly needed = new Map<string, Set<string>>();
  #last = 0;

  constructor(readonly broken: Broken) {}

  next(): Position {
    this.#last += 1;
    return position(this.#last);
  }

  put(chunk: string): void {
    const isSpared = this.broken?.startsWith('G2') && this.chunks.has(chunk);
    if (!isSpared) this.chunks.set(chunk, this.next());
  }

  /** G4 */
  pin(id: string, announcement: Position, chunks: readonly string[]): boolean {
    const isAnnounced = this.open.get(id)?.at === announcement;
    if (!isAnnounced && !this.broken?.startsWith('G4')) return false;
    this.whole.set(id, { at: this.next(), chunks });
    return true;
  }

  pins(through: number): Pin[] {
    const view = (isOpen: boolean) => (pin: Pinned) => ({
      ...pin,
      isOpen,
      chunks: pin.chunks.map(bytes),
    });
    const all = [
      ...[...this.open.values()].map(view(true)),
      ...[...this.whole.values()].map(view(false)),
    ];
    return all.filter(({ at }) => at <= through);
  }

  missing(): string | null {
    for (const [id, chunks] of this.needed) {
      for (const chunk of chunks) if (!this.chunks.has(chunk)) return `${id} lacks ${chunk}`;
    }
    return null;
  }
}

export interface Plan {
  readonly id: string;
  /** Where the chunks it reuses come from. */
  readonly base: string;
  readonly reused: readonly string[];
  readonly own: readonly string[];
}

interface Announced {
  readonly at: Position;
  readonly isStanding: boolean;
  /** What it has put or relies on. */
  readonly needed: Set<string>;
}

/** G3 */
export function* announce(
  store: Store,
  { id, base, reused }: Omit<Plan, 'own'>,
): Generator<void, Announced> {
  const early = [...store.whole.keys()];
  if (store.broken?.startsWith('G3')) yield;
  const at = store.next();
  store.open.set(id, { at, chunks: reused });
  const needed = new Set<string>();
  store.needed.set(id, needed);
  yield;
  const standing = store.broken?.startsWith('G3') ? early : [...store.whole.keys()];
  const isStanding = standing.includes(base);
  if (isStanding) for (const chunk of reused) needed.add(chunk);
  return { at, isStanding, needed };
}

/** G2. Gives the snapshot up if it is not pinned. */
export function* cut(store: Store, plan: Plan): Actor {
  const { id, reused, own } = plan;
  const { at, isStanding, needed } = yield* announce(store, plan);
  for (const chunk of isStanding ? own : [...reused, ...own]) {
    yield;
    store.put(chunk);
    needed.add(chunk);
  }
  yield;
  if (store.pin(id, at, [...reused, ...own])) {
    yield;
    if (store.open.get(id)?.at === at) store.open.delete(id);
  } else store.needed.delete(id);
}

/** G5: nobody needs it any more. */
export function* retire(store: Store, id: string): Actor {
  store.needed.delete(id);
  store.open.delete(id);
  const at = store.next();
  yield;
  if ((store.whole.get(id)?.at ?? at) < at) store.whole.delete(id);
}

export function* inTurn(...actors: readonly Generator<void, unknown>[]): Actor {
  for (const [i, actor] of actors.entries()) {
    if (i > 0) yield;
    yield* actor;
  }
}

/** Each of its requests may come as late as one likes. */
export function* collecting(store: Store): Actor {
  const requests: (() => void)[] = [];
  const ask = (request: () => void) => void requests.push(request);
  const port: ChunkGarbage = {
    mark: (done) => ask(() => done({ at: store.next() })),
    pins: (through, done) =>
      ask(() => {
        const isCutOff = store.broken === 'G6: reads up to the mark';
        const pins = store.pins(isCutOff ? through : Number.POSITIVE_INFINITY);
        const isBlind = store.broken === 'G7: takes no account of announcements';
        done(isBlind ? pins.map((pin) => ({ ...pin, isOpen: false })) : pins);
      }),
    chunks: (done) => ask(() => done([...store.chunks.keys()].map(bytes))),
    forget: (hash, before, done) =>
      ask(() => {
        const at = store.chunks.get(text(hash)) ?? before;
        const isLate = store.broken === 'G7: forgets whatever was put since';
        if (at < before || isLate) store.chunks.delete(text(hash));
        done(null);
      }),
  };
  collect(
    store.broken?.startsWith('G6: reads twice') ? readTwice(store, port, ask) : port,
    () => {},
  );
  for (let next = requests.shift(); next; next = requests.shift()) {
    next();
    if (requests.length > 0) yield;
  }
}

/** What stands up to a mark, then what stands between that and another. */
function readTwice(
  store: Store,
  port: ChunkGarbage,
  ask: (request: () => void) => void,
): ChunkGarbage {
  return {
    ...port,
    pins: (through, done) =>
      ask(() => {
        const first = store.pins(through);
        ask(() => {
          const end = store.next();
          ask(() => done([...first, ...store.pins(end).filter(({ at }) => at > through)]));
        });
      }),
  };
}

export interface Explored {
  readonly runs: number;
  /** The first violation there is, and the order of steps that leads to it. */
  readonly violation: string | null;
  /** Which chunks were gone at the end of at least one run. */
  readonly collected: ReadonlySet<string>;
}

/** Runs the actors of a world in every order of their steps, each run from the beginning. */
export function explore(world: () => { store: Store; actors: Actor[] }): Explored {
  const choices: number[] = [];
  const collected = new Set<string>();
  for (let runs = 1; ; runs++) {
    const widths: number[] = [];
    const { store, actors } = world();
    const before = new Set(store.chunks.keys());
    const alive = actors.map((actor, name) => ({ actor, name }));
    const steps: number[] = [];
    while (alive.length > 0) {
      const choice = choices[widths.length] ?? 0;
      choices[widths.length] = choice;
      widths.push(alive.length);
      const { actor, name } = alive[choice] as (typeof alive)[number];
      steps.push(name);
      if (actor.next().done) alive.splice(choice, 1);
      const violation = store.missing();
      if (violation !== null) {
        return { runs, violation: `${violation} after ${steps.join('')}`, collected };
      }
    }
    for (const chunk of before) if (!store.chunks.has(chunk)) collected.add(chunk);
    let last = widths.length - 1;
    while (last >= 0 && (choices[last] as number) + 1 >= (widths[last] as number)) last -= 1;
    if (last < 0) return { runs, violation: null, collected };
    choices.length = last + 1;
    choices[last] = (choices[last] as number) + 1;
  }
}
