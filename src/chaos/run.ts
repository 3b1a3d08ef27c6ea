/** One run of one scenario: a cluster, its clients, faults, and after them the checks. */
import { setTimeout as delay } from 'node:timers/promises';
import type { AdminClient } from '../client/admin.js';
import { Chance } from './chance.js';
import { memberCount } from './check/members.js';
import type { Violation } from './check/violation.js';
import { ChaosCluster, type Ground } from './cluster/cluster.js';
import { nowMs } from './history.js';
import { onInterrupt } from './interrupt.js';
import { collect, judge } from './judge.js';
import { rateIn, type Stretch } from './measure.js';
import { type Report, reportOf } from './report/report.js';
import { areWhole, type Played, Rounds } from './rounds.js';
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
const nowAndThen = { everyEvents: 2000, everyMs: 5000 };
const calmMs = 3000;

export async function runScenario(options: RunOptions): Promise<Report> {
  const { scenario, main, dir, env } = options;
  const kindsFile = scenario.kindsFile?.(main) ?? options.kindsFile;
  const cluster = await ChaosCluster.start({
    ...{ brokers: scenario.brokers, nodes: memberCount, main, kindsFile, dir, env },
    ...{ syncInterval: '100ms', nodeEnv: scenario.nodeEnv, volumes: scenario.volumes ?? [] },
  });
  // A killed parent would leave the brokers and whatever is frozen behind.
  const stopListening = onInterrupt(async () => {
    await cluster.stop();
    cluster.remove();
  });
  let report: Report;
  try {
    const chance = new Chance(options.seed, 'faults');
    const prepare = (workload: Workload): Play => {
      const stage = new Stage(cluster, workload, namesOf(loadsOf(options)), chance);
      return { stage, round: () => scenario.round(stage) };
    };
    report = await runOn(cluster, prepare, options);
  } catch (error) {
    options.say(`it ended before it could be judged; logs and stores are in ${cluster.dir}`);
    throw error;
  } finally {
    await cluster.stop();
    stopListening();
  }
  if (report.verdict === 'green') cluster.remove();
  return report;
}

/** Where faults happen, and one round of them. */
export interface Play {
  readonly stage: Played;
  readonly round: () => Promise<void>;
}

/** `prepare`: what is played, once there are callers. */
export async function runOn(
  cluster: Ground,
  prepare: (workload: Workload) => Play,
  options: RunOptions,
): Promise<Report> {
  const { seed, rate, leastRate, durationMs, scenario, boundMs, say } = options;
  const loads = loadsOf(options);
  await createGroups(cluster.admin, loads);
  const { adminToken } = cluster;
  const workload = await Workload.open({
    ...{ loads, seed, rate, brokerUrls: cluster.clientUrls, adminToken },
    adminUrls: () => cluster.adminUrls,
  });
  const { histories } = workload;
  const { stage, round } = prepare(workload);
  const violations: Violation[] = [];
  let rests: readonly Stretch[] = [];
  try {
    const startedMs = nowMs();
    workload.start();
    await delay(calmMs);
    // The first answers wait for connections.
    const calmRate = rateIn(histories, { fromMs: startedMs + calmMs / 2, toMs: nowMs() });
    const isValid = calmRate >= leastRate;
    if (isValid) {
      const isWhole = () => areWhole(cluster.admin, namesOf(loads));
      const leastRounds = scenario.leastRounds ?? 1;
      const played = { stage, round, leastRounds, histories, boundMs, isWhole, say };
      const rounds = new Rounds(played);
      violations.push(...(await rounds.play(startedMs + durationMs)));
      rests = rounds.rests;
    }
    await delay(isValid ? calmMs / 3 : 0);
    const endedMs = nowMs();
    await workload.stop();
    const collected = await collect(cluster, loads, histories);
    await workload.close();
    await cluster.stop();
    const judged = collected.evidence.map((one) => judge(one, scenario, stage));
    violations.push(...collected.violations, ...judged.flatMap((one) => one.violations));
    return reportOf({
      ...{ options, dir: cluster.dir, calmRate, rests, startedMs, endedMs, violations, histories },
      ...{ faults: stage.faults, groups: judged.map(({ group }) => group) },
    });
  } finally {
    await workload.close();
  }
}

const loadsOf = ({ loads, scenario }: RunOptions) => [...loads, ...(scenario.loads ?? [])];
const namesOf = (loads: readonly GroupLoad[]) => loads.map(({ name }) => name);

async function createGroups(admin: AdminClient, loads: readonly GroupLoad[]): Promise<void> {
  await until('every node knows of the others', async () => {
    const nodes = await admin.nodes();
    return nodes.filter(({ state }) => state === 'up').length === memberCount;
  });
  for (const { name, kind, standby, sync = nowAndThen } of loads) {
    const spec = { name, kind: kind.name, memberCount, standby, sync };
    await admin.createGroup(spec);
  }
  await until('all groups are whole', () => areWhole(admin, namesOf(loads)));
}
