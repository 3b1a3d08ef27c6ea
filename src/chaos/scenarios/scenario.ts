/** What a scenario is: a name, what it shows, and one round of faults, which is repeated while there is time. */
import type { HistoryEntry } from '../../../cluster/documents.js';
import type { ReadLog } from '../check/log.js';
import type { NodePlace } from '../cluster/cluster.js';
import type { Volume } from '../cluster/volumes.js';
import type { Fault, Stage } from '../stage.js';
import type { GroupLoad } from '../workload/groups.js';

export interface Facts {
  readonly group: string;
  readonly faults: readonly Fault[];
  /** Oldest first. */
  readonly epochs: readonly HistoryEntry[];
  readonly log: ReadLog;
}

export interface Scenario {
  readonly name: string;
  /** One sentence for the list and the report. */
  readonly shows: string;
  readonly brokers: 1 | 3;
  /** Not drawn by `--random`: it needs a cluster of its own, or takes from it what other faults rely on. */
  readonly isAlone?: true;
  /** Why it cannot be run here; null: it can. Absent: it can anywhere. */
  readonly lacks?: (main: string) => string | null;
  /** Variables of each node, beside the usual ones. */
  readonly nodeEnv?: (place: NodePlace) => Readonly<Record<string, string>>;
  /** Groups beside those of the run, of kinds that nodes load from `kindsFile`. */
  readonly loads?: readonly GroupLoad[];
  /** `main`: the built `understudy` command. */
  readonly kindsFile?: (main: string) => string;
  /** Directories that are file systems of their own, and small. */
  readonly volumes?: readonly Volume[];
  /** How many rounds there are at least, whatever the time; absent: one. */
  readonly leastRounds?: number;
  /** Leaves things as they are or not: they are mended after each round. */
  round(stage: Stage): Promise<void>;
  /** Of each group: what is wrong with how it went, beyond what every run is checked for, whatever else happened to it. */
  readonly expects?: (facts: Facts) => string | null;
  /** The same of a run in which nothing else happened. */
  readonly expectsAlone?: (facts: Facts) => string | null;
}

/** Causes that somebody died or was given up on; the others were asked for. */
const asked = new Set(['created', 'switchover', 'vacated', 'rollback', 'failover']);

export const noFailover = ({ epochs }: Facts): string | null => {
  const failovers = epochs.filter(({ cause }) => !asked.has(cause));
  if (failovers.length === 0) return null;
  const told = failovers.map(({ epoch, cause }) => `epoch ${epoch} (${cause})`).join(', ');
  return `expected no failover, and there was ${told}`;
};

/** The first that occurs a second time. */
export const twice = (ids: readonly string[]): string | undefined =>
  ids.find((id, i) => ids.indexOf(id) < i);
