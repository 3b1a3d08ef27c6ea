import type { Scenario } from './scenario.js';

const stepDowns: Scenario = {
  name: 'leader-step-downs',
  shows: 'the leaders of all logs step down every two seconds',
  brokers: 3,
  async round(stage) {
    for (let i = 0; i < 5; i++) {
      await stage.stepDown();
      await stage.wait(2000);
    }
  },
};

const rollBrokers: Scenario = {
  name: 'roll-brokers',
  shows: 'every broker is restarted, one after the other, as an upgrade does it',
  brokers: 3,
  async round(stage) {
    for (const broker of stage.brokers) {
      await stage.down([broker], 500, 'SIGTERM');
      await stage.wait(2000);
    }
  },
};

const rollNodes: Scenario = {
  name: 'roll-nodes',
  shows: 'every node is restarted, one after the other: each hands its actives over first',
  brokers: 1,
  async round(stage) {
    for (const node of stage.nodes) {
      await stage.down([node], 0, 'SIGTERM');
      await stage.wait(2000);
    }
  },
};

export const restarts: readonly Scenario[] = [stepDowns, rollBrokers, rollNodes];
