/** What a node needs from the broker to join, while the broker comes and goes. */
import { setTimeout as delay } from 'node:timers/promises';
import { UnderstudyError } from '../../replication/errors.js';

const retryMs = 100;
const defaultPatienceMs = 15_000;

/**
 * Tries `work` again until it succeeds: a request in flight is lost when the broker dies, however soon
 * it is back. What `work` throws as `UnderstudyError` is thrown at once. Throws `broker-unavailable`
 * if it still fails after `patienceMs`.
 */
export async function patiently<Result>(
  what: string,
  work: () => Promise<Result>,
  patienceMs = defaultPatienceMs,
): Promise<Result> {
  const deadlineMs = performance.now() + patienceMs;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (error instanceof UnderstudyError) throw error;
      if (performance.now() >= deadlineMs) throw unable(what, patienceMs, error);
    }
    await delay(retryMs);
  }
}

function unable(what: string, patienceMs: number, cause: unknown): UnderstudyError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new UnderstudyError(
    'broker-unavailable',
    `The broker did not let this node ${what} within ${patienceMs} ms (${reason}). ` +
      'Check that its JetStream is up and has a leader, then start the node again.',
    undefined,
    cause,
  );
}
