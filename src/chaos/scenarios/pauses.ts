import type { Scenario } from './scenario.js';

function stopActive(factor: number, shows: string): Scenario {
  return {
    name: `stop-active-${String(factor).replace('.', '-')}x`,
    shows,
    brokers: 1,
    async round(stage) {
      const active = await stage.active(stage.chance.pick(stage.groups));
      await stage.frozen(active, factor * stage.hangTimeoutMs);
    },
  };
}

const stopBroker: Scenario = {
  name: 'stop-broker',
  shows: 'one of three brokers hangs and wakes up again: it answers nobody with what is long past',
  brokers: 3,
  async round(stage) {
    const broker = stage.chance.pick(stage.brokers);
    await stage.frozen(broker, stage.chance.pick([500, 2000, 6000]));
  },
};

export const pauses: readonly Scenario[] = [
  stopActive(0.5, 'an active hangs for half of what is tolerated'),
  stopActive(2, 'an active hangs, is replaced, and wakes up: it appends and answers nothing more'),
  stopActive(10, 'an active hangs for long and wakes up in a world that has gone on'),
  stopBroker,
];
