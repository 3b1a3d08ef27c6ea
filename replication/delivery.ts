/** A batch on its way through the active, from its intake to its answer. */
import type { AnswerRun, Batch } from './batch.js';

export interface Command {
  readonly value: unknown;
  /** Where its bytes are in the batch's blob. */
  readonly start: number;
  readonly end: number;
}

/** A client's batch and how far it has been decided; a large one may span records. */
export interface Delivery {
  readonly request: number;
  /** The machine's trigger that it comes from, and no client. */
  readonly firing: Firing | null;
  readonly batch: Batch;
  /** Decoded once, when its turn comes. */
  commands: Command[] | null;
  /** Commands decided so far, and their answers. */
  decided: number;
  runs: AnswerRun[];
  /** Offsets of commands whose events `apply` cannot take, and why (P15). */
  readonly poison: Map<number, string>;
}

/** A machine that is about to be moved on. */
export interface Firing {
  readonly key: string;
  readonly step: number;
  /** Null: it is told that it has failed. */
  readonly transition: string | null;
}

export function newDelivery(request: number, batch: Batch, firing: Firing | null = null): Delivery {
  return { request, batch, firing, commands: null, decided: 0, runs: [], poison: new Map() };
}
