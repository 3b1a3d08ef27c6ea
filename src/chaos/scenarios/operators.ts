import type { OperationDocument } from '../../../cluster/documents.js';
import { type AdminClient, createAdminClient } from '../../client/admin.js';
import type { ChaosNode } from '../cluster/node.js';
import type { Stage } from '../stage.js';
import { until } from '../until.js';
import { type Facts, type Scenario, twice } from './scenario.js';

const endMs = 60_000;

interface Asked {
  readonly group: string;
  /** Who is not asked, and may be emptied. */
  readonly other: ChaosNode;
}

/** Each is asked of one node, which drives what it begins. */
const requests = {
  switchover: (admin: AdminClient, { group }: Asked) => admin.switchover(group),
  failover: (admin: AdminClient, { group }: Asked) => admin.failover(group),
  drain: (admin: AdminClient, { other }: Asked) => admin.drain(other.id),
  rebalance: (admin: AdminClient, _: Asked) => admin.rebalance(),
} as const;

const kinds = Object.keys(requests) as (keyof typeof requests)[];

const killDriver: Scenario = {
  name: 'kill-operation-driver',
  shows:
    'the node that drives a switchover, failover, drain or rebalance dies: another ends it, once',
  brokers: 1,
  async round(stage) {
    const { chance } = stage;
    const group = chance.pick(stage.groups);
    const asked = chance.pick(stage.nodes);
    const other = chance.pick(stage.nodes.filter((node) => node !== asked));
    const kind = stage.inTurn(kinds);
    const { epoch } = await stage.group(group);
    const { id, driver } = await begun(stage, kind, asked, { group, other });
    await stage.wait(chance.pick([0, 20, 100, 500]));
    await stage.down([driver === null ? asked : stage.node(driver)], chance.pick([0, 3000]));
    await ended(stage, id);
    await changedOnce(stage, group, kind, epoch);
    if (kind === 'drain') await usable(stage, other);
  },
  expects: ({ epochs }: Facts) => {
    const again = twice(epochs.flatMap(({ operation }) => operation ?? []));
    return again === undefined ? null : `operation ${again} changed the writer twice`;
  },
};

async function begun(
  stage: Stage,
  kind: keyof typeof requests,
  asked: ChaosNode,
  about: Asked,
): Promise<OperationDocument> {
  const admin = createAdminClient({ url: asked.adminUrl });
  // A group that is not ready for it yet is refused: that was another round's fault.
  return await stage.during(`asked for a ${kind}`, asked.id, () =>
    until(`${asked.id} begins a ${kind}`, () => requests[kind](admin, about)),
  );
}

async function ended(stage: Stage, id: string): Promise<void> {
  const look = async () => {
    const operation = await stage.cluster.admin.operation(id);
    return operation.state === 'running' ? null : operation;
  };
  await until(`operation ${id} is ended by another node`, look, endMs);
}

/** Whoever took over has not done again what was done (I11). */
async function changedOnce(stage: Stage, group: string, kind: string, since: number) {
  const epochs = await until(`the history of ${group}`, () => stage.cluster.admin.history(group));
  const asked = epochs.filter(({ epoch, cause }) => epoch > since && cause === kind);
  if (asked.length <= 1) return;
  const told = asked.map(({ epoch }) => epoch).join(', ');
  throw new Error(`one ${kind} of ${group} made the epochs ${told}`);
}

/** A node that was emptied gets members only in a new life. */
async function usable(stage: Stage, node: ChaosNode): Promise<void> {
  await until(`${node.id} is to be used again`, () => stage.cluster.admin.uncordon(node.id));
  await stage.down([node], 0, 'SIGTERM');
}

export const operators: readonly Scenario[] = [killDriver];
