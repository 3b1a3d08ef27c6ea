/**
 * A kind: how a group's state folds over its events. Everything in it must be deterministic: the
 * same events in the same order give the same state on every member, today and in a year.
 */

import type { Machine, MachineAction } from './machines/machine.js';
import type { Layout } from './state/nodes.js';
import type { TableSpec } from './state/table.js';

/** What `decide` returns to refuse a command. The state stays as it is; nothing enters the log (I4). */
export class Rejection {
  constructor(
    /** Kebab-case, chosen by the kind, stable for callers. */
    readonly code: string,
    readonly detail: string,
  ) {}
}

export function reject(code: string, detail: string): Rejection {
  return new Rejection(code, detail);
}

/** Zero or more events, optionally with a result for the caller and with machines, or a refusal. */
export type Decision<Event, Result = unknown> =
  | readonly Event[]
  | {
      readonly events: readonly Event[];
      readonly result?: Result;
      /** Machines to start and to move on, in the same record as the events; all of it or nothing. */
      readonly machines?: readonly MachineAction[];
    }
  | Rejection;

/** Facts about the event being applied; all of them are in the log. */
export interface EventContext {
  readonly seq: number;
  /** When the active recorded it: milliseconds since 1970, the only clock a kind may use. */
  readonly recordedAtMs: number;
}

/** The machines of a kind, and what becomes of it when one of their triggers has fired. */
export interface MachineSet {
  readonly byName: ReadonlyMap<string, Machine>;
  decide(state: unknown, fired: unknown, context: EventContext): Decision<unknown>;
}

/** Declared as a method, so that a kind of one state passes for a kind of any. */
export type Query<State> = { run(state: State, args: never): unknown }['run'];

/**
 * The shape the core runs. `defineKind` (src/kind.ts) makes one from what a user writes.
 *
 * `apply` either changes `state` in place and returns nothing, or returns the next state. It must
 * not throw for an event that `decide` let through: on the active a throwing event is refused and
 * the state rebuilt from the log; on replay it stops the group at that seq (P15).
 *
 * The state is a tree: what can be reached in two ways comes back from a snapshot as two. Nothing but
 * `apply` changes it, `queries` and `decide` only look. Events and results are taken as bytes: what
 * msgpack does not keep (functions, classes, -0), no member sees.
 */
export interface Kind<State = unknown, Command = unknown, Event = unknown, Result = unknown> {
  readonly name: string;
  /** Positive integer, raised whenever the meaning of events or state changes. */
  readonly version: number;
  /** What of the state is in no table. With tables it is an object, which each becomes a property of. */
  init(): State;
  /** Keyed parts of the state, of which a snapshot takes only what has changed. */
  readonly tables?: Readonly<Record<string, TableSpec>>;
  // biome-ignore lint/suspicious/noConfusingVoidType: a user's `apply` that changes in place returns nothing
  apply(state: State, event: Event, context: EventContext): State | void;
  /** Without it a command is its own single event. */
  decide?(state: State, command: Command, context: EventContext): Decision<Event, Result>;
  /** Says what is wrong with a command's shape, or nothing. Runs before `decide`, knows no state. */
  problemWith?(command: unknown): string | undefined;
  readonly queries?: Readonly<Record<string, Query<State>>>;
  /** Set by `withMachines`, which has made the rest of the kind such that they live in its state. */
  readonly machines?: MachineSet;
  /** Brings an event recorded under an older version of the kind to the present shape. */
  upcast?(event: unknown, version: number): Event;
  /** For tests, which have small trees. All members of a group need the same; no user sets it. */
  readonly layout?: Layout;
}
