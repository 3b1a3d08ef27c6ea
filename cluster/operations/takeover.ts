/**
 * Who goes on with an operation whose driver is gone. As with a promotion, a wrong verdict costs time
 * only: the checkpoint is written by compare-and-set, and steps may be driven twice (O2, O3).
 */
import { judges, type Membership, unheardSinceMs } from '../membership.js';
import type { Driver, Operation } from './operation.js';

/** Each further node waits so long for a better one. */
const rankDelayMs = 250;
/** After an attempt that came to nothing. */
const againMs = 1000;

/** Since when operations are seen without a driver, by id. */
export type Orphans = Map<string, number>;

export function isGone(
  membership: Membership,
  { node, incarnation }: Driver,
  nowMs: number,
): boolean {
  const view = membership.nodes.get(node);
  if (view === undefined) return nowMs >= unheardSinceMs(membership);
  return view.state === 'down' || view.info.incarnation > incarnation;
}

/**
 * Whether this node should take it over now. The first by id of those that are up acts at once. Who has
 * just come may take itself for the first though others are there: the record decides between them.
 */
export function shouldTakeOver(
  membership: Membership,
  orphans: Orphans,
  { id, driver }: Operation,
  nowMs: number,
): boolean {
  const isFree = driver === null || isGone(membership, driver, nowMs);
  if (!isFree || !judges(membership, nowMs)) {
    orphans.delete(id);
    return false;
  }
  const sinceMs = orphans.get(id) ?? nowMs;
  orphans.set(id, sinceMs);
  if (nowMs < sinceMs + rankOf(membership) * rankDelayMs) return false;
  orphans.set(id, nowMs + againMs);
  return true;
}

function rankOf({ self, nodes }: Membership): number {
  const up = [...nodes.values()].filter(({ state, info }) => state === 'up' && !info.draining);
  const ids = up.map(({ info }) => info.id).sort();
  const rank = ids.indexOf(self);
  return rank < 0 ? ids.length : rank;
}
