/** `understudy chaos` without its arguments: which scenarios, then one run of each, then the verdict. */
import { randomInt } from 'node:crypto';
import { join, resolve } from 'node:path';
import { UnderstudyError } from '../../replication/errors.js';
import { type ChaosOptions, type Io, write } from '../cli/io.js';
import { table } from '../cli/table.js';
import { keepReport } from './report/keep.js';
import type { Verdict } from './report/report.js';
import { linesOf } from './report/text.js';
import { runScenario } from './run.js';
import { anything, scenarios, smoke } from './scenarios/index.js';
import type { Scenario } from './scenarios/scenario.js';
import { type GroupLoad, shippedLoads } from './workload/groups.js';
import { ownLoads } from './workload/own.js';

export const chaosExitCodes: Readonly<Record<Verdict | 'usage', number>> = {
  green: 0,
  violation: 1,
  usage: 2,
  invalid: 4,
};

const mostSeed = 2 ** 31;

export async function chaosCommand(options: ChaosOptions, io: Io): Promise<number> {
  if (options.list) return await list(io);
  try {
    const chosen = chosenBy(options);
    const loads = await loadsOf(options);
    return await runOne(chosen, loads, options, io);
  } catch (error) {
    if (!(error instanceof UnderstudyError && error.code === 'invalid-config')) throw error;
    await write(io.stderr, `understudy: ${error.message}\n`);
    return chaosExitCodes.usage;
  }
}

async function list({ stdout }: Io): Promise<number> {
  const rows = scenarios.map(({ name, brokers, shows }) => [name, String(brokers), shows]);
  await write(stdout, table(['scenario', 'brokers', 'shows'], rows));
  return chaosExitCodes.green;
}

/** Throws `invalid-config`. */
function chosenBy({ scenario, random, smoke: isSmoke, brokers }: ChaosOptions): Scenario {
  const ways = [scenario !== null, random, isSmoke].filter(Boolean).length;
  if (ways !== 1) {
    const detail = 'give one of --scenario NAME, --random and --smoke; --list names all scenarios';
    throw new UnderstudyError('invalid-config', detail);
  }
  if (random) return anything(brokers);
  if (isSmoke) return smoke();
  const found = scenarios.find(({ name }) => name === scenario);
  if (found !== undefined) return found;
  const detail = `there is no scenario ${scenario}; understudy chaos --list names all`;
  throw new UnderstudyError('invalid-config', detail);
}

/** Throws `invalid-config`. */
async function loadsOf({ kinds, kind, events }: ChaosOptions): Promise<readonly GroupLoad[]> {
  if (kinds === null && kind === null && events === null) return shippedLoads;
  if (kinds !== null && kind !== null && events !== null) {
    return await ownLoads({ kinds, kind, events });
  }
  const detail = '--kinds FILE, --kind NAME and --events FILE go together: give all three or none';
  throw new UnderstudyError('invalid-config', detail);
}

async function runOne(
  scenario: Scenario,
  loads: readonly GroupLoad[],
  options: ChaosOptions,
  io: Io,
): Promise<number> {
  const say = (line: string) => write(io.stdout, `${line}\n`);
  const seed = options.seed ?? randomInt(mostSeed);
  await say(`${scenario.name}, seed ${seed}: ${scenario.shows}`);
  const main = join(import.meta.dirname, '../cli/main.js');
  const isOwn = options.kinds !== null && scenario.kindsFile !== undefined;
  const lacking = isOwn ? 'it brings a kind of its own' : (scenario.lacks?.(main) ?? null);
  if (lacking !== null) {
    await say(`  skipped: ${lacking}`);
    return chaosExitCodes.invalid;
  }
  const { rate, leastRate, boundMs, kinds, data } = options;
  const report = await runScenario({
    ...{ scenario, seed, loads, rate, leastRate, boundMs },
    durationMs: options.smoke ? 0 : options.durationMs,
    main,
    kindsFile: kinds === null ? undefined : resolve(kinds),
    // Runs do not share what they store.
    dir: data === null ? null : join(data, `${scenario.name}-${seed}`),
    env: io.env,
    say: (line) => void say(`  ${line}`),
  });
  if (options.report !== null) {
    await say(`report: ${keepReport(report, resolve(options.report))}.html and .json`);
  }
  for (const line of linesOf(report)) await say(line);
  return chaosExitCodes[report.verdict];
}
