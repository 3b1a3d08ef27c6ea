/**
 * What a scenario has in hand: who is there, what can be done to them, and seeded choices. All that it does
 * is on the timeline, and everything is undone when it ends.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from 'nats';
import type { GroupDocument } from '../../cluster/documents.js';
import { defaultTimings } from '../../cluster/types.js';
import { namesFor } from '../nats/subjects.js';
import type { Chance } from './chance.js';
import { ChaosBroker } from './cluster/broker.js';
import { type ChaosCluster, shards } from './cluster/cluster.js';
import type { ChaosNode } from './cluster/node.js';
import { nowMs } from './history.js';
import type { Direction, FaultProxy, Where } from './proxy/proxy.js';
import type { Toll } from './proxy/way.js';
import { until } from './until.js';
import type { Workload } from './workload/workload.js';

export interface Fault {
  /** `killed`, `frozen`, `cut off`, … */
  readonly what: string;
  readonly target: string;
  readonly fromMs: number;
  /** Null: it is not over. */
  toMs: number | null;
}

export type Victim = ChaosNode | ChaosBroker;

/** Records that were acknowledged and taken away again: what a scenario says it has lost of a group. */
export interface Loss {
  readonly group: string;
  /** When the copy was made that came back; later nothing of it is in the log. */
  readonly fromMs: number;
  /** When an operator went on without them: until then nobody was served. */
  readonly toMs: number;
  /** The log goes on from here. */
  readonly keptSeq: number;
  /** The last that the group itself has named as lost. */
  readonly namedSeq: number;
}

const lookMs = 20_000;

export class Stage {
  readonly faults: Fault[] = [];
  readonly losses: Loss[] = [];
  readonly #left = new Map<readonly unknown[], unknown[]>();

  constructor(
    readonly cluster: ChaosCluster,
    readonly workload: Workload,
    readonly groups: readonly string[],
    readonly chance: Chance,
  ) {}

  /** Each of these items once, in an order that is drawn, before any of them comes again. */
  inTurn<Item>(items: readonly Item[]): Item {
    let left = this.#left.get(items) as Item[] | undefined;
    if (left === undefined || left.length === 0) {
      left = [...items];
      this.#left.set(items, left);
    }
    const item = this.chance.pick(left);
    left.splice(left.indexOf(item), 1);
    return item;
  }

  get nodes(): readonly ChaosNode[] {
    return this.cluster.nodes;
  }

  get brokers(): readonly ChaosBroker[] {
    return this.cluster.brokers;
  }

  /** Of the nodes, after which a hung one is given up on. */
  get hangTimeoutMs(): number {
    return defaultTimings.hangTimeoutMs;
  }

  wait(ms: number): Promise<void> {
    return delay(ms);
  }

  /** How the nodes see a group now. Throws if none of them says. */
  group(name: string): Promise<GroupDocument> {
    return until(`somebody tells of ${name}`, () => this.cluster.admin.group(name), lookMs);
  }

  /** Where the group's active is. */
  async active(name: string): Promise<ChaosNode> {
    const { activeNode } = await until(
      `${name} has an active`,
      async () => {
        const group = await this.cluster.admin.group(name);
        return group.activeNode === null ? null : group;
      },
      lookMs,
    );
    return this.node(activeNode as string);
  }

  async standbys(name: string): Promise<readonly ChaosNode[]> {
    const { members, activeIndex } = await this.group(name);
    return members
      .filter(({ index }) => index !== activeIndex)
      .map(({ nodeId }) => this.node(nodeId));
  }

  node(id: string): ChaosNode {
    const found = this.nodes.find((node) => node.id === id);
    if (found === undefined) throw new Error(`there is no node ${id}`);
    return found;
  }

  /** The server that leads one of the logs' streams. */
  async streamLeader(shard = this.chance.below(shards)): Promise<ChaosBroker> {
    return await until('the stream has a leader', async () => {
      const connection = await connect({ servers: this.cluster.clientUrls, timeout: 2000 });
      try {
        const manager = await jetstreamManager(connection, { checkAPI: false });
        const info = await manager.streams.info(namesFor('understudy').logStream(shard));
        return this.brokers.find(({ name }) => name === info.cluster?.leader) ?? null;
      } finally {
        await connection.close();
      }
    });
  }

  /** A stretch of the timeline, as long as `work` lasts. */
  async during<Result>(what: string, target: string, work: () => Promise<Result>): Promise<Result> {
    const fault: Fault = { what, target, fromMs: nowMs(), toMs: null };
    this.faults.push(fault);
    try {
      return await work();
    } finally {
      fault.toMs = nowMs();
    }
  }

  /** SIGKILL by default; started again after `forMs`. */
  async down(
    victims: readonly Victim[],
    forMs: number,
    signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL',
  ): Promise<void> {
    const what = signal === 'SIGKILL' ? 'killed' : 'stopped';
    await this.during(what, namesOf(victims), async () => {
      await Promise.all(victims.map((victim) => victim.end(signal)));
      await this.wait(forMs);
    });
    await Promise.all(victims.map((victim) => this.start(victim)));
  }

  start(victim: Victim): Promise<void> {
    return victim instanceof ChaosBroker ? this.cluster.startBroker(victim) : victim.start();
  }

  /** SIGSTOP, and SIGCONT after `forMs`. */
  async frozen(victim: Victim, forMs: number): Promise<void> {
    await this.during('frozen', namesOf([victim]), async () => {
      victim.freeze();
      await this.wait(forMs);
      victim.thaw();
    });
  }

  /** The node reaches no broker, or does not hear (`down`) or is not heard (`up`) by any. */
  async cutOff(node: ChaosNode, forMs: number, direction?: Direction): Promise<void> {
    const what = direction === undefined ? 'cut off' : direction === 'up' ? 'unheard' : 'deaf';
    await this.during(what, node.id, async () => {
      for (const link of node.links) link.drop({ direction });
      await this.wait(forMs);
      for (const link of node.links) link.heal();
    });
  }

  /** All links of the node are slow, each connection for itself. */
  async slowed(node: ChaosNode, forMs: number, toll: Partial<Toll>, where?: Where): Promise<void> {
    await this.during('slowed', node.id, async () => {
      for (const link of node.links) link.charge(toll, where);
      await this.wait(forMs);
      for (const link of node.links) link.charge();
    });
  }

  /** Each connection of the node ends when so many more bytes have passed: in the middle of a frame. */
  async cutMidFrame(node: ChaosNode, sizeBytes: number, direction: Direction): Promise<void> {
    await this.during('cut mid-frame', node.id, async () => {
      for (const link of node.links) link.cutAfter(sizeBytes, direction);
      await this.wait(0);
    });
  }

  /** The node's connections are reset, and whenever it dials it is reset again. */
  async refused(node: ChaosNode, forMs: number): Promise<void> {
    await this.during('refused', node.id, async () => {
      for (const link of node.links) link.refuse(true);
      for (const link of node.links) link.cut();
      await this.wait(forMs);
      for (const link of node.links) link.refuse(false);
    });
  }

  /** Every connection of the node to a broker is reset, and the next ones are taken. */
  async resetLinks(node: ChaosNode): Promise<void> {
    await this.during('links reset', node.id, async () => {
      for (const link of node.links) link.cut();
      await this.wait(0);
    });
  }

  /** The two servers do not hear each other; both reach the third. */
  async parted(one: ChaosBroker, other: ChaosBroker, forMs: number): Promise<void> {
    await this.during('parted', namesOf([one, other]), async () => {
      one.route?.drop({ peer: other.name });
      other.route?.drop({ peer: one.name });
      await this.wait(forMs);
      one.route?.heal();
      other.route?.heal();
    });
  }

  /** The server reaches no other; its clients still reach it. */
  async lonely(broker: ChaosBroker, forMs: number): Promise<void> {
    await this.during('lonely', broker.name, async () => {
      const others = this.brokers.filter((other) => other !== broker);
      broker.route?.drop();
      for (const { route } of others) route?.drop({ peer: broker.name });
      await this.wait(forMs);
      for (const { route } of this.brokers) route?.heal();
    });
  }

  /** Makes the leader of every log's stream give up its office. */
  async stepDown(): Promise<void> {
    await this.during('step-down', 'stream leaders', async () => {
      const connection = await connect({ servers: this.cluster.clientUrls, timeout: 2000 });
      const names = namesFor('understudy');
      try {
        const asked = Array.from({ length: shards }, (_, shard) =>
          connection.request(`$JS.API.STREAM.LEADER.STEPDOWN.${names.logStream(shard)}`),
        );
        // Without a leader there is nobody to step down.
        await Promise.allSettled(asked);
      } finally {
        await connection.close();
      }
    });
  }

  /** Whatever the scenario left as it was. */
  async heal(): Promise<void> {
    for (const link of this.cluster.links) link.heal();
    for (const victim of [...this.nodes, ...this.brokers]) if (victim.isFrozen) victim.thaw();
    const dead = (victims: readonly Victim[]) => victims.filter(({ isRunning }) => !isRunning);
    await Promise.all(dead(this.brokers).map((broker) => this.start(broker)));
    await Promise.all(dead(this.nodes).map((node) => this.start(node)));
  }

  /** All links of the run, for faults of a scenario's own. */
  get links(): readonly FaultProxy[] {
    return this.cluster.links;
  }
}

function namesOf(victims: readonly Victim[]): string {
  return victims.map((one) => (one instanceof ChaosBroker ? one.name : one.id)).join(', ');
}
