/** What the members of a test share: an ideal log, an ideal store of chunks, and what nodes keep. */
import { keyOf } from '../../../replication/bytes.js';
import type { Ports } from '../../../replication/execute.js';
import { type Position, position } from '../../../replication/ids.js';
import type {
  ChunkStore,
  Fetched,
  StoredRecord,
  TailedRecord,
} from '../../../replication/ports.js';
import { decodeRecord, isRecord, type LogRecord } from '../../../replication/record.js';

type Chunks = Map<string, Uint8Array>;

/** Does what it is told. Nodes keep nothing for themselves, unless a test puts it into `nodes`. */
export class Store {
  readonly records: TailedRecord[] = [];
  /** By `keyOf` their hashes. */
  readonly chunks: Chunks = new Map();
  /** The chunks of each snapshot, the manifest last, by its id. */
  readonly pins = new Map<string, readonly Uint8Array[]>();
  readonly dropped: string[] = [];
  /** What other nodes give when they are asked, by node. */
  readonly nodes = new Map<string, Chunks>();
  #queue: (() => void)[] = [];
  #tails = new Set<(record: TailedRecord) => void>();
  /** Set: no chunk can be put or read. */
  failure: string | null = null;
  /** Set: who follows the log hears nothing of what is stored. */
  isMute = false;

  append(bytes: Uint8Array): Position {
    const record = { position: position(this.end + 1), previous: this.end, bytes };
    this.records.push(record);
    for (const sink of this.isMute ? [] : this.#tails) {
      this.#queue.push(() => void (this.#tails.has(sink) && sink(record)));
    }
    return record.position;
  }

  /** How many follow the log. */
  get followers(): number {
    return this.#tails.size;
  }

  get end(): Position {
    return this.records.at(-1)?.position ?? position(0);
  }

  decoded(): LogRecord[] {
    return this.records.map(({ bytes }) => decodeRecord(bytes)).filter(isRecord);
  }

  types(): string[] {
    return this.decoded().map((record) => record.body.type);
  }

  /** What the newest snapshot in the store consists of, the manifest last. */
  newestChunks(): readonly Uint8Array[] {
    const newest = [...this.pins.values()].at(-1);
    if (newest === undefined) throw new Error('no snapshot is stored');
    return newest;
  }

  /** Answers come after the call has returned. */
  drain(): boolean {
    const queue = this.#queue;
    this.#queue = [];
    for (const answer of queue) answer();
    return queue.length > 0;
  }

  readonly #chunkStore: ChunkStore = {
    announce: (_id, _reused, done) => {
      const standing = [...this.pins.keys()];
      const result = this.failure === null ? { standing } : { failure: this.failure };
      this.#queue.push(() => done(result));
    },
    put: (hash, bytes, done) => {
      if (this.failure === null) this.chunks.set(keyOf(hash), Uint8Array.from(bytes));
      const { failure } = this;
      this.#queue.push(() => done(failure));
    },
    pin: (id, chunks, done) => {
      if (this.failure === null) this.pins.set(id, chunks);
      const { failure } = this;
      this.#queue.push(() => done(failure));
    },
    get: (hash, done) => {
      const { failure } = this;
      const result = failure === null ? given(this.chunks, hash) : failed(failure);
      this.#queue.push(() => done(result));
    },
    dropBefore: (id) => {
      this.dropped.push(id);
      for (const each of this.pins.keys()) if (isBefore(each, id)) this.pins.delete(each);
    },
  };

  readonly ports: Ports = {
    log: {
      append: (bytes, expected, done) => {
        const isNext = this.end === expected;
        const outcome = isNext
          ? ({ kind: 'stored', position: this.append(bytes) } as const)
          : ({ kind: 'wrong-last' } as const);
        this.#queue.push(() => done(outcome));
      },
      last: (done) => this.#read(this.records.at(-1), done),
      next: (after, done) =>
        this.#read(
          this.records.find((record) => record.position > after),
          done,
        ),
      at: (at, done) =>
        this.#read(
          this.records.find((record) => record.position === at),
          done,
        ),
      prove: (at, done) => {
        const record = this.records.find(({ position }) => position === at);
        const found = `the store ends at ${this.end}`;
        this.#queue.push(() => done(record ? { kind: 'record', record } : { kind: 'gone', found }));
      },
      replay: (after, through, sink) => {
        const batch = this.records.filter(
          (record) => record.position > after && record.position <= through,
        );
        this.#queue.push(() => {
          sink.records(batch);
          sink.end(null);
        });
        return () => undefined;
      },
      tail: (sink) => {
        this.#tails.add(sink);
        return () => void this.#tails.delete(sink);
      },
    },
    chunks: this.#chunkStore,
    cache: {
      get: (_hash, done) => void this.#queue.push(() => done({ kind: 'none' })),
      keep: () => undefined,
    },
    askPeer: (node, hash, done) => {
      const result = given(this.nodes.get(node) ?? new Map(), hash);
      this.#queue.push(() => done(result));
    },
  };

  #read(
    record: StoredRecord | undefined,
    done: (outcome: { kind: 'record'; record: StoredRecord } | { kind: 'none' }) => void,
  ): void {
    this.#queue.push(() => done(record ? { kind: 'record', record } : { kind: 'none' }));
  }
}

function given(chunks: Chunks, hash: Uint8Array): Fetched {
  const bytes = chunks.get(keyOf(hash));
  return bytes === undefined ? { kind: 'none' } : { kind: 'chunk', bytes };
}

const failed = (reason: string): Fetched => ({ kind: 'failed', reason });

/** Ids are `<epoch>-<number>-<seq>`. */
function isBefore(id: string, other: string): boolean {
  const [epoch = 0, number = 0] = id.split('-').map(Number);
  const [otherEpoch = 0, otherNumber = 0] = other.split('-').map(Number);
  return epoch < otherEpoch || (epoch === otherEpoch && number < otherNumber);
}

/** The same bytes, but for one bit. */
export function flipped(bytes: Uint8Array, at = bytes.length >> 1): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[at] = (copy[at] as number) ^ 1;
  return copy;
}
