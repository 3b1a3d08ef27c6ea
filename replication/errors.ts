/**
 * Every error a caller can meet, with a stable code and what to do about it.
 *
 * `retry`: the same request, with the same session number or key, may succeed and can never apply twice.
 * `give-up`: the same request will fail again; change it first.
 * `ask`: an operator has to act before it can succeed.
 */
export const errorAdvice = {
  'bad-request': 'give-up',
  'invalid-config': 'give-up',
  'factory-not-found': 'give-up',
  'group-not-found': 'give-up',
  'group-exists': 'give-up',
  'node-not-found': 'give-up',
  'member-not-found': 'give-up',
  'placement-failed': 'ask',
  'no-healthy-member': 'ask',
  'not-ready': 'retry',
  paused: 'ask',
  conflict: 'retry',
  rejected: 'give-up',
  overloaded: 'retry',
  'too-large': 'give-up',
  timeout: 'retry',
  unauthorized: 'give-up',
  forbidden: 'give-up',
  'broker-unavailable': 'retry',
  quarantined: 'ask',
  'operation-not-found': 'give-up',
  unsupported: 'give-up',
  internal: 'ask',
} as const;

export type ErrorCode = keyof typeof errorAdvice;
export type Advice = (typeof errorAdvice)[ErrorCode];

export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && Object.hasOwn(errorAdvice, value);
}

/** The one error class: the code says what happened, `advice` what to do, the message both sides. */
export class UnderstudyError extends Error {
  readonly code: ErrorCode;
  readonly advice: Advice;
  /** Structured evidence, safe to show to a caller. */
  readonly details: Readonly<Record<string, unknown>> | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    details?: Record<string, unknown>,
    cause?: unknown,
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'UnderstudyError';
    this.code = code;
    this.advice = errorAdvice[code];
    this.details = details;
  }
}
