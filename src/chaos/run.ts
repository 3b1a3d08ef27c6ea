/** One run of one scenario: a cluster, its clients, faults, and after them the checks. */
import { setTimeout as delay } from 'node:timers/promises';
import { Chance } from './chance.js';
import { memberCount } from './check/members.js';
import type { Violation } from './check/violation.js';
import { ChaosCluster } from './cluster/cluster.js';
import { nowMs } from './history.js';
import { collect, judge } from './judge.js';
import { rateIn } from './measure.js';
import { type Report, reportOf } from './report/report.js';
import { areWhole, Rounds } from './rounds.js';
import type { Scenario } from './scenarios/scenario.js';
import { Stage } from './stage.js';
import { until } from './until.js';
import type { GroupLoad } from './workload/groups.js';
import { Workload } from './workload/workload.js';

export interface RunOptions {
  readonly scenario: Scenario;
  readonly seed: number;
  readonly durationMs: number;
  readonly loads: readonly GroupLoad[];
  /** Calls a second, over all groups. */
  readonly rate: number;
  /** Acknowledged a second before the first fault; with less the run shows nothing. */
  readonly leastRate: number;
  /** From the end of a fault until everybody has to serve again. */
  readonly boundMs: number;
  readonly main: string;
  readonly kindsFile: string | undefined;
  /** Null: a temporary one, which stays only if something was violated. */
  readonly dir: string | null;
  readonly env: Readonly<Record<string, string | undefined>>;
  say(line: string): void;
}

/** Snapshots now and then, so that standbys, failovers and restarts meet them. */
const sync = { everyEvents: 2000, everyMs: 5000 };
const calmMs = 3000;

export async function runScenario(options: RunOptions): Promise<Report> {
  const { scenario, main, kindsFile, dir, env } = options;
  const cluster = await ChaosCluster.start({
    ...{ brokers: scenario.brokers, nodes: memberCount, main, kindsFile, dir, env },
    syncInterval: '100ms',
  });
  let report: Report;
  try {
    report = await runOn(cluster, options);
  } finally {
    await cluster.stop();
  }
  if (report.verdict === 'green') cluster.remove();
  return report;
}

async function runOn(cluster: ChaosCluster, options: RunOptions): Promise<Report> {
  const { loads, seed, rate, leastRate, durationMs, scenario, boundMs, say } = options;
  await createGroups(cluster, loads);
  const workload = await Workload.open({
    ...{ loads, seed, rate, brokerUrls: cluster.clientUrls },
    adminUrls: () => cluster.adminUrls,
  });
  const groups = loads.map(({ name }) => name);
  const stage = new Stage(cluster, groups, new Chance(seed, 'faults'));
  const violations: Violation[] = [];
  try {
    const startedMs = nowMs();
    workload.start();
    await delay(calmMs);
    // The first answers wait for connections.
    const calmRate = rateIn(workload.histories, startedMs + calmMs / 2, nowMs());
    const isValid = calmRate >= leastRate;
    if (isValid) {
      const told = { isWhole: () => areWhole(cluster.admin, groups), say };
      const rounds = new Rounds({
        stage,
        scenario,
        histories: workload.histories,
        boundMs,
        ...told,
      });
      violations.push(...(await rounds.play(startedMs + durationMs)));
    }
    await delay(isValid ? calmMs / 3 : 0);
    const endedMs = nowMs();
    await workload.stop();
    const { histories } = workload;
    const collected = await collect(cluster, loads, histories);
    await workload.close();
    await cluster.stop();
    const judged = collected.evidence.map((one) => judge(one, scenario, stage.faults));
    violations.push(...collected.violations, ...judged.flatMap((one) => one.violations));
    return reportOf({
      ...{ options, dir: cluster.dir, calmRate, startedMs, endedMs, violations, histories },
      ...{ faults: stage.faults, groups: judged.map(({ group }) => group) },
    });
  } finally {
    await workload.close();
  }
}

async function createGroups(cluster: ChaosCluster, loads: readonly GroupLoad[]): Promise<void> {
  await until('every node knows of the others', async () => {
    const nodes = await cluster.admin.nodes();
    return nodes.filter(({ state }) => state === 'up').length === memberCount;
  });
  for (const { name, kind, standby } of loads) {
    const spec = { name, kind: kind.name, memberCount, standby, sync };
    await cluster.admin.createGroup(spec);
  }
  const names = loads.map(({ name }) => name);
  await until('all groups are whole', () => areWhole(cluster.admin, names));
}
