/**
 * Bringing the loads of nodes within one of each other. A load is passed on along the shortest chain of
 * nodes from a full one to one that has two less at least: mostly straight on, over others where no
 * group may go there itself.
 */
import type { PlanNode, Sketch } from './plan.js';

/** What is left beyond this is in the next plan. */
export const mostShifts = 10_000;

export interface Hop {
  readonly sketch: Sketch;
  readonly from: string;
  readonly to: string;
}

/** The group whose member, or active, could go from one node to another. */
export type Carrier = (from: PlanNode, to: PlanNode) => Sketch | null;

/** Each chain brings two loads closer to each other; with the first carrier, unless a later one has a shorter. */
export function level(
  nodes: readonly PlanNode[],
  loads: ReadonlyMap<string, number>,
  carriers: readonly Carrier[],
  carryOut: (hop: Hop) => void,
): number {
  const open = nodes.filter(({ state }) => state === 'open');
  const load = ({ id }: PlanNode) => loads.get(id) ?? 0;
  for (let shifts = 0; shifts < mostShifts; shifts++) {
    const chain = shortestChain(open, load, carriers);
    if (chain === null) return shifts;
    for (const hop of chain) carryOut(hop);
  }
  return mostShifts;
}

/** From the fullest node that has one; then to the emptiest, or emptier ones would need more moves later. */
function shortestChain(
  open: readonly PlanNode[],
  load: (node: PlanNode) => number,
  carriers: readonly Carrier[],
): Hop[] | null {
  const fullest = open.toSorted((a, b) => load(b) - load(a) || (a.id < b.id ? -1 : 1));
  let best: Chain | null = null;
  for (const from of fullest) {
    for (const carrier of carriers) {
      const chain = chainFrom(from, open, load, carrier);
      if (chain !== null && isBetter(chain, best)) best = chain;
    }
    if (best?.hops.length === 1) break;
  }
  return best?.hops ?? null;
}

interface Chain {
  readonly hops: Hop[];
  readonly endLoad: number;
}

function isBetter({ hops, endLoad }: Chain, best: Chain | null): boolean {
  if (best === null || hops.length < best.hops.length) return true;
  return hops.length === best.hops.length && endLoad < best.endLoad;
}

/**
 * Breadth first; of the ends that are equally near the emptiest. A group that is used twice on the way
 * crowds no zone by that: if both hops together did, there would be one that leaves out those between.
 */
function chainFrom(
  start: PlanNode,
  open: readonly PlanNode[],
  load: (node: PlanNode) => number,
  carrier: Carrier,
): Chain | null {
  const reached = new Map<PlanNode, Hop[]>([[start, []]]);
  let front: PlanNode[] = [start];
  while (front.length > 0) {
    const next: PlanNode[] = [];
    for (const from of front) {
      const way = reached.get(from) as Hop[];
      for (const to of open) {
        const sketch = reached.has(to) ? null : carrier(from, to);
        if (sketch === null) continue;
        reached.set(to, [...way, { sketch, from: from.id, to: to.id }]);
        next.push(to);
      }
    }
    const ends = next.filter((node) => load(start) - load(node) >= 2);
    const best = ends.toSorted((a, b) => load(a) - load(b) || (a.id < b.id ? -1 : 1))[0];
    if (best !== undefined) return { hops: reached.get(best) as Hop[], endLoad: load(best) };
    front = next;
  }
  return null;
}
