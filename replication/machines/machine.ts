/**
 * A durable state machine inside a group (docs/decisions/0023): where it stands is in tables of the kind's state,
 * every step of it is an event, and what fires a step is a command of the active to itself.
 *
 * D1 A step is decided on the state it leaves: what fires twice, late or on a deposed active has no effect.
 * D2 Triggers are armed by the active alone, from committed steps alone (I6).
 * D3 Whatever a machine's code throws stops that machine and nothing else.
 */

/** Facts for a transition; all of them are in the log. */
export interface TransitionFacts {
  readonly operation: string;
  /** Of the state that is left: 0 for the one it was started in. */
  readonly step: number;
  readonly recordedAtMs: number;
  /** The state of the group's kind, to look at. */
  readonly group: unknown;
}

export interface MachineStart {
  readonly start: string;
  readonly operation: string;
  readonly state: string;
  readonly data: unknown;
}

/** Fires a transition that has neither trigger nor deadline. */
export interface MachineSignal {
  readonly signal: string;
  readonly operation: string;
  readonly transition: string;
  readonly output: unknown;
}

export type MachineAction = MachineStart | MachineSignal;

/** What a transition makes of a state: the next, with events of the kind and machines to start. */
export interface Next {
  readonly state: string;
  readonly data: unknown;
  readonly events?: readonly unknown[];
  readonly machines?: readonly MachineStart[];
}

/** Fired by its trigger, by its deadline, or, if it has neither, by a command of the kind. */
export interface Transition {
  /** Run by the program of the active, and as often as it takes. */
  readonly trigger?: (call: never) => unknown;
  /** So long after its state was entered. */
  readonly afterMs?: number | ((data: never) => number);
  /** Pure and synchronous. */
  readonly to: (data: never, output: never, facts: TransitionFacts) => Next;
}

export interface Machine {
  readonly name: string;
  readonly version: number;
  /** A state without transitions is final. */
  readonly states: Readonly<Record<string, Readonly<Record<string, Transition>>>>;
  /** What its triggers need, made by the program of the active when the first of them runs. */
  readonly context?: (group: never) => unknown;
  /** Brings a state recorded under an older version to the present shape. */
  readonly upcast?: (recorded: Stand, version: number) => Stand;
}

export interface Stand {
  readonly state: string;
  readonly data: unknown;
}

/** What moves the machine on at a time, and when that is. */
export type Due = readonly [transition: string, atMs: number];

interface Named {
  readonly operation: string;
  readonly machine: string;
}

export interface Entered extends Stand {
  readonly version: number;
  readonly due: readonly Due[];
}

export interface Started extends Named, Entered {
  readonly change: 'started';
}

export interface Moved extends Named, Entered {
  readonly change: 'moved';
  /** Of the state that is left. */
  readonly step: number;
  readonly fired: string;
  readonly output: unknown;
  readonly isFinal: boolean;
}

/** Its code threw: it stands still until somebody retries it. */
export interface Failed extends Named {
  readonly change: 'failed';
  readonly step: number;
  readonly error: string;
}

export interface Retried extends Named {
  readonly change: 'retried';
  readonly step: number;
}

export type Change = Started | Moved | Failed | Retried;

/** The field that marks events and commands of machines; no kind may use it. */
export const mark = '$machines';

export interface MachineEvent {
  readonly [mark]: readonly Change[];
}

export function isMarked(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, mark);
}

export function changesIn(event: unknown): readonly Change[] {
  return isMarked(event) ? (event as MachineEvent)[mark] : [];
}

/** An active state of a machine. */
export interface ActiveRow extends Entered {
  readonly step: number;
  readonly enteredAtMs: number;
  /** Of the event that changed it last. */
  readonly seq: number;
  readonly error: string | null;
}

/** A state that was left, or a final one. */
export interface PastRow extends Stand {
  readonly enteredAtMs: number;
  /** Null: it is final. */
  readonly exitedAtMs: number | null;
  readonly fired: string | null;
  readonly output: unknown;
  readonly seq: number;
}

/** Operations have no white space in them: a space sorts before all that is in them. */
export function keyOf(operation: string, machine: string): string {
  return `${operation} ${machine}`;
}

const stepDigits = 10;

export function stepKey(key: string, step: number): string {
  return `${key} ${String(step).padStart(stepDigits, '0')}`;
}

export function namesIn(key: string): { readonly operation: string; readonly machine: string } {
  const [operation = '', machine = ''] = key.split(' ');
  return { operation, machine };
}

export function transitionsOf(
  machine: Machine,
  state: string,
): Readonly<Record<string, Transition>> | undefined {
  return Object.hasOwn(machine.states, state) ? machine.states[state] : undefined;
}

export function transitionOf(
  machine: Machine,
  state: string,
  name: string,
): Transition | undefined {
  const transitions = transitionsOf(machine, state);
  return transitions && Object.hasOwn(transitions, name) ? transitions[name] : undefined;
}

/** Where a recorded state stands in the code of today, or why it has no place in it. */
export function present(machine: Machine | undefined, name: string, row: Entered): Stand | string {
  if (machine === undefined) return `the kind has no machine ${name} any more`;
  if (row.version > machine.version) {
    return `its state was recorded by version ${row.version} of machine ${name}, this node runs ${machine.version}`;
  }
  const isOlder = row.version < machine.version;
  const stand = isOlder
    ? (machine.upcast?.({ state: row.state, data: row.data }, row.version) ?? row)
    : row;
  if (transitionsOf(machine, stand.state) === undefined) {
    return `machine ${name} version ${machine.version} has no state ${stand.state}; it needs an upcast`;
  }
  return stand;
}

export function dueOf(
  row: Entered & { readonly enteredAtMs: number },
  name: string,
  transition: Transition,
): number | null {
  if (transition.afterMs === undefined) return null;
  const recorded = row.due.find(([each]) => each === name);
  return recorded?.[1] ?? row.enteredAtMs + delayOf(transition, row.data);
}

export function delayOf({ afterMs }: Transition, data: unknown): number {
  const ms = typeof afterMs === 'function' ? afterMs(data as never) : afterMs;
  if (typeof ms !== 'number' || !(ms >= 0)) throw new Error(`afterMs is ${String(ms)}, not a time`);
  return ms;
}
