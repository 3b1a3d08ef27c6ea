/**
 * The kind the simulation runs: its answers depend on everything that came before, so one event
 * lost, doubled, reordered or applied to another state shows in every later answer. It has the bad
 * habits of real kinds: results and queries hand out live parts of the state, and some events are
 * poison.
 */
import { type Decision, type Kind, reject } from '../../replication/kind.js';

export interface TraceState {
  /** Running hash over all events. */
  hash: number;
  events: number;
  /** Changed in place, and handed out as it is. */
  readonly last: { n: number; hash: number };
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

export const traceKind: Kind<TraceState, TraceCommand, TraceEvent> = {
  name: 'trace',
  version: 1,
  init: () => ({ hash: 17, events: 0, last: { n: 0, hash: 17 } }),
  apply(state, event) {
    state.hash = mix(state.hash, event.n * 4 + event.part);
    state.events += 1;
    if (event.part === poisonPart) throw new Error('poison');
    state.last.n = event.n;
    state.last.hash = state.hash;
  },
  decide(state, command): Decision<TraceEvent> {
    if ((state.hash + command.n) % 5 === 0) {
      return reject('unlucky', `${command.n} at ${state.hash}`);
    }
    const events = partsOf(command.n).map((part) => ({ n: command.n, part }));
    return { events, result: state.last };
  },
  queries: { whole: (state) => state },
};
