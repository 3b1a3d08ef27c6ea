/** Commands that change groups. */
import { type Command, Option } from 'commander';
import type { MemberDocument, OperationDocument } from '../../cluster/documents.js';
import { limits } from '../../replication/limits.js';
import { integer, names, priorities, whole } from './parse.js';
import { handle, type Run, type Session, waitFor } from './session.js';
import { whileSyncing } from './syncing.js';
import { groupWords, operationWords, preconditionsWords } from './words.js';

export const waitWords = 'until it has ended; exit code 1 if it failed';

export function addActCommands(program: Command, run: Run): void {
  addLifecycleCommands(program, run);
  addChange(program, run);
  addSwitchover(program, run);
  addFailover(program, run);
  addReinit(program, run);
  const sync = program.command('sync').description('bring all standbys up to the present seq');
  handle<[string]>(sync.argument('<group>'), run, async (session, [name]) => {
    const answer = await whileSyncing(session, name, () => session.client.sync(name));
    return session.show(answer, () => `standbys of ${name} sync through seq ${answer.through}\n`);
  });
}

interface CreateOptions {
  readonly kind: string;
  readonly members?: number;
  readonly standby?: 'warm' | 'hot';
  readonly seed?: string;
  readonly nodes?: string[];
  readonly spread?: 'node' | 'zone';
  readonly priorities?: Record<string, number>;
  readonly priority?: number;
}

interface ChangeOptions {
  readonly priority?: number;
  readonly nodes?: string[];
  readonly anyNode?: true;
  readonly spread?: 'node' | 'zone';
  readonly priorities?: Record<string, number>;
}

const priorityOf = integer(-limits.priority, limits.priority);
const priorityWords = 'higher goes first when many groups need a new active';

function addLifecycleCommands(program: Command, run: Run): void {
  const { least, most } = limits.members;
  const create = program
    .command('create')
    .description('create a group')
    .argument('<name>')
    .requiredOption('--kind <kind>', 'see: understudy kinds')
    .option('--members <count>', 'copies, one of them active (default: 3)', whole(least, most))
    .addOption(new Option('--standby <how>', 'default: warm').choices(['warm', 'hot']))
    .option('--seed <hex>', '64 hexadecimal characters; random without it')
    .option('--nodes <list>', 'only on these, with commas', names)
    .addOption(new Option('--spread <over>', 'default: node').choices(['node', 'zone']))
    .option('--priorities <list>', 'who rather takes over, such as a=10,b=-1', priorities)
    .option('--priority <number>', `${priorityWords} (default: 0)`, priorityOf);
  handle<[string], CreateOptions>(create, run, async (session, [name], options) => {
    const { kind, members: memberCount, standby, seed: groupSeed } = options;
    const { nodes, spread, priorities: given, priority } = options;
    const placement = { nodes, spread, priorities: given };
    const spec = { name, kind, memberCount, standby, groupSeed, placement, priority };
    const group = await session.client.createGroup(spec);
    return session.show(group, () => groupWords(group));
  });
  const remove = program.command('delete').description('delete a group and its log, for good');
  handle<[string]>(remove.argument('<name>'), run, async (session, [name]) => {
    await session.client.deleteGroup(name);
    return session.show({ deleted: name }, () => `deleted ${name}\n`);
  });
}

function addChange(program: Command, run: Run): void {
  const command = program
    .command('change')
    .description('change what a group is placed and promoted by; its members stay where they are')
    .argument('<group>')
    .option('--priority <number>', priorityWords, priorityOf)
    .addOption(
      new Option('--nodes <list>', 'from now on only on these, with commas').argParser(names),
    )
    .addOption(new Option('--any-node', 'on all nodes again').conflicts('nodes'))
    .addOption(new Option('--spread <over>').choices(['node', 'zone']))
    .option('--priorities <list>', 'who rather takes over, such as a=10,b=-1', priorities);
  handle<[string], ChangeOptions>(command, run, async (session, [name], options) => {
    if (Object.keys(options).length === 0) {
      return command.error('error: name at least one option to change', { exitCode: 2 });
    }
    const { priority, anyNode, spread, priorities: given } = options;
    const nodes = anyNode ? null : options.nodes;
    const placement = { nodes, spread, priorities: given };
    const group = await session.client.changeGroup(name, { priority, placement });
    return session.show(group, () => groupWords(group));
  });
}

interface SwitchoverOptions {
  readonly candidate?: string;
  readonly leader?: string;
  readonly dryRun?: true;
  readonly timeout?: number;
  readonly at?: string;
  readonly wait?: true;
}

function addSwitchover(program: Command, run: Run): void {
  const command = program
    .command('switchover')
    .description('hand over to a standby as planned, losing nothing')
    .argument('<group>')
    .option('--candidate <node>', 'node of the standby to promote')
    .option('--leader <node>', 'only if this node hosts the active')
    .option('--dry-run', 'only tell what speaks against it; exit code 1 if something does')
    .option('--timeout <ms>', 'how long writes may pause (default: 5000)', whole(1, 60_000))
    .option('--at <time>', 'begin then, ISO 8601; what has to hold is judged then')
    .option('--wait', waitWords);
  handle<[string], SwitchoverOptions>(command, run, async (session, [name], options) => {
    const { candidate, leader, timeout: timeoutMs, at: scheduledAt } = options;
    const request = { candidate, leader, timeoutMs, scheduledAt };
    if (!options.dryRun) {
      return ended(session, await session.client.switchover(name, request), options);
    }
    const answer = await session.client.dryRun(name, request);
    await session.show(answer, () => preconditionsWords(answer.preconditions));
    return answer.ok ? 0 : 1;
  });
}

interface FailoverOptions {
  readonly candidate?: string;
  readonly wait?: true;
}

function addFailover(program: Command, run: Run): void {
  const command = program
    .command('failover')
    .description('promote a standby without waiting for the active')
    .argument('<group>')
    .option('--candidate <node>', 'node of the standby to promote')
    .option('--wait', waitWords);
  handle<[string], FailoverOptions>(command, run, async (session, [name], options) => {
    const { candidate } = options;
    return ended(session, await session.client.failover(name, { candidate }), options);
  });
}

function addReinit(program: Command, run: Run): void {
  const command = program
    .command('reinit')
    .description('make a standby forget what it holds and sync anew, also out of quarantine')
    .argument('<group>')
    .argument('<index>', 'of the member, see: understudy group GROUP', whole(0))
    .option('--wait', waitWords);
  handle<[string, number], { wait?: true }>(command, run, async (session, args, options) => {
    const [group, index] = args;
    const wait = untilSynced(session, group, index);
    return ended(session, await session.client.reinit(group, index), options, wait);
  });
}

/** For `ended`, of an operation in which this member begins anew. */
export function untilSynced(session: Session, group: string, index: number) {
  const isMeant = (member: MemberDocument) => member.index === index;
  return (id: string) => whileSyncing(session, group, () => waitFor(session, id), isMeant);
}

export async function ended(
  session: Session,
  started: OperationDocument,
  { wait }: { readonly wait?: true },
  untilEnded = (id: string) => waitFor(session, id),
): Promise<number> {
  const operation = wait ? await untilEnded(started.id) : started;
  await session.show(operation, () => operationWords(operation));
  return wait && operation.state !== 'done' ? 1 : 0;
}
