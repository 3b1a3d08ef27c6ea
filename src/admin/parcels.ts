/** Packs commands into batches in the order of their lines, with the refused lines between them. */
import { type Batch, type CommandAnswer, joinCommands } from '../../replication/batch.js';
import { limits } from '../../replication/limits.js';
import type { Command, Incoming, Refused } from './incoming.js';
import type { Numbers } from './numbering.js';

/** Consecutive lines of a request: what to deliver, and what was refused before. */
export interface Parcel {
  /** A refusal, or `null`: the line's answer is the batch's next one. */
  readonly lines: readonly (Refused | null)[];
  readonly commands: readonly Command[];
  /** Number of the first command under the caller's own session; `null`: this node numbers. */
  readonly first: number | null;
}

/**
 * Under the caller's own session every line has a number, so a refused line ends a batch: numbers
 * have no gaps inside one. The cuts then depend on the lines alone and repeat with them.
 */
export class Packer {
  readonly #numbers: Numbers | null;
  #waiting: { line: Incoming; number: number }[] = [];
  #waitingBytes = 0;
  #next: number;

  constructor(numbers: Numbers | null) {
    this.#numbers = numbers;
    this.#next = numbers?.first ?? 1;
  }

  add(lines: Iterable<Incoming>): void {
    for (const line of lines) {
      const number = this.#next++;
      const fitting = line.ok && !this.#fitsWindow(number) ? beyondWindow(number) : line;
      this.#waiting.push({ line: fitting, number });
      if (fitting.ok) this.#waitingBytes += fitting.bytes.length;
    }
  }

  /** True: there is enough for a parcel, more input would only take memory. */
  get full(): boolean {
    return (
      this.#waiting.length >= limits.batchEvents || this.#waitingBytes >= limits.batchSizeBytes
    );
  }

  /** The next parcel, or `null` if there is nothing, or not yet enough for a repeatable cut. */
  take(ended: boolean): Parcel | null {
    const ready = this.full || ended || this.#numbers === null;
    if (!ready || this.#waiting.length === 0) return null;
    const count = this.#countForOne();
    const taken = this.#waiting.slice(0, count);
    this.#waiting = this.#waiting.slice(count);
    const commands = taken.map(({ line }) => line).filter((line) => line.ok);
    for (const { bytes } of commands) this.#waitingBytes -= bytes.length;
    const first = taken.find(({ line }) => line.ok)?.number ?? null;
    return {
      lines: taken.map(({ line }) => (line.ok ? null : line)),
      commands,
      first: this.#numbers === null ? null : first,
    };
  }

  #countForOne(): number {
    let sizeBytes = 0;
    let commands = 0;
    const most = Math.min(this.#waiting.length, limits.batchEvents);
    for (let i = 0; i < most; i++) {
      const line = this.#waiting[i]?.line;
      if (!line?.ok) {
        if (this.#numbers !== null && commands > 0) return i;
        continue;
      }
      sizeBytes += line.bytes.length;
      if (sizeBytes > limits.batchSizeBytes) return i;
      commands += 1;
    }
    return most;
  }

  #fitsWindow(number: number): boolean {
    return this.#numbers === null || number - this.#numbers.floor < limits.sessionWindow;
  }
}

function beyondWindow(number: number): Refused {
  return {
    ok: false,
    code: 'too-large',
    detail:
      `number ${number} is more than ${limits.sessionWindow} above the floor of the session; ` +
      'send fewer lines per request',
  };
}

export function batchOf(commands: readonly Command[], numbers: Numbers): Batch {
  const keyed = commands.some(({ key }) => key !== null);
  return {
    ...numbers,
    count: commands.length,
    keys: keyed ? commands.map(({ key }) => key) : null,
    blob: joinCommands(commands.map(({ bytes }) => bytes)),
  };
}

/** The answers to all lines of a parcel, in order. */
export function answersTo(
  parcel: Parcel,
  answers: readonly CommandAnswer[],
): (CommandAnswer | Refused)[] {
  let next = 0;
  return parcel.lines.map((refused) => refused ?? (answers[next++] as CommandAnswer));
}
