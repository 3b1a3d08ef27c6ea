/** `understudy chaos`: faults on real processes of this machine, and a proof that nothing was lost. */
import { type Command, Option } from 'commander';
import type { ChaosOptions, LongCommands } from './io.js';
import { duration, whole } from './parse.js';
import type { Run } from './session.js';

type RawOptions = Omit<ChaosOptions, 'durationMs' | 'boundMs' | 'brokers'> & {
  readonly duration: number;
  readonly bound: number;
  readonly brokers: '1' | '3';
};

export function addChaosCommand(program: Command, current: Run, longCommands: LongCommands): void {
  const name = (flags: string, description: string) => new Option(flags, description).default(null);
  program
    .command('chaos')
    .description('break a cluster on this machine on purpose, and check every answer')
    .addOption(name('--scenario <name>', 'which faults'))
    .option('--random', 'any of them, one after the other', false)
    .option('--smoke', 'some of them, once each on one cluster', false)
    .option('--list', 'the scenarios and what each shows', false)
    .addOption(
      new Option('--seed <n>', 'draws the same faults again').argParser(whole(0)).default(null),
    )
    .option('--duration <time>', 'such as 90s or 1h', duration, 60_000)
    .addOption(new Option('--brokers <n>', 'of a random run').choices(['1', '3']).default('3'))
    .option('--rate <n>', 'calls a second', whole(1, 100_000), 1000)
    .option('--least-rate <n>', 'acknowledged a second, or the run is invalid', whole(1), 200)
    .option('--bound <time>', 'after a fault everybody serves again within it', duration, 60_000)
    .addOption(name('--report <dir>', 'where to write reports'))
    .addOption(name('--data <dir>', 'keep all data here, instead of a temporary directory'))
    .addOption(name('--kinds <file>', 'JavaScript module that exports an array `kinds`'))
    .addOption(name('--kind <name>', 'of that module, instead of the shipped ones'))
    .addOption(name('--events <file>', 'commands of that kind, one JSON value a line'))
    .action(async ({ duration, bound, brokers, ...options }: RawOptions) => {
      const complete: ChaosOptions = {
        ...options,
        ...{ durationMs: duration, boundMs: bound, brokers: brokers === '1' ? 1 : 3 },
      };
      current.exitCode = await longCommands.chaos(complete, current.io);
    });
}
