/**
 * The kind the simulation runs: its answers depend on everything that came before, so one event
 * lost, doubled, reordered or applied to another state shows in every later answer.
 */
import { type Kind, reject } from '../../replication/kind.js';

export interface TraceState {
  /** Running hash over all events. */
  hash: number;
  events: number;
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

export function mix(hash: number, n: number): number {
  return (Math.imul(hash ^ n, 0x9e3779b1) ^ (hash >>> 15)) >>> 0;
}

export const traceKind: Kind<TraceState, TraceCommand, TraceEvent> = {
  name: 'trace',
  version: 1,
  init: () => ({ hash: 17, events: 0 }),
  apply(state, event) {
    state.hash = mix(state.hash, event.n * 4 + event.part);
    state.events += 1;
  },
  decide(state, command) {
    if ((state.hash + command.n) % 5 === 0) {
      return reject('unlucky', `${command.n} at ${state.hash}`);
    }
    const count = command.n % 7 === 0 ? 0 : command.n % 11 === 0 ? 3 : 1;
    const events = Array.from({ length: count }, (_, part) => ({ n: command.n, part }));
    return { events, result: state.hash };
  },
  queries: { hash: (state) => state.hash },
};
