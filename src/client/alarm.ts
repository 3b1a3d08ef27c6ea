/** One timer for any number of due times: rings at the earliest, then asks when to ring next. */
export class Alarm {
  readonly #ring: (nowMs: number) => number;
  #timer: NodeJS.Timeout | undefined;
  #setForMs = Number.POSITIVE_INFINITY;

  /** `ring` does what is due and returns the next due time; infinity: nothing is due any more. */
  constructor(ring: (nowMs: number) => number) {
    this.#ring = ring;
  }

  /** Rings no later than `atMs` (of `performance.now()`). */
  by(atMs: number): void {
    if (atMs >= this.#setForMs) return;
    clearTimeout(this.#timer);
    this.#setForMs = atMs;
    this.#timer = setTimeout(
      () => {
        this.#setForMs = Number.POSITIVE_INFINITY;
        this.by(this.#ring(performance.now()));
      },
      Math.max(1, Math.ceil(atMs - performance.now())),
    );
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#setForMs = Number.NEGATIVE_INFINITY;
  }
}
