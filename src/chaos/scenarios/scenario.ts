/** What a scenario is: a name, what it shows, and one round of faults, which is repeated while there is time. */
import type { HistoryEntry } from '../../../cluster/documents.js';
import type { Fault, Stage } from '../stage.js';

export interface Facts {
  readonly group: string;
  readonly faults: readonly Fault[];
  /** Oldest first. */
  readonly epochs: readonly HistoryEntry[];
}

export interface Scenario {
  readonly name: string;
  /** One sentence for the list and the report. */
  readonly shows: string;
  readonly brokers: 1 | 3;
  /** How many rounds there are at least, whatever the time; absent: one. */
  readonly leastRounds?: number;
  /** No fault at all: no random run draws it. */
  readonly isCalm?: true;
  /** Leaves things as they are or not: they are mended after each round. */
  round(stage: Stage): Promise<void>;
  /** Of each group: what is wrong with how it went, beyond what every run is checked for. */
  readonly expects?: (facts: Facts) => string | null;
}

/** Causes that somebody died or was given up on; the others were asked for. */
const asked = new Set(['created', 'switchover', 'vacated', 'rollback', 'failover']);

export const noFailover = ({ epochs }: Facts): string | null => {
  const failovers = epochs.filter(({ cause }) => !asked.has(cause));
  if (failovers.length === 0) return null;
  const told = failovers.map(({ epoch, cause }) => `epoch ${epoch} (${cause})`).join(', ');
  return `expected no failover, and there was ${told}`;
};
