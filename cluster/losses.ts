/** Groups whose log has lost records: who says so, who still holds what, and what operators have accepted. */
import type { MemberReport } from '../replication/effects.js';
import { type End, furtherOf, type Loss } from '../replication/ends.js';
import { limits } from '../replication/limits.js';
import type { Reports } from './succession.js';
import type { AcceptedLoss, GroupConfig } from './types.js';

export const eraOf = ({ era = 0 }: GroupConfig): number => era;

/** The worst of what members say, by the furthest record that is gone; null: nobody misses anything. */
export function lossOf(reports: Reports): Loss | null {
  let worst: Loss | null = null;
  for (const { loss } of reports.values()) {
    if (loss === null) continue;
    const isWorse = worst === null || furtherOf(worst.known, loss.known) === loss.known;
    if (isWorse) worst = loss;
  }
  return worst;
}

/** The furthest record that anybody had from the log. */
export function furthestEnd(reports: Reports): End | null {
  let furthest: End | null = null;
  for (const { known } of reports.values()) furthest = furtherOf<End | null>(furthest, known);
  return furthest;
}

/** Members that hold more than the log does, the one with most first. */
export function holdersOf(reports: Reports, { endsAt }: Loss): MemberReport[] {
  return [...reports.values()]
    .filter(({ syncedThrough }) => syncedThrough > endsAt.seq)
    .toSorted((a, b) => b.syncedThrough - a.syncedThrough || a.index - b.index);
}

/** Members of nodes that are up and have not been heard of since the last loss was accepted. */
export function unheardOf(
  { config, reports }: { readonly config: GroupConfig; readonly reports: Reports },
  isUp: (node: string) => boolean,
): number[] {
  return config.members.flatMap(({ node }, index) =>
    isUp(node) && !reports.has(index) ? [index] : [],
  );
}

/** The group from now on: what was known of its log before is void. */
export function withLossAccepted(config: GroupConfig, accepted: AcceptedLoss): GroupConfig {
  const losses = [...(config.losses ?? []), accepted].slice(-limits.acceptedLosses);
  return { ...config, era: eraOf(config) + 1, losses };
}
