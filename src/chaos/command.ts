/** `understudy chaos` without its arguments: which scenarios, then one run of each, then the verdict. */
import { randomInt } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type ChaosOptions, type Io, write } from '../cli/io.js';
import { table } from '../cli/table.js';
import { pageOf } from './report/page.js';
import type { Report, Verdict } from './report/report.js';
import { linesOf } from './report/text.js';
import { runScenario } from './run.js';
import { anything, scenarios } from './scenarios/index.js';
import type { Scenario } from './scenarios/scenario.js';
import { shippedLoads } from './workload/groups.js';

export const chaosExitCodes: Readonly<Record<Verdict | 'usage', number>> = {
  green: 0,
  violation: 1,
  usage: 2,
  invalid: 4,
};

const mostSeed = 2 ** 31;

export async function chaosCommand(options: ChaosOptions, io: Io): Promise<number> {
  const say = (line: string) => write(io.stdout, `${line}\n`);
  if (options.list) {
    const rows = scenarios.map(({ name, brokers, shows }) => [name, String(brokers), shows]);
    await write(io.stdout, table(['scenario', 'brokers', 'shows'], rows));
    return chaosExitCodes.green;
  }
  const scenario = chosen(options);
  if (typeof scenario === 'string') {
    await write(io.stderr, `understudy: ${scenario}\n`);
    return chaosExitCodes.usage;
  }
  const seed = options.seed ?? randomInt(mostSeed);
  await say(`${scenario.name}, seed ${seed}: ${scenario.shows}`);
  const report = await runScenario({
    ...{ scenario, seed, loads: shippedLoads },
    durationMs: options.durationMs,
    rate: options.rate,
    leastRate: options.leastRate,
    boundMs: options.boundMs,
    main: join(import.meta.dirname, '../cli/main.js'),
    kindsFile: options.kinds === null ? undefined : resolve(options.kinds),
    dir: options.data,
    env: io.env,
    say: (line) => void say(`  ${line}`),
  });
  if (options.report !== null) await keep(report, resolve(options.report), say);
  for (const line of linesOf(report)) await say(line);
  return chaosExitCodes[report.verdict];
}

/** What to run, or what is wrong with what was asked for. */
function chosen({ scenario, random, brokers }: ChaosOptions): Scenario | string {
  if (random === (scenario !== null)) return 'give either --scenario NAME or --random (see --list)';
  if (random) return anything(brokers);
  const found = scenarios.find(({ name }) => name === scenario);
  return found ?? `there is no scenario ${scenario}; understudy chaos --list names all`;
}

async function keep(report: Report, dir: string, say: (line: string) => Promise<void>) {
  mkdirSync(dir, { recursive: true });
  const file = join(dir, `${report.scenario}-${report.seed}`);
  writeFileSync(`${file}.json`, JSON.stringify(report, null, 1));
  writeFileSync(`${file}.html`, pageOf(report));
  await say(`report: ${file}.html and .json`);
}
