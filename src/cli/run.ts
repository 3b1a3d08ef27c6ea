/** The `understudy` command without its process: arguments in, exit code out. */
import { Command, CommanderError, Option } from 'commander';
import { version } from '../version.js';
import { addActCommands } from './act.js';
import { addChaosCommand } from './chaos.js';
import { addDeliverCommand } from './deliver.js';
import { documentOf, exitCodeOf, exitCodes, PartlyDone, wordsOf } from './failures.js';
import { type DevOptions, type Io, type LongCommands, type NodeOptions, write } from './io.js';
import { addLookCommands } from './look.js';
import { addMaintainCommands } from './maintain.js';
import { addMoveCommands } from './move.js';
import { whole } from './parse.js';
import { addReadCommands } from './read.js';
import type { Run } from './session.js';

const defaultUrl = 'http://127.0.0.1:7401';
const mostPort = 65_535;

/** `args`: without the program's own name. Resolves to one of `exitCodes`. */
export async function run(
  args: readonly string[],
  io: Io,
  longCommands: LongCommands,
): Promise<number> {
  const current: Run = { io, exitCode: exitCodes.done };
  const program = createProgram(current, longCommands);
  try {
    await program.parseAsync([...args], { from: 'user' });
    return current.exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : exitCodes.usage;
    return await fail(error, program, io);
  }
}

function createProgram(current: Run, longCommands: LongCommands): Command {
  const { io } = current;
  const program = new Command('understudy')
    .description('Hot-standby replication for event-sourced services')
    .version(version)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void io.stdout.write(text),
      writeErr: (text) => void io.stderr.write(text),
    })
    .option(
      '--url <urls>',
      'admin URL of a node, or several with commas (UNDERSTUDY_URL)',
      io.env.UNDERSTUDY_URL ?? defaultUrl,
    )
    .addOption(
      new Option('--token <token>', 'bearer token (UNDERSTUDY_TOKEN)').default(
        io.env.UNDERSTUDY_TOKEN,
        'from the environment',
      ),
    )
    .option('--json', 'one JSON document on stdout')
    .showHelpAfterError('(understudy help lists the commands)');
  addLongCommands(program, current, longCommands);
  addChaosCommand(program, current, longCommands);
  addLookCommands(program, current);
  addActCommands(program, current);
  addMaintainCommands(program, current);
  addMoveCommands(program, current);
  addDeliverCommand(program, current);
  addReadCommands(program, current);
  return program;
}

type RawDevOptions = Omit<DevOptions, 'natsPort' | 'kinds'> & Partial<DevOptions>;

function addLongCommands(program: Command, current: Run, longCommands: LongCommands): void {
  program
    .command('dev')
    .description('a whole cluster on this machine, until Ctrl-C')
    .option('--nodes <count>', 'node processes', whole(1, 9), 3)
    .option('--data <dir>', 'where everything is kept', './.understudy')
    .option('--port <port>', 'admin port of the first node', whole(1, mostPort), 7401)
    .option('--nats-port <port>', 'of the embedded nats-server', whole(1, mostPort))
    .option('--sync-interval <time>', 'how often the embedded broker syncs, or always', '100ms')
    .option('--no-groups', 'do not create the groups counter, ledger and kv')
    .option('--kinds <file>', 'JavaScript module that exports an array `kinds`')
    .option('--respawn', 'start a node that died again', false)
    .action(async (options: RawDevOptions) => {
      const complete = { natsPort: undefined, kinds: undefined, ...options };
      current.exitCode = await longCommands.dev(complete, current.io);
    });
  program
    .command('node')
    .description('one node, until it is stopped')
    .option('--config <file>', 'JSON file of settings; UNDERSTUDY_* variables override it')
    .action(async ({ config }: Partial<NodeOptions>) => {
      current.exitCode = await longCommands.node({ config }, current.io);
    });
}

async function fail(error: unknown, program: Command, { stdout, stderr }: Io): Promise<number> {
  const shown = error instanceof PartlyDone;
  const cause = shown ? error.cause : error;
  const asJson = program.opts<{ json?: true }>().json === true;
  if (asJson && !shown) await write(stdout, `${JSON.stringify(documentOf(cause))}\n`);
  await write(stderr, wordsOf(cause));
  return exitCodeOf(cause);
}
