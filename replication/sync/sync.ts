/** What one sync knows, and what all of its parts ask of that. */
import { keyOf } from '../bytes.js';
import type { Effect, Instant } from '../effects.js';
import type { ErrorCode } from '../errors.js';
import { limits } from '../limits.js';
import type { Hash } from '../ports.js';
import type { Calls } from '../writer.js';
import { type Assembly, type Want, type WorkKind, workKinds } from './assembly.js';
import {
  type Coordinator,
  enqueue,
  newCoordinator,
  type Request,
  type Task,
} from './coordinator.js';
import { newPace, type Pace } from './pace.js';
import { type Ledger, newLedger } from './sources.js';

export interface SyncConfig {
  readonly hash: Hash;
}

export type SyncResult =
  | { readonly kind: 'busy' }
  | { readonly kind: 'done' }
  /** `lost`: some of what nobody could give. */
  | { readonly kind: 'failed'; readonly problem: string; readonly lost: readonly Uint8Array[] };

export interface Sync {
  readonly config: SyncConfig;
  readonly calls: Calls;
  readonly generation: string;
  readonly assembly: Assembly;
  readonly coordinators: Readonly<Record<WorkKind, Coordinator>>;
  readonly ledger: Ledger;
  readonly pace: Pace;
  result: SyncResult;
  /** Begun, and not abandoned. */
  isGoing: boolean;
  startedAt: Instant;
  nowMs: number;
  wants: number;
  knownSizeBytes: number;
  doneSizeBytes: number;
  corrupt: number;
  /** Since when something is under way without a byte; null: nothing is. */
  quietSinceMs: number | null;
  /** In a row, without a byte. */
  stalls: number;
  /** When the first chunk for which only the store is left may be asked again. */
  storeWakeMs: number;
  readonly alarmed: Set<string>;
}

export const neverMs = Number.POSITIVE_INFINITY;

/** Group, epoch and snapshot seq as one text. */
export function generationOf(groupId: string, epoch: number, seq: number): string {
  return `${groupId}/${epoch}/${seq}`;
}

export function newSync(
  config: SyncConfig,
  calls: Calls,
  generation: string,
  assembly: Assembly,
  peers: readonly string[],
): Sync {
  return {
    config,
    calls,
    generation,
    assembly,
    coordinators: {
      healing: newCoordinator('healing'),
      ranges: newCoordinator('ranges'),
      values: newCoordinator('values'),
    },
    ledger: newLedger(peers),
    pace: newPace(),
    result: { kind: 'busy' },
    isGoing: false,
    startedAt: { monoMs: 0, wallMs: 0 },
    nowMs: 0,
    wants: 0,
    knownSizeBytes: 0,
    doneSizeBytes: 0,
    corrupt: 0,
    quietSinceMs: null,
    stalls: 0,
    storeWakeMs: neverMs,
    alarmed: new Set(),
  };
}

export function coordinatorsOf({ coordinators }: Sync): Coordinator[] {
  return workKinds.map((work) => coordinators[work]);
}

export function coordinatorOf({ coordinators }: Sync, { want: { work } }: Task): Coordinator {
  return coordinators[work];
}

export function requestOf(sync: Sync, call: number): Request | undefined {
  return coordinatorsOf(sync)
    .map(({ active }) => active.get(call))
    .find((request) => request !== undefined);
}

export function requestsOf(sync: Sync): Request[] {
  return coordinatorsOf(sync).flatMap(({ active }) => [...active.values()]);
}

export function totalPending(sync: Sync): number {
  return coordinatorsOf(sync).reduce((sum, each) => sum + each.pending.length, 0);
}

export function fail(sync: Sync, problem: string, lost: readonly Uint8Array[] = []): void {
  sync.result = { kind: 'failed', problem, lost };
}

export function alarm(
  sync: Sync,
  what: string,
  code: ErrorCode,
  detail: string,
  out: Effect[],
): void {
  if (sync.alarmed.has(what) || sync.alarmed.size >= limits.syncAlarms) return;
  sync.alarmed.add(what);
  out.push({ kind: 'alarm', code, detail: `fetching snapshot ${sync.generation}: ${detail}` });
}

/** K1, over all kinds of work: an assembly is handed a chunk once. */
export function want(sync: Sync, wants: readonly Want[]): void {
  for (const each of wants) {
    const key = keyOf(each.hash);
    if (coordinatorsOf(sync).some(({ known }) => known.has(key))) continue;
    // The manifest comes on top of what it names.
    if (sync.wants > limits.snapshotChunks) {
      return fail(sync, `it consists of more than ${limits.snapshotChunks} chunks`);
    }
    enqueue(sync.coordinators[each.work], each, sync.wants);
    sync.wants += 1;
    sync.knownSizeBytes += each.sizeBytes;
  }
}
