/** One direction of one connection: holds back, slows down or loses what passes. */
import type { Socket } from 'node:net';

export interface Toll {
  /** Of each connection; null: as fast as it goes. */
  readonly bytesPerSecond: number | null;
  readonly delayMs: number;
  /** Up to so much more, by chance; what came first still passes first. */
  readonly jitterMs: number;
}

export const noToll: Toll = { bytesPerSecond: null, delayMs: 0, jitterMs: 0 };

/** `hold`: kept for later. `drop`: lost, as in a network that lost its way back. */
export type Mode = 'pass' | 'hold' | 'drop';

/** What happens to all bytes of one direction between the same two, on whichever connection. */
export interface Gate {
  toll: Toll;
  mode: Mode;
}

export const openGate = (): Gate => ({ toll: noToll, mode: 'pass' });

/**
 * Node leaves the handle of a socket open for ever, and its event loop spinning, if the socket is reset
 * while it is being shut down.
 */
export function reset(socket: Socket): void {
  if (socket.writableEnded || socket.connecting) socket.destroy();
  else socket.resetAndDestroy();
}

/** What one way holds back at most; then whoever sends has to wait. */
const windowSizeBytes = 256 * 1024;

interface Held {
  readonly bytes: Buffer;
  readonly dueMs: number;
}

export class Way {
  /** Bytes were lost: the rest of the connection would make no sense to anybody. */
  isTorn = false;
  readonly #held: Held[] = [];
  #heldSizeBytes = 0;
  #lastDueMs = 0;
  /** When the last of what has passed was through. */
  #freeAtMs = 0;
  /** What may still pass before the connection is cut, wherever that is in a frame; null: all. */
  #leftSizeBytes: number | null = null;
  #timer: NodeJS.Timeout | null = null;

  constructor(
    readonly from: Socket,
    private readonly to: Socket,
    private readonly gate: () => Gate,
    private readonly onPassed: (sizeBytes: number) => void,
    private readonly onLost: (sizeBytes: number) => void,
  ) {
    to.on('drain', () => this.advance());
  }

  take(bytes: Buffer): void {
    if (this.gate().mode === 'drop') {
      this.isTorn = true;
      this.onLost(bytes.length);
      return;
    }
    const { jitterMs } = this.gate().toll;
    const cameMs = performance.now() + Math.random() * jitterMs;
    this.#lastDueMs = Math.max(this.#lastDueMs, cameMs);
    this.#held.push({ bytes, dueMs: this.#lastDueMs });
    this.#heldSizeBytes += bytes.length;
    this.advance();
  }

  cutAfter(sizeBytes: number): void {
    this.#leftSizeBytes = sizeBytes;
  }

  reckon(): void {
    this.#freeAtMs = 0;
    this.advance();
  }

  advance(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    for (let [head] = this.#held; head !== undefined; [head] = this.#held) {
      const { mode, toll } = this.gate();
      if (mode !== 'pass' || this.to.writableNeedDrain) break;
      const waitMs = Math.max(head.dueMs + toll.delayMs, this.#freeAtMs) - performance.now();
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.advance(), Math.ceil(waitMs));
        break;
      }
      this.#pass(head, toll);
    }
    if (this.#heldSizeBytes >= windowSizeBytes) this.from.pause();
    else if (this.from.isPaused()) this.from.resume();
  }

  #pass({ bytes }: Held, { bytesPerSecond }: Toll): void {
    const takesMs = bytesPerSecond === null ? 0 : (bytes.length / bytesPerSecond) * 1000;
    this.#freeAtMs = Math.max(this.#freeAtMs, performance.now()) + takesMs;
    this.#held.shift();
    this.#heldSizeBytes -= bytes.length;
    const left = this.#leftSizeBytes;
    const part = left === null ? bytes : bytes.subarray(0, left);
    this.onPassed(part.length);
    this.to.write(part);
    if (left === null) return;
    this.#leftSizeBytes = left - part.length;
    if (this.#leftSizeBytes === 0) this.to.end(() => reset(this.from));
  }

  end(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#held.length = 0;
    this.from.destroy();
  }
}
