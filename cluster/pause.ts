/**
 * Pauses: until when automatic failover is off (P7), for one group or for all.
 *
 * A pause is stored with the time at which it ends, so it ends without anybody's doing. Wall clocks
 * jump; so a process looks at its own once, when it first sees the pause, takes no more than what the
 * pause was to last, and from then on counts time that only goes on. A clock that is wrong at that
 * moment, or a process that starts again while it is, makes the pause shorter, or longer by at most
 * what it was to last, for this node alone. That costs availability, or a failover, and never an event.
 */
import type { Pause } from './types.js';

/** A pause as this process judges it, or the last one, once it is lifted. */
export interface Hold {
  readonly pause: Pause | null;
  /** Monotonic. In the past: since then nothing holds. */
  readonly untilMs: number;
}

export const noHold: Hold = { pause: null, untilMs: Number.NEGATIVE_INFINITY };

export interface PauseInstant {
  readonly monoMs: number;
  readonly wallMs: number;
}

/** What is seen again, after a missed watch or with another change of the group, goes on as it was. */
export function noteHold(hold: Hold, pause: Pause | null, now: PauseInstant): Hold {
  if (pause === null) {
    return { pause, untilMs: Math.min(hold.untilMs, now.monoMs) };
  }
  const isKnown = hold.pause?.untilMs === pause.untilMs && hold.pause.ttlMs === pause.ttlMs;
  if (isKnown) return { pause, untilMs: hold.untilMs };
  const leftMs = Math.min(pause.ttlMs, Math.max(0, pause.untilMs - now.wallMs));
  return { pause, untilMs: now.monoMs + leftMs };
}

export type Scope = 'group' | 'all';

/** Of both holds the one that ends last, if it is not over. */
export function heldBy(
  holds: Readonly<Record<Scope, Hold>>,
  monoMs: number,
): { readonly scope: Scope; readonly pause: Pause } | null {
  const scope = holds.all.untilMs > holds.group.untilMs ? 'all' : 'group';
  const { pause, untilMs } = holds[scope];
  return pause === null || monoMs >= untilMs ? null : { scope, pause };
}
