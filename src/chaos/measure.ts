/** Numbers of a run, from its histories. */
import type { History } from './history.js';

export interface Counts {
  readonly acknowledged: number;
  readonly rejected: number;
  readonly unknown: number;
  readonly notTaken: number;
  /** Deliveries that were sent more than once. */
  readonly repeated: number;
  readonly reads: number;
  readonly unansweredReads: number;
}

export interface Percentiles {
  readonly count: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly most: number;
}

/** A stretch of the run, all groups together. */
export interface Slice {
  readonly fromMs: number;
  /** Accepted or refused by the kind, a second. */
  readonly perSecond: number;
  /** Of those that were answered in it; null: none was. */
  readonly medianMs: number | null;
  readonly worstMs: number | null;
}

/** A pause between two acknowledgements of a group that is longer counts as an outage. */
export const outageMs = 250;

export function countsOf(histories: readonly History[]): Counts {
  const all = histories.flatMap(({ deliveries }) => deliveries);
  const of = (kind: string) => all.filter(({ outcome }) => outcome.kind === kind).length;
  return {
    acknowledged: of('accepted'),
    rejected: of('rejected'),
    unknown: of('unknown'),
    notTaken: of('not-taken'),
    repeated: all.filter(({ tries }) => tries > 1).length,
    reads: histories.reduce((sum, { reads }) => sum + reads.length, 0),
    unansweredReads: histories.reduce((sum, one) => sum + one.unansweredReads, 0),
  };
}

/** Times without any acknowledgement, of each group for itself. */
export function pausesOf(histories: readonly History[]): number[] {
  return histories.flatMap(({ deliveries }) => {
    const times = answeredTimes(deliveries).sort(byTime);
    return times.slice(1).map((time, i) => time - (times[i] as number));
  });
}

const answeredTimes = (deliveries: History['deliveries']) =>
  deliveries.filter(({ returnedAt }) => Number.isFinite(returnedAt)).map((one) => one.returnedAt);

export function percentilesOf(values: readonly number[]): Percentiles {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) =>
    Math.round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0);
  return { count: sorted.length, p50: at(0.5), p90: at(0.9), p99: at(0.99), most: at(1) };
}

/** On the clock of the run. */
export interface Stretch {
  readonly fromMs: number;
  readonly toMs: number;
}

/** Acknowledged in these stretches, a second; they lie one behind the other. */
export function rateIn(histories: readonly History[], ...stretches: readonly Stretch[]): number {
  const times = histories.flatMap(({ deliveries }) => answeredTimes(deliveries)).sort(byTime);
  let at = 0;
  let answered = 0;
  let lengthMs = 0;
  for (const { fromMs, toMs } of stretches) {
    while ((times[at] ?? Number.POSITIVE_INFINITY) < fromMs) at += 1;
    const first = at;
    while ((times[at] ?? Number.POSITIVE_INFINITY) < toMs) at += 1;
    answered += at - first;
    lengthMs += toMs - fromMs;
  }
  return (answered * 1000) / Math.max(1, lengthMs);
}

const byTime = (a: number, b: number): number => a - b;

export function slicesOf(
  histories: readonly History[],
  fromMs: number,
  toMs: number,
  count: number,
): Slice[] {
  const widthMs = (toMs - fromMs) / count;
  const slices = Array.from({ length: count }, (): number[] => []);
  for (const { deliveries } of histories) {
    for (const { calledAt, returnedAt } of deliveries) {
      const slice = slices[Math.floor((returnedAt - fromMs) / widthMs)];
      slice?.push(returnedAt - calledAt);
    }
  }
  return slices.map((latencies, i) => {
    const sorted = latencies.sort((a, b) => a - b);
    return {
      fromMs: fromMs + i * widthMs,
      perSecond: (sorted.length * 1000) / widthMs,
      medianMs: sorted[sorted.length >> 1] ?? null,
      worstMs: sorted.at(-1) ?? null,
    };
  });
}
