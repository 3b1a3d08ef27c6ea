/** Drives one operation: gives the engine time and chance, and carries out what it wants done. */
import { setTimeout as delay } from 'node:timers/promises';
import {
  type Drive,
  type DriveEffect,
  type DriveInput,
  type Loaded,
  newDrive,
} from '../../../cluster/operations/drive.js';
import { failureOf, stepOperation } from '../../../cluster/operations/engine.js';
import type {
  Call,
  Driver,
  Failure,
  Operation,
  OperationKind,
  Seen,
} from '../../../cluster/operations/operation.js';
import { failpoint } from '../../failpoint.js';
import type { OperationStore } from './store.js';

/** What operations look at and act with. */
export interface Hands {
  observe(operation: Operation): Promise<Seen>;
  /** Throws `UnderstudyError`. */
  call(call: Call): Promise<unknown>;
}

export interface RunnerOptions {
  readonly id: string;
  readonly self: Driver;
  readonly kinds: ReadonlyMap<string, OperationKind<unknown>>;
  readonly store: OperationStore;
  readonly hands: Hands;
  /** Asks another operation to give way. */
  cancel(holder: string, by: string): void;
  parked(error: Failure | null): void;
  /** Null: it is another's now, or gone. */
  ended(operation: Operation | null): void;
}

/** setTimeout takes no more. */
const longestTimerMs = 2 ** 31 - 1;
const unlockAttempts = 5;
const unlockAgainMs = 200;

export class Runner {
  readonly #drive: Drive;
  #timer: NodeJS.Timeout | null = null;
  #stopped = false;
  /** The node that is asked for something just now. */
  #asked: { readonly node: string; readonly effect: number } | null = null;

  constructor(private readonly options: RunnerOptions) {
    this.#drive = newDrive(options.id, options.self, options.kinds);
  }

  start(from: Driver | null): void {
    this.#feed({ kind: 'start', from });
  }

  changed({ operation, revision }: NonNullable<Loaded>): void {
    this.#feed({ kind: 'changed', operation, revision });
  }

  /** Whoever waits for an answer of a node that is gone need not wait for a time-out. */
  nodeGone(isGone: (node: string) => boolean): void {
    const asked = this.#asked;
    if (asked === null || !isGone(asked.node)) return;
    const error: Failure = { code: 'node-not-found', detail: `node ${asked.node} is down` };
    this.#asked = null;
    this.#feed({ kind: 'failed', effect: asked.effect, error });
  }

  /** As a crash would; returns what another driver could go on with at once. */
  stop(): Loaded {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    const { operation, revision, phase } = this.#drive;
    const isIdle = phase !== 'saving' && phase !== 'claiming' && phase !== 'ended';
    return operation !== null && isIdle ? { operation, revision } : null;
  }

  #feed(input: DriveInput): void {
    if (this.#stopped) return;
    const now = { wallMs: Date.now(), jitter: Math.random() };
    for (const effect of stepOperation(this.#drive, input, now)) this.#carryOut(effect);
  }

  #carryOut(effect: DriveEffect): void {
    const { store, hands } = this.options;
    switch (effect.kind) {
      case 'load':
        this.#answer(effect, store.load(effect.id), (loaded) => ({ kind: 'loaded', loaded }));
        break;
      case 'save':
        this.#answer(effect, store.save(effect.operation, effect.revision), (revision) => ({
          kind: 'saved',
          revision,
        }));
        break;
      case 'lock':
        this.#answer(effect, store.lock(effect.keys, effect.holder), (busy) => ({
          kind: 'locked',
          busy,
        }));
        break;
      case 'unlock':
        void this.#unlock(effect.holder, effect.keys);
        break;
      case 'observe':
        this.#answer(effect, hands.observe(effect.operation), (seen) => ({
          kind: 'observed',
          seen,
        }));
        break;
      case 'call':
        this.#call(effect);
        break;
      case 'cancel':
        this.options.cancel(effect.holder, effect.by);
        break;
      case 'parked':
        this.#wakeAfter(effect.wakeAfterMs);
        this.options.parked(effect.error);
        break;
      case 'ended':
        if (this.#timer !== null) clearTimeout(this.#timer);
        this.options.ended(effect.operation);
        break;
      default:
        throw effect satisfies never;
    }
  }

  #answer<Value>(
    { effect }: { readonly effect: number },
    work: Promise<Value>,
    input: (value: Value) => DistributiveOmit<DriveInput, 'effect'>,
  ): void {
    work.then(
      (value) => this.#feed({ ...input(value), effect } as DriveInput),
      (cause: unknown) => this.#feed({ kind: 'failed', effect, error: failureOf(cause) }),
    );
  }

  #call(effect: Extract<DriveEffect, { kind: 'call' }>): void {
    const { node } = effect.call;
    const asked = node === null ? null : { node, effect: effect.effect };
    this.#asked = asked;
    failpoint('before-call');
    this.#answer(effect, this.options.hands.call(effect.call), (value) => {
      if (this.#asked === asked) this.#asked = null;
      failpoint('after-call');
      return { kind: 'answered', value };
    });
  }

  #wakeAfter(ms: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#feed({ kind: 'wake' }), Math.min(ms, longestTimerMs));
  }

  /** What stays locked in the end is taken by the next who finds its holder over. */
  async #unlock(holder: string, keys: readonly string[] | 'all'): Promise<void> {
    for (let attempt = 0; attempt < unlockAttempts; attempt++) {
      try {
        return await this.options.store.unlock(holder, keys);
      } catch {
        await delay(unlockAgainMs, undefined, { ref: false });
      }
    }
  }
}

type DistributiveOmit<Union, Key extends PropertyKey> = Union extends unknown
  ? Omit<Union, Key>
  : never;
