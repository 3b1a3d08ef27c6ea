/**
 * Room in the heap while snapshots come in. V8 collects garbage, all of it, whenever objects and the buffers beside
 * them have grown by a share of the objects alone: in a node that has few objects, every 15 MiB of a
 * snapshot, and each time marks everything that was there before. With room it does so a few times.
 *
 * The flag is read whenever a collection ends, and says how much may come until the next begins.
 */
import { getHeapStatistics, setFlagsFromString } from 'node:v8';

/** What may come between two collections. More has no effect: V8 begins one after 64 MiB of buffers in any case. */
const roomSizeBytes = 96 * 1024 * 1024;
/** A heap with so many objects has some room as it is, and one collection of it is not to wait for less. */
const largeSizeBytes = 2 * roomSizeBytes;

export interface Heap {
  usedSizeBytes(): number;
  /** By how much it may grow, in percent; 0: as V8 likes. */
  setGrowth(percent: number): void;
}

const theHeap: Heap = {
  usedSizeBytes: () => getHeapStatistics().used_heap_size,
  setGrowth: (percent) => setFlagsFromString(`--heap-growing-percent=${percent}`),
};

/** Of one node. Nodes that share a process share the heap: who ends last takes the room away. */
export class HeapRoom {
  readonly #syncing = new Set<string>();

  constructor(private readonly heap: Heap = theHeap) {}

  get isGiven(): boolean {
    return this.#syncing.size > 0;
  }

  /** Whether the member of this group syncs, after whatever it did. */
  note(group: string, isSyncing: boolean): void {
    if (isSyncing === this.#syncing.has(group)) return;
    if (isSyncing) this.#syncing.add(group);
    else this.#syncing.delete(group);
    const isFirst = isSyncing && this.#syncing.size === 1;
    if (isFirst) this.heap.setGrowth(percentFor(this.heap.usedSizeBytes()));
    else if (this.#syncing.size === 0) this.heap.setGrowth(0);
  }
}

function percentFor(usedSizeBytes: number): number {
  return usedSizeBytes >= largeSizeBytes ? 0 : Math.ceil((roomSizeBytes / usedSizeBytes) * 100);
}
