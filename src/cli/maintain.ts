/** Commands for maintenance: nodes that should be left alone, groups that should not fail over. */
import type { Command } from 'commander';
import type { PauseAnswer } from '../admin/backend.js';
import { duration, type Scope, scopeOf, whole } from './parse.js';
import { handle, type Run } from './session.js';
import { groupWords, nodesWords, pauseWords } from './words.js';

export function addMaintainCommands(program: Command, run: Run): void {
  addCordons(program, run);
  addPause(program, run);
  addResume(program, run);
  addAcceptLoss(program, run);
}

function addCordons(program: Command, run: Run): void {
  const cordon = program
    .command('cordon')
    .description('no new members for a node, and the last choice to take over');
  handle<[string]>(cordon.argument('<node>'), run, async (session, [id]) => {
    const node = await session.client.cordon(id);
    return session.show(node, () => nodesWords([node]));
  });
  const uncordon = program.command('uncordon').description('a node like the others again');
  handle<[string]>(uncordon.argument('<node>'), run, async (session, [id]) => {
    const node = await session.client.uncordon(id);
    return session.show(node, () => nodesWords([node]));
  });
}

function addPause(program: Command, run: Run): void {
  const command = program
    .command('pause')
    .description('automatic failover off: a lost active is not replaced until it is resumed')
    .argument('[group]')
    .option('--all', 'all groups')
    .option('--ttl <time>', 'when it ends by itself: 90s, 30m, 1h, 2d (default: 1h)', duration)
    .option('--reason <text>', 'shown to whoever looks');
  type Options = Scope & { readonly ttl?: number; readonly reason?: string };
  handle<[string | undefined], Options>(command, run, async (session, [name], options) => {
    const { ttl: ttlMs, reason } = options;
    const group = scopeOf(command, 'group', name, options);
    const answer = await session.client.pause(group, { ttlMs, reason });
    return session.show(answer, () => answerWords(group, answer));
  });
}

function addResume(program: Command, run: Run): void {
  const command = program
    .command('resume')
    .description('automatic failover on again')
    .argument('[group]')
    .option('--all', 'ends the pause of all groups; those with one of their own stay paused');
  handle<[string | undefined], Scope>(command, run, async (session, [name], options) => {
    const group = scopeOf(command, 'group', name, options);
    const answer = await session.client.resume(group);
    return session.show(answer, () => answerWords(group, answer));
  });
}

function addAcceptLoss(program: Command, run: Run): void {
  const command = program
    .command('accept-loss')
    .description('go on from where the log ends, without what the store of the broker has lost')
    .argument('<group>')
    .requiredOption('--through <seq>', 'where the log ends: the last seq that is left', whole(0));
  type Options = { readonly through: number };
  handle<[string], Options>(command, run, async (session, [name], { through }) => {
    const group = await session.client.acceptLoss(name, through);
    return session.show(group, () => groupWords(group));
  });
}

function answerWords(group: string | null, { pause }: PauseAnswer): string {
  const what = group ?? 'all groups';
  return pause === null ? `${what}: not paused\n` : `${what}: ${pauseWords(pause)}\n`;
}
