/** Questions for what has changed in an operation, held by the active until something has, or for a moment. */
import type { Instant, ReadRequest, ReadResult } from '../effects.js';
import { changesQuery } from './queries.js';

/** Less than a client waits before it asks again. */
const heldMs = 1000;

export interface Holdable extends ReadRequest {
  /** Until when it is held; null: it was never. */
  heldUntilMs: number | null;
}

export interface HeldReads<Read extends Holdable> {
  /** In the order in which they were held first, nearly. */
  reads: Read[];
}

/** True: there is nothing to tell yet, and it was taken. */
export function hold<Read extends Holdable>(
  held: HeldReads<Read>,
  read: Read,
  result: ReadResult,
  now: Instant,
): boolean {
  if (read.query !== changesQuery || !result.ok || !waits(read)) return false;
  if (!Array.isArray(result.value) || result.value.length > 0) return false;
  read.heldUntilMs ??= now.monoMs + heldMs;
  if (now.monoMs >= read.heldUntilMs) return false;
  held.reads.push(read);
  return true;
}

function waits({ args }: ReadRequest): boolean {
  return (args as { readonly wait?: unknown } | null)?.wait === true;
}

/** Those that are to be asked again: something happened. */
export function woken<Read extends Holdable>(
  held: HeldReads<Read>,
  operations: ReadonlySet<string>,
): Read[] {
  if (operations.size === 0 || held.reads.length === 0) return [];
  const isMeant = ({ args }: Read) =>
    operations.has((args as { readonly operation: string }).operation);
  const found = held.reads.filter(isMeant);
  held.reads = held.reads.filter((read) => !isMeant(read));
  return found;
}

export function expired<Read extends Holdable>(held: HeldReads<Read>, now: Instant): Read[] {
  let count = 0;
  while (count < held.reads.length && now.monoMs >= heldWakeAtMs(held, count)) count += 1;
  return held.reads.splice(0, count);
}

export function heldWakeAtMs<Read extends Holdable>({ reads }: HeldReads<Read>, nth = 0): number {
  return reads[nth]?.heldUntilMs ?? Number.POSITIVE_INFINITY;
}
