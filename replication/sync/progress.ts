/** What a sync tells about itself, for status and dashboard. */
import { type WorkKind, workKinds } from './assembly.js';
import { rateOf } from './pace.js';
import type { Sync } from './sync.js';

export interface WorkProgress {
  readonly pending: number;
  readonly active: number;
  readonly completed: number;
}

export interface SyncProgress {
  readonly generation: string;
  readonly work: Readonly<Record<WorkKind, WorkProgress>>;
  /** Verified and handed over. */
  readonly doneSizeBytes: number;
  /** All that is known to be wanted: grows as manifest and directories come. */
  readonly knownSizeBytes: number;
  readonly fromSizeBytes: {
    readonly cache: number;
    readonly store: number;
    readonly peers: number;
  };
  /** Answers with other bytes than those asked for. */
  readonly corrupt: number;
  /** Wall clock. */
  readonly sinceMs: number;
  /** Over the last seconds. */
  readonly bytesPerSecond: number;
}

export function progressOf(sync: Sync): SyncProgress {
  const { ledger, startedAt } = sync;
  const peers = [...ledger.peers.values()].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  return {
    generation: sync.generation,
    work: Object.fromEntries(workKinds.map((work) => [work, workOf(sync, work)])) as Record<
      WorkKind,
      WorkProgress
    >,
    doneSizeBytes: sync.doneSizeBytes,
    knownSizeBytes: sync.knownSizeBytes,
    fromSizeBytes: { cache: ledger.cache.sizeBytes, store: ledger.store.sizeBytes, peers },
    corrupt: sync.corrupt,
    sinceMs: startedAt.wallMs,
    bytesPerSecond: rateOf(sync.pace, startedAt.monoMs, sync.nowMs),
  };
}

function workOf({ coordinators }: Sync, work: WorkKind): WorkProgress {
  const { pending, active, completed } = coordinators[work];
  return { pending: pending.length, active: active.size, completed };
}
