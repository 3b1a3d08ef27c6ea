/** What is asked about machines: from the tables alone, so that any member may answer. */
import { UnderstudyError } from '../errors.js';
import { limits } from '../limits.js';
import { type ActiveRow, keyOf, namesIn, type PastRow, stepKey } from './machine.js';
import type { MachineState } from './tables.js';

export interface MachineRow {
  readonly operation: string;
  readonly machine: string;
  readonly step: number;
  readonly state: string;
  readonly data: unknown;
  readonly enteredAtMs: number;
  /** Null: it is in this state, for good if `isFinal`. */
  readonly exitedAtMs: number | null;
  readonly isFinal: boolean;
  /** What ended this state, and what that handed over. */
  readonly fired: string | null;
  readonly output: unknown;
  /** When its deadlines are due. */
  readonly due: Readonly<Record<string, number>>;
  /** Why it stands still. */
  readonly error: string | null;
  /** Of the event that changed it last. */
  readonly seq: number;
}

/** Answered by the active alone: from what it runs, and not before there is something to tell. */
export const triggersQuery = 'machines.triggers';
export const changesQuery = 'machines.changes';

export const machineQueries = {
  'machines.active': (state: MachineState, args: unknown): MachineRow[] => {
    const { operation, after } = asked(args);
    const prefix = operation === undefined ? {} : { prefix: `${operation} ` };
    const from = after === undefined ? {} : { from: `${after}!` };
    const rows = state.$active.entries({ ...prefix, ...from, limit: limits.machineRows });
    return [...rows].map(([key, row]) => activeRow(key, row));
  },
  'machines.inactive': (state: MachineState, args: unknown): MachineRow[] => {
    const { operation, machine, fromStep = 0 } = asked(args);
    if (operation === undefined) throw wrong('operation is missing');
    const key = machine === undefined ? operation : keyOf(operation, machine);
    const from = machine === undefined ? {} : { from: stepKey(key, fromStep) };
    const range = { prefix: `${key} `, ...from, limit: limits.machineRows };
    return [...state.$steps.entries(range)].map(([key, row]) => pastRow(key, row));
  },
  'machines.operations': (state: MachineState, args: unknown): string[] => {
    let { after } = asked(args);
    const found: string[] = [];
    while (found.length < limits.machineRows) {
      const from = after === undefined ? {} : { from: `${after}!` };
      const [key] = state.$active.keys({ ...from, limit: 1 });
      if (key === undefined) break;
      after = namesIn(key).operation;
      found.push(after);
    }
    return found;
  },
  [changesQuery]: (state: MachineState, args: unknown): MachineRow[] => {
    const { operation, since = 0 } = asked(args);
    if (operation === undefined) throw wrong('operation is missing');
    return changesSince(state, operation, since);
  },
  [triggersQuery]: (): never => {
    throw wrong('only the active runs triggers: ask it, with consistency local or linearizable');
  },
};

/** In the order in which they happened; those of one event in the order of their steps. */
export function changesSince(state: MachineState, operation: string, since: number): MachineRow[] {
  const prefix = `${operation} `;
  const past = [...state.$steps.entries({ prefix })].map(([key, row]) => pastRow(key, row));
  const active = [...state.$active.entries({ prefix })].map(([key, row]) => activeRow(key, row));
  const fresh = [...past, ...active].filter(({ seq }) => seq > since);
  const key = (row: MachineRow) => keyOf(row.operation, row.machine);
  fresh.sort((a, b) => a.seq - b.seq || compare(key(a), key(b)) || a.step - b.step);
  return wholeSeqs(fresh);
}

const compare = (a: string, b: string) => (a < b ? -1 : Number(a > b));

/** A page never ends amid the rows of one event: whoever goes on behind its last seq would miss the rest. */
function wholeSeqs(rows: readonly MachineRow[]): MachineRow[] {
  const last = rows[limits.machineRows];
  if (last === undefined) return [...rows];
  return rows.slice(0, limits.machineRows).filter(({ seq }) => seq < last.seq);
}

function activeRow(key: string, row: ActiveRow): MachineRow {
  const { step, state, data, enteredAtMs, due, error, seq } = row;
  const left = { exitedAtMs: null, isFinal: false, fired: null, output: null };
  const dues = Object.fromEntries(due);
  return { ...namesIn(key), step, state, data, enteredAtMs, ...left, due: dues, error, seq };
}

function pastRow(key: string, row: PastRow): MachineRow {
  const step = Number(key.split(' ')[2]);
  const { state, data, enteredAtMs, exitedAtMs, fired, output, seq } = row;
  const isFinal = exitedAtMs === null;
  const left = { exitedAtMs, isFinal, fired, output };
  return { ...namesIn(key), step, state, data, enteredAtMs, ...left, due: {}, error: null, seq };
}

interface Asked {
  readonly operation?: string;
  readonly machine?: string;
  readonly fromStep?: number;
  /** The operation, or with machines its `<operation> <machine>`, that the page before ended with. */
  readonly after?: string;
  readonly since?: number;
  /** The active holds the question until there is something to tell, or for a second. */
  readonly wait?: boolean;
}

function asked(args: unknown): Asked {
  const given = (args ?? {}) as Readonly<Record<string, unknown>>;
  for (const name of ['operation', 'machine', 'after']) {
    const value = given[name];
    if (value !== undefined && typeof value !== 'string') throw wrong(`${name} is not a text`);
  }
  for (const name of ['since', 'fromStep']) {
    const value = given[name];
    const isCount = Number.isSafeInteger(value) && Number(value) >= 0;
    if (value !== undefined && !isCount) throw wrong(`${name} is not a whole number from 0`);
  }
  return given;
}

function wrong(detail: string): UnderstudyError {
  return new UnderstudyError('bad-request', detail);
}
