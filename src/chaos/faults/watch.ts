/** What shows from outside, by the answers that clients get. */
import type { Stage } from '../stage.js';
import { until } from '../until.js';

/** Each of them has acknowledged something since this was called. */
export async function allGoOn({ workload }: Stage, groups: readonly string[]): Promise<void> {
  const before = groups.map((group) => workload.acknowledged(group));
  const goesOn = (group: string, i: number) => workload.acknowledged(group) > (before[i] ?? 0);
  await until(`${groups.join(', ')} go on`, () => Promise.resolve(groups.every(goesOn)));
}

const quietMs = 1000;

/** Nobody is told any more that anything was taken. */
export async function nobodyGoesOn({ workload, groups, wait }: Stage): Promise<void> {
  const all = () => groups.map((group) => workload.acknowledged(group)).join();
  await until('nothing is acknowledged any more', async () => {
    const before = all();
    await wait(quietMs);
    return all() === before;
  });
}
