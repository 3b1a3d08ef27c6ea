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
  const { seed, rate, leastRate, durationMs, scenario, boundMs, say } = options;
  const loads = [...options.loads, ...(scenario.loads ?? [])];
  await createGroups(cluster, loads);
  const workload = await Workload.open({
    ...{ loads, seed, rate, brokerUrls: cluster.clientUrls },
    adminUrls: () => cluster.adminUrls,
  });
  const groups = loads.map(({ name }) => name);
  const stage = new Stage(cluster, workload, groups, new Chance(seed, 'faults'));
  const violations: Violation[] = [];
  try {
    const startedMs = nowMs();
    workload.start();
    await delay(calmMs);
    // The first answers wait for connections.
    const calmRate = rateIn(workload.histories, startedMs + calmMs / 2, nowMs());
    const isValid = calmRate >= leastRate;
    if (isValid) {
      const rounds = new Rounds(stage, workload, scenario, boundMs, say);
      violations.push(...(await rounds.play(startedMs + durationMs)));
    }
    await delay(isValid ? calmMs / 3 : 0);
    const endedMs = nowMs();
    await workload.stop();
    const { histories } = workload;
    const collected = await collect(cluster, loads, histories);
    await workload.close();
    await cluster.stop();
    const judged = collected.evidence.map((one) => judge(one, scenario, stage));
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
  for (const { name, kind, standby, sync = nowAndThen } of loads) {
    const spec = { name, kind: kind.name, memberCount, standby, sync };
    await cluster.admin.createGroup(spec);
  }
  const names = loads.map(({ name }) => name);
  await until('all groups are whole', () => areWhole(cluster, names));
}

async function areWhole(cluster: ChaosCluster, groups: readonly string[]): Promise<boolean> {
  const documents = await Promise.all(groups.map((name) => cluster.admin.group(name)));
  return documents.every(
    ({ health, reprotected, activeNode, quarantined }) =>
      health.healthy === health.total && reprotected && activeNode !== null && !quarantined,
  );
}

const restMs = { least: 500, most: 3000 };

/** One round of faults after the other, each mended before the next. */
class Rounds {
  constructor(
    private readonly stage: Stage,
    private readonly workload: Workload,
    private readonly scenario: Scenario,
    private readonly boundMs: number,
    private readonly say: (line: string) => void,
  ) {}

  /** No round begins after `untilMs`. A cluster that does not recover ends it (I9). */
  async play(untilMs: number): Promise<Violation[]> {
    do {
      const before = this.stage.faults.length;
      try {
        await this.scenario.round(this.stage);
        await this.stage.heal();
      } catch (error) {
        return [violation(`a round of faults failed: ${(error as Error).message}`)];
      }
      const told = this.stage.faults.slice(before).map(({ what, target }) => `${target} ${what}`);
      const healedMs = nowMs();
      try {
        await until('every group serves again', () => this.#isBack(healedMs), this.boundMs);
      } catch (error) {
        return [violation(`after ${told.join('; ')}: ${(error as Error).message}`)];
      }
      this.say(`${told.join('; ')}; whole again after ${Math.round(nowMs() - healedMs)} ms`);
      await this.stage.wait(this.stage.chance.between(restMs.least, restMs.most));
    } while (nowMs() < untilMs);
    return [];
  }

  /** Whole by its own account, and something that was asked after the fault has been acknowledged. */
  async #isBack(healedMs: number): Promise<boolean> {
    const serve = this.workload.histories.every(
      ({ deliveries }) =>
        deliveries.findLast(
          ({ returnedAt, calledAt }) => returnedAt < nowMs() && calledAt > healedMs,
        ) !== undefined,
    );
    return serve && (await areWhole(this.stage.cluster, this.stage.groups));
  }
}

const violation = (detail: string): Violation => ({ check: 'liveness', group: null, detail });
