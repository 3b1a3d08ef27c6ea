/**
 * How soon a log is asked again that does not answer. One without a leader answers nobody, and the next
 * leader knows nothing of what was asked before: whoever only waits, waits for nothing. A slow one gets all
 * that is asked, so it is asked again no sooner than twice its usual time, as far as that is known.
 */
export const paceLimits = { soonestMs: 500, latestMs: 2000 } as const;

export class Pace {
  #againMs: number = paceLimits.soonestMs;

  get againMs(): number {
    return this.#againMs;
  }

  answered(tookMs: number): void {
    this.#againMs = Math.max(paceLimits.soonestMs, Math.min(2 * tookMs, paceLimits.latestMs));
  }

  /** It was asked again, or given up on: how long it takes is not known, only that this was too short. */
  tooShort(): void {
    this.#againMs = Math.min(2 * this.#againMs, paceLimits.latestMs);
  }
}
