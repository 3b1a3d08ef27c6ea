/** `understudy node`: one node until it is told to stop. */
import { loadConfig } from '../node/config.js';
import { startNode } from '../node/node.js';
import type { Io, NodeOptions } from './io.js';

/**
 * SIGTERM, and an operator's restart, hand the actives over first; SIGINT stops at once, and so does a
 * second signal, or the end of the `understudy dev` that started it.
 */
export async function nodeCommand({ config: file }: NodeOptions, { env }: Io): Promise<number> {
  const config = loadConfig(file, env as NodeJS.ProcessEnv);
  const node = await startNode(config);
  const told = firstWord();
  process.send?.({ ready: true, adminUrl: node.adminUrl });
  const word = await Promise.race([
    told,
    node.superseded.then(() => 'superseded' as const),
    node.restartAsked.then(() => 'restart' as const),
  ]);
  if (word === 'restart') process.send?.({ restarts: true });
  if (word === 'drain' || word === 'restart') {
    void (word === 'drain' ? firstWord() : told).then(() => node.stop());
    await node.drainAndStop();
  } else await node.stop();
  if (process.connected) process.disconnect();
  return word === 'superseded' ? 1 : 0;
}

function firstWord(): Promise<'drain' | 'stop'> {
  return new Promise((resolve) => {
    process.once('SIGTERM', () => resolve('drain'));
    process.once('SIGINT', () => resolve('stop'));
    if (process.send) process.once('disconnect', () => resolve('stop'));
  });
}
