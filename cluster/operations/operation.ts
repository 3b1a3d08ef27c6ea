/**
 * An operation: a durable action of an operator, as data. It goes from step to step; each step decides
 * from the checkpoint and from what is observed now, never from what was in its driver's memory.
 *
 * O1 A step is on record before anything that it does.
 * O2 Driving a step twice, or driving it again after a crash before, inside or after what it does, ends
 *    in the same state as driving it once (I11). So what cannot be drawn twice is fixed at the start,
 *    and evidence decides whether something was done already.
 * O3 Only whoever writes the checkpoint by compare-and-set drives it.
 * O4 Locks are tagged with the run that holds them, and the engine releases them on every ending.
 */
import type { ErrorCode } from '../../replication/errors.js';
import { limits } from '../../replication/limits.js';
import type { GroupDocument, NodeDocument, OperationDocument } from '../documents.js';
import type { PlaceableNode } from '../placement.js';
import type { ClusterView } from '../plan.js';

export interface Driver {
  readonly node: string;
  readonly incarnation: string;
}

export interface Failure {
  readonly code: ErrorCode;
  readonly detail: string;
}

export type OperationState = OperationDocument['state'];

export interface Ending {
  readonly state: 'failed' | 'cancelled';
  readonly error: Failure;
}

/** One step in an operation's history. */
export interface StepNote {
  readonly name: string;
  readonly atMs: number;
  readonly detail?: string;
}

/** The checkpoint: all that another driver needs to go on. `Data` is the kind's own, and JSON. */
export interface Operation<Data = unknown> {
  readonly id: string;
  readonly kind: string;
  readonly target: string;
  readonly by: string;
  /** How many times this id was begun; tells the locks of one run from those of another. */
  readonly run: number;
  /** How many times it was begun without ever having been done. */
  readonly attempts: number;
  readonly state: OperationState;
  readonly step: string;
  /** Wall clock of when the step began. */
  readonly stepAtMs: number;
  /** Failed tries of the present step. */
  readonly retries: number;
  readonly lastError: Failure | null;
  /** Wall clock; null: it is not parked. A hint, and no promise not to be woken before. */
  readonly wakeAtMs: number | null;
  /** Null: whoever comes first may drive it. */
  readonly driver: Driver | null;
  /** Who wants it to end; null: nobody. */
  readonly cancelledBy: string | null;
  /** What it ends as when it has taken back what it did; absent: it goes on. */
  readonly ending?: Ending;
  readonly data: Data;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  readonly steps: readonly StepNote[];
}

/** What a step may look at: as it is now, asked for anew before every step. */
export interface Seen {
  readonly nowMs: number;
  /** The group of the operation; null: there is none, or the operation is not of one group. */
  readonly group: GroupDocument | null;
  /** What moves are planned from; empty for operations of one group. */
  readonly view: ClusterView;
  readonly nodes: readonly NodeDocument[];
  /** Zone of the active that was lost; null: none was, or it had none. */
  readonly lostZone: string | null;
  /** By name of a kind of group: the nodes that may be given a member of it. */
  readonly placeable: Readonly<Record<string, readonly PlaceableNode[]>>;
}

/** Something to have done. Whoever does it may be asked twice, and later than anybody expects. */
export interface Call {
  /** Null: the driver's own node does it. */
  readonly node: string | null;
  readonly verb: string;
  readonly request: unknown;
  readonly timeoutMs: number;
}

export interface At<Data> {
  readonly operation: Operation<Data>;
  readonly data: Data;
  readonly seen: Seen;
  /** Of the call that this step asked for just now; undefined: it has asked for none yet. */
  readonly answer: unknown;
}

export type Outcome<Data> =
  /** Put on record, then go on at once. The same step again: it has learned something. */
  | {
      readonly kind: 'next';
      readonly step: string;
      readonly detail?: string;
      readonly data?: Partial<Data>;
    }
  /** Look again later. */
  | {
      readonly kind: 'park';
      readonly wakeAfterMs: number;
      readonly detail?: string;
      readonly error?: Failure;
      readonly data?: Partial<Data>;
    }
  | { readonly kind: 'call'; readonly call: Call }
  | { readonly kind: 'done'; readonly detail: string }
  | { readonly kind: 'failed'; readonly error: Failure };

/** One kind of operation. What a step throws as `UnderstudyError` goes through `onRejection`. */
export interface OperationKind<Data> {
  readonly name: string;
  readonly sees: 'group' | 'cluster';
  readonly steps: Readonly<Record<string, (at: At<Data>) => Outcome<Data>>>;
  /** What the present step touches. */
  locks(operation: Operation<Data>): readonly string[];
  /** Steps that are not left when somebody cancels: what they began has to come to an end. */
  readonly sealed?: readonly string[];
  /**
   * Before it ends failed or cancelled in one of the steps in `after`, it goes through `step`, which takes
   * back what they did, is not left when somebody cancels, and ends with `done`.
   */
  readonly takesBack?: { readonly after: readonly string[]; readonly step: string };
  /** Kinds of operations that are cancelled if they hold what this one needs. */
  readonly preempts?: readonly string[];
  /** A call was refused for good, or the step itself refuses. Without it the operation fails. */
  onRejection?(at: At<Data>, error: Failure): Outcome<Data>;
  /** A call got no answer, or one that asks to come again. Without it: back-off, up to a limit. */
  onRetry?(at: At<Data>, error: Failure): Outcome<Data>;
}

export interface OperationRequest {
  readonly id: string;
  readonly kind: string;
  readonly target: string;
  readonly by: string;
  readonly step?: string;
  readonly data: unknown;
  /** It may be asked for again when it is done: then it begins anew. */
  readonly repeatable?: boolean;
}

export const isOver = ({ state }: { readonly state: OperationState }): boolean =>
  state !== 'running';

/** Tag of the locks of this run. */
export const holderOf = ({ id, run }: Operation): string => `${id}#${run}`;

/**
 * The operation that a request begins; null: the one there is stands, and is the answer. `data` of a run
 * that is not over is never touched.
 */
export function begin(
  request: OperationRequest,
  found: Operation | null,
  driver: Driver,
  nowMs: number,
): Operation | null {
  const { repeatable = false, step = 'started', id, kind, target, by, data } = request;
  if (found?.state === 'running' || (found?.state === 'done' && !repeatable)) return null;
  const again = found !== null && found.state !== 'done';
  return {
    id,
    kind,
    target,
    by,
    data,
    run: (found?.run ?? 0) + 1,
    attempts: again ? found.attempts + 1 : 1,
    state: 'running',
    step,
    stepAtMs: nowMs,
    retries: 0,
    lastError: null,
    wakeAtMs: null,
    driver,
    cancelledBy: null,
    createdAtMs: again ? found.createdAtMs : nowMs,
    updatedAtMs: nowMs,
    steps: [{ name: step, atMs: nowMs }],
  };
}

/** A step that is told of again stays one, from when it began: however long it takes, the list stays. */
export function withStep(
  steps: Operation['steps'],
  name: string,
  detail: string | undefined,
  nowMs: number,
): Operation['steps'] {
  const entry = { name, atMs: nowMs, ...(detail === undefined ? {} : { detail: cut(detail) }) };
  const last = steps.at(-1);
  if (last?.name === name) return [...steps.slice(0, -1), { ...last, ...entry, atMs: last.atMs }];
  if (steps.length < limits.operationSteps) return [...steps, entry];
  return [...steps.slice(0, 1), ...steps.slice(2), entry];
}

export const cut = (detail: string): string => detail.slice(0, limits.operationDetailChars);
