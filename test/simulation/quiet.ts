/** Options without faults, and what of a run's options is not like them: all that a transcript keeps. */
import { seededRandom } from '../support/scheduler.js';
import { drawOptions, type SimulationOptions } from './options.js';

type Sections = Pick<SimulationOptions, 'rates' | 'weights'>;

/** What differs from quiet options. Weights are left out: a schedule stands for them. */
export type OptionChanges = Partial<Omit<SimulationOptions, keyof Sections>> & {
  readonly rates?: Partial<SimulationOptions['rates']>;
};

/** Whatever a seed may draw besides these is off. */
const least: Partial<SimulationOptions> = {
  nodes: 2,
  members: 2,
  groups: 1,
  clients: 1,
  replicas: 1,
  chaosMs: 500,
  pauseBetweenOpsMs: 50,
  everyEvents: 40,
  everyMs: 1500,
  faultEveryMs: 1000,
  driftPercent: 0,
};

export function quietOptions(): SimulationOptions {
  const drawn = drawOptions(seededRandom('quiet'));
  const off = Object.entries(drawn).map(([name, value]) => [name, switchedOff(value)]);
  return { ...drawn, ...Object.fromEntries(off), ...least } as SimulationOptions;
}

function switchedOff(value: unknown): unknown {
  if (typeof value === 'boolean') return false;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.keys(value).map((name) => [name, 0]));
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
