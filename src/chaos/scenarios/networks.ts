import type { Scenario } from './scenario.js';

const partitionNode: Scenario = {
  name: 'partition-node',
  shows:
    'a node with actives loses the brokers without a word: it is replaced, and comes back as standby',
  brokers: 1,
  async round(stage) {
    const active = await stage.active(stage.chance.pick(stage.groups));
    await stage.cutOff(active, stage.chance.pick([1000, 4000, 8000]));
  },
};

const oneWay: Scenario = {
  name: 'one-way',
  shows: 'a node hears and is not heard, or the other way round',
  brokers: 1,
  async round(stage) {
    const active = await stage.active(stage.chance.pick(stage.groups));
    const direction = stage.chance.pick(['up', 'down'] as const);
    await stage.cutOff(active, stage.chance.pick([1000, 4000, 8000]), direction);
  },
};

const flapping: Scenario = {
  name: 'flapping',
  shows: "a node's links break and come back every 200 ms",
  brokers: 1,
  async round(stage) {
    const node = stage.chance.pick(stage.nodes);
    for (let i = 0; i < 20; i++) {
      await stage.resetLinks(node);
      await stage.wait(200);
    }
  },
};

const partBrokers: Scenario = {
  name: 'part-brokers',
  shows: 'two of three brokers do not hear each other, while both reach the third',
  brokers: 3,
  async round(stage) {
    const one = stage.chance.pick(stage.brokers);
    const other = stage.chance.pick(stage.brokers.filter((broker) => broker !== one));
    await stage.parted(one, other, stage.chance.pick([1000, 5000, 10_000]));
  },
};

const lonelyBroker: Scenario = {
  name: 'lonely-broker',
  shows: 'the broker that leads a log loses the two others: it must acknowledge nothing more',
  brokers: 3,
  async round(stage) {
    await stage.lonely(await stage.streamLeader(), stage.chance.pick([1000, 5000, 10_000]));
  },
};

export const networks: readonly Scenario[] = [
  partitionNode,
  oneWay,
  flapping,
  partBrokers,
  lonelyBroker,
];
