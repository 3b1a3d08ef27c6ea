/** What shows from outside: by the answers that clients get, and by what operators are told. */
import type { ChaosNode } from '../cluster/node.js';
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

/** Somebody has raised an alarm of the group since then, by the wall clock. */
export async function tellsOf(stage: Stage, group: string, what: RegExp, sinceMs: number) {
  await until(`${group} tells of ${what.source}`, async () => {
    const { alarms } = await stage.cluster.admin.group(group);
    return alarms.some(({ at, detail }) => Date.parse(at) >= sinceMs && what.test(detail));
  });
}

/** One of a node's numbers, as its `/metrics` shows it; 0: it has none. */
export async function counted({ adminUrl }: ChaosNode, metric: string): Promise<number> {
  const text = await (await fetch(`${adminUrl}/metrics`)).text();
  const [, value = '0'] = new RegExp(`^${metric} (.+)$`, 'm').exec(text) ?? [];
  return Number(value);
}
