import { Overloaded } from './errors.js';

/** P14: what a group's client may hold for callers who wait, by number and by size. */
export class Budget {
  readonly #most: { readonly commands: number; readonly sizeBytes: number };
  #commands = 0;
  #sizeBytes = 0;
  #whenIdle: (() => void)[] = [];

  constructor(most: { readonly commands: number; readonly sizeBytes: number }) {
    this.#most = most;
  }

  /** Throws `Overloaded` if there is no room. */
  take(commands: number, sizeBytes: number): void {
    const { commands: mostCommands, sizeBytes: mostBytes } = this.#most;
    if (this.#commands + commands > mostCommands || this.#sizeBytes + sizeBytes > mostBytes) {
      throw new Overloaded(
        `${this.#commands} commands of ${this.#sizeBytes} bytes wait for answers and ${commands} of ` +
          `${sizeBytes} more would pass the limit of ${mostCommands} and ${mostBytes} bytes: ` +
          'the group answers more slowly than this program delivers; await answers before delivering more',
      );
    }
    this.#commands += commands;
    this.#sizeBytes += sizeBytes;
  }

  give(commands: number, sizeBytes: number): void {
    this.#commands -= commands;
    this.#sizeBytes -= sizeBytes;
    if (this.#commands > 0) return;
    const waiting = this.#whenIdle;
    this.#whenIdle = [];
    for (const tell of waiting) tell();
  }

  /** Resolves when nobody waits for an answer. */
  idle(): Promise<void> {
    if (this.#commands === 0) return Promise.resolve();
    return new Promise((resolve) => this.#whenIdle.push(resolve));
  }
}
