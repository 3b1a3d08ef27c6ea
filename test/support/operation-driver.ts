/** Drives operations in the model of a cluster, and crashes as it is told to. */
import {
  type Drive,
  type DriveEffect,
  type DriveInput,
  newDrive,
} from '../../cluster/operations/drive.js';
import { failureOf, stepOperation } from '../../cluster/operations/engine.js';
import { operationKinds } from '../../cluster/operations/kinds.js';
import { type Driver, isOver, type Operation } from '../../cluster/operations/operation.js';
import type { Answer, OperationWorld } from './operation-world.js';

export interface CrashPlan {
  /** Number of the effect, from 1. */
  readonly at: number;
  /** `inside`: it is begun, and nobody hears of it; `after`: it has come to its end by then. */
  readonly where: 'before' | 'inside' | 'after';
}

const longestRunMs = 700_000;

/** One driver of one operation. It crashes as planned, and can be thawed after another took over. */
export class TestDriver {
  readonly drive: Drive;
  ended: Operation | null | undefined;
  crashed = false;
  effects = 0;
  parks: (string | null)[] = [];
  #wakes = 0;

  constructor(
    readonly world: OperationWorld,
    readonly id: string,
    readonly self: Driver,
    readonly plan: CrashPlan | null = null,
    kinds = operationKinds,
  ) {
    this.drive = newDrive(id, self, kinds);
  }

  /** Until it has ended or crashed. */
  run(from: Driver | null = null): this {
    this.feed({ kind: 'start', from });
    const endMs = this.world.nowMs + longestRunMs;
    while (this.ended === undefined && !this.crashed) {
      if (!this.world.tick()) throw new Error(`${this.id}: nothing goes on, ${this.drive.phase}`);
      if (this.world.nowMs > endMs) throw new Error(`${this.id} runs for ever`);
    }
    return this;
  }

  feed(input: DriveInput): void {
    if (this.crashed) return;
    const now = { wallMs: this.world.nowMs, jitter: 0.5 };
    for (const effect of stepOperation(this.drive, input, now)) {
      this.#carryOut(effect);
      if (this.crashed) return;
    }
  }

  #carryOut(effect: DriveEffect): void {
    if (effect.kind === 'ended') {
      this.ended = effect.operation;
      return;
    }
    if (effect.kind === 'parked') {
      this.parks.push(effect.error?.detail ?? null);
      const wake = ++this.#wakes;
      return this.world.after(effect.wakeAfterMs, () => {
        if (wake === this.#wakes) this.feed({ kind: 'wake' });
      });
    }
    this.effects += 1;
    const { plan } = this;
    if (plan?.at !== this.effects) return this.#do(effect);
    if (plan.where !== 'before') this.#do(effect);
    this.crashed = true;
    if (plan.where === 'after') this.world.settle();
  }

  #do(effect: Exclude<DriveEffect, { kind: 'parked' | 'ended' }>): void {
    const { world } = this;
    const answer: Answer = (input) => {
      const whole = { ...input, effect: (effect as { effect: number }).effect } as DriveInput;
      // Never within the step that asked for it.
      world.after(0, () => this.feed(whole));
    };
    try {
      switch (effect.kind) {
        case 'load':
          answer({ kind: 'loaded', loaded: structuredClone(world.records.get(effect.id) ?? null) });
          break;
        case 'save':
          answer({ kind: 'saved', revision: world.save(effect.operation, effect.revision) });
          break;
        case 'lock':
          answer({ kind: 'locked', busy: world.lock(effect.keys, effect.holder) });
          break;
        case 'unlock':
          world.unlock(effect.holder, effect.keys);
          break;
        case 'observe':
          answer({ kind: 'observed', seen: world.see() });
          break;
        case 'call':
          if (world.twice) world.call(effect.call, () => undefined);
          world.call(effect.call, answer);
          break;
        case 'cancel':
          this.#cancel(effect.holder.replace(/#\d+$/, ''), effect.by);
          break;
        default:
          throw effect satisfies never;
      }
    } catch (cause) {
      answer({ kind: 'failed', error: failureOf(cause) });
    }
  }

  #cancel(id: string, by: string): void {
    const found = this.world.records.get(id);
    if (found === undefined || isOver(found.operation)) return;
    this.world.save({ ...found.operation, cancelledBy: by }, found.revision);
  }
}

/** Drives the operations that others begin, and never crashes. */
export function driveChildren(world: OperationWorld): void {
  world.onBegun = (id) => {
    const driver = new TestDriver(world, id, { node: 'c', incarnation: '1' });
    world.after(1, () => driver.feed({ kind: 'start', from: null }));
  };
}
