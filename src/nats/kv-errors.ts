import { JetStreamApiCodes, JetStreamApiError } from '@nats-io/jetstream';

/** True if a compare-and-set on a bucket lost: the key is taken, or at another revision. */
export function isWrongLast(error: unknown): boolean {
  return (
    error instanceof JetStreamApiError && error.code === JetStreamApiCodes.StreamWrongLastSequence
  );
}
