import { seededRandom } from '../support/scheduler.js';
import { Violation } from './checker.js';
import { drawOptions, drawSchedule, type Fault, type SimulationOptions } from './options.js';
import { World } from './world.js';

export interface RunResult {
  readonly seed: number;
  readonly options: SimulationOptions;
  readonly schedule: readonly Fault[];
  readonly violation: { readonly invariant: string; readonly message: string } | null;
  /** Virtual time of the violation, or of the end. */
  readonly endedMs: number;
  readonly digest: number;
  readonly answered: number;
  readonly epochs: number;
  readonly lines: readonly string[];
}

/** What a run takes instead of what its seed draws. */
export interface Overrides {
  readonly options?: SimulationOptions;
  readonly schedule?: readonly Fault[];
}

export type RunSeed = (seed: number, how?: Overrides & { readonly trace?: boolean }) => RunResult;

/** One seed from start to end; equal seeds give equal results, to the last digest. */
export const runSeed: RunSeed = (seed, { trace = false, ...overrides } = {}) => {
  const random = seededRandom(`options/${seed}`);
  const options = overrides.options ?? drawOptions(random.fork('options'));
  const schedule = overrides.schedule ?? drawSchedule(random.fork('schedule'), options);
  const world = new World(seed, options, trace);
  let violation: RunResult['violation'] = null;
  try {
    world.run(schedule);
  } catch (error) {
    const invariant = error instanceof Violation ? error.invariant : 'crash';
    const stack = error instanceof Violation ? '' : `\n${(error as Error).stack}`;
    violation = { invariant, message: `${(error as Error).message}${stack}` };
  }
  return {
    seed,
    options,
    schedule,
    violation,
    endedMs: world.scheduler.now(),
    digest: world.digest,
    answered: world.clients.reduce((sum, client) => sum + client.answered, 0),
    epochs: world.groupNames.reduce((sum, group) => sum + world.checker(group).epochs, 0),
    lines: world.lines,
  };
};
