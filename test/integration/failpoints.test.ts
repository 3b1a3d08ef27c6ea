/**
 * A node is killed at each named point of its code, under load: nothing is lost and nothing doubled. `npm test` has a
 * point of each kind, `npm run test:whole` all of them.
 */
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Failpoint } from '../../src/failpoint.js';
import { type Cluster, startSharedCluster } from '../support/cluster.js';
import { countingCommand, Load, settle } from '../support/load.js';
import type { NodeProcess } from '../support/node-process.js';
import { sampleOf } from '../support/sample.js';

const arming = pathToFileURL('test/support/failpoints.mjs').href;

/** At which of the times that the program comes by: the first would mostly be before the load. */
const points: Readonly<Record<Failpoint, number>> = {
  'before-append': 40,
  'after-ack': 40,
  'before-answer': 200,
  'between-chunks': 2,
  'before-snapshot-record': 2,
  'after-snapshot-record': 2,
  'after-claim': 1,
  'before-open': 1,
  'before-call': 1,
  'after-call': 1,
};

/** Around an append, in a snapshot, in a promotion, and between a call and its answer. */
const somePoints: readonly Failpoint[] = [
  'after-ack',
  'between-chunks',
  'after-claim',
  'after-call',
];

let cluster: Cluster;
let node: NodeProcess;

beforeAll(async () => {
  cluster = await startSharedCluster({ env: { UNDERSTUDY_REPLACE_AFTER_MS: '600000' } });
  node = cluster.node('node-1');
});

afterAll(() => cluster.remove());

async function restarted(env: Readonly<Record<string, string>>): Promise<void> {
  await node.kill();
  await node.start(env);
}

/** The group, with its active on another node than the one that is to die. */
async function groupElsewhere(name: string): Promise<void> {
  const sync = { everyEvents: 100 };
  const group = await cluster.createGroup({ name, kind: 'counter', sync });
  if (group.activeNode !== node.id) return;
  const { id } = await cluster.admin.switchover(name);
  expect(await cluster.admin.operation(id, 20_000)).toMatchObject({ state: 'done' });
  await cluster.whole(name);
}

test.each(sampleOf(Object.keys(points) as Failpoint[], somePoints))(
  'a node that dies at %s',
  async (name) => {
    await groupElsewhere(name);
    await restarted({
      NODE_OPTIONS: `--import=${arming}`,
      UNDERSTUDY_FAILPOINTS: `${name}=kill@${points[name]}`,
    });
    await cluster.whole(name);
    const load = new Load((await cluster.client()).group(name), { command: countingCommand });
    await load.more();
    // It drives the operation that makes it the active. Its answer may die with it.
    await cluster
      .adminOf(node)
      .switchover(name, { candidate: node.id })
      .catch(() => undefined);
    expect(await node.exited).toEqual({ code: null, signal: 'SIGKILL' });
    await node.start();
    await cluster.whole(name);
    await load.more();
    await settle(load, cluster.admin, name);
  },
  60_000,
);

test('the program that is shipped knows nothing of them', async () => {
  await groupElsewhere('plain');
  const all = Object.keys(points).map((name) => `${name}=kill`);
  await restarted({ UNDERSTUDY_FAILPOINTS: all.join(',') });
  await cluster.whole('plain');
  const { pid } = node;
  const load = new Load((await cluster.client()).group('plain'), { command: countingCommand });
  const { id } = await cluster.adminOf(node).switchover('plain', { candidate: node.id });
  expect(await cluster.admin.operation(id, 20_000)).toMatchObject({ state: 'done' });
  await load.more(1000);
  await cluster.admin.sync('plain');
  await settle(load, cluster.admin, 'plain');
  expect(node).toMatchObject({ pid, isRunning: true });
}, 60_000);
