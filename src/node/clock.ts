import type { Instant } from '../../replication/effects.js';

/** The real time, for every step of the core. */
export function instant(): Instant {
  return { monoMs: performance.now(), wallMs: Date.now() };
}
