/**
 * Operations on record and their locks, as the broker keeps them: entries with revisions, changed by
 * compare-and-set, behind a wire that loses and delays, shows what was, and forgets to tell of changes.
 */
import type { Loaded } from '../../../cluster/operations/drive.js';
import { failureOf } from '../../../cluster/operations/engine.js';
import { type Locks, lock, unlock } from '../../../cluster/operations/locks.js';
import { type Failure, holderOf, type Operation } from '../../../cluster/operations/operation.js';
import { UnderstudyError } from '../../../replication/errors.js';
import { limits } from '../../../replication/limits.js';
import type { Random } from '../../support/scheduler.js';
import type { Host } from '../host.js';
import type { World } from '../world.js';
import { type Life, lifeOf, type OperationJudge, type Writing } from './judge.js';

/** `failure`: nobody knows whether it was done. */
export type Answered<Value> = { readonly value: Value } | { readonly failure: Failure };

interface Version {
  readonly text: string;
  readonly revision: number;
  readonly atMs: number;
}

const timeoutMs = 400;
const longestDelayMs = 800;
const longestStaleMs = 300;
/** Of the nodes that watch, so many miss a change; they read everything now and then. */
const missed = 0.2;
const lockAttempts = 32;

export class OperationStore {
  locks: Locks = {};
  #locksRevision = 0;
  #revision = 0;
  readonly #versions = new Map<string, Version[]>();
  readonly #random: Random;

  constructor(
    private readonly world: World,
    private readonly judge: OperationJudge,
  ) {
    this.#random = world.scheduler.fork('operations on record');
  }

  get isEmpty(): boolean {
    return this.#versions.size === 0;
  }

  get ids(): string[] {
    return [...this.#versions.keys()];
  }

  /** For checkers, and for those who read what is current. */
  latest(id: string): Loaded {
    return decode(this.#versions.get(id)?.at(-1));
  }

  at(id: string, revision: number): Operation | null {
    const version = this.#versions.get(id)?.find((each) => each.revision === revision);
    return decode(version)?.operation ?? null;
  }

  // What nodes do.

  load(host: Host, id: string, done: (answer: Answered<Loaded>) => void): void {
    this.trip(host, () => this.#read(id), done);
  }

  all(host: Host, done: (answer: Answered<NonNullable<Loaded>[]>) => void): void {
    const read = () => this.ids.map((id) => this.latest(id) as NonNullable<Loaded>);
    this.trip(host, read, done);
  }

  /** Revision 0: it is new. */
  save(
    host: Host,
    operation: Operation,
    revision: number,
    how: Writing,
    done: (answer: Answered<number | 'conflict'>) => void,
  ): void {
    const text = JSON.stringify(operation);
    const by = lifeOf(host);
    const act = () => this.#write(by, { id: operation.id, text }, revision, how);
    if (text.length <= limits.operationSizeBytes) return this.trip(host, act, done);
    const detail = `operation ${operation.id} is ${text.length} bytes`;
    host.soon(() => done({ failure: { code: 'too-large', detail } }));
  }

  #write(
    by: Life,
    { id, text }: { id: string; text: string },
    revision: number,
    how: Writing,
  ): number | 'conflict' {
    const before = this.latest(id);
    if ((before?.revision ?? 0) !== revision) return 'conflict';
    const after = JSON.parse(text) as Operation;
    this.judge.saved(by, before?.operation ?? null, after, how);
    const version = { text, revision: ++this.#revision, atMs: this.world.scheduler.now() };
    const versions = this.#versions.get(id);
    if (versions === undefined) this.#versions.set(id, [version]);
    else versions.push(version);
    this.world.mixDigest(version.revision * 31 + text.length);
    this.#tell({ operation: after, revision: version.revision });
    return version.revision;
  }

  #tell(seen: NonNullable<Loaded>): void {
    for (const host of this.world.hosts) {
      if (host.partitioned || this.#random.chance(missed)) continue;
      const lateMs = this.#random.chance(0.1) ? this.#random.next() * 1000 : 0;
      const inLife = host.inThisLife();
      this.world.scheduler.after(this.#random.next() * 20 + lateMs, () =>
        inLife(() => host.desk.note(seen)),
      );
    }
  }

  #read(id: string): Loaded {
    const versions = this.#versions.get(id) ?? [];
    if (!this.#random.chance(this.world.model.faults.staleRead)) return decode(versions.at(-1));
    const asOfMs = this.world.scheduler.now() - this.#random.next() * longestStaleMs;
    return decode(versions.findLast(({ atMs }) => atMs <= asOfMs));
  }

  /** Null: all of `keys` are the holder's now. */
  lock(
    host: Host,
    keys: readonly string[],
    holder: string,
    done: (answer: Answered<{ key: string; holder: string } | null>) => void,
  ): void {
    let busy: { key: string; holder: string } | null = null;
    const change = (locks: Locks): Locks => {
      const result = lock(locks, keys, holder, (one) => this.isLive(one));
      busy = result.kind === 'busy' ? result : null;
      if (result.kind === 'full') throw new UnderstudyError('overloaded', 'too many locks');
      return result.kind === 'busy' ? locks : result.locks;
    };
    this.#change(host, change, (failure) => done(failure === null ? { value: busy } : { failure }));
  }

  unlock(
    host: Host,
    holder: string,
    keys: readonly string[] | 'all',
    done: (failure: Failure | null) => void,
  ): void {
    this.#change(host, (locks) => unlock(locks, holder, keys), done);
  }

  isLive(holder: string): boolean {
    const found = this.latest(holder.replace(/#\d+$/, ''))?.operation;
    return found?.state === 'running' && holderOf(found) === holder;
  }

  #change(
    host: Host,
    change: (locks: Locks) => Locks,
    done: (failure: Failure | null) => void,
    attempt = 1,
  ): void {
    const by = lifeOf(host);
    const judged = () => {
      const before = { locks: this.locks, revision: this.#locksRevision };
      return { before, after: change(before.locks) };
    };
    this.trip(host, judged, (read) => {
      if ('failure' in read) return done(read.failure);
      const { before, after } = read.value;
      if (sameLocks(before.locks, after)) return done(null);
      const put = () => {
        if (this.#locksRevision !== before.revision) return false;
        this.locks = after;
        this.judge.locksChange(by, before.locks, after);
        this.#locksRevision += 1;
        return true;
      };
      this.trip(host, put, (written) => {
        if ('failure' in written) return done(written.failure);
        if (written.value) return done(null);
        if (attempt < lockAttempts) return this.#change(host, change, done, attempt + 1);
        done({ code: 'conflict', detail: 'the locks change all the time' });
      });
    });
  }

  /** There and back. What is asked for may be done although its answer never arrives. */
  trip<Value>(host: Host, act: () => Value, done: (answer: Answered<Value>) => void): void {
    const { scheduler, model } = this.world;
    const { requestLost, answerLost, slow } = model.faults;
    const random = this.#random;
    const inLife = host.inThisLife();
    const end = (answer: Answered<Value>) => {
      giveUp();
      inLife(() => done(answer));
    };
    const failure: Failure = { code: 'broker-unavailable', detail: 'the broker did not answer' };
    const giveUp = scheduler.after(timeoutMs, () => inLife(() => done({ failure })));
    if (host.partitioned || random.chance(requestLost)) return;
    const lateMs = random.chance(slow) ? random.next() * longestDelayMs : 0;
    scheduler.after(0.2 + random.next() + lateMs, () => {
      const answer = attempted(act);
      if (lateMs >= timeoutMs - 3 || host.partitioned || random.chance(answerLost)) return;
      scheduler.after(0.2 + random.next(), () => end(answer));
    });
  }
}

function attempted<Value>(act: () => Value): Answered<Value> {
  try {
    return { value: act() };
  } catch (cause) {
    if (!(cause instanceof UnderstudyError)) throw cause;
    return { failure: failureOf(cause) };
  }
}

function decode(version: Version | undefined): Loaded {
  if (version === undefined) return null;
  return { operation: JSON.parse(version.text) as Operation, revision: version.revision };
}

function sameLocks(a: Locks, b: Locks): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}
