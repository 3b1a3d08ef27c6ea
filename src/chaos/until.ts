/** Waiting for something that must come true, with a deadline and a reason. */
import { setTimeout as delay } from 'node:timers/promises';

const defaultPollMs = 50;
const defaultTimeoutMs = 30_000;

/**
 * Looks again and again until `look` returns something true, and returns that. What `look` throws
 * counts as "not yet". Throws what was waited for, and what was seen or thrown last.
 */
export async function until<Seen>(
  what: string,
  look: () => Seen | Promise<Seen>,
  timeoutMs = defaultTimeoutMs,
  pollMs = defaultPollMs,
): Promise<NonNullable<Seen>> {
  const deadlineMs = performance.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const seen = await look();
      if (seen) return seen;
      last = seen;
    } catch (error) {
      last = error;
    }
    if (performance.now() >= deadlineMs) {
      const shown = last instanceof Error ? last.message : String(last);
      throw new Error(`not within ${timeoutMs} ms: ${what}; last: ${shown}`);
    }
    await delay(pollMs);
  }
}
