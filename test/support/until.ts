/** Waiting for something that must come true: more often than a chaos run looks, and not as long. */
import { until as untilTrue } from '../../src/chaos/until.js';

const pollMs = 20;
const defaultTimeoutMs = 20_000;

/** As that of `src/chaos`. Throws what was waited for, and what was seen or thrown last. */
export function until<Seen>(
  what: string,
  look: () => Seen | Promise<Seen>,
  timeoutMs = defaultTimeoutMs,
): Promise<NonNullable<Seen>> {
  return untilTrue(what, look, timeoutMs, pollMs);
}
