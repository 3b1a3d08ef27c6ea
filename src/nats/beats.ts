/** Beats as messages: each within what the broker takes, whatever its reports say. */
import type { Beat } from '../../cluster/types.js';
import { encodeValue } from '../../replication/batch.js';

/** A quarter of what brokers take if not told otherwise: a beat must not hold up what comes behind it. */
export const beatSizeBytes = 256 * 1024;
/** The text of an error that would not fit alone is cut to this. */
const errorChars = 1024;

/** At least one, each with a part of the reports, in their order. */
export function beatMessages(beat: Beat, mostSizeBytes = beatSizeBytes): Uint8Array[] {
  const bytes = encodeValue(beat);
  if (bytes.length <= mostSizeBytes || beat.reports.length === 0) return [bytes];
  const { info, reports } = beat;
  const [first] = reports;
  if (first !== undefined && reports.length === 1) {
    const error = first.error?.slice(0, errorChars) ?? null;
    return [encodeValue({ info, reports: [{ ...first, error }] })];
  }
  const half = Math.ceil(reports.length / 2);
  const parts = [reports.slice(0, half), reports.slice(half)];
  return parts.flatMap((part) => beatMessages({ info, reports: part }, mostSizeBytes));
}
