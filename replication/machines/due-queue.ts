/** What is due next: a heap of times. What became void stays in until its time, or until too much of it is void. */

export interface Entry {
  readonly atMs: number;
  readonly key: string;
  readonly step: number;
  readonly transition: string;
}

const leastToTrim = 64;

export class DueQueue {
  #heap: Entry[] = [];
  #most = leastToTrim;

  get size(): number {
    return this.#heap.length;
  }

  get nextAtMs(): number {
    return this.#heap[0]?.atMs ?? Number.POSITIVE_INFINITY;
  }

  push(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.push(entry) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if ((heap[above] as Entry).atMs <= entry.atMs) break;
      heap[at] = heap[above] as Entry;
      at = above;
    }
    heap[at] = entry;
  }

  /** The first, if its time has come. */
  pop(nowMs: number): Entry | null {
    const heap = this.#heap;
    const [first] = heap;
    if (first === undefined || first.atMs > nowMs) return null;
    const last = heap.pop() as Entry;
    if (heap.length > 0) this.#sink(last);
    return first;
  }

  #sink(entry: Entry): void {
    const heap = this.#heap;
    let at = 0;
    for (;;) {
      let below = at * 2 + 1;
      const next = heap[below + 1];
      if (next !== undefined && next.atMs < (heap[below] as Entry).atMs) below += 1;
      const child = heap[below];
      if (child === undefined || child.atMs >= entry.atMs) break;
      heap[at] = child;
      at = below;
    }
    heap[at] = entry;
  }

  /** Drops what is void, if so much has come since the last time that it pays. */
  trim(isValid: (entry: Entry) => boolean): void {
    if (this.#heap.length <= this.#most) return;
    const kept = this.#heap.filter(isValid);
    this.#heap = [];
    for (const entry of kept) this.push(entry);
    this.#most = leastToTrim + 2 * kept.length;
  }

  clear(): void {
    this.#heap = [];
  }
}
