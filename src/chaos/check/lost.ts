/**
 * What was taken away from a group with its store is not there to be checked. But it has to be exactly what
 * the group itself has named as lost, or somebody was told something that nobody ever took back.
 */
import type { DeliveryCall, History } from '../history.js';
import type { Loss } from '../stage.js';
import type { ReadLog } from './log.js';
import type { Violation } from './violation.js';

/** Every acknowledgement that is void is of a seq that was named. */
export function checkNamed({ group, deliveries }: History, losses: readonly Loss[]): Violation[] {
  return deliveries.flatMap(({ id, outcome, returnedAt }) => {
    if (outcome.kind !== 'accepted') return [];
    const loss = lossOf(outcome.seq, returnedAt, losses);
    if (loss === undefined || outcome.seq <= loss.namedSeq) return [];
    const { keptSeq, namedSeq } = loss;
    const detail =
      `${id} was acknowledged at seq ${outcome.seq} and is lost; ` +
      `the group says it has lost ${keptSeq + 1} to ${namedSeq}`;
    return [{ check: 'acknowledged-in-log', group, detail }];
  });
}

/** The calls whose answers still stand. */
export function withoutLost(history: History, log: ReadLog, losses: readonly Loss[]): History {
  if (losses.length === 0) return history;
  const known = new Set(log.decided.map(({ id }) => id));
  return {
    ...history,
    deliveries: history.deliveries.filter((call) => !isLost(call, known, losses)),
    reads: history.reads.filter(({ seq, returnedAt }) => !lossOf(seq, returnedAt, losses)),
  };
}

function isLost(call: DeliveryCall, known: ReadonlySet<string | null>, losses: readonly Loss[]) {
  const { id, outcome, returnedAt } = call;
  if (outcome.kind === 'accepted') return lossOf(outcome.seq, returnedAt, losses) !== undefined;
  // A refusal has no seq of its own: it can only have been lost in between.
  const isBetween = ({ fromMs, toMs }: Loss) => returnedAt >= fromMs && returnedAt <= toMs;
  return outcome.kind === 'rejected' && !known.has(id) && losses.some(isBetween);
}

/** The one that took this seq from those who had been told of it. */
const lossOf = (seq: number, toldAt: number, losses: readonly Loss[]): Loss | undefined =>
  losses.find(({ keptSeq, toMs }) => toldAt <= toMs && seq > keptSeq);
