/**
 * Permits for heavy work: so many members of a node at once replay, restore, cut or are promoted, however
 * many groups there are.
 *
 * Q1 Never more are held than there are. Who holds one for too long, because a part of the broker does not
 *    answer perhaps, goes on without it: others may have to do with another part.
 * Q2 Whoever asked for one holds it, waits for it, or has ended; each member has one at most.
 * Q3 Promotions go before everything else, and some permits are theirs alone: a group without an active
 *    must not wait for syncs of groups that have one.
 */

/** `rebuild`: an active that cannot serve until it has replayed its own log. */
export const works = ['promotion', 'rebuild', 'replay', 'restore', 'cut'] as const;
export type Work = (typeof works)[number];

export interface Permit {
  /** Whose. */
  readonly id: string;
  readonly work: Work;
  /** The operator's, of the group: higher goes first. */
  readonly priority: number;
  /** Since when it is wanted: who has waited for longest goes first. */
  readonly sinceMs: number;
}

export interface PermitLimits {
  readonly all: number;
  /** Of them, for what is neither a promotion nor a rebuild. */
  readonly patient: number;
}

export interface Permits {
  readonly limits: PermitLimits;
  readonly held: Map<string, Permit>;
  readonly waiting: Map<string, Permit>;
  /** The same, in their order: whoever is next is last. A node that dies leaves a thousand here. */
  readonly lines: { readonly urgent: Permit[]; readonly patient: Permit[] };
  /** Who goes on without. */
  readonly lapsed: Set<string>;
}

/** Beyond some dozens the broker answers no sooner, and everybody would be last. */
export const defaultPermits: PermitLimits = { all: 64, patient: 16 };

export function newPermits(limits: PermitLimits = defaultPermits): Permits {
  const lines = { urgent: [], patient: [] };
  return { limits, held: new Map(), waiting: new Map(), lines, lapsed: new Set() };
}

/**
 * Returns whose turn it is now, be it who asks or somebody else. Who holds one already keeps it, and may
 * have it for something more urgent: then there is one more for those who are patient.
 */
export function ask(permits: Permits, permit: Permit): string[] {
  const { held, waiting } = permits;
  const { id } = permit;
  if (permits.lapsed.has(id)) return [id];
  const known = held.get(id);
  if (known !== undefined) {
    if (isUrgent(permit)) held.set(id, permit);
    return [id, ...grant(permits)];
  }
  const before = waiting.get(id);
  // Asking again must neither cost a place nor gain one.
  if (before === undefined || isBefore(permit, before)) {
    leave(permits, id);
    enter(permits, permit);
  }
  return grant(permits);
}

/** It has ended, holding or waiting. Returns whose turn it is now. */
export function end(permits: Permits, id: string): string[] {
  const hadOne = permits.held.delete(id);
  leave(permits, id);
  permits.lapsed.delete(id);
  return hadOne ? grant(permits) : [];
}

/** It holds one for too long. Returns whose turn it is now. */
export function lapse(permits: Permits, id: string): string[] {
  if (!permits.held.delete(id)) return [];
  permits.lapsed.add(id);
  return grant(permits);
}

export function countsOf({
  held,
  waiting,
}: Permits): Record<Work, { held: number; waiting: number }> {
  const of = (permits: Map<string, Permit>, work: Work) =>
    [...permits.values()].filter((permit) => permit.work === work).length;
  const all = works.map((work) => [work, { held: of(held, work), waiting: of(waiting, work) }]);
  return Object.fromEntries(all);
}

function grant(permits: Permits): string[] {
  const { limits, held, waiting } = permits;
  const granted: string[] = [];
  while (held.size < limits.all && waiting.size > 0) {
    const patient = [...held.values()].filter((permit) => !isUrgent(permit)).length;
    const next = nextOf(permits, patient < limits.patient);
    if (next === undefined) break;
    leave(permits, next.id);
    held.set(next.id, next);
    granted.push(next.id);
  }
  return granted;
}

function nextOf({ lines }: Permits, mayBePatient: boolean): Permit | undefined {
  return lines.urgent.at(-1) ?? (mayBePatient ? lines.patient.at(-1) : undefined);
}

function enter(permits: Permits, permit: Permit): void {
  const line = lineOf(permits, permit);
  let [low, high] = [0, line.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isBefore(permit, line[middle] as Permit)) low = middle + 1;
    else high = middle;
  }
  line.splice(low, 0, permit);
  permits.waiting.set(permit.id, permit);
}

function leave(permits: Permits, id: string): void {
  const permit = permits.waiting.get(id);
  if (permit === undefined) return;
  permits.waiting.delete(id);
  const line = lineOf(permits, permit);
  line.splice(line.lastIndexOf(permit), 1);
}

function lineOf({ lines }: Permits, permit: Permit): Permit[] {
  return isUrgent(permit) ? lines.urgent : lines.patient;
}

function isUrgent({ work }: Permit): boolean {
  return work === 'promotion' || work === 'rebuild';
}

function isBefore(a: Permit, b: Permit): boolean {
  if (isUrgent(a) !== isUrgent(b)) return isUrgent(a);
  return a.priority !== b.priority ? a.priority > b.priority : a.sinceMs < b.sinceMs;
}
