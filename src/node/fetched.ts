/** What syncs have fetched on this node since it started, those that have ended included. */
import { progressOf, type SyncProgress } from '../../replication/sync/progress.js';
import type { Sync } from '../../replication/sync/sync.js';

export interface FetchTotals {
  /** Verified. */
  readonly fromSizeBytes: SyncProgress['fromSizeBytes'];
  /** Answers with other bytes than those asked for. */
  readonly corrupt: number;
}

const nothing: FetchTotals = { fromSizeBytes: { cache: 0, store: 0, peers: 0 }, corrupt: 0 };

export class FetchMeter {
  #total = nothing;

  get total(): FetchTotals {
    return this.#total;
  }

  /** For one member: to be told of its sync after each step. Reports come too seldom for short ones. */
  follow(): (sync: Sync | null) => void {
    let followed: Sync | null = null;
    let counted = nothing;
    return (sync) => {
      if (followed !== null) {
        // If this step has ended it, it still tells what it came to.
        const now = progressOf(followed);
        this.#total = raised(this.#total, counted, now);
        counted = now;
      }
      if (sync === followed) return;
      followed = sync;
      counted = nothing;
    };
  }
}

/** `total`, and what has come on top of `before`. */
function raised(total: FetchTotals, before: FetchTotals, now: FetchTotals): FetchTotals {
  const grown = (source: keyof FetchTotals['fromSizeBytes']) =>
    total.fromSizeBytes[source] + now.fromSizeBytes[source] - before.fromSizeBytes[source];
  return {
    fromSizeBytes: { cache: grown('cache'), store: grown('store'), peers: grown('peers') },
    corrupt: total.corrupt + now.corrupt - before.corrupt,
  };
}
