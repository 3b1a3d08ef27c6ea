/** What is known of a run when it is over: everything in the pages and files that are made of it. */
import type { Violation } from '../check/violation.js';
import type { History } from '../history.js';
import type { JudgedGroup } from '../judge.js';
import {
  type Counts,
  countsOf,
  outageMs,
  type Percentiles,
  pausesOf,
  percentilesOf,
  rateIn,
  type Slice,
  type Stretch,
  slicesOf,
} from '../measure.js';
import type { RunOptions } from '../run.js';
import type { Fault } from '../stage.js';

export type Verdict = 'green' | 'violation' | 'invalid';

export interface Report {
  readonly scenario: string;
  readonly shows: string;
  readonly seed: number;
  readonly brokers: number;
  /** With this command the same faults are drawn again. */
  readonly command: string;
  readonly verdict: Verdict;
  readonly violations: readonly Violation[];
  /** Acknowledged a second before the first fault, and how many it had to be. */
  readonly calmRate: number;
  readonly leastRate: number;
  /** Acknowledged a second from whole again until the next fault; null: there was no such time. */
  readonly restRate: number | null;
  readonly durationMs: number;
  readonly counts: Counts;
  readonly longestStallMs: number;
  /** Pauses between two acknowledgements of a group, of those longer than 250 ms. */
  readonly outagesMs: Percentiles;
  /** Of all that were answered. */
  readonly latenciesMs: Percentiles;
  /** Times are from the beginning of the traffic, as in `slices`. */
  readonly faults: readonly Fault[];
  readonly groups: readonly JudgedGroup[];
  readonly slices: readonly Slice[];
  /** Where logs and stores are; null: removed. */
  readonly dir: string | null;
}

export interface RunFacts {
  readonly options: RunOptions;
  readonly dir: string;
  readonly calmRate: number;
  readonly rests: readonly Stretch[];
  readonly startedMs: number;
  readonly endedMs: number;
  readonly violations: readonly Violation[];
  readonly faults: readonly Fault[];
  readonly histories: readonly History[];
  readonly groups: readonly JudgedGroup[];
}

const mostSlices = 400;
const leastSliceMs = 250;

export function reportOf(facts: RunFacts): Report {
  const { options, calmRate, rests, startedMs, endedMs, violations, histories, groups } = facts;
  const { scenario, seed, leastRate, durationMs } = options;
  const verdict = verdictOf(violations, calmRate, leastRate);
  const pauses = pausesOf(histories);
  const count = Math.min(mostSlices, Math.ceil((endedMs - startedMs) / leastSliceMs));
  const slices = slicesOf(histories, startedMs, endedMs, count);
  const isOwn = scenario.name === 'random' || scenario.name === 'smoke';
  const what = isOwn ? `--${scenario.name}` : `--scenario ${scenario.name}`;
  return {
    ...{ scenario: scenario.name, shows: scenario.shows, seed, brokers: scenario.brokers },
    command: `npm run chaos -- ${what} --seed ${seed} --duration ${durationMs}ms`,
    ...{ verdict, violations, calmRate: Math.round(calmRate), leastRate },
    restRate: rests.length === 0 ? null : Math.round(rateIn(histories, ...rests)),
    durationMs: Math.round(endedMs - startedMs),
    counts: countsOf(histories),
    longestStallMs: Math.round(Math.max(0, ...pauses.filter((ms) => ms > outageMs))),
    outagesMs: percentilesOf(pauses.filter((ms) => ms > outageMs)),
    latenciesMs: percentilesOf(latenciesOf(histories)),
    faults: facts.faults.map((fault) => ({
      ...fault,
      fromMs: Math.round(fault.fromMs - startedMs),
      toMs: fault.toMs === null ? null : Math.round(fault.toMs - startedMs),
    })),
    groups,
    slices: slices.map((slice) => ({ ...slice, fromMs: slice.fromMs - startedMs })),
    dir: verdict === 'green' ? null : facts.dir,
  };
}

/** A violation counts however little traffic there was; without one, too little proves nothing. */
function verdictOf(violations: readonly Violation[], calmRate: number, leastRate: number): Verdict {
  if (violations.length > 0) return 'violation';
  return calmRate < leastRate ? 'invalid' : 'green';
}

function latenciesOf(histories: readonly History[]): number[] {
  return histories.flatMap(({ deliveries }) =>
    deliveries
      .filter(({ returnedAt }) => Number.isFinite(returnedAt))
      .map(({ calledAt, returnedAt }) => returnedAt - calledAt),
  );
}
