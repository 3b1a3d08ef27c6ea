import type { OperationDocument } from '../../../cluster/documents.js';
import type { Operation } from '../../../cluster/operations/operation.js';

const iso = (ms: number): string => new Date(ms).toISOString();

/** As operators see it. */
export function documentOf(operation: Operation): OperationDocument {
  const { id, kind, target, state, step, attempts, retries, lastError, by } = operation;
  return {
    id,
    kind,
    target,
    state,
    step,
    attempts,
    retries,
    lastError,
    createdAt: iso(operation.createdAtMs),
    updatedAt: iso(operation.updatedAtMs),
    wakeAt: operation.wakeAtMs === null ? null : iso(operation.wakeAtMs),
    driver: operation.driver?.node ?? null,
    by,
    steps: operation.steps.map(({ atMs, ...note }) => ({ ...note, at: iso(atMs) })),
  };
}
