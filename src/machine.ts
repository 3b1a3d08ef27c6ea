/** Where a durable state machine is written: `defineMachine` checks it and gives what kinds take. */
import { UnderstudyError } from '../replication/errors.js';
import type {
  Machine,
  MachineSignal,
  MachineStart,
  TransitionFacts,
} from '../replication/machines/machine.js';

/** What a trigger gets. */
export interface TriggerCall<Data, Context> {
  /** The same for all runs for one state, in all lives of the group: for whoever must not do it twice. */
  readonly id: string;
  readonly group: string;
  readonly operation: string;
  readonly data: Data;
  /** 1, 2, 3 …: the runs before failed. A new active counts anew. */
  readonly attempt: number;
  /** Aborted when another transition was first, and when this member is not the active any more. */
  readonly signal: AbortSignal;
  readonly context: Context;
}

/** What a machine's `context` gets. */
export interface GroupOfMachines {
  readonly group: string;
  readonly groupId: string;
  /** Aborted when this member is not the active any more. */
  readonly signal: AbortSignal;
}

type Name<States> = keyof States & string;

/** The next state of a machine, with events of the kind and machines to start in the same record. */
export type NextState<States, Event = unknown> = {
  [S in Name<States>]: {
    readonly state: S;
    readonly data: States[S];
    readonly events?: readonly Event[];
    readonly machines?: readonly MachineStart[];
  };
}[Name<States>];

interface To<Data, States, Event> {
  // Declared as a method, so that `output` may be given the type of what fires it.
  to(data: Data, output: never, facts: TransitionFacts): NextState<States, Event>;
}

/** Fired by its trigger, by its deadline, or, with neither, by `signal` in the kind's `decide`. */
export interface TransitionOptions<Data, States, Context, Event> {
  readonly trigger?: (call: TriggerCall<Data, Context>) => Promise<unknown>;
  /** So long after the state was entered, in recorded time. */
  readonly afterMs?: number | ((data: Data) => number);
  /** Pure and synchronous: from the state and what fired to the next state. */
  readonly to: To<Data, States, Event>['to'];
}

export interface MachineOptions<States, Context, Event> {
  /** `[a-z][a-z0-9-]{0,63}`, unique in the kind. */
  readonly name: string;
  /** Positive integer, raised whenever the meaning of its states changes. */
  readonly version: number;
  /** By name. A state without transitions is final. */
  readonly states: {
    readonly [S in Name<States>]: {
      readonly [transition: string]: TransitionOptions<States[S], States, Context, Event>;
    };
  };
  /** What triggers need: clients, settings. Made on the active's node before the first of them runs. */
  readonly context?: (group: GroupOfMachines) => Context | Promise<Context>;
  /** Brings a state recorded under an older version to the present shape. */
  readonly upcast?: (
    recorded: { readonly state: string; readonly data: unknown },
    version: number,
  ) => NextState<States>;
}

export interface DefinedMachine<States = unknown> extends Machine {
  /** For `machines` in what `decide` or a transition returns. */
  start<S extends Name<States>>(operation: string, state: S, data: States[S]): MachineStart;
  /** Fires a transition that has neither trigger nor deadline; for what `decide` returns. */
  signal(operation: string, transition: string, output?: unknown): MachineSignal;
}

const namePattern = /^[a-z][a-z0-9-]{0,63}$/;
const options = ['name', 'version', 'states', 'context', 'upcast'];
const transitionOptions = ['trigger', 'afterMs', 'to'];

/**
 * Makes a machine for the option `machines` of a kind. Throws `invalid-config` that names every option
 * that is wrong. Give the states' data as a type: `defineMachine<{ waiting: Order; paid: Receipt }>`.
 */
export function defineMachine<States extends object, Context = undefined, Event = unknown>(
  given: MachineOptions<States, Context, Event>,
): DefinedMachine<States> {
  const problems = problemsWith(given);
  if (problems.length > 0) {
    const detail = `defineMachine: ${problems.join('; ')}`;
    throw new UnderstudyError('invalid-config', detail, { problems });
  }
  const { name } = given;
  return Object.freeze({
    ...(given as unknown as Machine),
    start: (operation: string, state: string, data: unknown) => ({
      start: name,
      operation,
      state,
      data,
    }),
    signal: (operation: string, transition: string, output: unknown = null) => ({
      signal: name,
      operation,
      transition,
      output,
    }),
  });
}

/** Types do not reach machines written in JavaScript: every option is checked again. */
function problemsWith(given: unknown): string[] {
  if (!isObject(given)) return ['expected an object with options'];
  const { name, version, states } = given;
  const problems = unknownIn(given, options, '');
  if (typeof name !== 'string' || !namePattern.test(name)) {
    problems.push(`name: expected ${namePattern}, received ${String(name)}`);
  }
  if (!Number.isSafeInteger(version) || Number(version) < 1) {
    problems.push(`version: expected a positive integer, received ${String(version)}`);
  }
  for (const option of ['context', 'upcast']) {
    const value = given[option];
    if (value !== undefined && typeof value !== 'function') {
      problems.push(`${option}: expected a function`);
    }
  }
  return [...problems, ...problemsWithStates(states)];
}

function problemsWithStates(states: unknown): string[] {
  if (!isObject(states)) return ['states: expected an object with a state for each name'];
  const all = Object.entries(states);
  const problems = all.flatMap(([state, transitions]) =>
    isObject(transitions)
      ? Object.entries(transitions).flatMap(([name, transition]) =>
          problemsWithTransition(`states.${state}.${name}`, transition),
        )
      : [`states.${state}: expected an object with transitions; {} for a final state`],
  );
  const ends = all.some(([, transitions]) => Object.keys(transitions ?? {}).length > 0);
  return ends ? problems : [...problems, 'states: none of them has a transition'];
}

function problemsWithTransition(at: string, transition: unknown): string[] {
  if (!isObject(transition)) return [`${at}: expected { trigger?, afterMs?, to }`];
  const { trigger, afterMs, to } = transition;
  const problems = unknownIn(transition, transitionOptions, `${at}.`);
  if (typeof to !== 'function') problems.push(`${at}.to: expected a function`);
  if (trigger !== undefined && typeof trigger !== 'function') {
    problems.push(`${at}.trigger: expected a function`);
  }
  const isTime = typeof afterMs === 'function' || (typeof afterMs === 'number' && afterMs >= 0);
  if (afterMs !== undefined && !isTime) problems.push(`${at}.afterMs: expected milliseconds`);
  if (trigger !== undefined && afterMs !== undefined) {
    problems.push(`${at}: has a trigger and a deadline; make two transitions of it`);
  }
  return problems;
}

function unknownIn(given: object, known: readonly string[], at: string): string[] {
  return Object.keys(given)
    .filter((option) => !known.includes(option))
    .map((option) => `${at}${option}: unknown option; the options are ${known.join(', ')}`);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
