/** Three brokers that replicate: the one that leads the groups' log dies, under load. */
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest';
import type { GroupDocument } from '../../cluster/documents.js';
import { startTestCluster, type TestBroker, type TestCluster } from '../support/broker.js';
import { BrokerWatch } from '../support/broker-cluster.js';
import { Cluster } from '../support/cluster.js';
import type { NodeProcess } from '../support/node-process.js';
import { Traffic } from '../support/traffic.js';

/** Of both groups. */
const stream = 'understudy_log_0';
const groups = ['warm', 'hot'] as const;
const answersBetween = 40;
const timeoutMs = 90_000;

let brokers: TestCluster;
let watch: BrokerWatch;
let cluster: Cluster;
let traffics: Traffic[] = [];

beforeAll(async () => {
  brokers = await startTestCluster();
  watch = await BrokerWatch.open(brokers);
  const env = {
    UNDERSTUDY_NATS_URL: brokers.urls.join(','),
    UNDERSTUDY_REPLICAS: '3',
    UNDERSTUDY_SHARDS: '1',
  };
  cluster = new Cluster(brokers.brokers[0] as TestBroker, { env });
  await cluster.start();
  // A hot group that snapshots do not keep level: only the tail does.
  const sync = { everyEvents: 1_000_000, everyMs: 3_600_000 };
  for (const name of groups) {
    await cluster.createGroup({ name, kind: 'ledger', standby: name, sync });
  }
  traffics = await Promise.all(groups.map((name) => Traffic.start(brokers.urls, name)));
});

afterAll(async () => {
  await Promise.all(traffics.map((traffic) => traffic.close()));
  await watch?.close();
  await brokers?.remove();
  await cluster?.remove();
});

/** Kills the server, and nodes with it; they come back when everybody has been answered. */
async function kill(
  server: string,
  nodes: readonly NodeProcess[] = [],
): Promise<readonly GroupDocument[]> {
  onTestFailed(() => cluster.printLogs());
  await Promise.all(traffics.map((traffic) => traffic.more(answersBetween)));
  const broker = watch.broker(server);
  for (const victim of [broker, ...nodes]) process.kill(victim.pid, 'SIGKILL');
  await Promise.all([broker, ...nodes].map(({ exited }) => exited));
  await Promise.all(traffics.map((traffic) => traffic.round()));
  expect(await watch.leaderOf(stream)).not.toBe(server);
  if (nodes.length === 0) await level();
  await Promise.all([brokers.restart(broker), cluster.start()]);
  await Promise.all([watch.whole(), level(), ...traffics.map((traffic) => traffic.round())]);
  return await now();
}

/** The standbys of the hot group hold what the group holds just now, from the tail alone. */
async function level(): Promise<void> {
  const { seq } = await cluster.admin.group('hot');
  const isLevel = ({ members }: GroupDocument) =>
    members.every(({ syncedThrough }) => syncedThrough >= seq);
  await cluster.group('hot', `level with seq ${seq}`, isLevel);
}

const now = () => Promise.all(groups.map((name) => cluster.whole(name)));
const epochsOf = (documents: readonly GroupDocument[]) => documents.map(({ epoch }) => epoch);

test(
  'the leader of the log killed, and no active connected to it: no failover',
  async () => {
    const before = await now();
    const taken = before.map(({ activeNode }) => watch.serverOf(activeNode, 'control'));
    const leader = watch.names.find((name) => !taken.includes(name)) as string;
    await watch.makeLeader(stream, leader);
    const after = await kill(leader);
    expect(epochsOf(after)).toEqual(epochsOf(before));
    expect(after.map(({ activeNode }) => activeNode)).toEqual(
      before.map(({ activeNode }) => activeNode),
    );
  },
  timeoutMs,
);

test(
  'the leader of the log killed, and the actives connected to it: one failover at most',
  async () => {
    const before = await now();
    const leader = watch.serverOf(before[1]?.activeNode as string, 'control');
    await watch.makeLeader(stream, leader);
    const after = await kill(leader);
    for (const [i, epoch] of epochsOf(before).entries()) {
      expect((after[i]?.epoch as number) - epoch).toBeLessThanOrEqual(1);
    }
  },
  timeoutMs,
);

test(
  'the leader of the log killed, and an active with it that is connected elsewhere',
  async () => {
    const [, before] = await now();
    const active = cluster.node(before?.activeNode as string);
    const leader = watch.names.find((name) => name !== watch.serverOf(active.id, 'control'));
    await watch.makeLeader(stream, leader as string);
    const [, after] = await kill(leader as string, [active]);
    expect(after?.activeNode).not.toBe(active.id);
    expect(after?.epoch).toBeGreaterThan(before?.epoch as number);
  },
  timeoutMs,
);

test(
  'the server killed that a hot standby hears the log from: it follows over another',
  async () => {
    const [, hot] = await now();
    const { index, nodeId } = hot?.members.find((one) => one.index !== hot.activeIndex) ?? {};
    const server = watch.serverOf(nodeId as string, 'tail');
    await kill(server);
    expect(watch.serverOf(nodeId as string, 'tail')).not.toBe(server);
    const after = await cluster.whole('hot');
    expect(after.members[index as number]).toMatchObject({ healthy: true, diverged: 0 });
  },
  timeoutMs,
);

test.each(groups)(
  'the log of the %s group holds what was acknowledged, and answers were true',
  async (name) => {
    const traffic = traffics.find((one) => one.group === name) as Traffic;
    const events = await traffic.settle(cluster.admin);
    expect(events.length).toBeGreaterThan(4 * answersBetween);
    expect(traffic.outcomes.length).toBeGreaterThan(events.length);
  },
  timeoutMs,
);
