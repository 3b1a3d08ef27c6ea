/**
 * Whatever dies together, under load with retries: every combination of three nodes and their broker,
 * and some deaths in the middle of coming back. One cluster and one load go through all of them; what
 * callers were told is checked in the end, against the whole log. `npm test` has a sample of each kind of
 * death, `npm run test:whole` all of them.
 */
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest';
import { type Cluster, startSharedCluster } from '../support/cluster.js';
import { watchClaims } from '../support/log-watch.js';
import type { NodeProcess } from '../support/node-process.js';
import { sampleOf } from '../support/sample.js';
import { Traffic } from '../support/traffic.js';

const answersBetween = 40;
const timeoutMs = 90_000;

let cluster: Cluster;
let traffics: Traffic[] = [];
let deaths = 0;

beforeAll(async () => {
  cluster = await startSharedCluster();
  await cluster.createGroup({ name: 'warm', kind: 'ledger', standby: 'warm' });
  await cluster.createGroup({ name: 'hot', kind: 'ledger', standby: 'hot' });
  const start = (name: string) => Traffic.start(cluster.broker.url, name);
  traffics = await Promise.all([start('warm'), start('hot')]);
});

afterAll(async () => {
  await Promise.all(traffics.map((traffic) => traffic.close()));
  await cluster.remove();
});

/** Proves that all were whole and busy before, and that everybody who waited is answered after. */
async function through(strike: () => Promise<void>): Promise<void> {
  onTestFailed(() => cluster.printLogs());
  deaths += 1;
  await cluster.start();
  await Promise.all(['warm', 'hot'].map((name) => cluster.whole(name, 40_000)));
  await Promise.all(traffics.map((traffic) => traffic.more(answersBetween)));
  await strike();
  await answered();
}

const answered = () => Promise.all(traffics.map((traffic) => traffic.round()));

/** SIGKILL to all at the same moment; resolves when they are gone. */
async function kill(nodes: readonly NodeProcess[], broker = false): Promise<void> {
  for (const node of nodes) node.signal('SIGKILL');
  await Promise.all([
    broker ? cluster.endBroker('SIGKILL') : undefined,
    ...nodes.map((node) => node.exited),
  ]);
}

async function restart(broker = false): Promise<void> {
  await Promise.all([broker ? cluster.startBroker() : undefined, cluster.start()]);
}

const activeOf = async (name: string) => cluster.node((await cluster.admin.group(name)).activeNode);
const othersThan = (...known: readonly NodeProcess[]) =>
  cluster.nodes.filter((node) => !known.includes(node));

const victims = ['node-1', 'node-2', 'node-3', 'the broker'];
const combinations = Array.from({ length: 15 }, (_, i) =>
  victims.filter((_, bit) => ((i + 1) >> bit) & 1).join(' and '),
);
/** One node, more than half of them, all; the broker, and everything. */
const someCombinations = [
  'node-1',
  'the broker',
  'node-1 and node-2',
  'node-1 and node-2 and node-3',
  'node-1 and node-2 and node-3 and the broker',
];

test.each(sampleOf(combinations, someCombinations))(
  '%s killed at once',
  (title) =>
    through(async () => {
      const nodes = cluster.nodes.filter(({ id }) => title.includes(id));
      const broker = title.includes('the broker');
      await kill(nodes, broker);
      // Whoever is left serves everybody, before anything comes back.
      if (!broker && nodes.length < cluster.nodes.length) await answered();
      await restart(broker);
    }),
  timeoutMs,
);

test.each(sampleOf(['warm', 'hot'], ['hot']))(
  'the active of the %s group killed, and its successor at the moment of its claim',
  (name) =>
    through(async () => {
      const active = await activeOf(name);
      const watch = await watchClaims(cluster.broker.url, ({ writer }) =>
        cluster.node(writer.node).signal('SIGKILL'),
      );
      await kill([active]);
      const { writer } = await watch.first;
      await watch.close();
      expect(writer.node).not.toBe(active.id);
      await cluster.node(writer.node).exited;
      await answered();
      await restart();
    }),
  timeoutMs,
);

test(
  'the active killed, and the broker at the moment of the claim',
  () =>
    through(async () => {
      const active = await activeOf('warm');
      const watch = await watchClaims(cluster.broker.url, () => cluster.broker.kill('SIGKILL'));
      await kill([active]);
      await watch.first;
      await cluster.broker.exited;
      await watch.close();
      await restart(true);
    }),
  timeoutMs,
);

test(
  'the broker killed while all nodes restart',
  () =>
    through(async () => {
      await kill(cluster.nodes);
      const starts = cluster.nodes.map((node) => node.start());
      await Promise.race(starts);
      await kill([], true);
      await cluster.startBroker();
      await Promise.all(starts);
      await cluster.start();
    }),
  timeoutMs,
);

test(
  'a node killed again before it is back, and once more when it has just joined',
  () =>
    through(async () => {
      const active = await activeOf('hot');
      await kill([active]);
      const start = active.start();
      const early = expect(start).rejects.toThrow('ended before it was ready');
      await kill([active]);
      await early;
      await active.start();
      await kill([active]);
      await answered();
      await restart();
    }),
  timeoutMs,
);

test(
  'the last two killed when the first has just joined again',
  () =>
    through(async () => {
      const active = await activeOf('hot');
      await kill([active]);
      await active.start();
      await kill(othersThan(active));
      await answered();
      await restart();
    }),
  timeoutMs,
);

test(
  'one of two killed with the broker while the third is coming back',
  () =>
    through(async () => {
      const active = await activeOf('warm');
      await kill([active]);
      const start = active.start();
      await kill(othersThan(active).slice(0, 1), true);
      await cluster.startBroker();
      await start;
      await answered();
      await restart();
    }),
  timeoutMs,
);

test.each(['warm', 'hot'])(
  'the log of the %s group holds what was acknowledged, and answers were true',
  async (name) => {
    const group = await cluster.whole(name);
    const traffic = traffics.find((one) => one.group === name) as Traffic;
    const events = await traffic.settle(cluster.admin);
    const { outcomes } = traffic;
    expect(events.length).toBeGreaterThan(deaths * answersBetween);
    expect(outcomes.length - events.length).toBeGreaterThan(deaths);
    expect(group.epoch).toBeGreaterThan(deaths / 2);
    expect(await cluster.admin.history(name)).toHaveLength(group.epoch);
  },
  timeoutMs,
);
