/**
 * Durable admin actions of this node: begins them, drives its own, and takes over those whose driver is
 * gone. An id is made of what is asked for, so two operators who ask for the same thing find one
 * operation, and learn the same truth.
 */
import type { OperationDocument } from '../../../cluster/documents.js';
import type { Membership } from '../../../cluster/membership.js';
import type { Loaded } from '../../../cluster/operations/drive.js';
import { operationKinds } from '../../../cluster/operations/kinds.js';
import {
  begin,
  type Driver,
  type Failure,
  isOver,
  type Operation,
  type OperationRequest,
} from '../../../cluster/operations/operation.js';
import { type Orphans, shouldTakeOver } from '../../../cluster/operations/takeover.js';
import { UnderstudyError } from '../../../replication/errors.js';
import { limits } from '../../../replication/limits.js';
import { instant } from '../clock.js';
import { documentOf } from './document.js';
import { type Hands, Runner } from './runner.js';
import type { OperationStore } from './store.js';

const tickMs = 100;
/** A watch can fall silent. */
const rewatchMs = 60_000;
const longestWaitMs = 60_000;
const casAttempts = 8;

type Settled = { readonly operation: Operation } | { readonly parked: Failure | null };

export interface OperationsOptions {
  readonly store: OperationStore;
  readonly self: Driver;
  readonly hands: Hands;
  readonly membership: () => Membership;
  readonly kinds?: typeof operationKinds;
}

export class Operations {
  readonly #options: OperationsOptions;
  /** All that is on record, as the watch tells of it. */
  readonly #seen = new Map<string, NonNullable<Loaded>>();
  readonly #runners = new Map<string, Runner>();
  readonly #orphans: Orphans = new Map();
  readonly #listeners = new Set<(seen: NonNullable<Loaded>) => void>();
  readonly #parkListeners = new Set<(id: string, error: Failure | null) => void>();
  readonly #stopListeners = new Set<() => void>();
  readonly #timers: NodeJS.Timeout[] = [];
  #stopWatch: () => void = () => undefined;
  #stopped = false;

  constructor(options: OperationsOptions) {
    this.#options = options;
  }

  /** From here on it takes over what others left. */
  async open(): Promise<void> {
    await this.#watch();
    this.#timers.push(setInterval(() => this.look(), tickMs));
    this.#timers.push(setInterval(() => void this.#watch().catch(() => undefined), rewatchMs));
  }

  /** Lets go of what this node drives, so that others need not find out that it is gone. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const timer of this.#timers) clearInterval(timer);
    this.#stopWatch();
    // What goes on elsewhere keeps nobody waiting here.
    for (const onStop of this.#stopListeners) onStop();
    const { store } = this.#options;
    const left = [...this.#runners.values()].map((runner) => runner.stop());
    const released = left.map(async (loaded) => {
      if (loaded === null || isOver(loaded.operation)) return;
      await store.save({ ...loaded.operation, driver: null }, loaded.revision);
    });
    await Promise.allSettled(released);
  }

  /** Begins what is asked for, or finds the operation that was begun before. */
  async start(request: OperationRequest): Promise<OperationDocument> {
    const { store, self } = this.#options;
    for (let attempt = 0; attempt < casAttempts; attempt++) {
      const found = await store.load(request.id);
      const begun = begin(request, found?.operation ?? null, self, Date.now());
      if (begun === null) return documentOf((found as NonNullable<Loaded>).operation);
      this.#refuseTooMany();
      const revision = await store.save(begun, found?.revision ?? 0);
      if (revision === 'conflict') continue;
      this.#note({ operation: begun, revision });
      this.#drive(begun.id, null);
      void this.#forgetOldest().catch(() => undefined);
      return documentOf(begun);
    }
    throw contended(request.id);
  }

  #refuseTooMany(): void {
    const running = [...this.#seen.values()].filter(({ operation }) => !isOver(operation)).length;
    if (running < limits.operationsRunning) return;
    const detail = `${running} operations run, ${limits.operationsRunning} at most; wait, or cancel some`;
    throw new UnderstudyError('overloaded', detail);
  }

  /** Waits up to `waitMs` for it to end. Throws `operation-not-found`. */
  async get(id: string, waitMs: number): Promise<OperationDocument> {
    const settled = await this.#until(id, Math.min(waitMs, longestWaitMs), false);
    return documentOf((settled as { operation: Operation }).operation);
  }

  /** Until it ends; throws what it failed with, and `timeout` after `waitMs` or when this node stops. */
  async untilDone(id: string, waitMs: number): Promise<OperationDocument> {
    return documentOf(await this.#untilDone(id, waitMs));
  }

  /** What it has found out by its end; throws as `untilDone`. */
  async dataWhenDone<Data>(id: string, waitMs: number): Promise<Data> {
    return (await this.#untilDone(id, waitMs)).data as Data;
  }

  async #untilDone(id: string, waitMs: number): Promise<Operation> {
    const settled = await this.#until(id, waitMs, false);
    const { operation } = settled as { operation: Operation };
    const { state, step, lastError } = operation;
    if (state === 'done') return operation;
    if (lastError !== null && state !== 'running') {
      throw new UnderstudyError(lastError.code, `${lastError.detail} (operation ${id})`);
    }
    const why = this.#stopped ? 'this node stops' : `${Math.round(waitMs)} ms have passed`;
    const detail = `operation ${id} still runs, at step ${step}, and ${why}; it goes on`;
    throw new UnderstudyError('timeout', `${detail}: understudy operation ${id} --wait`);
  }

  /** Until it ends or waits; throws what it waits for, or failed with. */
  async untilParkOrDone(id: string, waitMs: number): Promise<OperationDocument> {
    const settled = await this.#until(id, waitMs, true);
    const error = 'parked' in settled ? settled.parked : settled.operation.lastError;
    if (error !== null) throw new UnderstudyError(error.code, error.detail);
    return this.get(id, 0);
  }

  /** The watch is listened to before the record is read, so that no change falls between. */
  async #until(id: string, waitMs: number, orParked: boolean): Promise<Settled> {
    let settle: (settled: Settled | null) => void = () => undefined;
    const settled = new Promise<Settled | null>((resolve) => {
      settle = resolve;
    });
    const onSeen = ({ operation }: NonNullable<Loaded>) => {
      if (operation.id === id && isOver(operation)) settle({ operation });
    };
    const onParked = (one: string, parked: Failure | null) => {
      if (orParked && one === id) settle({ parked });
    };
    this.#listeners.add(onSeen);
    const onStop = () => settle(null);
    this.#parkListeners.add(onParked);
    this.#stopListeners.add(onStop);
    const timer = setTimeout(() => settle(null), waitMs);
    try {
      const first = await this.#require(id);
      if (waitMs <= 0 || this.#stopped || isOver(first.operation)) return first;
      return (await settled) ?? (await this.#require(id));
    } finally {
      clearTimeout(timer);
      this.#listeners.delete(onSeen);
      this.#parkListeners.delete(onParked);
      this.#stopListeners.delete(onStop);
    }
  }

  async #require(id: string): Promise<NonNullable<Loaded>> {
    const found = await this.#options.store.load(id).catch(() => null);
    if (found !== null) return found;
    throw new UnderstudyError('operation-not-found', `there is no operation ${id}`);
  }

  /** Newest first. */
  list(): OperationDocument[] {
    return [...this.#seen.values()]
      .map(({ operation }) => operation)
      .sort((a, b) => b.createdAtMs - a.createdAtMs || (a.id < b.id ? -1 : 1))
      .map(documentOf);
  }

  /** It ends at the next step that may be left. Throws `operation-not-found`, `conflict` if it is over. */
  async cancel(id: string, by: string): Promise<OperationDocument> {
    const { store } = this.#options;
    for (let attempt = 0; attempt < casAttempts; attempt++) {
      const { operation, revision } = await this.#require(id);
      if (operation.state === 'cancelled' || operation.cancelledBy !== null) {
        return documentOf(operation);
      }
      if (isOver(operation)) {
        throw new UnderstudyError('conflict', `operation ${id} is ${operation.state} already`);
      }
      const next = { ...operation, cancelledBy: by, updatedAtMs: Date.now() };
      const saved = await store.save(next, revision);
      if (saved === 'conflict') continue;
      this.#note({ operation: next, revision: saved });
      return documentOf(next);
    }
    throw contended(id);
  }

  // What is on record, and who drives it.

  async #watch(): Promise<void> {
    const stop = await this.#options.store.watch((seen) => this.#note(seen));
    this.#stopWatch();
    this.#stopWatch = stop;
    if (this.#stopped) stop();
  }

  #note(seen: NonNullable<Loaded>): void {
    const { id } = seen.operation;
    if (seen.revision <= (this.#seen.get(id)?.revision ?? 0)) return;
    this.#seen.set(id, seen);
    this.#runners.get(id)?.changed(seen);
    for (const onSeen of this.#listeners) onSeen(seen);
  }

  /** Whose driver is gone? Also called as soon as somebody is found to be. */
  look(): void {
    const membership = this.#options.membership();
    const isDown = (node: string) => membership.nodes.get(node)?.state === 'down';
    for (const runner of this.#runners.values()) runner.nodeGone(isDown);
    const { monoMs } = instant();
    for (const { operation } of this.#seen.values()) {
      const { id, driver } = operation;
      if (isOver(operation) || this.#runners.has(id)) this.#orphans.delete(id);
      else if (this.#isOwn(driver)) this.#drive(id, null);
      else if (shouldTakeOver(membership, this.#orphans, operation, monoMs)) {
        this.#drive(id, driver);
      }
    }
  }

  #isOwn(driver: Driver | null): boolean {
    const { node, incarnation } = this.#options.self;
    return driver?.node === node && driver.incarnation === incarnation;
  }

  #drive(id: string, from: Driver | null): void {
    if (this.#stopped || this.#runners.has(id)) return;
    const { store, self, hands, kinds = operationKinds } = this.#options;
    const runner = new Runner({
      id,
      self,
      kinds,
      store,
      hands,
      cancel: (holder, by) => {
        this.cancel(holder.replace(/#\d+$/, ''), by).catch(() => undefined);
      },
      parked: (error) => {
        for (const onParked of this.#parkListeners) onParked(id, error);
      },
      ended: () => this.#runners.delete(id),
    });
    this.#runners.set(id, runner);
    runner.start(from);
  }

  /** Of what is kept, those that ended first go first. */
  async #forgetOldest(): Promise<void> {
    const over = [...this.#seen.values()]
      .map(({ operation }) => operation)
      .filter(isOver)
      .sort((a, b) => a.updatedAtMs - b.updatedAtMs);
    const excess = Math.min(over.length, this.#seen.size - limits.operations);
    for (const { id } of over.slice(0, Math.max(0, excess))) {
      this.#seen.delete(id);
      await this.#options.store.forget(id);
    }
  }
}

function contended(id: string): UnderstudyError {
  return new UnderstudyError('conflict', `operation ${id} is being changed elsewhere; ask again`);
}
