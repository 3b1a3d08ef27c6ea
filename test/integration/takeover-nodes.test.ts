/**
 * The node that drives an operation on other nodes, or a sync, is killed at each of its steps: another goes on, what was
 * asked for is so, and each group changed its epoch once for each switchover that was begun. A sample of
 * the steps; all of them with `npm run test:takeover`.
 */
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest';
import type { GroupDocument, OperationDocument } from '../../cluster/documents.js';
import type { AdminClient } from '../../src/client/admin.js';
import { type Cluster, startSharedCluster } from '../support/cluster.js';
import { type Killer, killerOf } from '../support/killer.js';
import type { NodeProcess } from '../support/node-process.js';
import { sampleOf } from '../support/sample.js';
import { supervise } from '../support/supervise.js';

const names = ['g', 'h'];
const hosts = ['node-1', 'node-2', 'node-3', 'node-4'];

let cluster: Cluster;
let killer: Killer;
/** Hosts nothing, so that its death changes no group. */
let driver: NodeProcess;
let epochs: number;

beforeAll(async () => {
  // Nobody is replaced meanwhile, nor judged for being slow or frozen.
  const env = {
    UNDERSTUDY_REPLACE_AFTER_MS: '600000',
    UNDERSTUDY_HANG_TIMEOUT_MS: '20000',
    UNDERSTUDY_SUPERVISED: '1',
  };
  cluster = await startSharedCluster({ nodes: 5, env });
  killer = await killerOf(cluster);
  driver = cluster.node('node-5');
  const placement = { nodes: hosts };
  for (const name of names) await cluster.createGroup({ name, kind: 'counter', placement });
}, 60_000);

afterAll(async () => {
  await killer.close();
  await cluster.remove();
});

beforeEach(async () => {
  await cluster.start();
  epochs = await epochsOf(await wholeGroups());
});

const wholeGroups = () => Promise.all(names.map((name) => cluster.whole(name)));
const epochsOf = (groups: readonly GroupDocument[]) =>
  groups.reduce((sum, { epoch }) => sum + epoch, 0);

const otherThan = (...nodes: readonly NodeProcess[]): AdminClient =>
  cluster.adminOf(
    cluster.nodes.find((node) => node !== driver && !nodes.includes(node)) as NodeProcess,
  );

/** Another has ended it, and every epoch is one that it asked for. */
async function expectDone(ended: OperationDocument): Promise<void> {
  expect(ended).toMatchObject({ state: 'done', lastError: null });
  expect(ended.driver).not.toBe(driver.id);
  const begun = (await otherThan().operations()).filter(({ by }) => by === ended.id);
  expect(begun.filter(({ state }) => state !== 'done')).toEqual([]);
  const asked = begun.filter(({ kind, createdAt }) => {
    return kind === 'switchover' && createdAt >= ended.createdAt;
  });
  expect((await epochsOf(await wholeGroups())) - epochs).toBe(asked.length);
  await killer.untilUnlocked();
}

const memberCount = async (id: string): Promise<number> => {
  const groups = await otherThan().groups();
  return groups.filter(({ members }) => members.some(({ nodeId }) => nodeId === id)).length;
};

const drained = (step: string) => ({ kind: 'drain', step });
const rebalanced = (step: string) => ({ kind: 'rebalance', step });

test.each(sampleOf(['started', 'marking', 'moving'], ['moving']))(
  'a drain, and then a rebalance, whose driver is killed at %s are ended by another',
  async (step) => {
    const leaving = cluster.activeOf(await cluster.whole('g'));
    const drain = (admin: AdminClient) => admin.drain(leaving.id);
    await expectDone(await killer.endedWithout(driver, drained(step), drain, otherThan(leaving)));
    expect(await memberCount(leaving.id)).toBe(0);
    // It is a node like the others again in its next life.
    await leaving.kill();
    await cluster.start();
    if (step === 'marking') return;

    epochs = await epochsOf(await wholeGroups());
    const rebalance = (admin: AdminClient) => admin.rebalance();
    await expectDone(await killer.endedWithout(driver, rebalanced(step), rebalance, otherThan()));
    expect(await memberCount(leaving.id)).toBeGreaterThan(0);
    expect(await otherThan().planRebalance()).toEqual({ moves: [], stays: [] });
  },
  90_000,
);

test.each(sampleOf(['started', 'checking', 'handing-over', 'ending', 'returning'], ['ending']))(
  'a restart whose driver is killed at %s is ended by another, and the node has ended once',
  async (step) => {
    const node = cluster.activeOf(await cluster.whole('g'));
    const lives = () => node.log().match(/node is up/g)?.length ?? 0;
    const before = lives();
    onTestFinished(supervise([node]));
    const ask = (admin: AdminClient) => admin.restart(node.id);
    const ended = await killer.endedWithout(
      driver,
      { kind: 'restart', step },
      ask,
      otherThan(node),
    );
    expect(ended.target).toBe(node.id);
    await expectDone(ended);
    expect(lives()).toBe(before + 1);
  },
  60_000,
);

test.each(sampleOf(['started', 'cutting', 'syncing'], ['syncing']))(
  'a sync whose driver is killed at %s is ended by another, and the standbys hold it',
  async (step) => {
    const group = await cluster.whole('g');
    const [late, other] = cluster.standbysOf(group) as [NodeProcess, NodeProcess];
    await cluster.admin.deliver('g', { by: 1 });
    const ask = (admin: AdminClient) => {
      // So that it cannot be over before the driver is.
      late.freeze();
      return admin.sync('g');
    };
    const at = { kind: 'sync', step };
    const thawed = driver.exited.then(() => late.thaw());
    const ended = await killer.endedWithout(driver, at, ask, cluster.adminOf(other));
    await thawed;
    await expectDone(ended);
    const holds = ({ members }: GroupDocument) =>
      members.every(({ syncedThrough }) => syncedThrough === group.seq + 1);
    await cluster.group('g', 'synced everywhere', holds);
  },
  60_000,
);
