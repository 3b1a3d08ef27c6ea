/** What all clients asked of one group, when, and what they were told. */
import type { Consistency } from '../../replication/effects.js';

export const doorNames = ['program', 'http', 'nats'] as const;
/** How a client came in. */
export type DoorName = (typeof doorNames)[number];

/** By which the log tells whose command it is: `key`, or `session/number`. */
export type CommandId = string;

interface Asked {
  readonly door: DoorName;
  /** Who sees only what it was told itself. */
  readonly client: string;
  /** On one clock for all clients, in milliseconds. */
  readonly calledAt: number;
  readonly returnedAt: number;
}

export type DeliveryOutcome =
  | {
      readonly kind: 'accepted';
      readonly seq: number;
      readonly epoch: number;
      readonly result: unknown;
    }
  | { readonly kind: 'rejected'; readonly code: string }
  /** The client was assured that nobody has got it. */
  | { readonly kind: 'not-taken'; readonly code: string }
  /** No answer: whether it was taken, the log tells. */
  | { readonly kind: 'unknown'; readonly code: string };

export interface DeliveryCall extends Asked {
  readonly id: CommandId;
  readonly command: unknown;
  /** Times it was sent; all but the first repeat it. */
  readonly tries: number;
  readonly outcome: DeliveryOutcome;
}

export interface ReadCall extends Asked {
  readonly query: string;
  readonly args: unknown;
  readonly consistency: Consistency;
  /** The answer may be from no older state; 0: the request did not say. */
  readonly minSeq: number;
  readonly value: unknown;
  readonly seq: number;
  readonly epoch: number;
  readonly member: number;
}

export interface History {
  readonly group: string;
  readonly deliveries: DeliveryCall[];
  readonly reads: ReadCall[];
  /** Reads without an answer promise nothing. */
  unansweredReads: number;
}

export const newHistory = (group: string): History => ({
  group,
  deliveries: [],
  reads: [],
  unansweredReads: 0,
});

const startedNs = process.hrtime.bigint();

/** The one clock of a run: milliseconds since the program started, never set back. */
export function nowMs(): number {
  return Number(process.hrtime.bigint() - startedNs) / 1e6;
}
