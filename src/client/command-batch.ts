import { type BatchAnswer, encodeBatch, joinCommands } from '../../replication/batch.js';
import { UnderstudyError } from '../../replication/errors.js';
import { Callers } from './callers.js';
import type { Parcel } from './courier.js';

export type Answered = BatchAnswer & { readonly ok: true };

/**
 * Half of what a batch may hold: with fewer and larger ones client and active take turns instead of
 * working at the same time. A single command may be larger.
 */
export const pace = { events: 1024, sizeBytes: 128 * 1024 };

/** What a command takes of a batch: its bytes, and its key at its longest in UTF-8. */
export function sizeOf(command: Uint8Array, key: string | undefined): number {
  return key === undefined ? command.length : command.length + 3 * key.length;
}

/**
 * Commands of single callers that travel together. First open: commands come in. Then sealed:
 * numbered, encoded once, and sent with these very bytes however often.
 */
export class CommandBatch implements Parcel<Answered> {
  readonly repeatable = true;
  readonly callers = new Callers();
  payload: Uint8Array = new Uint8Array(0);
  /** Number of the first command, once sealed. */
  first = 0;
  ended = false;
  /** Commands taken in, of which some may have been left out when sealing. */
  taken = 0;
  sizeBytes = 0;
  readonly #end: (batch: CommandBatch) => void;
  #commands: Uint8Array[] = [];
  #keys: (string | null)[] | null = null;

  /** `end` is called once, when all callers have been told. */
  constructor(end: (batch: CommandBatch) => void) {
    this.#end = end;
  }

  get count(): number {
    return this.#commands.length;
  }

  get expiresAtMs(): number {
    return this.callers.expiresAtMs;
  }

  get abandonedAtMs(): number {
    return this.callers.abandonedAtMs;
  }

  hasRoomFor(sizeBytes: number): boolean {
    if (this.taken === 0) return true;
    return this.taken < pace.events && this.sizeBytes + sizeBytes <= pace.sizeBytes;
  }

  /** Adds a command; its promise is to be made, next, with the executor `callers.enlist`. */
  add(command: Uint8Array, key: string | undefined, sizeBytes: number, deadlineMs: number): void {
    if (key !== undefined) this.#keys ??= new Array<string | null>(this.taken).fill(null);
    this.#keys?.push(key ?? null);
    this.#commands.push(command);
    this.callers.add(deadlineMs);
    this.taken++;
    this.sizeBytes += sizeBytes;
  }

  /** From here on the contents are fixed. Commands whose callers have given up are left out. */
  seal(session: string, first: number, floor: number): void {
    const isLeft = this.callers.compact();
    const commands = isLeft ? this.#commands.filter(isLeft) : this.#commands;
    const keys = (isLeft && this.#keys?.filter(isLeft)) ?? this.#keys;
    const blob = joinCommands(commands);
    this.first = first;
    this.payload = encodeBatch({ session, floor, first, count: commands.length, keys, blob });
    this.#commands = commands;
  }

  expire(nowMs: number, timeout: UnderstudyError): number {
    this.callers.expire(nowMs, timeout);
    if (this.expiresAtMs === Number.POSITIVE_INFINITY) this.#finish();
    return this.expiresAtMs;
  }

  failed(error: UnderstudyError): void {
    this.callers.fail(error);
    this.#finish();
  }

  answered({ runs }: Answered): void {
    let offset = 0;
    for (const run of runs) {
      if (offset + run.count > this.count) break;
      this.callers.settle(offset, run);
      offset += run.count;
    }
    if (offset !== this.count) this.callers.fail(this.#incomplete(offset));
    this.#finish();
  }

  #incomplete(answered: number): UnderstudyError {
    return new UnderstudyError(
      'internal',
      `${answered} answers to ${this.count} commands: the active runs a version that this client ` +
        'does not understand; what became of the others is unknown',
      { outcome: 'unknown' },
    );
  }

  #finish(): void {
    this.ended = true;
    this.#end(this);
  }
}
