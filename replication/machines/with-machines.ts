/** Makes a kind whose state holds machines of a kind and its machines. The core runs it like any other. */
import type { Decision, EventContext, Kind, MachineSet } from '../kind.js';
import { Rejection, reject } from '../kind.js';
import {
  type Decided,
  decideActions,
  decideFired,
  decideRetry,
  type Fired,
  type Machines,
} from './deciding.js';
import {
  type Change,
  changesIn,
  isMarked,
  type Machine,
  type MachineEvent,
  mark,
} from './machine.js';
import { machineQueries } from './queries.js';
import { applyChanges, type MachineState, machineTables } from './tables.js';

export function withMachines(kind: Kind, machines: readonly Machine[]): Kind {
  const byName: Machines = new Map(machines.map((machine) => [machine.name, machine]));
  return {
    ...kind,
    tables: { ...kind.tables, ...machineTables },
    machines: machineSet(byName),
    queries: { ...kind.queries, ...(machineQueries as NonNullable<Kind['queries']>) },
    apply(state, event, context) {
      if (!isMarked(event)) return kind.apply(state, event, context);
      return applyChanges(state as MachineState, changesIn(event), context);
    },
    problemWith: (command) => (isMarked(command) ? undefined : kind.problemWith?.(command)),
    decide: (state, command, context) => decide(kind, byName, state, command, context),
    ...(kind.upcast && { upcast: upcastOthers(kind.upcast.bind(kind)) }),
  };
}

/** Events of machines have a shape of their own, whatever the kind's version. */
function upcastOthers(upcast: NonNullable<Kind['upcast']>): NonNullable<Kind['upcast']> {
  return (event, version) => (isMarked(event) ? event : upcast(event, version));
}

function machineSet(byName: Machines): MachineSet {
  return {
    byName,
    decide(state, fired, context) {
      const decided = decideFired(byName, state, fired as Fired, context);
      return decided instanceof Rejection ? decided : eventsOf(decided.events, decided.changes);
    },
  };
}

function decide(
  kind: Kind,
  byName: Machines,
  state: unknown,
  command: unknown,
  context: EventContext,
): Decision<unknown> {
  if (isMarked(command)) return decideMarked(state, command);
  const decision = kind.decide?.(state, command, context) ?? [command];
  if (decision instanceof Rejection) return decision;
  const {
    events,
    result,
    machines = [],
  } = 'events' in decision ? decision : { events: decision, result: undefined };
  if (machines.length === 0) {
    return events.some(isMarked) ? reserved() : decision;
  }
  const decided: Decided | Rejection = decideActions(byName, state, machines, context);
  if (decided instanceof Rejection) return decided;
  const all = eventsOf([...events, ...decided.events], decided.changes);
  return all instanceof Rejection ? all : { events: all, result };
}

/** An operator's retry is all that may come from outside. */
function decideMarked(state: unknown, command: unknown): Decision<unknown> {
  const asked = (command as Record<typeof mark, unknown>)[mark];
  if (typeof asked !== 'object' || asked === null || !Object.hasOwn(asked, 'retry')) {
    return reserved();
  }
  const decided = decideRetry(state, (asked as { readonly retry: unknown }).retry);
  return decided instanceof Rejection ? decided : eventsOf([], decided.changes);
}

/** The kind's own first: a machine that has moved finds them applied. */
function eventsOf(
  events: readonly unknown[],
  changes: readonly Change[],
): readonly unknown[] | Rejection {
  if (events.some(isMarked)) return reserved();
  return [...events, { [mark]: changes } satisfies MachineEvent];
}

function reserved(): Rejection {
  return reject('bad-request', `the field ${mark} is reserved for machines`);
}
