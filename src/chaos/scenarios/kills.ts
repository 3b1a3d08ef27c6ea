import { noFailover, type Scenario } from './scenario.js';

/** Soon enough to meet the failover, late enough to be replaced, or in between. */
const absencesMs = [0, 1000, 5000];

const killActive: Scenario = {
  name: 'kill-active',
  shows: 'the node of an active dies: a standby takes over, and the node comes back as another',
  brokers: 1,
  async round(stage) {
    const active = await stage.active(stage.chance.pick(stage.groups));
    await stage.down([active], stage.chance.pick(absencesMs));
  },
};

const killStandby: Scenario = {
  name: 'kill-standby',
  shows: 'the node of a standby dies: nothing is interrupted where it hosts no active',
  brokers: 1,
  async round(stage) {
    const standbys = await stage.standbys(stage.chance.pick(stage.groups));
    await stage.down([stage.chance.pick(standbys)], stage.chance.pick(absencesMs));
  },
};

const killActiveAndStandby: Scenario = {
  name: 'kill-active-and-standby',
  shows: 'two of three nodes die at once: the last one takes over everything',
  brokers: 1,
  async round(stage) {
    const group = stage.chance.pick(stage.groups);
    const active = await stage.active(group);
    const standby = stage.chance.pick(stage.nodes.filter((node) => node !== active));
    await stage.down([active, standby], stage.chance.pick(absencesMs));
  },
};

const killBroker: Scenario = {
  name: 'kill-broker',
  shows: 'one of three brokers dies: the others go on',
  brokers: 3,
  async round(stage) {
    await stage.down([stage.chance.pick(stage.brokers)], stage.chance.pick(absencesMs));
  },
};

const killAllBrokers: Scenario = {
  name: 'kill-all-brokers',
  shows: 'every broker dies at once and comes back: all wait, nothing acknowledged is lost',
  brokers: 3,
  async round(stage) {
    await stage.down(stage.brokers, stage.chance.pick(absencesMs));
  },
};

const killOnlyBroker: Scenario = {
  name: 'kill-only-broker',
  shows: 'the only broker dies and comes back: whoever lost it judges nobody, so nobody fails over',
  brokers: 1,
  async round(stage) {
    await stage.down(stage.brokers, stage.chance.pick(absencesMs));
  },
  expectsAlone: noFailover,
};

const killStreamLeader: Scenario = {
  name: 'kill-stream-leader',
  shows: 'the broker that leads a log dies: another is elected, and no append is lost or doubled',
  brokers: 3,
  async round(stage) {
    await stage.down([await stage.streamLeader()], stage.chance.pick(absencesMs));
  },
};

export const kills: readonly Scenario[] = [
  killActive,
  killStandby,
  killActiveAndStandby,
  killBroker,
  killAllBrokers,
  killOnlyBroker,
  killStreamLeader,
];
