/** What starts processes again that have ended, as Docker or systemd would. */
import type { NodeProcess } from './node-process.js';

/**
 * Of nodes that end cleanly: one that is killed stays dead. Returns how to stop it, or the next test's
 * supervisor starts the same node a second time.
 */
export function supervise(nodes: readonly NodeProcess[]): () => void {
  let isOver = false;
  const watch = async (node: NodeProcess): Promise<void> => {
    const { code } = await node.exited;
    if (isOver || code !== 0) return;
    await node.start();
    await watch(node);
  };
  // That a node does not start shows in the test that waits for it.
  for (const node of nodes) watch(node).catch(() => undefined);
  return () => {
    isOver = true;
  };
}
