/** The groups of the harness's own kind, beside those of a run. */
import { dirname, join } from 'node:path';
import type { GroupLoad } from '../workload/groups.js';
import { harmless, trialKind } from './trial.js';

const get = { name: 'get', args: undefined };

function loadOf(standby: 'warm' | 'hot'): GroupLoad {
  return {
    ...{ name: `trial-${standby}`, kind: trialKind(harmless), standby, wholes: [get] },
    // Snapshots are cut when a scenario asks for one: what is in which, it knows.
    sync: { everyEvents: 1_000_000, everyMs: 3_600_000 },
    command: (n) => ({ by: n }),
    query: () => get,
  };
}

const loads = [loadOf('warm'), loadOf('hot')];

export const trialGroups: readonly string[] = loads.map(({ name }) => name);

/** What makes a scenario have them. */
export const withTrials = {
  brokers: 1,
  isAlone: true,
  loads,
  kindsFile: (main: string) => join(dirname(main), '../chaos/kinds/nodes.js'),
} as const;
