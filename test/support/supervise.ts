/** What starts processes again that have ended, as Docker or systemd would. */
import type { NodeProcess } from './node-process.js';

/** Of nodes that end cleanly: one that is killed stays dead. Returns how to stop it. */
export function supervise(nodes: readonly NodeProcess[]): () => Promise<void> {
  let isOver = false;
  const watch = async (node: NodeProcess): Promise<void> => {
    const { code } = await node.exited;
    if (isOver || code !== 0) return;
    await node.start();
    await watch(node);
  };
  const starting = nodes.map((node) => watch(node));
  for (const one of starting) one.catch(() => undefined);
  return async () => {
    isOver = true;
    await Promise.all(nodes.map((node) => (node.isRunning ? undefined : node.exited)));
  };
}
