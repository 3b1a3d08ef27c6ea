/** What is put on record when an operation goes on, waits or ends. */
import { cut, type Operation, type OperationState, type Outcome, withStep } from './operation.js';

/** Shorter parks are not put on record by themselves. */
export const longParkMs = 1000;

function merged(operation: Operation, data: unknown): unknown {
  return data === undefined
    ? operation.data
    : { ...(operation.data as object), ...(data as object) };
}

export function advanced(
  operation: Operation,
  { step, detail, data }: Extract<Outcome<unknown>, { kind: 'next' }>,
  nowMs: number,
): Operation {
  return {
    ...operation,
    step,
    stepAtMs: step === operation.step ? operation.stepAtMs : nowMs,
    retries: 0,
    lastError: null,
    wakeAtMs: null,
    data: merged(operation, data),
    updatedAtMs: nowMs,
    steps: withStep(operation.steps, step, detail, nowMs),
  };
}

/** Null: it is a short park that tells nothing new. */
export function parkedUntil(
  operation: Operation,
  { wakeAfterMs, detail, error, data }: Extract<Outcome<unknown>, { kind: 'park' }>,
  nowMs: number,
): Operation | null {
  const { step, steps, lastError: before } = operation;
  const lastError = error === undefined ? null : { ...error, detail: cut(error.detail) };
  const isLong = wakeAfterMs >= longParkMs;
  const tells = detail !== undefined || data !== undefined;
  const errs = lastError?.code !== before?.code || lastError?.detail !== before?.detail;
  if (!isLong && !tells && !errs) return null;
  return {
    ...operation,
    lastError,
    wakeAtMs: isLong ? nowMs + wakeAfterMs : null,
    data: merged(operation, data),
    updatedAtMs: nowMs,
    steps: detail === undefined ? steps : withStep(steps, step, detail, nowMs),
  };
}

export function ended(
  operation: Operation,
  state: Exclude<OperationState, 'running'>,
  detail: string,
  nowMs: number,
): Operation {
  return {
    ...operation,
    state,
    step: state,
    stepAtMs: nowMs,
    wakeAtMs: null,
    lastError: state === 'done' ? null : operation.lastError,
    updatedAtMs: nowMs,
    steps: withStep(operation.steps, state, detail, nowMs),
  };
}
