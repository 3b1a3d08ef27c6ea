/** What operators ask of nodes and of automatic failover: written to the registry, where all look. */
import type { NodeDocument } from '../../cluster/documents.js';
import { findNode } from '../../cluster/find-node.js';
import type { Pause } from '../../cluster/types.js';
import { UnderstudyError } from '../../replication/errors.js';
import { limits } from '../../replication/limits.js';
import type { Actor, PauseRequest } from '../admin/backend.js';
import { instant } from './clock.js';
import type { Runtime } from './runtime.js';
import { nodeDocuments } from './views.js';

export const defaultPauseMs = 60 * 60_000;

/** Throws `node-not-found`, and `overloaded` beyond so many. */
export async function cordon(runtime: Runtime, node: string, { by }: Actor): Promise<NodeDocument> {
  nodeDocument(runtime, node);
  await runtime.registry.changeCluster((config) => {
    const { cordons } = config;
    if (node in cordons) return config;
    if (Object.keys(cordons).length >= limits.cordons) {
      const detail = `${limits.cordons} nodes are cordoned, the limit; uncordon those that are gone`;
      throw new UnderstudyError('overloaded', detail);
    }
    return { ...config, cordons: { ...cordons, [node]: { by, atMs: instant().wallMs } } };
  });
  return nodeDocument(runtime, node);
}

/** Also of a node that is gone for good. Throws `node-not-found`. */
export async function uncordon(runtime: Runtime, node: string): Promise<NodeDocument> {
  const before = nodeDocument(runtime, node);
  await runtime.registry.changeCluster((config) => {
    const { [node]: cordoned, ...cordons } = config.cordons;
    return cordoned === undefined ? config : { ...config, cordons };
  });
  return { ...before, cordoned: false };
}

function nodeDocument({ coordinator }: Runtime, node: string): NodeDocument {
  return findNode(nodeDocuments(coordinator), node);
}

/** `group` null: of all. Throws `group-not-found`. */
export async function pause(
  { registry }: Runtime,
  group: string | null,
  { ttlMs = defaultPauseMs, reason = '' }: PauseRequest,
  { by }: Actor,
): Promise<void> {
  const untilMs = instant().wallMs + ttlMs;
  const begun: Pause = { untilMs, ttlMs, reason: reason === '' ? null : reason, by };
  await setPause(registry, group, begun);
}

/** `group` null: the pause of all; groups with one of their own stay paused. */
export async function resume({ registry }: Runtime, group: string | null): Promise<void> {
  await setPause(registry, group, null);
}

async function setPause(
  registry: Runtime['registry'],
  group: string | null,
  begun: Pause | null,
): Promise<void> {
  if (group === null) await registry.changeCluster((config) => ({ ...config, pause: begun }));
  else await registry.changeGroup(group, (config) => ({ ...config, pause: begun }));
}
