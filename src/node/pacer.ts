/**
 * Gives a member time for what it does beside everything else, in slices: short ones, so that nothing
 * waits for long, and with pauses between them that leave most of the time to whoever it serves.
 */
import { instant } from './clock.js';

/** What a slice should take. */
const sliceMs = 2;
const firstSizeBytes = 256 * 1024;
/** Some leaves: a third of a millisecond where SHA-256 has instructions of its own. */
const leastSizeBytes = 128 * 1024;
const mostSizeBytes = 2 * 1024 * 1024;
/**
 * How much longer than it works a member rests: an active that was asked for something since its last slice, one
 * that was not but may be, and whoever has nothing better to do.
 */
export const restFactors = { serving: 6, unasked: 3, standby: 0 } as const;

export interface Paced {
  /** Works for about so many bytes. */
  work(sizeBytes: number): void;
  hasWork(): boolean;
  /** So much longer than it has worked it rests now. */
  restFactor(): number;
}

export class Pacer {
  readonly #paced: Paced;
  #sizeBytes = firstSizeBytes;
  #lastMs = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | null = null;
  #immediate: NodeJS.Immediate | null = null;
  #isWorking = false;
  /** The rest after the last slice is owed even if there was nothing to do for a while. */
  #restsUntilMs = 0;

  constructor(paced: Paced) {
    this.#paced = paced;
  }

  /** To be called whenever there may be work. */
  nudge(): void {
    const isAtIt = this.#isWorking || this.#timer !== null || this.#immediate !== null;
    if (!isAtIt && this.#paced.hasWork()) this.#schedule();
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#immediate !== null) clearImmediate(this.#immediate);
    this.#timer = null;
    this.#immediate = null;
  }

  #schedule(): void {
    const pauseMs = Math.ceil(this.#restsUntilMs - instant().monoMs);
    if (pauseMs > 0) this.#timer = setTimeout(() => this.#slice(), pauseMs);
    else this.#immediate = setImmediate(() => this.#slice());
  }

  #slice(): void {
    this.stop();
    const beganMs = instant().monoMs;
    this.#isWorking = true;
    this.#paced.work(this.#sizeBytes);
    this.#isWorking = false;
    const endedMs = instant().monoMs;
    const tookMs = this.#counted(endedMs - beganMs);
    this.#adapt(tookMs);
    this.#restsUntilMs = endedMs + this.#paced.restFactor() * tookMs;
    if (this.#paced.hasWork()) this.#schedule();
  }

  /**
   * A single long slice was interrupted, by a collection of garbage or another process, as one in every few
   * is on a busy machine. If it counted, slices would become tiny and rests long, and nobody the better.
   */
  #counted(tookMs: number): number {
    const countedMs = Math.min(tookMs, this.#lastMs);
    this.#lastMs = tookMs;
    return countedMs;
  }

  /** A slice that ended early, for want of work, says nothing. */
  #adapt(tookMs: number): void {
    if (tookMs > sliceMs) this.#sizeBytes = Math.max(leastSizeBytes, this.#sizeBytes / 2);
    else if (tookMs > sliceMs / 4) {
      this.#sizeBytes = Math.min(mostSizeBytes, this.#sizeBytes * 1.1);
    }
  }
}
