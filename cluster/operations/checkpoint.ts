/** What is put on record when an operation goes on, waits or ends. */
import { limits } from '../../replication/limits.js';
import {
  cut,
  type Ending,
  type Operation,
  type OperationKind,
  type OperationState,
  type Outcome,
  withStep,
} from './operation.js';

/** For why what was done could not be taken back, beside why it had to be. */
const roomChars = 256;

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

/** Its last step is done: as what it ends, if it was to end otherwise. */
export function finished(operation: Operation, detail: string, nowMs: number): Operation {
  const { ending } = operation;
  if (ending === undefined) return ended(operation, 'done', detail, nowMs);
  return endedAs(operation, ending, nowMs);
}

/** It cannot go on: what it did is taken back, or that is over too, well or not. */
export function concluded(
  operation: Operation,
  kind: Pick<OperationKind<unknown>, 'takesBack'> | undefined,
  how: Ending,
  nowMs: number,
): Operation {
  const { ending, step } = operation;
  if (ending !== undefined) {
    const detail = `${ending.error.detail}; ${how.error.detail}`;
    return endedAs(operation, { ...ending, error: { ...ending.error, detail } }, nowMs);
  }
  const { takesBack } = kind ?? {};
  if (!takesBack?.after.includes(step)) return endedAs(operation, how, nowMs);
  const detail = how.error.detail.slice(0, limits.operationDetailChars - roomChars);
  return {
    ...advanced(operation, { kind: 'next', step: takesBack.step, detail }, nowMs),
    ending: { ...how, error: { ...how.error, detail } },
  };
}

function endedAs(operation: Operation, { state, error }: Ending, nowMs: number): Operation {
  const lastError = { ...error, detail: cut(error.detail) };
  return ended({ ...operation, lastError }, state, error.detail, nowMs);
}

function ended(
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
