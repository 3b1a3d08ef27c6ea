/** The tables that machines live in, and how a change changes them: the fold of the events of machines. */
import { limits } from '../limits.js';
import { type Table, table } from '../state/table.js';
import {
  type ActiveRow,
  type Change,
  type Failed,
  keyOf,
  type Moved,
  type PastRow,
  type Retried,
  type Started,
  stepKey,
} from './machine.js';

/** No table of a user has a name that begins like these. */
export const machineTables = {
  /** By operation and machine. */
  $active: table<ActiveRow>(),
  /** By operation, machine and step. */
  $steps: table<PastRow>(),
  /** Which machine ended, by the seq of its end: what is forgotten first. */
  $ended: table<string>(),
};

export interface MachineState {
  readonly $active: Table<ActiveRow>;
  readonly $steps: Table<PastRow>;
  readonly $ended: Table<string>;
}

export interface At {
  readonly seq: number;
  readonly recordedAtMs: number;
}

/** Takes what was decided as it is: replay asks nobody's code. */
export function applyChanges(state: MachineState, changes: readonly Change[], at: At): void {
  for (const [i, change] of changes.entries()) {
    switch (change.change) {
      case 'started':
        start(state, change, at);
        break;
      case 'moved':
        move(state, change, at, i);
        break;
      case 'failed':
      case 'retried':
        note(state, change, at);
        break;
      default:
        throw change satisfies never;
    }
  }
}

function start(state: MachineState, change: Started, at: At): void {
  const row = { ...enter(change, at), step: 0 };
  state.$active.set(keyOf(change.operation, change.machine), row);
}

function enter({ version, state, data, due }: Started | Moved, { seq, recordedAtMs }: At) {
  return { version, state, data, due, enteredAtMs: recordedAtMs, seq, error: null };
}

function move(state: MachineState, change: Moved, at: At, nth: number): void {
  const key = keyOf(change.operation, change.machine);
  const left = state.$active.get(key) as ActiveRow;
  const { seq, recordedAtMs } = at;
  state.$steps.set(stepKey(key, left.step), {
    state: left.state,
    data: left.data,
    enteredAtMs: left.enteredAtMs,
    exitedAtMs: recordedAtMs,
    fired: change.fired,
    output: change.output,
    seq,
  });
  forgetStep(state, key, left.step - limits.machineHistory);
  if (!change.isFinal) {
    state.$active.set(key, { ...enter(change, at), step: left.step + 1 });
    return;
  }
  state.$active.delete(key);
  const none = { exitedAtMs: null, fired: null, output: null };
  const { state: name, data } = change;
  const last = { state: name, data, enteredAtMs: recordedAtMs, ...none, seq };
  state.$steps.set(stepKey(key, left.step + 1), last);
  state.$ended.set(`${String(seq).padStart(seqDigits, '0')} ${nth}`, key);
  forgetEnded(state);
}

const seqDigits = 16;

function forgetStep(state: MachineState, key: string, step: number): void {
  if (step >= 0) state.$steps.delete(stepKey(key, step));
}

function forgetEnded({ $ended, $steps }: MachineState): void {
  while ($ended.size > limits.endedMachines) {
    const [[at, key] = ['', '']] = $ended.entries({ limit: 1 });
    $ended.delete(at);
    for (const step of [...$steps.keys({ prefix: `${key} ` })]) $steps.delete(step);
  }
}

function note(state: MachineState, change: Failed | Retried, { seq }: At): void {
  const key = keyOf(change.operation, change.machine);
  const row = state.$active.get(key) as ActiveRow;
  state.$active.set(key, { ...row, seq, error: change.change === 'failed' ? change.error : null });
}

/** Whether anything is remembered of it: then it was started before. */
export function isKnown({ $active, $steps }: MachineState, key: string): boolean {
  if ($active.has(key)) return true;
  return [...$steps.keys({ prefix: `${key} `, limit: 1 })].length > 0;
}
