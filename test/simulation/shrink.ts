/**
 * Makes a failing run small: fewer faults, shorter ones, fewer clients, quieter options, as long as the
 * same invariant is violated. Every candidate is run; nothing is concluded without.
 */
import type { Fault, SimulationOptions } from './options.js';
import { changesOf, type OptionChanges, withChanges } from './quiet.js';
import type { RunResult, RunSeed } from './run.js';

export interface Shrunk {
  /** The smallest run that was found, with its trace. */
  readonly result: RunResult;
  readonly runs: number;
}

interface Case {
  readonly changes: OptionChanges;
  readonly schedule: readonly Fault[];
}

/** Faults begin after this; chaos has to last until the last of them. */
const warmUpMs = 1500;
const leastDurationMs = 20;

/**
 * Runs at most about `runs` candidates. Throws `RangeError` if the given run violates nothing, or
 * does so only the first time.
 */
export function shrink(failing: RunResult, runSeed: RunSeed, runs = 400): Shrunk {
  const { seed, violation } = failing;
  if (violation === null) throw new RangeError(`seed ${seed} violates nothing`);
  const search = new Search(seed, violation.invariant, runSeed, runs);
  let found = search.begin(failing);
  for (let before: Case | null = null; before !== found && !search.isOver; ) {
    before = found;
    found = dropFaults(found, search);
    found = shorten(found, search);
    found = quieten(found, search);
  }
  return search.end(found);
}

class Search {
  #runs = 0;

  constructor(
    private readonly seed: number,
    private readonly invariant: string,
    private readonly runSeed: RunSeed,
    private readonly mostRuns: number,
  ) {}

  get isOver(): boolean {
    return this.#runs >= this.mostRuns;
  }

  begin({ options, schedule, endedMs }: RunResult): Case {
    const struck = schedule.filter(({ atMs }) => atMs <= endedMs);
    for (const each of [struck, schedule]) {
      const first = { changes: changesOf(options), schedule: each };
      if (this.stillFails(first)) return first;
    }
    throw new RangeError(`seed ${this.seed} does not violate ${this.invariant} when run again`);
  }

  stillFails(candidate: Case): boolean {
    if (this.isOver) return false;
    return this.#run(candidate, false).violation?.invariant === this.invariant;
  }

  end(found: Case): Shrunk {
    const result = this.#run(found, true);
    return { result, runs: this.#runs };
  }

  #run({ changes, schedule }: Case, trace: boolean): RunResult {
    this.#runs += 1;
    return this.runSeed(this.seed, { options: withChanges(changes), schedule, trace });
  }
}

/** Delta debugging: halves first, then ever smaller pieces, at last one by one. */
function dropFaults(from: Case, search: Search): Case {
  let found = from;
  for (let size = from.schedule.length; size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < found.schedule.length; ) {
      const { schedule } = found;
      const fewer = [...schedule.slice(0, at), ...schedule.slice(at + size)];
      const candidate = { ...found, schedule: fewer };
      if (search.stillFails(candidate)) found = candidate;
      else at += size;
    }
  }
  return found;
}

function shorten(from: Case, search: Search): Case {
  let found = from;
  for (const i of from.schedule.keys()) {
    const { durationMs } = found.schedule[i] as Fault;
    const shorter = [0, 1 / 4, 1 / 2].map((part) => Math.round(durationMs * part));
    for (const ms of [...new Set(shorter.map((each) => Math.max(leastDurationMs, each)))]) {
      if (ms >= durationMs) continue;
      const schedule = found.schedule.map((fault, at) =>
        at === i ? { ...fault, durationMs: ms } : fault,
      );
      if (!search.stillFails({ ...found, schedule })) continue;
      found = { ...found, schedule };
      break;
    }
  }
  return found;
}

const counts = ['clients', 'groups', 'members', 'nodes'] as const;

/** Every option on its own: quiet if that still fails, else, where it is a count, one less. */
function quieten(from: Case, search: Search): Case {
  let found = shortenChaos(from, search);
  for (const name of Object.keys(
    found.changes.rates ?? {},
  ) as (keyof SimulationOptions['rates'])[]) {
    const { [name]: _, ...rates } = found.changes.rates ?? {};
    found = taken(found, { ...found.changes, rates }, search);
  }
  for (const name of Object.keys(found.changes) as (keyof OptionChanges)[]) {
    if (name === 'rates' || name === 'chaosMs') continue;
    const { [name]: _, ...changes } = found.changes;
    found = taken(found, changes, search);
  }
  for (const name of counts) {
    const count = found.changes[name];
    if (count !== undefined) found = taken(found, { ...found.changes, [name]: count - 1 }, search);
  }
  return found;
}

function shortenChaos(from: Case, search: Search): Case {
  const last = Math.max(warmUpMs, ...from.schedule.map(({ atMs }) => atMs)) - warmUpMs;
  for (const moreMs of [500, 1000, 2000, 4000]) {
    const chaosMs = Math.max(500, last + moreMs);
    if (chaosMs >= withChanges(from.changes).chaosMs) return from;
    const shorter = taken(from, { ...from.changes, chaosMs }, search);
    if (shorter !== from) return shorter;
  }
  return from;
}

function taken(from: Case, changes: OptionChanges, search: Search): Case {
  const { nodes, members } = withChanges(changes);
  if (nodes < members) return from;
  const candidate = { ...from, changes: changesOf(withChanges(changes)) };
  return search.stillFails(candidate) ? candidate : from;
}
