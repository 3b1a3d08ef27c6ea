import { Burners } from '../cluster/burners.js';
import { noFailover, type Scenario } from './scenario.js';

const share = 0.9;
const roundMs = 60_000;

const calmUnderLoad: Scenario = {
  name: 'calm-under-load',
  shows: 'nothing is broken, and other programs take 90 % of every core: nobody is given up on',
  brokers: 3,
  isAlone: true,
  async round(stage) {
    const burners = Burners.start(share);
    try {
      await stage.during(`at ${share * 100} %`, 'every core', () => stage.wait(roundMs));
    } finally {
      await burners.stop();
    }
  },
  expectsAlone: noFailover,
};

export const calm: readonly Scenario[] = [calmUnderLoad];
