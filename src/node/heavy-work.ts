/**
 * Lets a member begin heavy work only with a permit, and gives it back when the member is done with it,
 * however that comes about: what it is at is asked after every step.
 */
import type { Work } from '../../cluster/permits.js';
import type { PermitPool } from './permit-pool.js';

/** What begins: an effect by its call, or a promotion. */
export type Beginning = number | 'promotion';

export interface Begun {
  readonly work: Work;
  readonly sinceMs: number;
  run(): void;
}

export class HeavyWork {
  readonly #pool: PermitPool;
  readonly #id: string;
  readonly #priority: () => number;
  /** What runs once there is a permit; null: nothing waits. */
  #waiting: Map<Beginning, Begun> | null = null;
  #isHeld = false;

  constructor(pool: PermitPool, id: string, priority: () => number) {
    this.#pool = pool;
    this.#id = id;
    this.#priority = priority;
  }

  /** Runs it now, if a permit is held or free, or later. One that waits is replaced by the same anew. */
  begin(what: Beginning, begun: Begun): void {
    const { work, sinceMs } = begun;
    if (!this.#isHeld) {
      this.#waiting ??= new Map();
      this.#waiting.set(what, begun);
    }
    const permit = { id: this.#id, work, priority: this.#priority(), sinceMs };
    this.#pool.ask(permit, () => {
      if (this.#isHeld) return begun.run();
      this.#isHeld = true;
      const all = this.#waiting ?? [];
      this.#waiting = null;
      for (const [, { run }] of all) run();
    });
  }

  /** Nobody wants it any more. */
  drop(what: Beginning): void {
    if (!this.#waiting?.delete(what) || this.#waiting.size > 0) return;
    this.#waiting = null;
    this.#pool.end(this.#id);
  }

  /** After a step: is the member still at it? */
  settle(isHeavy: boolean): void {
    if (this.#isHeld && !isHeavy) this.end();
  }

  end(): void {
    this.#isHeld = false;
    this.#waiting = null;
    this.#pool.end(this.#id);
  }
}
