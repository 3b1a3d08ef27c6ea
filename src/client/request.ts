import type { UnderstudyError } from '../../replication/errors.js';
import type { Parcel } from './courier.js';

/** A parcel with one caller. */
export class Request<Answer> implements Parcel<Answer> {
  readonly payload: Uint8Array;
  readonly repeatable: boolean;
  readonly expiresAtMs: number;
  readonly answer: Promise<Answer>;
  answered!: (answer: Answer) => void;
  failed!: (error: UnderstudyError) => void;

  constructor(payload: Uint8Array, repeatable: boolean, timeoutMs: number) {
    this.payload = payload;
    this.repeatable = repeatable;
    this.expiresAtMs = performance.now() + timeoutMs;
    this.answer = new Promise((resolve, reject) => {
      this.answered = resolve;
      this.failed = reject;
    });
  }

  get abandonedAtMs(): number {
    return this.expiresAtMs;
  }

  expire(_nowMs: number, timeout: UnderstudyError): number {
    this.failed(timeout);
    return Number.POSITIVE_INFINITY;
  }
}
