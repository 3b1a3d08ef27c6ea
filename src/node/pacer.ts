/**
 * Gives a member time for what it does beside everything else, in slices: short ones, so that nothing
 * waits for long, and with pauses between them that leave most of the time to whoever it serves.
 */
import { instant } from './clock.js';

/** What a slice should take. */
const sliceMs = 2;
const firstSizeBytes = 256 * 1024;
const leastSizeBytes = 16 * 1024;
const mostSizeBytes = 2 * 1024 * 1024;
/** An active rests so much longer than it works; whoever only syncs has nothing better to do. */
const restFactor = 3;

export interface Paced {
  /** Works for about so many bytes. */
  work(sizeBytes: number): void;
  hasWork(): boolean;
  /** It serves clients meanwhile. */
  isServing(): boolean;
}

export class Pacer {
  readonly #paced: Paced;
  #sizeBytes = firstSizeBytes;
  #timer: NodeJS.Timeout | null = null;
  #immediate: NodeJS.Immediate | null = null;
  #isWorking = false;

  constructor(paced: Paced) {
    this.#paced = paced;
  }

  /** To be called whenever there may be work. */
  nudge(): void {
    const isAtIt = this.#isWorking || this.#timer !== null || this.#immediate !== null;
    if (!isAtIt && this.#paced.hasWork()) this.#schedule(0);
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#immediate !== null) clearImmediate(this.#immediate);
    this.#timer = null;
    this.#immediate = null;
  }

  #schedule(pauseMs: number): void {
    if (pauseMs > 0) this.#timer = setTimeout(() => this.#slice(), pauseMs);
    else this.#immediate = setImmediate(() => this.#slice());
  }

  #slice(): void {
    this.stop();
    const beganMs = instant().monoMs;
    this.#isWorking = true;
    this.#paced.work(this.#sizeBytes);
    this.#isWorking = false;
    const tookMs = instant().monoMs - beganMs;
    this.#adapt(tookMs);
    if (!this.#paced.hasWork()) return;
    this.#schedule(this.#paced.isServing() ? Math.max(1, Math.ceil(restFactor * tookMs)) : 0);
  }

  /** A slice that ended early, for want of work, says nothing. */
  #adapt(tookMs: number): void {
    if (tookMs > sliceMs) this.#sizeBytes = Math.max(leastSizeBytes, this.#sizeBytes / 2);
    else if (tookMs > sliceMs / 4) {
      this.#sizeBytes = Math.min(mostSizeBytes, this.#sizeBytes * 1.1);
    }
  }
}
