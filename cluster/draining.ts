/**
 * Whether a node is being emptied, and for whom. Requests come late and twice: what was taken back is not
 * begun again by a copy of the request that began it, and takes nothing back that was begun since.
 */
import type { Coordinator } from './coordinator.js';

export interface Draining {
  /** The process is about to end: nobody takes that back. */
  isLeaving: boolean;
  /** What empties it; null: nothing. */
  order: string | null;
  /** Latest last; copies of older ones are not on their way any more. */
  takenBack: string[];
}

const mostTakenBack = 16;

export const notDraining = (): Draining => ({ isLeaving: false, order: null, takenBack: [] });

/** From here on the node gets no new members and is no candidate. */
export function startDraining(node: Coordinator, order: string): void {
  const { draining } = node;
  if (draining.takenBack.includes(order)) return;
  draining.order = order;
  tell(node);
}

export function stopDraining(node: Coordinator, order: string): void {
  const { draining } = node;
  const others = draining.takenBack.filter((one) => one !== order);
  draining.takenBack = [...others, order].slice(-mostTakenBack);
  if (draining.order === order) draining.order = null;
  tell(node);
}

export function leave(node: Coordinator): void {
  node.draining.isLeaving = true;
  tell(node);
}

/** With the next tick: nobody may have heard of the former beat. */
function tell(node: Coordinator): void {
  const { isLeaving, order } = node.draining;
  node.info = { ...node.info, draining: isLeaving || order !== null };
  node.nextBeatAtMs = 0;
}
