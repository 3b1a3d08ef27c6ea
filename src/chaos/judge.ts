/**
 * What is left when the faults are over, in two steps: first everything is collected from the cluster, then,
 * when its processes have ended, the checks look at it. Checking takes seconds of this process, in which no
 * proxy passes anything on: nodes would take each other for dead.
 */
import { connect } from 'nats';
import type { GroupDetail, HistoryEntry } from '../../cluster/documents.js';
import type { StoredRecord } from '../../replication/ports.js';
import { judgeOf } from '../node/identity.js';
import { checkDigests } from './check/digests.js';
import { checkGroup } from './check/group.js';
import { interpret, readRecords } from './check/log.js';
import { checkNamed, withoutLost } from './check/lost.js';
import { askMembers, checkShown, checkStanding, type Shown } from './check/members.js';
import type { Violation } from './check/violation.js';
import { programDoor } from './clients/program.js';
import type { Ground } from './cluster/cluster.js';
import { type History, nowMs } from './history.js';
import { isWhole } from './rounds.js';
import type { Scenario } from './scenarios/scenario.js';
import type { Stage } from './stage.js';
import { until } from './until.js';
import type { GroupLoad } from './workload/groups.js';

/** Of one group. */
export interface Evidence {
  readonly load: GroupLoad;
  readonly history: History;
  readonly detail: GroupDetail;
  readonly records: readonly StoredRecord[];
  /** Oldest first. */
  readonly epochs: readonly HistoryEntry[];
  readonly shown: readonly Shown[];
}

export interface JudgedGroup {
  readonly name: string;
  readonly kind: string;
  readonly standby: string;
  readonly seq: number;
  readonly records: number;
  /** Of snapshots, which a replay of the log gave as well. */
  readonly digests: number;
  readonly strangers: readonly string[];
  /** Oldest first. */
  readonly epochs: readonly HistoryEntry[];
}

/** For all groups together: of a cluster that is broken nothing more can be had. */
const collectMs = 90_000;
const longestWaitMs = 30_000;

/** The cluster has no traffic any more. What cannot be had is not known to be right: a violation. */
export async function collect(
  cluster: Pick<Ground, 'admin' | 'clientUrls'>,
  loads: readonly GroupLoad[],
  histories: readonly History[],
  waitMs = collectMs,
): Promise<{ readonly evidence: Evidence[]; readonly violations: Violation[] }> {
  const evidence: Evidence[] = [];
  const violations: Violation[] = [];
  const deadlineMs = nowMs() + waitMs;
  const leftMs = () => Math.max(0, Math.min(longestWaitMs, Math.ceil(deadlineMs - nowMs())));
  for (const [i, load] of loads.entries()) {
    try {
      evidence.push(await collectGroup(cluster, load, histories[i] as History, leftMs));
    } catch (error) {
      const detail = `the checks could not be done: ${(error as Error).message}`;
      violations.push({ check: 'liveness', group: load.name, detail });
    }
  }
  return { evidence, violations };
}

async function collectGroup(
  cluster: Pick<Ground, 'admin' | 'clientUrls'>,
  load: GroupLoad,
  history: History,
  leftMs: () => number,
): Promise<Evidence> {
  const { name } = load;
  await until(`${name} syncs`, () => cluster.admin.sync(name), leftMs());
  const whole = async () => {
    const group = await cluster.admin.group(name);
    return isWhole(group) ? group : null;
  };
  const detail = await until(`${name} is whole`, whole, leftMs()).catch(() =>
    cluster.admin.group(name),
  );
  const records = await recordsOf(cluster, detail);
  const epochs = [...(await cluster.admin.history(name))].reverse();
  const door = await programDoor(cluster.clientUrls);
  try {
    const shown = await askMembers(door, load, detail.seq, leftMs());
    return { load, history, detail, records, epochs, shown };
  } finally {
    await door.close();
  }
}

async function recordsOf(
  cluster: Pick<Ground, 'admin' | 'clientUrls'>,
  { groupId, standby }: GroupDetail,
): Promise<readonly StoredRecord[]> {
  const connection = await connect({ servers: [...cluster.clientUrls] });
  try {
    return await until('the log is read', () => readRecords({ connection, groupId, standby }));
  } finally {
    await connection.close();
  }
}

/** Pure: all that it needs has been collected. */
export function judge(
  { load, history, detail, records, epochs, shown }: Evidence,
  scenario: Scenario,
  { faults, losses }: Pick<Stage, 'faults' | 'losses'>,
): { readonly violations: readonly Violation[]; readonly group: JudgedGroup } {
  const { name, kind, standby } = load;
  const judge = judgeOf(detail);
  const log = interpret(records, judge);
  const compared = checkDigests(kind, records, judge, name);
  const ofGroup = losses.filter(({ group }) => group === name);
  const facts = { group: name, faults, epochs, log };
  const expected = scenario.expects?.(facts) ?? scenario.expectsAlone?.(facts) ?? null;
  const violations: Violation[] = [
    ...checkNamed(history, ofGroup),
    ...checkGroup(kind, withoutLost(history, log, ofGroup), log),
    ...checkShown(kind, log, name, shown),
    ...compared.violations,
    ...checkStanding(detail),
  ];
  if (expected !== null) violations.push({ check: 'expectation', group: name, detail: expected });
  const { seq, strangers } = log;
  const counted = { seq, strangers, records: log.records, digests: compared.digests };
  return { violations, group: { name, kind: kind.name, standby, ...counted, epochs } };
}
