/** What becomes of a start, a signal, a fired trigger, a retry: changes, or a refusal (D1, D3). */
import { type EventContext, Rejection, reject } from '../kind.js';
import { limits } from '../limits.js';
import { isWellFormed } from '../state/table.js';
import {
  type ActiveRow,
  type Change,
  delayOf,
  type Failed,
  keyOf,
  type Machine,
  type MachineAction,
  type MachineSignal,
  type MachineStart,
  type Moved,
  type Next,
  present,
  type Stand,
  type Started,
  type Transition,
  transitionOf,
  transitionsOf,
} from './machine.js';
import { isKnown, type MachineState } from './tables.js';

/** How the active tells itself that a trigger or a deadline has fired, or cannot. */
export type Fired = {
  readonly operation: string;
  readonly machine: string;
  readonly step: number;
} & ({ readonly fired: string; readonly output: unknown } | { readonly error: string });

export interface Decided {
  readonly changes: readonly Change[];
  /** Of the kind. */
  readonly events: readonly unknown[];
}

export type Machines = ReadonlyMap<string, Machine>;

/** What is decided on: the state, and what this command has decided already. */
interface Desk {
  readonly machines: Machines;
  readonly state: MachineState;
  readonly context: EventContext;
  readonly touched: Set<string>;
  started: number;
}

function deskOf(machines: Machines, state: unknown, context: EventContext): Desk {
  const touched = new Set<string>();
  return { machines, state: state as MachineState, context, touched, started: 0 };
}

/** All of them or none: the first that is refused refuses the command. */
export function decideActions(
  machines: Machines,
  state: unknown,
  actions: readonly MachineAction[],
  context: EventContext,
): Decided | Rejection {
  const desk = deskOf(machines, state, context);
  const changes: Change[] = [];
  const events: unknown[] = [];
  for (const action of actions) {
    const decided = 'start' in action ? decideStart(desk, action) : decideSignal(desk, action);
    if (decided instanceof Rejection) return decided;
    changes.push(...decided.changes);
    events.push(...decided.events);
  }
  return { changes, events };
}

export function decideFired(
  machines: Machines,
  state: unknown,
  fired: Fired,
  context: EventContext,
): Decided | Rejection {
  const { operation, machine, step } = fired;
  const desk = deskOf(machines, state, context);
  const row = desk.state.$active.get(keyOf(operation, machine));
  if (row === undefined || row.step !== step || row.error !== null) {
    return reject('machine-stale', `${machine} of ${operation} is not in step ${step} any more`);
  }
  if ('error' in fired) return failure(fired, fired.error);
  try {
    return move(desk, fired, row, fired.fired, fired.output);
  } catch (error) {
    return failure(fired, error);
  }
}

export function decideRetry(
  state: unknown,
  asked: unknown,
): { readonly changes: readonly Change[] } | Rejection {
  const { operation, machine } = (asked ?? {}) as Readonly<Record<string, unknown>>;
  if (typeof operation !== 'string' || typeof machine !== 'string' || operation.includes(' ')) {
    return reject('bad-request', 'a retry names an operation and a machine');
  }
  const row = (state as MachineState).$active.get(keyOf(operation, machine));
  if (row === undefined) return reject('machine-absent', `${operation} has no active ${machine}`);
  if (row.error === null)
    return reject('machine-stale', `${machine} of ${operation} has not failed`);
  return { changes: [{ change: 'retried', operation, machine, step: row.step }] };
}

function failure({ operation, machine, step }: Fired, error: unknown): Decided {
  const text = String(error instanceof Error ? error.message : error);
  const failed: Failed = {
    change: 'failed',
    operation,
    machine,
    step,
    error: text.slice(0, limits.machineErrorChars) || 'failed without a message',
  };
  return { changes: [failed], events: [] };
}

function decideSignal(desk: Desk, signal: MachineSignal): Decided | Rejection {
  const { signal: machine, operation, transition, output } = signal;
  if (!desk.machines.has(machine)) return unknown(desk, machine);
  const key = keyOf(operation, machine);
  const row = operationProblem(operation) ? undefined : desk.state.$active.get(key);
  if (row === undefined) return reject('machine-absent', `${operation} has no active ${machine}`);
  if (desk.touched.has(key)) return reject('machine-stale', `${key} moves already`);
  if (row.error !== null) return reject('machine-failed', `${key} has failed: ${row.error}`);
  try {
    const open = opened(desk, machine, row);
    const found = transitionOf(open.machine, open.stand.state, transition);
    if (found === undefined || found.trigger !== undefined || found.afterMs !== undefined) {
      return reject('machine-state', `${key} is in ${row.state}, where no ${transition} is taken`);
    }
    return move(desk, { operation, machine, step: row.step }, row, transition, output);
  } catch (error) {
    return reject('machine-failed', `${key}: ${error instanceof Error ? error.message : error}`);
  }
}

function opened(desk: Desk, name: string, row: ActiveRow): { machine: Machine; stand: Stand } {
  const machine = desk.machines.get(name);
  const stand = present(machine, name, row);
  if (typeof stand === 'string') throw new Error(stand);
  return { machine: machine as Machine, stand };
}

interface From {
  readonly operation: string;
  readonly machine: string;
  readonly step: number;
}

/** Throws whatever the transition throws, and if what it answers is nothing to go to. */
function move(
  desk: Desk,
  { operation, machine: name, step }: From,
  row: ActiveRow,
  fired: string,
  output: unknown,
): Decided | Rejection {
  const { machine, stand } = opened(desk, name, row);
  const transition = transitionOf(machine, stand.state, fired);
  if (transition === undefined) throw new Error(`${stand.state} has no transition ${fired}`);
  const { recordedAtMs } = desk.context;
  desk.touched.add(keyOf(operation, name));
  const facts = { operation, step, recordedAtMs, group: desk.state };
  const next = checked(transition.to(stand.data as never, output as never, facts));
  const entered = enter(machine, next, desk.context);
  const isFinal = isEnd(machine, next.state);
  const what = { step, fired, output: output ?? null, isFinal };
  const moved: Moved = { change: 'moved', operation, machine: name, ...what, ...entered };
  const started = (next.machines ?? []).flatMap((start) => {
    const decided = decideStart(desk, start);
    if (decided instanceof Rejection) throw new Error(`${decided.code}: ${decided.detail}`);
    return decided.changes;
  });
  return { changes: [moved, ...started], events: next.events ?? [] };
}

function checked(next: unknown): Next {
  if (typeof next !== 'object' || next === null)
    throw new Error('the transition gave no next state');
  const { events = [], machines = [] } = next as Partial<Next>;
  if (!Array.isArray(events) || !Array.isArray(machines)) {
    throw new Error('events and machines of a transition are lists');
  }
  return next as Next;
}

/** Throws if there is no such state. */
function enter(machine: Machine, { state, data }: Stand, { recordedAtMs }: EventContext) {
  const transitions = transitionsOf(machine, state);
  if (transitions === undefined) throw new Error(`machine ${machine.name} has no state ${state}`);
  const due = Object.entries(transitions).flatMap(([name, transition]: [string, Transition]) =>
    transition.afterMs === undefined
      ? []
      : [[name, recordedAtMs + delayOf(transition, data)] as const],
  );
  return { version: machine.version, state, data: data ?? null, due };
}

function isEnd(machine: Machine, state: string): boolean {
  return Object.keys(machine.states[state] ?? {}).length === 0;
}

function decideStart(desk: Desk, start: MachineStart): Decided | Rejection {
  const { start: name, operation, state, data } = start;
  const machine = desk.machines.get(name);
  if (machine === undefined) return unknown(desk, name);
  const problem = operationProblem(operation);
  if (problem !== undefined) return reject('machine-operation', problem);
  if (transitionsOf(machine, state) === undefined) {
    return reject('machine-state', `machine ${name} has no state ${String(state)}`);
  }
  if (isEnd(machine, state)) return reject('machine-final', `${state} of ${name} is final already`);
  const key = keyOf(operation, name);
  if (desk.touched.has(key) || isKnown(desk.state, key)) {
    return reject('machine-exists', `${operation} has a ${name} already`);
  }
  if (desk.state.$active.size + desk.started >= limits.activeMachines) {
    return reject(
      'machine-limit',
      `${limits.activeMachines} machines are active, none may be started`,
    );
  }
  desk.touched.add(key);
  desk.started += 1;
  const entered = enter(machine, { state, data }, desk.context);
  const started: Started = { change: 'started', operation, machine: name, ...entered };
  return { changes: [started], events: [] };
}

function unknown({ machines }: Desk, name: string): Rejection {
  const known = [...machines.keys()].join(', ');
  return reject('machine-unknown', `the kind has no machine ${String(name)}; it has: ${known}`);
}

function operationProblem(operation: unknown): string | undefined {
  if (typeof operation !== 'string') return 'an operation is a text';
  if (operation.length === 0 || operation.length > limits.operationChars) {
    return `an operation has 1 to ${limits.operationChars} characters, not ${operation.length}`;
  }
  if (/[\s\p{Cc}]/u.test(operation)) return 'an operation has no white space';
  return isWellFormed(operation) ? undefined : 'half of a surrogate pair in an operation';
}
