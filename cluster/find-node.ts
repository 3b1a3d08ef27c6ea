import { UnderstudyError } from '../replication/errors.js';
import type { NodeDocument } from './documents.js';

/** Throws `node-not-found`, naming those that there are. */
export function findNode(nodes: readonly NodeDocument[], id: string): NodeDocument {
  const found = nodes.find((node) => node.id === id);
  if (found !== undefined) return found;
  const known = nodes.map((node) => node.id).join(', ') || 'none';
  throw new UnderstudyError('node-not-found', `there is no node ${id}; known: ${known}`);
}
