/** A run that once violated something, small enough to read and to keep. */
import type { Fault } from './options.js';
import { changesOf, type OptionChanges, withChanges } from './quiet.js';
import type { Overrides, RunResult } from './run.js';

/** As it is stored in test/scenario/golden. */
export interface Golden {
  readonly seed: number;
  /** What this run violated when it was stored, and what was wrong then. */
  readonly violated: { readonly invariant: string; readonly because: string };
  readonly options: OptionChanges;
  readonly schedule: readonly Fault[];
}

/** Throws `RangeError` for a run that violates nothing. */
export function goldenOf(result: RunResult, because: string): Golden {
  const { seed, violation, options, schedule } = result;
  if (violation === null) throw new RangeError(`seed ${seed} violates nothing`);
  const { invariant } = violation;
  return { seed, violated: { invariant, because }, options: changesOf(options), schedule };
}

export function overridesOf({ options, schedule }: Golden): Overrides {
  return { options: withChanges(options), schedule };
}

/** Of a long trace the end is what matters, of a long line the beginning. */
const mostLines = 60;
const lineSizeChars = 160;

export function describeRun(result: RunResult): string {
  const { seed, options, schedule, violation } = result;
  const lines = result.lines.filter((line) => !isRoutine(line));
  return [
    `seed ${seed}`,
    'options:',
    ...Object.entries(changesOf(options)).map(([name, value]) => `  ${name} ${show(value)}`),
    'faults:',
    ...schedule.map(
      ({ atMs, kind, target, durationMs }) =>
        `  ${atMs} ms: ${kind}, target ${target}, for ${durationMs} ms`,
    ),
    'trace:',
    ...lines.slice(-mostLines).map((line) => `  ${line.slice(0, lineSizeChars)}`),
    `violation: ${violation?.message ?? 'none'}`,
  ].join('\n');
}

const show = (value: unknown) => JSON.stringify(value).replaceAll('"', '');

/** Snapshots come all the time; who announces one has nothing to say about who writes. */
function isRoutine(line: string): boolean {
  return line.includes('announces {"kind":"snapshot"');
}
