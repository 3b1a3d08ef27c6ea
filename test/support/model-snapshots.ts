/** The snapshot stream as far as the port can see it. */
import type { SnapshotStore } from '../../replication/ports.js';
import type { Client, Wire } from './model-wire.js';

type Chunks = (Uint8Array | undefined)[];

export interface StoreState {
  readonly isFull: boolean;
  readonly hasLeader: boolean;
}

export class ModelSnapshots {
  readonly #wire: Wire;
  readonly #state: (client: Client) => StoreState;
  /** Chunks by group and snapshot id. */
  readonly #groups = new Map<string, Map<string, Chunks>>();

  constructor(wire: Wire, state: (client: Client) => StoreState) {
    this.#wire = wire;
    this.#state = state;
  }

  store(client: Client, groupId: string): SnapshotStore {
    return {
      put: (snapshotId, chunks, done) => this.#put(client, groupId, snapshotId, chunks, done),
      get: (snapshotId, count, done) => this.#get(client, groupId, snapshotId, count, done),
      dropBefore: (snapshotId) => this.#dropBefore(client, groupId, snapshotId),
    };
  }

  ids(groupId: string): readonly string[] {
    return [...(this.#groups.get(groupId)?.keys() ?? [])];
  }

  #group(groupId: string): Map<string, Chunks> {
    let snapshots = this.#groups.get(groupId);
    if (!snapshots) {
      snapshots = new Map();
      this.#groups.set(groupId, snapshots);
    }
    return snapshots;
  }

  #put(
    client: Client,
    groupId: string,
    snapshotId: string,
    chunks: readonly Uint8Array[],
    done: (failure: string | null) => void,
  ): void {
    const call = this.#wire.call<string | null>(client, done, 'no answer in time');
    const breaksOff = this.#wire.strikes('chunkMissing');
    this.#wire.send(call, () => {
      const { isFull, hasLeader } = this.#state(client);
      if (!hasLeader) return this.#wire.leaveUnanswered(call);
      if (isFull) return this.#wire.answer(call, 'the store is full');
      // Whoever breaks off or dies in the middle leaves a prefix behind.
      const isWhole = client.isAlive && !breaksOff;
      const count = isWhole ? chunks.length : this.#wire.details.below(chunks.length);
      this.#keep(groupId, snapshotId, chunks, count);
      if (isWhole) this.#wire.answer(call, null);
      else this.#wire.leaveUnanswered(call);
    });
  }

  /** A chunk that is there stays as it is. */
  #keep(groupId: string, snapshotId: string, chunks: readonly Uint8Array[], count: number): void {
    const snapshots = this.#group(groupId);
    const stored = snapshots.get(snapshotId) ?? [];
    for (let i = 0; i < count; i++) stored[i] ??= chunks[i];
    if (stored.length > 0) snapshots.set(snapshotId, stored);
  }

  #get(
    client: Client,
    groupId: string,
    snapshotId: string,
    count: number,
    done: (result: readonly Uint8Array[] | { readonly failure: string }) => void,
  ): void {
    const call = this.#wire.call<readonly Uint8Array[] | { readonly failure: string }>(
      client,
      done,
      { failure: 'no answer in time' },
    );
    this.#wire.send(call, () => {
      if (!this.#state(client).hasLeader) return this.#wire.leaveUnanswered(call);
      const found = this.#read(groupId, snapshotId, count);
      if (found.length === count) return this.#wire.answer(call, found);
      const failure = `snapshot ${snapshotId}: chunk ${found.length} of ${count} is missing`;
      this.#wire.answer(call, { failure });
    });
  }

  /** The chunks before the first missing one. */
  #read(groupId: string, snapshotId: string, count: number): Uint8Array[] {
    const found: Uint8Array[] = [];
    for (const chunk of this.#group(groupId).get(snapshotId)?.slice(0, count) ?? []) {
      if (!chunk) break;
      found.push(chunk);
    }
    if (this.#wire.strikes('chunkMissing')) found.length = this.#wire.details.below(found.length);
    if (this.#wire.strikes('chunkCorrupted')) this.#corruptOne(found);
    return found;
  }

  #corruptOne(chunks: Uint8Array[]): void {
    const { details } = this.#wire;
    // The state comes last, and its numbers at the end.
    const which = details.chance(0.7) ? chunks.length - 1 : details.below(chunks.length);
    const copy = Uint8Array.from(chunks[which] ?? []);
    const at = Math.floor(copy.length * (1 - details.next() ** 3));
    const before = copy[at];
    if (before === undefined) return;
    copy[at] = before ^ (1 << details.below(8));
    chunks[which] = copy;
  }

  #dropBefore(client: Client, groupId: string, snapshotId: string): void {
    const call = this.#wire.call<null>(client, () => {}, null);
    this.#wire.send(call, () => {
      if (!this.#state(client).hasLeader) return this.#wire.leaveUnanswered(call);
      const snapshots = this.#group(groupId);
      for (const id of snapshots.keys()) if (isOlder(id, snapshotId)) snapshots.delete(id);
      this.#wire.answer(call, null);
    });
  }
}

/** Ids begin with the epoch and the number of a record: that is their order. */
function isOlder(id: string, than: string): boolean {
  const [epoch = 0, number = 0] = id.split('-').map(Number);
  const [otherEpoch = 0, otherNumber = 0] = than.split('-').map(Number);
  return epoch < otherEpoch || (epoch === otherEpoch && number < otherNumber);
}
