/**
 * What the active does for its machines: which triggers somebody has to run, when deadlines are due, and
 * what it tells itself when one has fired (D1-D3). It knows committed steps only (D2): from the tables
 * when the epoch opens, from then on from the records.
 */
import { type BatchAnswer, eachValue, encodeValue, unpackRun } from '../batch.js';
import { messageOf } from '../decide.js';
import { type Delivery, type Firing, newDelivery } from '../delivery.js';
import type { Effect, Input } from '../effects.js';
import type { MachineSet } from '../kind.js';
import { limits } from '../limits.js';
import type { Calls } from '../writer.js';
import type { Fired } from './deciding.js';
import { DueQueue, type Entry } from './due-queue.js';
import {
  type ActiveRow,
  type Change,
  changesIn,
  dueOf,
  keyOf,
  namesIn,
  present,
  type Stand,
  transitionsOf,
} from './machine.js';
import type { MachineState } from './tables.js';

/**
 * When a deadline is due is counted from recorded time once, as its state is armed, and by the monotonic
 * clock from then on: a wall clock that jumps neither hastens it nor holds it up.
 */
export interface MachineTime {
  readonly monoMs: number;
  /** What a record would say that is made now. */
  readonly recordedAtMs: number;
}

interface Trigger {
  readonly transition: string;
  /** Of the run that is under way; null: it waits for its next. */
  call: number | null;
  /** Runs that have failed. */
  failures: number;
  lastError: string | null;
  retryAtMs: number | null;
}

/** An active machine. */
interface Armed {
  readonly key: string;
  row: ActiveRow;
  readonly triggers: Map<string, Trigger>;
  /** Where it stands in the code of today; null: nowhere. */
  stand: Stand | null;
  problem: string | null;
  /** One of its transitions was first: nothing else of this step counts. */
  isFired: boolean;
}

export interface Arming {
  readonly machines: MachineSet;
  readonly calls: Calls;
  readonly armed: Map<string, Armed>;
  readonly byCall: Map<number, { readonly armed: Armed; readonly trigger: Trigger }>;
  readonly queue: DueQueue;
  /** Machines without a place in today's code, which were complained about. */
  misplaced: number;
}

export function newArming(machines: MachineSet, calls: Calls): Arming {
  return {
    machines,
    calls,
    armed: new Map(),
    byCall: new Map(),
    queue: new DueQueue(),
    misplaced: 0,
  };
}

/** A new epoch: the state is exactly what is committed. */
export function armAll(arming: Arming, state: MachineState, now: MachineTime, out: Effect[]): void {
  for (const [key, row] of state.$active.entries()) arm(arming, key, row, now, out);
}

export function disarmAll(arming: Arming, out: Effect[]): void {
  for (const call of arming.byCall.keys()) out.push({ kind: 'disarm', call });
  arming.byCall.clear();
  arming.armed.clear();
  arming.queue.clear();
}

/** A record with these events is committed. Returns the operations that have moved. */
export function onCommittedEvents(
  arming: Arming,
  blob: Uint8Array,
  at: { readonly baseSeq: number; readonly recordedAtMs: number },
  now: MachineTime,
  out: Effect[],
): Set<string> {
  const moved = new Set<string>();
  let seq = at.baseSeq;
  eachValue(blob, (event) => {
    seq += 1;
    for (const change of changesIn(event)) {
      moved.add(change.operation);
      follow(arming, change, { seq, recordedAtMs: at.recordedAtMs }, now, out);
    }
  });
  return moved;
}

function follow(
  arming: Arming,
  change: Change,
  { seq, recordedAtMs }: { readonly seq: number; readonly recordedAtMs: number },
  now: MachineTime,
  out: Effect[],
): void {
  const key = keyOf(change.operation, change.machine);
  const known = arming.armed.get(key);
  if (known !== undefined) disarm(arming, known, out);
  if (change.change === 'failed' || change.change === 'retried') {
    if (known === undefined) return;
    const error = change.change === 'failed' ? change.error : null;
    if (error !== null) out.push(stoppedAlarm(key, known.row, error));
    return arm(arming, key, { ...known.row, seq, error }, now, out);
  }
  if (change.change === 'moved' && change.isFinal) return;
  const { version, state, data, due } = change;
  const step = change.change === 'moved' ? change.step + 1 : 0;
  const entered = { version, state, data, due, step, enteredAtMs: recordedAtMs, seq, error: null };
  arm(arming, key, entered, now, out);
}

function stoppedAlarm(key: string, { step, state }: ActiveRow, error: string): Effect {
  const { operation, machine } = namesIn(key);
  const where = `machine ${machine} of ${operation} stopped in step ${step}, ${state}`;
  const detail = `${where}: ${error}. Retry it once that is mended.`;
  return { kind: 'alarm', code: 'quarantined', detail };
}

function arm(arming: Arming, key: string, row: ActiveRow, now: MachineTime, out: Effect[]): void {
  const name = namesIn(key).machine;
  const machine = arming.machines.byName.get(name);
  const placed = place(() => present(machine, name, row));
  const stand = typeof placed === 'string' ? null : placed;
  const problem = typeof placed === 'string' ? placed : null;
  const armed: Armed = { key, row, triggers: new Map(), stand, problem, isFired: false };
  arming.armed.set(key, armed);
  if (problem !== null) complain(arming, `${key}: ${problem}`, out);
  if (machine === undefined || stand === null || row.error !== null) return;
  for (const [transition, definition] of Object.entries(
    transitionsOf(machine, stand.state) ?? {},
  )) {
    if (definition.afterMs !== undefined) {
      waitUntil(arming, armed, transition, deadlineOf(armed, transition, definition), now);
    }
    if (definition.trigger === undefined) continue;
    const trigger = { transition, call: null, failures: 0, lastError: null, retryAtMs: null };
    armed.triggers.set(transition, trigger);
    run(arming, armed, trigger, out);
  }
}

/** All machines may have the same problem: a few stand for them. */
function complain(arming: Arming, detail: string, out: Effect[]): void {
  arming.misplaced += 1;
  if (arming.misplaced > limits.machineAlarms) return;
  out.push({ kind: 'alarm', code: 'unsupported', detail });
}

/** The user's `upcast` may throw. */
function place(find: () => Stand | string): Stand | string {
  try {
    return find();
  } catch (error) {
    return messageOf(error);
  }
}

function run(arming: Arming, armed: Armed, trigger: Trigger, out: Effect[]): void {
  const call = arming.calls.next++;
  trigger.call = call;
  trigger.retryAtMs = null;
  arming.byCall.set(call, { armed, trigger });
  const { state, data } = armed.stand as Stand;
  const { transition, failures } = trigger;
  const { step } = armed.row;
  const where = { ...namesIn(armed.key), step, state, transition };
  out.push({ kind: 'arm', call, ...where, data, attempt: failures + 1 });
}

function disarm(arming: Arming, armed: Armed, out: Effect[]): void {
  stopTriggers(arming, armed, out);
  arming.armed.delete(armed.key);
  arming.queue.trim(({ key, step }) => arming.armed.get(key)?.row.step === step);
}

function stopTriggers(arming: Arming, armed: Armed, out: Effect[]): void {
  for (const trigger of armed.triggers.values()) {
    if (trigger.call === null) continue;
    out.push({ kind: 'disarm', call: trigger.call });
    arming.byCall.delete(trigger.call);
    trigger.call = null;
  }
}

function waitUntil(
  arming: Arming,
  { key, row }: Armed,
  transition: string,
  dueMs: number,
  now: MachineTime,
): void {
  const atMs = now.monoMs + Math.max(0, dueMs - now.recordedAtMs);
  arming.queue.push({ atMs, key, step: row.step, transition });
}

/** A user's `afterMs` that throws makes its transition fail, once it is decided. */
function deadlineOf(
  { row, stand }: Armed,
  transition: string,
  definition: Parameters<typeof dueOf>[2],
) {
  try {
    return dueOf({ ...row, data: stand?.data }, transition, definition) ?? 0;
  } catch {
    return 0;
  }
}

const firstRetryMs = 500;
const longestRetryMs = 60_000;

/** A trigger has fired or failed. Returns what the active tells itself. */
export function onTriggerEnded(
  arming: Arming,
  { call, result, chance }: Extract<Input, { kind: 'trigger-ended' }>,
  now: MachineTime,
  out: Effect[],
): Delivery | null {
  const found = arming.byCall.get(call);
  if (found === undefined) return null;
  const { armed, trigger } = found;
  arming.byCall.delete(call);
  trigger.call = null;
  if ('output' in result) return fire(arming, armed, trigger.transition, result.output, out);
  trigger.failures += 1;
  trigger.lastError = result.failure.slice(0, limits.machineErrorChars);
  const pauseMs = Math.min(longestRetryMs, firstRetryMs * 2 ** Math.min(trigger.failures - 1, 30));
  const atMs = now.monoMs + pauseMs * (0.5 + chance / 2);
  trigger.retryAtMs = atMs;
  const { transition } = trigger;
  arming.queue.push({ atMs, key: armed.key, step: armed.row.step, transition });
  return null;
}

/** Whatever is due by now. */
export function onTime(arming: Arming, now: MachineTime, out: Effect[]): Delivery[] {
  const fired: Delivery[] = [];
  for (let entry = arming.queue.pop(now.monoMs); entry; entry = arming.queue.pop(now.monoMs)) {
    const delivery = onEntry(arming, entry, out);
    if (delivery !== null) fired.push(delivery);
  }
  return fired;
}

function onEntry(
  arming: Arming,
  { key, step, transition, atMs }: Entry,
  out: Effect[],
): Delivery | null {
  const armed = arming.armed.get(key);
  if (armed === undefined || armed.row.step !== step) return null;
  if (armed.isFired || armed.row.error !== null) return null;
  const trigger = armed.triggers.get(transition);
  if (trigger === undefined) return fire(arming, armed, transition, null, out);
  if (trigger.retryAtMs === atMs) run(arming, armed, trigger, out);
  return null;
}

/** First wins: the others of this step are told to stop before anything is decided. */
function fire(
  arming: Arming,
  armed: Armed,
  transition: string,
  output: unknown,
  out: Effect[],
): Delivery {
  armed.isFired = true;
  stopTriggers(arming, armed, out);
  const problem = problemWithOutput(output);
  return problem === undefined
    ? deliveryOf(armed, transition, { fired: transition, output: output ?? null })
    : deliveryOf(armed, null, { error: `what trigger ${transition} hands over ${problem}` });
}

function problemWithOutput(output: unknown): string | undefined {
  try {
    const { length } = encodeValue(output ?? null);
    if (length <= limits.triggerOutputSizeBytes) return undefined;
    return `takes ${length} bytes, at most ${limits.triggerOutputSizeBytes}`;
  } catch (error) {
    return `cannot be recorded: ${messageOf(error)}`;
  }
}

function deliveryOf(
  { key, row }: Armed,
  transition: string | null,
  what: { readonly fired: string; readonly output: unknown } | { readonly error: string },
): Delivery {
  const fired: Fired = { ...namesIn(key), step: row.step, ...what };
  const blob = encodeValue(fired);
  const batch = { session: null, floor: 1, first: 1, count: 1, keys: null, blob };
  return newDelivery(0, batch, { key, step: row.step, transition });
}

/** What was fired is decided. Returns what has to be told next: that the machine failed. */
export function onSettled(
  arming: Arming,
  { key, step, transition }: Firing,
  answer: BatchAnswer,
  out: Effect[],
): Delivery | null {
  const armed = arming.armed.get(key);
  if (armed === undefined || armed.row.step !== step || !armed.isFired) return null;
  const refused = refusalIn(answer);
  if (refused === null || refused.code === 'machine-stale') return null;
  const detail = `${refused.code}: ${refused.detail}`;
  if (transition !== null) return deliveryOf(armed, null, { error: detail });
  out.push({
    kind: 'alarm',
    code: 'internal',
    detail: `${key} fails and cannot say so: ${detail}`,
  });
  return null;
}

function refusalIn(answer: BatchAnswer): { readonly code: string; readonly detail: string } | null {
  if (!answer.ok) return answer;
  const decided = answer.runs.flatMap(unpackRun).find(({ ok }) => !ok);
  return decided === undefined || decided.ok ? null : decided;
}

export interface TriggerRow {
  readonly operation: string;
  readonly machine: string;
  readonly step: number;
  readonly state: string;
  readonly transition: string;
  /** Runs of this trigger by this active, the one under way included. */
  readonly attempt: number;
  readonly isRunning: boolean;
  readonly lastError: string | null;
  readonly retryInMs: number | null;
}

/** What the active runs, for whoever wonders why a machine does not move. */
export function triggersOf(
  arming: Arming,
  operation: string | undefined,
  nowMs: number,
): { readonly running: number; readonly triggers: TriggerRow[]; readonly stuck: object[] } {
  const triggers: TriggerRow[] = [];
  const stuck: object[] = [];
  for (const { key, row, triggers: all, problem } of arming.armed.values()) {
    const names = namesIn(key);
    if (operation !== undefined && names.operation !== operation) continue;
    const why = row.error ?? problem;
    if (why !== null && stuck.length < limits.machineRows) {
      stuck.push({ ...names, step: row.step, state: row.state, error: why });
    }
    for (const { transition, call, failures, lastError, retryAtMs } of all.values()) {
      if (triggers.length >= limits.machineRows) break;
      const isRunning = call !== null;
      const attempt = failures + Number(isRunning);
      const retryInMs = retryAtMs === null ? null : Math.max(0, Math.round(retryAtMs - nowMs));
      const where = { ...names, step: row.step, state: row.state, transition };
      triggers.push({ ...where, attempt, isRunning, lastError, retryInMs });
    }
  }
  return { running: arming.byCall.size, triggers, stuck };
}
