/** What one life of a simulated node does about operations: begins, drives and takes them over. */
import type { Loaded } from '../../../cluster/operations/drive.js';
import {
  begin,
  type Driver,
  type Failure,
  isOver,
  type Operation,
  type OperationRequest,
} from '../../../cluster/operations/operation.js';
import { type Orphans, shouldTakeOver } from '../../../cluster/operations/takeover.js';
import type { Host } from '../host.js';
import { rereadMs } from '../pauses.js';
import type { World } from '../world.js';
import { Runner } from './runner.js';
import type { Answered } from './store.js';

const casAttempts = 8;

export class Desk {
  /** Who waits for the end of a hand-off that is under way here, by what was asked for. */
  readonly handOffs = new Map<string, ((failure: string | null) => void)[]>();
  /** Locks that are being given back. */
  unlocking = 0;
  readonly #seen = new Map<string, NonNullable<Loaded>>();
  readonly #runners = new Map<string, Runner>();
  readonly #orphans: Orphans = new Map();
  #rereadAtMs = 0;

  constructor(
    private readonly host: Host,
    private readonly world: World,
  ) {}

  get self(): Driver {
    const { id, incarnation } = this.host.coordinator.info;
    return { node: id, incarnation };
  }

  get running(): readonly string[] {
    return [...this.#runners.keys()];
  }

  get isIdle(): boolean {
    return this.#runners.size === 0 && this.unlocking === 0;
  }

  tick(): void {
    if (this.world.operating.store.isEmpty) return;
    this.#reread();
    const { membership } = this.host.coordinator;
    const isDown = (node: string) => membership.nodes.get(node)?.state === 'down';
    for (const runner of [...this.#runners.values()]) runner.nodeGone(isDown);
    const { monoMs } = this.host.clock.now();
    for (const { operation } of [...this.#seen.values()]) {
      const { id, driver } = operation;
      if (isOver(operation) || this.#runners.has(id)) this.#orphans.delete(id);
      else if (this.#isOwn(driver)) this.#drive(id, null);
      else if (shouldTakeOver(membership, this.#orphans, operation, monoMs)) {
        this.world.operating.judge.takesOver(this.host, operation);
        this.#drive(id, driver);
      }
    }
  }

  /** Whatever it was told: a watch can fall silent. */
  #reread(): void {
    const nowMs = this.world.scheduler.now();
    if (nowMs < this.#rereadAtMs) return;
    this.#rereadAtMs = nowMs + rereadMs;
    this.world.operating.store.all(this.host, (answer) => {
      if ('value' in answer) for (const seen of answer.value) this.note(seen);
    });
  }

  note(seen: NonNullable<Loaded>): void {
    const { id } = seen.operation;
    if (seen.revision <= (this.#seen.get(id)?.revision ?? 0)) return;
    this.#seen.set(id, seen);
    this.#runners.get(id)?.changed(seen);
  }

  #isOwn(driver: Driver | null): boolean {
    return driver?.node === this.self.node && driver.incarnation === this.self.incarnation;
  }

  #drive(id: string, from: Driver | null): void {
    if (this.#runners.has(id)) return;
    const { host, world, self } = this;
    const cancel = (holder: string, by: string) => this.cancel(holder.replace(/#\d+$/, ''), by);
    const runner: Runner = new Runner({
      ...{ id, self, host, world, cancel },
      ended: () => {
        if (this.#runners.get(id) === runner) this.#runners.delete(id);
      },
    });
    this.#runners.set(id, runner);
    runner.start(from);
  }

  /** Begins what is asked for, or finds the operation that was begun before. */
  start(request: OperationRequest, done: (answer: Answered<Operation>) => void, attempt = 1): void {
    const { store } = this.world.operating;
    store.load(this.host, request.id, (loaded) => {
      if ('failure' in loaded) return done(loaded);
      const found = loaded.value;
      const { wallMs } = this.host.clock.now();
      const begun = begin(request, found?.operation ?? null, this.self, wallMs);
      if (begun === null) return done({ value: (found as NonNullable<Loaded>).operation });
      store.save(this.host, begun, found?.revision ?? 0, 'begin', (saved) => {
        if ('failure' in saved) return done(saved);
        if (saved.value !== 'conflict') {
          this.note({ operation: begun, revision: saved.value });
          this.#drive(begun.id, null);
          return done({ value: begun });
        }
        if (attempt < casAttempts) return this.start(request, done, attempt + 1);
        done({ failure: contended(request.id) });
      });
    });
  }

  cancel(id: string, by: string, attempt = 1): void {
    const { store } = this.world.operating;
    store.load(this.host, id, (loaded) => {
      if ('failure' in loaded || loaded.value === null) return;
      const { operation, revision } = loaded.value;
      if (isOver(operation) || operation.cancelledBy !== null) return;
      const { wallMs } = this.host.clock.now();
      const next = { ...operation, cancelledBy: by, updatedAtMs: wallMs };
      store.save(this.host, next, revision, 'cancel', (saved) => {
        if ('failure' in saved) return;
        if (saved.value !== 'conflict') this.note({ operation: next, revision: saved.value });
        else if (attempt < casAttempts) this.cancel(id, by, attempt + 1);
      });
    });
  }
}

const contended = (id: string): Failure => ({
  code: 'conflict',
  detail: `operation ${id} is being changed elsewhere`,
});
