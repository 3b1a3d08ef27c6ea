/**
 * One kind of work of a sync: which chunks are pending, which are being fetched and by whom, which are
 * here. It knows nothing of why a chunk is asked of one source and not of another.
 *
 * K1 A hash is in one of pending, active and completed, and only once, whatever way it came.
 * K2 A worker does one request at a time. One whose handling has thrown is never used again.
 */
import { keyOf } from '../bytes.js';
import type { Want, WorkKind } from './assembly.js';
import type { Account } from './sources.js';

/** One chunk. */
export interface Task {
  readonly want: Want;
  /** Which in the order of all wants of the sync. */
  readonly order: number;
  /** The sources that are not asked for it any more, as bits. */
  barred: number;
  /** Sources whose answer a worker died of: not asked while there is another. */
  shunned: number;
  deaths: number;
  /** By a source's bit: how often it failed to give this chunk. Being slow or gone is no failure. */
  readonly failures: Map<number, number>;
  /** How often the store did not have it. */
  absences: number;
  /** The store is not asked before. */
  storeAfterMs: number;
}

export interface Worker {
  readonly id: number;
  /** What it is doing; null: nothing. */
  call: number | null;
  /** Requests that came to an end with it. */
  served: number;
}

export interface Request {
  readonly call: number;
  readonly task: Task;
  readonly worker: Worker;
  readonly from: Account;
  readonly sentAtMs: number;
  /** As many as its source had then, this one included: they share what it can give. */
  readonly among: number;
}

export interface Coordinator {
  readonly work: WorkKind;
  /** All that ever were wanted, by hash. */
  readonly known: Set<string>;
  /** In the order in which they were wanted, however often they were asked for since. */
  readonly pending: Task[];
  /** By call, the oldest first. */
  readonly active: Map<number, Request>;
  completed: number;
  readonly workers: Worker[];
  hired: number;
}

export function newCoordinator(work: WorkKind): Coordinator {
  return {
    work,
    known: new Set(),
    pending: [],
    active: new Map(),
    completed: 0,
    workers: [],
    hired: 0,
  };
}

/** K1 */
export function enqueue({ known, pending }: Coordinator, want: Want, order: number): void {
  known.add(keyOf(want.hash));
  pending.push({
    want,
    order,
    barred: 0,
    shunned: 0,
    deaths: 0,
    failures: new Map(),
    absences: 0,
    storeAfterMs: 0,
  });
}

/** Where a task of this order is among the pending, or belongs. */
function placeOf(pending: readonly Task[], order: number): number {
  let from = 0;
  let to = pending.length;
  while (from < to) {
    const middle = (from + to) >> 1;
    if ((pending[middle] as Task).order < order) from = middle + 1;
    else to = middle;
  }
  return from;
}

/** Has a worker ask for it. */
export function assign(
  coordinator: Coordinator,
  task: Task,
  from: Account,
  call: number,
  nowMs: number,
): Request {
  const worker = coordinator.workers.find((each) => each.call === null) ?? hire(coordinator);
  worker.call = call;
  const among = from.inFlight + 1;
  const request: Request = { call, task, worker, from, sentAtMs: nowMs, among };
  coordinator.pending.splice(placeOf(coordinator.pending, task.order), 1);
  coordinator.active.set(call, request);
  from.inFlight = among;
  from.asked += 1;
  return request;
}

function hire(coordinator: Coordinator): Worker {
  const worker: Worker = { id: ++coordinator.hired, call: null, served: 0 };
  coordinator.workers.push(worker);
  return worker;
}

/** The request has come to an end, one way or the other: its worker is free for the next. */
function release({ active }: Coordinator, { call, worker, from }: Request): void {
  active.delete(call);
  worker.call = null;
  worker.served += 1;
  from.inFlight -= 1;
}

export function complete(coordinator: Coordinator, request: Request): void {
  release(coordinator, request);
  coordinator.completed += 1;
}

export function requeue(coordinator: Coordinator, request: Request): void {
  const { pending } = coordinator;
  release(coordinator, request);
  pending.splice(placeOf(pending, request.task.order), 0, request.task);
}

/** K2: its handling has thrown. The task goes on with another, which is hired when it is needed. */
export function bury(coordinator: Coordinator, request: Request): void {
  requeue(coordinator, request);
  const { workers } = coordinator;
  workers.splice(workers.indexOf(request.worker), 1);
  request.task.deaths += 1;
}
