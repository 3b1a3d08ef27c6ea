/** What it takes to drive an operation: the driver's memory, which may be lost at any time. */
import type { Call, Driver, Failure, Operation, OperationKind, Seen } from './operation.js';

const backOffMs = 100;
const longestBackOffMs = 10_000;

export interface OperationInstant {
  readonly wallMs: number;
  /** At least 0, below 1: drawn by chance, so that those who failed together do not come back together. */
  readonly jitter: number;
}

type Phase =
  | 'idle'
  | 'loading'
  | 'claiming'
  | 'locking'
  | 'rereading'
  | 'observing'
  | 'calling'
  | 'saving'
  | 'parked'
  | 'ended';

export interface Drive {
  readonly id: string;
  readonly self: Driver;
  readonly kinds: ReadonlyMap<string, OperationKind<unknown>>;
  phase: Phase;
  /** Whom this drive takes the operation over from; null: nobody. */
  from: Driver | null;
  operation: Operation | null;
  revision: number;
  held: readonly string[];
  /** Number of the latest effect that is answered: earlier answers are nobody's any more. */
  effect: number;
  answer: unknown;
  /** What was done since it last parked: a step that goes round in circles must not do so hot. */
  hops: number;
  /** While parked, a save is under way: it parks once that is done. */
  parkForMs: number | null;
  /** What is in memory may not be what is on record. */
  mustReload: boolean;
}

export type Loaded = { readonly operation: Operation; readonly revision: number } | null;

export type DriveInput =
  /** Begin to drive; `from`: the driver that is gone, null: nobody drove it, or this one. */
  | { readonly kind: 'start'; readonly from: Driver | null }
  | { readonly kind: 'loaded'; readonly effect: number; readonly loaded: Loaded }
  | { readonly kind: 'saved'; readonly effect: number; readonly revision: number | 'conflict' }
  | {
      readonly kind: 'locked';
      readonly effect: number;
      readonly busy: { readonly key: string; readonly holder: string } | null;
    }
  | { readonly kind: 'observed'; readonly effect: number; readonly seen: Seen }
  | { readonly kind: 'answered'; readonly effect: number; readonly value: unknown }
  /** Whatever was asked for did not come about, or nobody knows. */
  | { readonly kind: 'failed'; readonly effect: number; readonly error: Failure }
  /** A hint, which may come early, twice or never. */
  | { readonly kind: 'wake' }
  /** The document as somebody else may have written it. A hint too. */
  | { readonly kind: 'changed'; readonly operation: Operation; readonly revision: number };

export type DriveEffect =
  | { readonly kind: 'load'; readonly effect: number; readonly id: string }
  | {
      readonly kind: 'save';
      readonly effect: number;
      readonly operation: Operation;
      readonly revision: number;
    }
  | {
      readonly kind: 'lock';
      readonly effect: number;
      readonly holder: string;
      readonly keys: readonly string[];
    }
  | { readonly kind: 'unlock'; readonly holder: string; readonly keys: readonly string[] | 'all' }
  | { readonly kind: 'observe'; readonly effect: number; readonly operation: Operation }
  | { readonly kind: 'call'; readonly effect: number; readonly call: Call }
  /** What it needs is held by this one, which should give way. */
  | { readonly kind: 'cancel'; readonly holder: string; readonly by: string }
  | {
      readonly kind: 'parked';
      readonly wakeAfterMs: number;
      readonly error: Failure | null;
    }
  /** Nothing more to do here; null: it is somebody else's, or gone. */
  | { readonly kind: 'ended'; readonly operation: Operation | null };

export function newDrive(
  id: string,
  self: Driver,
  kinds: ReadonlyMap<string, OperationKind<unknown>>,
): Drive {
  return {
    id,
    self,
    kinds,
    phase: 'idle',
    from: null,
    operation: null,
    revision: 0,
    held: [],
    effect: 0,
    answer: undefined,
    hops: 0,
    parkForMs: null,
    mustReload: false,
  };
}

/** O4: the locks of a run are not those of the next, though one driver may see both. */
export function forgetFormerRun(drive: Drive, { run }: Operation): void {
  if (drive.operation === null || drive.operation.run === run) return;
  drive.held = [];
  drive.answer = undefined;
}

/** Capped, and spread over the upper half of the span. */
export function backOff(retries: number, jitter: number): number {
  const spanMs = Math.min(longestBackOffMs, backOffMs * 2 ** Math.min(retries - 1, 20));
  return spanMs * (0.5 + jitter / 2);
}

/** What a step is given whose call failed: it was not looked anew. */
export const unseen = ({ wallMs }: OperationInstant): Seen => ({
  nowMs: wallMs,
  group: null,
  view: { nodes: [], groups: [] },
  nodes: [],
  lostZone: null,
  placeable: {},
});
