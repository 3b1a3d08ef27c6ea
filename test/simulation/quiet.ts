/** Options without faults, and what of a run's options is not like them: all that a transcript keeps. */
import { seededRandom } from '../support/scheduler.js';
import { drawOptions, type SimulationOptions } from './options.js';

type Sections = Pick<SimulationOptions, 'rates' | 'weights'>;

/** What differs from quiet options. Weights are left out: a schedule stands for them. */
export type OptionChanges = Partial<Omit<SimulationOptions, keyof Sections>> & {
  readonly rates?: Partial<SimulationOptions['rates']>;
};

const least: Omit<SimulationOptions, keyof Sections> = {
  nodes: 2,
  members: 2,
  groups: 1,
  clients: 1,
  replicas: 1,
  standby: 'warm',
  cheapSizeBytes: 0,
  replayEvents: 20_000,
  chaosMs: 500,
  pauseBetweenOpsMs: 50,
  everyEvents: 40,
  everyMs: 1500,
  faultEveryMs: 1000,
  driftPercent: 0,
  clockJumps: false,
  staleLeaderMs: 0,
  placed: false,
};

export function quietOptions(): SimulationOptions {
  const { rates, weights } = drawOptions(seededRandom('quiet'));
  return { ...least, rates: allZero(rates), weights: allZero(weights) };
}

function allZero<Names extends string>(numbers: Record<Names, number>): Record<Names, number> {
  const zeros = Object.keys(numbers).map((name) => [name, 0]);
  return Object.fromEntries(zeros) as Record<Names, number>;
}

export function changesOf(options: SimulationOptions): OptionChanges {
  const quiet = quietOptions();
  const { rates, weights: _, ...others } = options;
  const changedRates = different(rates, quiet.rates);
  const changes = different(others, quiet) as OptionChanges;
  return Object.keys(changedRates).length > 0 ? { ...changes, rates: changedRates } : changes;
}

function different<Values extends object>(values: Values, quiet: Values): Partial<Values> {
  const names = Object.keys(values) as (keyof Values)[];
  const changed = names.filter((name) => values[name] !== quiet[name]);
  return Object.fromEntries(changed.map((name) => [name, values[name]])) as Partial<Values>;
}

export function withChanges(changes: OptionChanges): SimulationOptions {
  const quiet = quietOptions();
  return { ...quiet, ...changes, rates: { ...quiet.rates, ...changes.rates } };
}
