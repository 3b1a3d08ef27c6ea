/**
 * Asks the kind what becomes of a command. What it answers is turned into bytes at once: the kind may
 * have handed out parts of its state, which go on changing, and every other member will only ever
 * see the bytes (I5).
 */
import { decodeValue, encodeValue } from './batch.js';
import { type EventContext, Rejection } from './kind.js';
import { limits } from './limits.js';
import type { Replica } from './replica.js';

export interface Accepted {
  /** Null: the command is its own single event, and goes into the record as it came. */
  readonly encoded: readonly Uint8Array[] | null;
  readonly result: unknown;
  readonly resultSizeBytes: number;
}

const smallResultSizeBytes = 9;
const asSent: Accepted = { encoded: null, result: undefined, resultSizeBytes: 0 };

/** What one of the active's own triggers has fired: no client's command. */
export function decideFiring(
  { kind, state }: Replica,
  fired: unknown,
  context: EventContext,
): Accepted | Rejection {
  try {
    const decision = kind.machines?.decide(state, fired, context) ?? [];
    if (decision instanceof Rejection) return decision;
    const events = 'events' in decision ? decision.events : decision;
    return accepted(
      events.map((event) => encodeValue(event)),
      0,
      undefined,
    );
  } catch (error) {
    return new Rejection('decide-failed', messageOf(error));
  }
}

/** Whatever the kind throws here is a refusal: the state is still untouched. */
export function decide(
  { kind, state }: Replica,
  command: unknown,
  sizeBytes: number,
  context: EventContext,
): Accepted | Rejection {
  try {
    const problem = kind.problemWith?.(command);
    if (problem !== undefined) return new Rejection('bad-request', problem);
    if (kind.decide === undefined) return asSent;
    const decision = kind.decide(state, command, context) ?? [];
    if (decision instanceof Rejection) return decision;
    const [events, result] = 'events' in decision ? [decision.events, decision.result] : [decision];
    const isAsSent = events.length === 1 && events[0] === command;
    const encoded = isAsSent ? null : events.map((event) => encodeValue(event));
    return accepted(encoded, sizeBytes, result);
  } catch (error) {
    return new Rejection('decide-failed', messageOf(error));
  }
}

function accepted(
  encoded: readonly Uint8Array[] | null,
  sizeBytes: number,
  result: unknown,
): Accepted | Rejection {
  const isSmall = result === null || ['undefined', 'number', 'boolean'].includes(typeof result);
  const bytes = isSmall ? null : encodeValue(result);
  const resultSizeBytes = bytes?.length ?? (result === undefined ? 0 : smallResultSizeBytes);
  const eventsSizeBytes = encoded?.reduce((sum, event) => sum + event.length, 0) ?? sizeBytes;
  if (eventsSizeBytes + resultSizeBytes > limits.eventSizeBytes) {
    const detail =
      `yields ${eventsSizeBytes} bytes of events and ${resultSizeBytes} of result, ` +
      `together at most ${limits.eventSizeBytes}`;
    return new Rejection('too-large', detail);
  }
  return { encoded, result: bytes === null ? result : decodeValue(bytes), resultSizeBytes };
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
