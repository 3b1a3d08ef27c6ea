/**
 * JetStream as far as the ports can see it, in virtual time, with faults on demand.
 *
 * One stream for all groups, so positions have gaps as they do in a shard, and another one for the
 * snapshots of all groups. Records and chunks are stored by reference: whoever stored them must not
 * change the bytes afterwards.
 */
import { type Position, position } from '../../replication/ids.js';
import type {
  AppendOutcome,
  ChunkGarbage,
  ChunkStore,
  Log,
  Proof,
  ReadOutcome,
  ReplaySink,
  StoredRecord,
} from '../../replication/ports.js';
import { ModelChunks, type SnapshotStream } from './model-chunks.js';
import { ModelTails } from './model-tails.js';
import { type Call, type Client, type FaultRates, noFaults, Wire } from './model-wire.js';
import type { Random, Scheduler } from './scheduler.js';

export interface Faults extends FaultRates {
  /** The store refuses every append, every chunk and every pin. */
  isFull: boolean;
  /**
   * After a change of the leader half of the clients may still hang on the old one, for this long:
   * it answers their reads from what was stored when it was deposed, and can store nothing. 0: none.
   */
  staleLeaderMs: number;
}

/** How a broker without a leader behaves: `refusing` answers "no responders", `silent` not at all. */
export type Leaderless = 'refusing' | 'silent';

export interface ModelOptions {
  /** 3: a second checked append on a subject is `busy` while one is being replicated. */
  readonly replicas: 1 | 3;
  /** How long an answer is waited for. */
  readonly timeoutMs: number;
  /** One way; also the time it takes to replicate an append. */
  readonly latencyMs: { readonly least: number; readonly most: number };
  /** How many of the last records a stale read may lack. */
  readonly staleRecords: number;
  readonly replayBatchRecords: number;
}

const defaultOptions: ModelOptions = {
  replicas: 1,
  timeoutMs: 1000,
  latencyMs: { least: 0.1, most: 1 },
  staleRecords: 8,
  replayBatchRecords: 64,
};

/** Called right after a record is stored, before anybody is told. */
export type StoredListener = (groupId: string, record: StoredRecord, client: string) => void;

/** A leader that does not know of its successor, and who hangs on it. */
interface Deposed {
  readonly lastPosition: Position;
  untilMs: number;
  readonly clients: Map<string, boolean>;
}

interface Proposal {
  readonly call: Call<AppendOutcome>;
  readonly commit: () => StoredRecord;
  readonly cancel: () => void;
}

type Pick = (records: readonly StoredRecord[], size: number) => StoredRecord | undefined;

/** Whom a listener is told of when a stranger stored something. */
export const stranger = 'a stranger';
const unknown: AppendOutcome = { kind: 'unknown' };
type Failed = { readonly kind: 'failed'; readonly reason: string };
const noAnswer: Failed = { kind: 'failed', reason: 'no answer in time' };
const noLeader: Failed = { kind: 'failed', reason: 'the stream has no leader' };

export class JetStreamModel {
  /** Change at will; takes effect with the next request. */
  readonly faults: Faults = { ...noFaults, isFull: false, staleLeaderMs: 0 };
  readonly #options: ModelOptions;
  readonly #scheduler: Scheduler;
  readonly #wire: Wire;
  readonly #chunks: ModelChunks;
  readonly #tails: ModelTails;
  readonly #groups = new Map<string, StoredRecord[]>();
  /** Appends being replicated, one per group at most. */
  readonly #proposals = new Map<string, Proposal>();
  readonly #listeners: StoredListener[] = [];
  #lastPosition = 0;
  #leaderless: Leaderless | null = null;
  #deposed: Deposed | null = null;
  readonly #sides: Random;

  constructor(scheduler: Scheduler, options: Partial<ModelOptions> = {}) {
    this.#options = { ...defaultOptions, ...options };
    this.#scheduler = scheduler;
    this.#wire = new Wire(scheduler, this.#options, this.faults);
    this.#sides = scheduler.fork('broker sides');
    this.#tails = new ModelTails(this.#wire, (client) => !this.#isWithDeposed(client));
    this.#chunks = new ModelChunks(this.#wire, (client) => ({
      isFull: this.faults.isFull,
      hasLeader: this.#leaderless === null && !this.#isWithDeposed(client),
    }));
  }

  /** The log of a group as one client sees it. After `crash` ask again: the old one is mute. */
  log(clientName: string, groupId: string): Log {
    const client = this.#wire.client(clientName);
    return {
      append: (bytes, expected, done) => this.#append(client, groupId, bytes, expected, done),
      last: (done) => this.#read(client, groupId, done, (records, size) => records[size - 1]),
      next: (after, done) =>
        this.#read(client, groupId, done, (records) => records[indexAfter(records, after)]),
      at: (at, done) =>
        this.#read(client, groupId, done, (records) => {
          const record = records[indexAfter(records, position(at - 1))];
          return record?.position === at ? record : undefined;
        }),
      prove: (at, done) => this.#prove(client, groupId, at, done),
      replay: (after, through, sink) => this.#replay(client, groupId, after, through, sink),
      tail: (sink) => this.#tails.open(client, groupId, sink),
    };
  }

  chunks(clientName: string, groupId: string): ChunkStore {
    return this.#chunks.store(this.#wire.client(clientName), groupId);
  }

  garbage(clientName: string): ChunkGarbage {
    return this.#chunks.garbage(this.#wire.client(clientName));
  }

  /** Everything stored for a group, in order: for checkers, not for the system under test. */
  records(groupId: string): readonly StoredRecord[] {
    return this.#records(groupId);
  }

  /** All chunks and pins there are: for checkers. */
  get stored(): SnapshotStream {
    return this.#chunks;
  }

  onStored(listener: StoredListener): void {
    this.#listeners.push(listener);
  }

  /** A stranger stores something on a group's subject, and expects nothing of its end. */
  intrude(groupId: string, bytes: Uint8Array): void {
    // Behind an append that is being replicated: the broker has given that its place already.
    if (this.#proposals.has(groupId)) {
      this.#scheduler.after(this.#options.latencyMs.most, () => this.intrude(groupId, bytes));
    } else this.#store(groupId, bytes, stranger);
  }

  /** Cuts a client off; what is on the wire in either direction is gone. */
  partition(clientName: string): void {
    this.#wire.partition(clientName);
  }

  heal(clientName: string): void {
    this.#wire.heal(clientName);
  }

  /** The connection breaks and is back at once: open calls end, what was sent may still land. */
  disconnect(clientName: string): void {
    this.#wire.disconnect(clientName);
  }

  /** None of the client's callbacks runs any more; what it sent may still land. */
  crash(clientName: string): void {
    this.#wire.crash(clientName);
  }

  /** The tails the client has open stay silent from now on; those it opens later do not. */
  deafen(clientName: string): void {
    this.#tails.deafen(clientName);
  }

  /** Appends that are being replicated are either committed or forgotten, and nobody is told. */
  loseLeader(manner: Leaderless): void {
    this.#leaderless = manner;
    const [lastPosition, untilMs] = [position(this.#lastPosition), Number.POSITIVE_INFINITY];
    const hasDeposed = this.faults.staleLeaderMs > 0;
    this.#deposed = hasDeposed ? { lastPosition, untilMs, clients: new Map() } : null;
    this.#wire.dropPushes();
    const proposals = [...this.#proposals.values()];
    this.#proposals.clear();
    for (const { call, commit, cancel } of proposals) {
      cancel();
      if (this.#wire.details.chance(0.5)) commit();
      this.#wire.leaveUnanswered(call);
    }
  }

  electLeader(): void {
    const isChange = this.#leaderless !== null;
    this.#leaderless = null;
    if (this.#deposed === null) return;
    if (isChange) this.#deposed.untilMs = this.#scheduler.now() + this.faults.staleLeaderMs;
  }

  /** Forgets a group's records before a position. The fence falls back to 0 with the last of them. */
  purge(groupId: string, before: Position): void {
    const records = this.#records(groupId);
    records.splice(0, indexAfter(records, position(before - 1)));
  }

  /** The last position of the stream: what an older copy of the store is a copy of. */
  get end(): Position {
    return position(this.#lastPosition);
  }

  /** All servers come back with a copy of the store as it was when it ended there. */
  restoreCopy(end: Position): void {
    this.#lastPosition = end;
    for (const records of this.#groups.values()) records.splice(indexAfter(records, end));
    for (const { call, cancel } of this.#proposals.values()) {
      cancel();
      this.#wire.leaveUnanswered(call);
    }
    this.#proposals.clear();
    this.#deposed = null;
    this.#wire.dropPushes();
  }

  #isWithDeposed({ name }: Client): boolean {
    const deposed = this.#deposed;
    if (deposed === null || this.#scheduler.now() >= deposed.untilMs) return false;
    const isWith = deposed.clients.get(name) ?? this.#sides.chance(0.5);
    deposed.clients.set(name, isWith);
    return isWith;
  }

  #records(groupId: string): StoredRecord[] {
    let records = this.#groups.get(groupId);
    if (!records) {
      records = [];
      this.#groups.set(groupId, records);
    }
    return records;
  }

  #append(
    client: Client,
    groupId: string,
    bytes: Uint8Array,
    expected: Position,
    done: (outcome: AppendOutcome) => void,
  ): void {
    const call = this.#wire.call(client, done, unknown);
    this.#wire.send(call, () => {
      const isUnheard = this.#leaderless === 'silent' || this.#isWithDeposed(client);
      if (isUnheard) return this.#wire.leaveUnanswered(call);
      const refusal = this.#refusal(groupId, expected);
      if (refusal) return this.#wire.answer(call, refusal);
      const commit = () => this.#store(groupId, bytes, client.name);
      if (this.#options.replicas === 3) return this.#propose(call, groupId, commit);
      this.#wire.answer(call, { kind: 'stored', position: commit().position });
    });
  }

  #refusal(groupId: string, expected: Position): AppendOutcome | null {
    if (this.#leaderless) return { kind: 'not-stored' };
    if (this.#proposals.has(groupId)) return { kind: 'busy' };
    const last = this.#records(groupId).at(-1)?.position ?? 0;
    if (last !== expected) return { kind: 'wrong-last' };
    return this.faults.isFull ? { kind: 'refused', reason: 'the store is full' } : null;
  }

  #propose(call: Call<AppendOutcome>, groupId: string, commit: () => StoredRecord): void {
    const cancel = this.#scheduler.after(this.#wire.latencyMs(), () => {
      this.#proposals.delete(groupId);
      this.#wire.answer(call, { kind: 'stored', position: commit().position });
    });
    this.#proposals.set(groupId, { call, commit, cancel });
  }

  #store(groupId: string, bytes: Uint8Array, client: string): StoredRecord {
    const previous = this.#records(groupId).at(-1)?.position ?? position(0);
    const record = { position: position(++this.#lastPosition), bytes };
    this.#records(groupId).push(record);
    for (const listener of this.#listeners) listener(groupId, record, client);
    // The leader tells those who follow; without one nobody does.
    if (this.#leaderless === null) this.#tails.tell(groupId, { ...record, previous });
    return record;
  }

  /** How many of a group's records a reader sees. */
  #visible(client: Client, records: readonly StoredRecord[]): number {
    if (this.#isWithDeposed(client)) {
      return indexAfter(records, this.#deposed?.lastPosition ?? position(0));
    }
    if (!this.#wire.strikes('staleRead')) return records.length;
    const lacking = 1 + this.#wire.details.below(this.#options.staleRecords);
    return Math.max(0, records.length - lacking);
  }

  #read(client: Client, groupId: string, done: (outcome: ReadOutcome) => void, pick: Pick): void {
    const call = this.#wire.call<ReadOutcome>(client, done, noAnswer);
    this.#wire.send(call, () => {
      const leaderless = this.#isWithDeposed(client) ? null : this.#leaderless;
      if (leaderless === 'silent') return this.#wire.leaveUnanswered(call);
      if (leaderless) return this.#wire.answer(call, noLeader);
      const records = this.#records(groupId);
      const size = this.#visible(client, records);
      const record = pick(records, size);
      const isVisible = record && record.position <= (records[size - 1]?.position ?? 0);
      this.#wire.answer(call, isVisible ? { kind: 'record', record } : { kind: 'none' });
    });
  }

  /** A deposed leader cannot say that anybody follows it. */
  #prove(client: Client, groupId: string, at: Position, done: (proof: Proof) => void): void {
    const call = this.#wire.call<Proof>(client, done, noAnswer);
    this.#wire.send(call, () => {
      if (this.#leaderless === 'silent') return this.#wire.leaveUnanswered(call);
      const isHeadless = this.#leaderless !== null || this.#isWithDeposed(client);
      if (isHeadless) return this.#wire.answer(call, noLeader);
      const records = this.#records(groupId);
      const record = records[indexAfter(records, position(at - 1))];
      const found = 'no record of this group is in its place';
      const stands = record?.position === at;
      this.#wire.answer(call, stands ? { kind: 'record', record } : { kind: 'gone', found });
    });
  }

  /** `through` is the position of a record of the group: it is what ends the replay. */
  #replay(
    client: Client,
    groupId: string,
    after: Position,
    through: Position,
    sink: ReplaySink,
  ): () => void {
    let isStopped = false;
    const receive = (from: Position, batch: readonly StoredRecord[] | null) => {
      if (isStopped) return;
      if (!batch) return sink.end(`no answer in time after position ${from}`);
      if (batch.length > 0) sink.records(batch);
      const last = batch.at(-1)?.position ?? from;
      if (isStopped) return;
      if (last >= through) sink.end(null);
      else fetch(last);
    };
    const fetch = (from: Position) => {
      const call = this.#wire.call<readonly StoredRecord[] | null>(
        client,
        (batch) => receive(from, batch),
        null,
      );
      this.#wire.send(call, () => this.#answerBatch(call, groupId, from, through));
    };
    fetch(after);
    return () => {
      isStopped = true;
    };
  }

  /** A replica that lags says nothing: the caller's patience runs out. */
  #answerBatch(
    call: Call<readonly StoredRecord[] | null>,
    groupId: string,
    after: Position,
    through: Position,
  ): void {
    const records = this.#records(groupId);
    const first = indexAfter(records, after);
    const visible = Math.min(this.#visible(call.client, records), indexAfter(records, through));
    const end = Math.min(visible, first + this.#options.replayBatchRecords);
    const isBlank = end <= first && after < through;
    if (this.#leaderless || isBlank) this.#wire.leaveUnanswered(call);
    else this.#wire.answer(call, this.#garbled(records.slice(first, end)));
  }

  #garbled(batch: StoredRecord[]): StoredRecord[] {
    if (batch.length < 2 || !this.#wire.strikes('replayGap')) return batch;
    const at = this.#wire.details.below(batch.length - 1);
    const record = batch[at] as StoredRecord;
    batch.splice(at, 1, ...(this.#wire.details.chance(0.5) ? [] : [record, record]));
    return batch;
  }
}

/** Index of the first record whose position is greater than `after`. */
function indexAfter(records: readonly StoredRecord[], after: Position): number {
  let low = 0;
  let high = records.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((records[middle] as StoredRecord).position > after) high = middle;
    else low = middle + 1;
  }
  return low;
}
