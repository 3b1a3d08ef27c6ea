/** Collects what is left when the faults are over, and has every check look at it. */
import { connect } from 'nats';
import type { GroupDetail, HistoryEntry } from '../../cluster/documents.js';
import { judgeOf } from '../node/identity.js';
import { checkGroup } from './check/group.js';
import { type ReadLog, readLog } from './check/log.js';
import { askMembers, checkShown, checkStanding } from './check/members.js';
import type { Violation } from './check/violation.js';
import { programDoor } from './clients/program.js';
import type { ChaosCluster } from './cluster/cluster.js';
import type { History } from './history.js';
import type { Scenario } from './scenarios/scenario.js';
import type { Fault } from './stage.js';
import { until } from './until.js';
import type { GroupLoad } from './workload/groups.js';
import type { Workload } from './workload/workload.js';

export interface Evidence {
  readonly cluster: ChaosCluster;
  readonly workload: Workload;
  readonly loads: readonly GroupLoad[];
  readonly scenario: Scenario;
  readonly faults: readonly Fault[];
}

export interface JudgedGroup {
  readonly name: string;
  readonly kind: string;
  readonly standby: string;
  readonly seq: number;
  readonly records: number;
  readonly strangers: readonly string[];
  /** Oldest first. */
  readonly epochs: readonly HistoryEntry[];
}

interface Judgement {
  readonly violations: readonly Violation[];
  readonly groups: readonly JudgedGroup[];
}

export async function judge(evidence: Evidence): Promise<Judgement> {
  const judged: { violations: Violation[]; groups: JudgedGroup[] } = { violations: [], groups: [] };
  for (const [i, load] of evidence.loads.entries()) {
    const history = evidence.workload.histories[i] as History;
    try {
      const { violations, group } = await judgeGroup(evidence, load, history);
      judged.violations.push(...violations);
      judged.groups.push(group);
    } catch (error) {
      // What cannot be looked at is not known to be right.
      const detail = `the checks could not be done: ${(error as Error).message}`;
      judged.violations.push({ check: 'liveness', group: load.name, detail });
    }
  }
  return judged;
}

async function judgeGroup(evidence: Evidence, load: GroupLoad, history: History) {
  const { cluster, scenario, faults } = evidence;
  const { name, kind, standby } = load;
  await until(`${name} syncs`, () => cluster.admin.sync(name));
  const detail = await cluster.admin.group(name);
  const log = await storedLog(cluster, detail);
  const epochs = [...(await cluster.admin.history(name))].reverse();
  const door = await programDoor(cluster.clientUrls);
  try {
    const shown = await askMembers(door, load, log.seq);
    const expected = scenario.expects?.({ group: name, faults, epochs }) ?? null;
    const violations: Violation[] = [
      ...checkGroup(kind, history, log),
      ...checkShown(kind, log, name, shown),
      ...checkStanding(detail),
      ...(expected === null
        ? []
        : [{ check: 'expectation', group: name, detail: expected } as const]),
    ];
    const { seq, records, strangers } = log;
    const group = { name, kind: kind.name, standby, seq, records, strangers, epochs };
    return { violations, group };
  } finally {
    await door.close();
  }
}

async function storedLog(cluster: ChaosCluster, detail: GroupDetail): Promise<ReadLog> {
  const { groupId, standby, members } = detail;
  const connection = await connect({ servers: cluster.clientUrls });
  try {
    const judge = judgeOf({ groupId, members });
    return await until('the log is read', () => readLog({ connection, groupId, standby, judge }));
  } finally {
    await connection.close();
  }
}
