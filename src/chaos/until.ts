import { setTimeout as delay } from 'node:timers/promises';

const pollMs = 50;
const defaultTimeoutMs = 30_000;

/**
 * Looks again and again until `look` returns something true, and returns that. What `look` throws counts
 * as "not yet". Throws what was waited for, and what was seen or thrown last.
 */
export async function until<Seen>(
  what: string,
  look: () => Promise<Seen>,
  timeoutMs = defaultTimeoutMs,
): Promise<NonNullable<Seen>> {
  const deadlineMs = performance.now() + timeoutMs;
  let last: unknown = null;
  for (;;) {
    try {
      const seen = await look();
      if (seen) return seen;
    } catch (error) {
      last = error;
    }
    if (performance.now() >= deadlineMs) {
      const reason = last === null ? '' : `; last: ${(last as Error).message}`;
      throw new Error(`not within ${timeoutMs} ms: ${what}${reason}`);
    }
    await delay(pollMs);
  }
}
