/**
 * The kind the simulation runs: its answers depend on everything that came before, so one event
 * lost, doubled, reordered or applied to another state shows in every later answer. It has the bad
 * habits of real kinds: results and queries hand out live parts of the state, and some events are
 * poison.
 */
import { type Decision, type Kind, reject } from '../../replication/kind.js';
import { type Table, table } from '../../replication/state/table.js';

export interface TraceState {
  /** Running hash over all events. */
  hash: number;
  events: number;
  /** Changed in place, and handed out as it is. */
  readonly last: { n: number; hash: number };
  /** What came under each of some keys, and how; who only folds has none. */
  readonly rows?: Table<TraceRow>;
}

export interface TraceRow {
  readonly n: number;
  readonly hash: number;
  readonly text: string;
}

export interface TraceCommand {
  readonly n: number;
  /** Unique for what a client means to do once, whatever numbers it is sent under. */
  readonly op: string;
}

export interface TraceEvent {
  readonly n: number;
  readonly part: number;
}

/** The part of an event that `apply` cannot take. */
export const poisonPart = -1;

export function mix(hash: number, n: number): number {
  return (Math.imul(hash ^ n, 0x9e3779b1) ^ (hash >>> 15)) >>> 0;
}

function partsOf(n: number): number[] {
  if (n % 199 === 0) return [0, poisonPart];
  if (n % 7 === 0) return [];
  return n % 11 === 0 ? [0, 1, 2] : [0];
}

/** Rows are spread over some leaves of some branches, and a few are large. */
const keys = 97;

function keep(rows: Table<TraceRow>, n: number, hash: number): void {
  const key = `row ${hash % keys}`;
  const length = n % 23 === 0 ? 150 + (n % 5) * 300 : n % 17;
  if (hash % 5 === 0) rows.delete(key);
  else rows.set(key, { n, hash, text: 'x'.repeat(length) });
}

export function freshTrace(): TraceState {
  return { hash: 17, events: 0, last: { n: 0, hash: 17 } };
}

export const traceKind: Kind<TraceState, TraceCommand, TraceEvent> = {
  name: 'trace',
  version: 1,
  tables: { rows: table<TraceRow>() },
  layout: {
    answersInPage: 4,
    leafSizeBytes: 320,
    branchChildren: 4,
    largeValueSizeBytes: 120,
    chunkSizeBytes: 1000,
    unusedSizeBytes: 1000,
  },
  init: freshTrace,
  apply(state, event) {
    state.hash = mix(state.hash, event.n * 4 + event.part);
    state.events += 1;
    if (event.part === poisonPart) throw new Error('poison');
    state.last.n = event.n;
    state.last.hash = state.hash;
    if (state.rows) keep(state.rows, event.n, state.hash);
  },
  decide(state, command): Decision<TraceEvent> {
    if ((state.hash + command.n) % 5 === 0) {
      return reject('unlucky', `${command.n} at ${state.hash}`);
    }
    const events = partsOf(command.n).map((part) => ({ n: command.n, part }));
    return { events, result: state.last };
  },
  queries: { whole: ({ hash, events, last }) => ({ hash, events, last }) },
};
