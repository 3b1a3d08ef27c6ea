/**
 * The snapshot stream as far as the ports can see it: chunks, announcements, pins and marks in one
 * order. What the store refuses and keeps is what collection.ts demands of it (G1 to G7).
 */
import { keyOf } from '../../replication/bytes.js';
import { type Position, position } from '../../replication/ids.js';
import type { ChunkGarbage, ChunkStore, Fetched, Pin } from '../../replication/ports.js';
import type { Client, Wire } from './model-wire.js';

export interface StoreState {
  readonly isFull: boolean;
  readonly hasLeader: boolean;
}

interface StoredChunk {
  readonly hash: Uint8Array;
  readonly bytes: Uint8Array;
  readonly at: Position;
}

interface StoredPin {
  readonly at: Position;
  readonly chunks: readonly Uint8Array[];
}

interface Name {
  readonly groupId: string;
  readonly id: string;
}

/** What stands of one snapshot. */
interface Snapshot extends Name {
  open: StoredPin | null;
  whole: StoredPin | null;
}

export interface PinView extends Pin {
  readonly groupId: string;
  readonly snapshotId: string;
}

type Done<Result> = (result: Result | { readonly failure: string }) => void;
type Announced = { readonly standing: readonly string[] };

const late = 'no answer in time';
const full = 'the store is full';

/** What there is, for checkers. */
export interface SnapshotStream {
  chunk(hash: Uint8Array): Uint8Array | undefined;
  hashes(): readonly Uint8Array[];
  pins(): readonly PinView[];
}

export class ModelChunks implements SnapshotStream {
  readonly #wire: Wire;
  readonly #state: (client: Client) => StoreState;
  readonly #chunks = new Map<string, StoredChunk>();
  readonly #snapshots = new Map<string, Snapshot>();
  #last = 0;

  constructor(wire: Wire, state: (client: Client) => StoreState) {
    this.#wire = wire;
    this.#state = state;
  }

  store(client: Client, groupId: string): ChunkStore {
    /** Where this store's announcements are (G4). */
    const announced = new Map<string, Position>();
    return {
      announce: (id, reused, done) => {
        this.#storeOpen(client, { groupId, id }, reused, (result) => {
          if ('failure' in result) return done(result);
          announced.set(id, result.at);
          this.#readStanding(client, groupId, done);
        });
      },
      put: (hash, bytes, done) => this.#put(client, hash, bytes, done),
      pin: (id, chunks, done) => {
        const at = announced.get(id) ?? null;
        this.#pin(client, { groupId, id }, at, chunks, (failure) => {
          if (failure === null) announced.delete(id);
          done(failure);
        });
      },
      get: (hash, done) => this.#get(client, hash, done),
      dropBefore: (id) => this.#dropBefore(client, groupId, id),
    };
  }

  garbage(client: Client): ChunkGarbage {
    return {
      mark: (done) => this.#request<{ at: Position }>(client, done, () => ({ at: this.#next() })),
      pins: (_through, done) => {
        this.#request<readonly Pin[]>(client, done, () => {
          if (this.#wire.strikes('staleRead')) return null;
          return this.pins();
        });
      },
      chunks: (done) => {
        this.#request<readonly Uint8Array[]>(client, done, () => {
          const isStale = this.#wire.strikes('staleRead');
          return this.hashes().filter(() => !isStale || this.#wire.details.chance(0.5));
        });
      },
      forget: (hash, before, done) => {
        const finish = (result: object) =>
          done('failure' in result ? String(result.failure) : null);
        this.#request<object>(client, finish, () => {
          const found = this.#chunks.get(keyOf(hash));
          if (found !== undefined && found.at < before) this.#chunks.delete(keyOf(hash));
          return {};
        });
      },
    };
  }

  chunk(hash: Uint8Array): Uint8Array | undefined {
    return this.#chunks.get(keyOf(hash))?.bytes;
  }

  hashes(): readonly Uint8Array[] {
    return [...this.#chunks.values()].map(({ hash }) => hash);
  }

  pins(): readonly PinView[] {
    return [...this.#snapshots.values()].flatMap(({ groupId, id, open, whole }) => [
      ...(open ? [{ ...open, isOpen: true, groupId, snapshotId: id }] : []),
      ...(whole ? [{ ...whole, isOpen: false, groupId, snapshotId: id }] : []),
    ]);
  }

  #next(): Position {
    this.#last += 1;
    return position(this.#last);
  }

  #snapshot({ groupId, id }: Name): Snapshot {
    const key = `${groupId}/${id}`;
    let snapshot = this.#snapshots.get(key);
    if (!snapshot) {
      snapshot = { groupId, id, open: null, whole: null };
      this.#snapshots.set(key, snapshot);
    }
    return snapshot;
  }

  /** `null` is no answer. */
  #request<Result extends object>(
    client: Client,
    done: Done<Result>,
    act: () => Result | { readonly failure: string } | null,
  ): void {
    type Answer = Result | { readonly failure: string };
    const call = this.#wire.call<Answer>(client, done, { failure: late });
    this.#wire.send(call, () => {
      const answer = this.#state(client).hasLeader ? act() : null;
      if (answer === null) this.#wire.leaveUnanswered(call);
      else this.#wire.answer(call, answer);
    });
  }

  #storeOpen(
    client: Client,
    name: Name,
    chunks: readonly Uint8Array[],
    done: Done<{ readonly at: Position }>,
  ): void {
    this.#request<{ readonly at: Position }>(client, done, () => {
      if (this.#state(client).isFull) return { failure: full };
      const at = this.#next();
      this.#snapshot(name).open = { at, chunks };
      return { at };
    });
  }

  /** A replica that lags does not have the announcement yet, and is asked in vain. */
  #readStanding(client: Client, groupId: string, done: Done<Announced>): void {
    this.#request<Announced>(client, done, () => {
      if (this.#wire.strikes('staleRead')) return null;
      const ofGroup = [...this.#snapshots.values()].filter((one) => one.groupId === groupId);
      return { standing: ofGroup.filter(({ whole }) => whole !== null).map(({ id }) => id) };
    });
  }

  #put(
    client: Client,
    hash: Uint8Array,
    bytes: Uint8Array,
    done: (failure: string | null) => void,
  ): void {
    const breaksOff = this.#wire.strikes('chunkMissing');
    const finish = (result: object) => done('failure' in result ? String(result.failure) : null);
    this.#request<object>(client, finish, () => {
      if (this.#state(client).isFull) return { failure: full };
      if (breaksOff) return null;
      this.#chunks.set(keyOf(hash), { hash, bytes, at: this.#next() });
      return {};
    });
  }

  /** G4. Removing the announcement is a request of its own, which nobody waits for. */
  #pin(
    client: Client,
    name: Name,
    announcement: Position | null,
    chunks: readonly Uint8Array[],
    done: (failure: string | null) => void,
  ): void {
    const finish = (result: object) => {
      if ('failure' in result) return done(String(result.failure));
      this.#request<object>(
        client,
        () => undefined,
        () => {
          const snapshot = this.#snapshot(name);
          if (snapshot.open?.at === announcement) snapshot.open = null;
          return {};
        },
      );
      done(null);
    };
    this.#request<object>(client, finish, () => {
      if (this.#state(client).isFull) return { failure: full };
      const snapshot = this.#snapshot(name);
      const stands = announcement !== null && snapshot.open?.at === announcement;
      if (!stands) return { failure: `the announcement of ${name.id} does not stand` };
      snapshot.whole = { at: this.#next(), chunks };
      return {};
    });
  }

  #get(client: Client, hash: Uint8Array, done: (result: Fetched) => void): void {
    const finish = (result: Fetched | { readonly failure: string }) =>
      done('failure' in result ? { kind: 'failed', reason: result.failure } : result);
    this.#request<Fetched>(client, finish, () => {
      const bytes = this.chunk(hash);
      if (bytes === undefined || this.#wire.strikes('chunkMissing')) return { kind: 'none' };
      const isCorrupt = this.#wire.strikes('chunkCorrupted');
      return { kind: 'chunk', bytes: isCorrupt ? this.#corrupted(bytes) : bytes };
    });
  }

  /** A copy with a bit of it flipped, a part of it, or another chunk. */
  #corrupted(bytes: Uint8Array): Uint8Array {
    const { details } = this.#wire;
    const dice = details.next();
    const stored = [...this.#chunks.values()];
    const other = stored[details.below(stored.length)]?.bytes ?? bytes;
    if (dice < 0.2 && other !== bytes) return other;
    if (dice < 0.4 && bytes.length > 0) return bytes.slice(0, details.below(bytes.length));
    const copy = Uint8Array.from(bytes);
    const at = details.below(Math.max(1, copy.length));
    copy[at] = (copy[at] ?? 0) ^ (1 << details.below(8));
    return copy;
  }

  #dropBefore(client: Client, groupId: string, snapshotId: string): void {
    this.#request<object>(
      client,
      () => undefined,
      () => {
        for (const [key, one] of this.#snapshots) {
          if (one.groupId === groupId && isOlder(one.id, snapshotId)) this.#snapshots.delete(key);
        }
        return {};
      },
    );
  }
}

/** Ids begin with the epoch and the number of a record: that is their order. */
function isOlder(id: string, than: string): boolean {
  const [epoch = 0, number = 0] = id.split('-').map(Number);
  const [otherEpoch = 0, otherNumber = 0] = than.split('-').map(Number);
  return epoch < otherEpoch || (epoch === otherEpoch && number < otherNumber);
}
