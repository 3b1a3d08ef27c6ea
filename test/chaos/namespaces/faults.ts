/** What is done to the network, and for how long. Whatever is cut is healed after it. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Chance } from '../../../src/chaos/chance.js';
import { nowMs } from '../../../src/chaos/history.js';
import type { Played } from '../../../src/chaos/rounds.js';
import type { Fault } from '../../../src/chaos/stage.js';
import { until } from '../../../src/chaos/until.js';
import type { GroupLoad } from '../../../src/chaos/workload/groups.js';
import { brokerIds, type NetCluster } from './cluster.js';
import type { Net } from './net.js';

export interface NetStageOptions {
  readonly cluster: NetCluster;
  readonly net: Net;
  readonly chance: Chance;
  readonly loads: readonly GroupLoad[];
}

export class NetStage implements Played {
  readonly faults: Fault[] = [];
  /** Nothing is taken away from a store here. */
  readonly losses = [];

  readonly net: Net;
  readonly chance: Chance;

  constructor(private readonly options: NetStageOptions) {
    this.net = options.net;
    this.chance = options.chance;
  }

  wait(ms: number): Promise<void> {
    return delay(ms);
  }

  heal(): Promise<void> {
    this.net.heal();
    return Promise.resolve();
  }

  /** The node of some group's active. */
  async active(): Promise<string> {
    const { cluster, loads } = this.options;
    const { name } = this.chance.pick(loads);
    return await until(
      `${name} has an active`,
      async () => (await cluster.admin.group(name)).activeNode,
    );
  }

  async during(what: string, target: string, forMs: number, cut: () => void): Promise<void> {
    const fault: Fault = { what, target, fromMs: nowMs(), toMs: null };
    this.faults.push(fault);
    cut();
    await this.wait(forMs);
    this.net.heal();
    fault.toMs = nowMs();
  }
}

const timesMs = [1000, 4000, 8000];

export interface NetFault {
  readonly name: string;
  readonly shows: string;
  strike(stage: NetStage): Promise<void>;
}

const othersOf = (id: string): string[] => brokerIds.filter((broker) => broker !== id);

const cutOff: NetFault = {
  name: 'node-cut-off',
  shows: 'no packet passes between the node of an active and any broker',
  async strike(stage) {
    const node = await stage.active();
    await stage.during('cut off', node, stage.chance.pick(timesMs), () => {
      for (const broker of brokerIds) stage.net.part(node, broker);
    });
  },
};

const unheard: NetFault = {
  name: 'node-unheard',
  shows: 'the node of an active hears every broker, and none hears it',
  async strike(stage) {
    const node = await stage.active();
    await stage.during('unheard', node, stage.chance.pick(timesMs), () => {
      for (const broker of brokerIds) stage.net.cut(node, broker);
    });
  },
};

const deaf: NetFault = {
  name: 'node-deaf',
  shows: 'every broker hears the node of an active, and it hears none',
  async strike(stage) {
    const node = await stage.active();
    await stage.during('deaf', node, stage.chance.pick(timesMs), () => {
      for (const broker of brokerIds) stage.net.cut(broker, node);
    });
  },
};

const oneBroker: NetFault = {
  name: 'node-without-one-broker',
  shows: 'a node and one of the brokers do not reach each other: it takes another',
  async strike(stage) {
    const node = await stage.active();
    const broker = stage.chance.pick(brokerIds);
    await stage.during('parted', `${node}, ${broker}`, stage.chance.pick(timesMs), () => {
      stage.net.part(node, broker);
    });
  },
};

const flapping: NetFault = {
  name: 'node-flapping',
  shows: 'no packet passes between a node and the brokers for 200 ms, again and again',
  async strike(stage) {
    const node = await stage.active();
    for (let i = 0; i < 10; i++) {
      await stage.during('cut off', node, 200, () => {
        for (const broker of brokerIds) stage.net.part(node, broker);
      });
      await stage.wait(200);
    }
  },
};

const partedBrokers: NetFault = {
  name: 'brokers-parted',
  shows: 'two brokers do not reach each other, and both reach the third',
  async strike(stage) {
    const one = stage.chance.pick(brokerIds);
    const other = stage.chance.pick(othersOf(one));
    await stage.during('parted', `${one}, ${other}`, stage.chance.pick(timesMs), () => {
      stage.net.part(one, other);
    });
  },
};

const lonelyBroker: NetFault = {
  name: 'broker-lonely',
  shows: 'a broker loses both others, and keeps its clients',
  async strike(stage) {
    const broker = stage.chance.pick(brokerIds);
    await stage.during('lonely', broker, stage.chance.pick(timesMs), () => {
      for (const other of othersOf(broker)) stage.net.part(broker, other);
    });
  },
};

const oneWayBroker: NetFault = {
  name: 'broker-unheard',
  shows: 'a broker hears both others, and neither hears it',
  async strike(stage) {
    const broker = stage.chance.pick(brokerIds);
    await stage.during('unheard', broker, stage.chance.pick(timesMs), () => {
      for (const other of othersOf(broker)) stage.net.cut(broker, other);
    });
  },
};

export const netFaults: readonly NetFault[] = [
  ...[cutOff, unheard, deaf, oneBroker, flapping],
  ...[partedBrokers, lonelyBroker, oneWayBroker],
];
