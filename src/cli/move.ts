/** Commands that put members elsewhere. */
import type { Command } from 'commander';
import { ended, untilSynced, waitWords } from './act.js';
import { scopeOf, whole } from './parse.js';
import { handle, type Run } from './session.js';
import { planWords } from './words.js';

export function addMoveCommands(program: Command, run: Run): void {
  addReplace(program, run);
  const drain = program
    .command('drain')
    .description('move everything off a node, a few groups at once')
    .argument('<node>')
    .option('--wait', waitWords);
  handle<[string], { wait?: true }>(drain, run, async (session, [node], options) =>
    ended(session, await session.client.drain(node), options),
  );
  addRestart(program, run);
  const rebalance = program
    .command('rebalance')
    .description('level the nodes by switchovers and moves')
    .option('--dry-run', 'only tell the moves')
    .option('--wait', waitWords);
  handle<[], { wait?: true; dryRun?: true }>(rebalance, run, async (session, _args, options) => {
    if (!options.dryRun) return ended(session, await session.client.rebalance(), options);
    const plan = await session.client.planRebalance();
    return session.show(plan, () => planWords(plan));
  });
}

function addRestart(program: Command, run: Run): void {
  const command = program
    .command('restart')
    .description('end a node, so that its supervisor starts it anew; --all: one after the other')
    .argument('[node]')
    .option('--all', 'all nodes')
    .option('--wait', waitWords);
  type Options = { readonly all?: true; readonly wait?: true };
  handle<[string | undefined], Options>(command, run, async (session, [name], options) => {
    const node = scopeOf(command, 'node', name, options);
    return ended(session, await session.client.restart(node), options);
  });
}

function addReplace(program: Command, run: Run): void {
  const command = program
    .command('replace')
    .description('place a standby on another node, where it begins anew')
    .argument('<group>')
    .argument('<index>', 'of the member, see: understudy group GROUP', whole(0))
    .option('--node <node>', 'where to; the best without it')
    .option('--wait', waitWords);
  handle<[string, number], { node?: string; wait?: true }>(
    command,
    run,
    async (session, [group, index], options) => {
      const wait = untilSynced(session, group, index);
      const { node } = options;
      return ended(session, await session.client.replace(group, index, { node }), options, wait);
    },
  );
}
