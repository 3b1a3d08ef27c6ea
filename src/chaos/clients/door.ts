/** One way for a client to get in. Each throws what `outcomeOf` understands. */
import type { Consistency } from '../../../replication/effects.js';
import { UnderstudyError } from '../../../replication/errors.js';
import type { ReadAnswer } from '../../admin/backend.js';
import type { DeliveryOutcome, DoorName } from '../history.js';

export type Identified =
  | { readonly kind: 'key'; readonly key: string }
  | { readonly kind: 'number'; readonly session: string; readonly number: number };

export interface Read {
  readonly query: string;
  readonly args: unknown;
  readonly consistency: Consistency;
  readonly minSeq: number;
}

export interface Door {
  readonly name: DoorName;
  deliver(group: string, command: unknown, id: Identified): Promise<DeliveryOutcome>;
  read(group: string, read: Read): Promise<ReadAnswer>;
  close(): Promise<void>;
}

/** How long one try may take; whoever gets no answer asks again, or leaves it. */
export const tryMs = 5000;

/** What a delivery that failed is known to have come to. */
export function outcomeOf(error: unknown): DeliveryOutcome {
  if (!(error instanceof UnderstudyError)) return { kind: 'unknown', code: 'connection' };
  const { code, details } = error;
  if (code === 'rejected') return { kind: 'rejected', code: rejectionIn(details) };
  if (details?.outcome === 'not-taken') return { kind: 'not-taken', code };
  return { kind: 'unknown', code };
}

/** Of a program's error and of the admin API's. */
function rejectionIn(details: UnderstudyError['details']): string {
  const { rejection } = (details ?? {}) as { rejection?: { code: string } };
  return rejection?.code ?? String(details?.rejectionCode);
}
