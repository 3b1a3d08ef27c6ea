/**
 * One running node: the coordinator's driver. It listens to the cluster, gives the coordinator time,
 * carries out what it decides, and keeps a driver for every member that belongs here.
 */
import type { Logger } from 'pino';
import {
  type Coordinator,
  type NodeEffect,
  type NodeInput,
  newCoordinator,
  stepNode,
} from '../../cluster/coordinator.js';
import { tickEveryMs } from '../../cluster/membership.js';
import type { GroupConfig, NodeInfo } from '../../cluster/types.js';
import { encodeValue } from '../../replication/batch.js';
import { UnderstudyError } from '../../replication/errors.js';
import type { Ports } from '../../replication/execute.js';
import type { Kind } from '../../replication/kind.js';
import { natsChunks } from '../nats/chunks.js';
import type { Connections } from '../nats/connect.js';
import { natsGarbage } from '../nats/garbage.js';
import { natsLog } from '../nats/log.js';
import { askPeer } from '../nats/peers.js';
import { bulkLimits, chunkLimits, controlLimits, Requests } from '../nats/requests.js';
import { type Names, type Notice, shardOf } from '../nats/subjects.js';
import { sha256 } from '../sha256.js';
import type { NodeChunkCache } from './chunk-cache.js';
import { instant } from './clock.js';
import { Collector } from './collector.js';
import type { NodeConfig } from './config.js';
import { FetchMeter } from './fetched.js';
import { Hosted } from './hosted.js';
import { identityOf } from './identity.js';
import { attestVerb, listen, lostVerb } from './listening.js';
import { MemberDriver } from './member-driver.js';
import { Registry } from './registry.js';
import { isNoResponders, Rpc } from './rpc.js';
import { serveNode } from './verbs.js';

const probeTimeoutMs = 500;
/** Packs in some milliseconds. */
const cheapSizeBytes = 1024 * 1024;
/** A few hundred milliseconds. */
const replayEvents = 20_000;

export interface RuntimeOptions {
  readonly config: NodeConfig;
  readonly info: NodeInfo;
  readonly connections: Connections;
  readonly names: Names;
  readonly kinds: ReadonlyMap<string, Kind>;
  readonly cache: NodeChunkCache;
  readonly logger: Logger;
  /** Another process with this node's id has started later. */
  superseded(by: NodeInfo): void;
}

export class Runtime {
  readonly rpc: Rpc;
  readonly coordinator: Coordinator;
  readonly fetched = new FetchMeter();
  #registry: Registry | null = null;
  readonly #options: RuntimeOptions;
  readonly #control: Requests;
  readonly #bulk: Requests;
  readonly #chunks: Requests;
  readonly #collector: Collector;
  readonly #members = new Map<string, Hosted>();
  /** Who waits for a group to open. */
  readonly #waiting = new Set<(group: string) => void>();
  #ticker: NodeJS.Timeout | null = null;
  #stopped = false;
  #stopListening: () => void = () => undefined;

  constructor(options: RuntimeOptions) {
    this.#options = options;
    const { connections, names, info, config, logger } = options;
    this.#control = new Requests(connections.control, controlLimits);
    this.#bulk = new Requests(connections.bulk, bulkLimits);
    this.#chunks = new Requests(connections.bulk, chunkLimits);
    this.#collector = new Collector(natsGarbage({ bulk: this.#bulk, names }), logger);
    this.rpc = new Rpc(connections.control, names, info.id);
    this.coordinator = newCoordinator(info, config.timings, instant());
  }

  /** Throws `not-ready` before the node has joined. */
  get registry(): Registry {
    if (this.#registry !== null) return this.#registry;
    throw new UnderstudyError('not-ready', 'this node has not read the registry yet; ask again');
  }

  get isReady(): boolean {
    return this.#registry !== null;
  }

  /** Where others reach this node's admin API. */
  announceAt(adminUrl: string): void {
    this.coordinator.info = { ...this.coordinator.info, adminUrl };
  }

  get options(): RuntimeOptions {
    return this.#options;
  }

  async start(): Promise<void> {
    const { connections, names, logger } = this.#options;
    serveNode(this.rpc, this.#options.info.incarnation, (group) => this.#require(group));
    this.rpc.serve('start-draining', () => this.startDraining());
    this.#stopListening = this.#listen();
    this.#registry = await Registry.open(
      connections.control,
      names,
      {
        group: (config, revision) => this.#feed({ kind: 'group', config, revision }),
        gone: (name) => this.#feed({ kind: 'group-gone', name }),
        cluster: (config, revision) => this.#feed({ kind: 'cluster', config, revision }),
      },
      logger,
    );
    this.#ticker = setInterval(() => this.#tick(), tickEveryMs);
    this.#tick();
  }

  stop(): void {
    this.#stopped = true;
    if (this.#ticker !== null) clearInterval(this.#ticker);
    this.#registry?.close();
    this.#collector.stop();
    this.#stopListening();
    this.rpc.close();
    for (const name of [...this.#members.keys()]) this.#stopMember(name);
    this.#control.close();
    this.#bulk.close();
    this.#chunks.close();
  }

  /** Connection to the broker lost or back: who cannot hear must not judge (P9). */
  brokerStatus(connected: boolean): void {
    this.#feed({ kind: 'broker', connected });
  }

  /** From here on this node gets no new members and is no candidate. */
  startDraining(): void {
    this.coordinator.info = { ...this.coordinator.info, draining: true };
    this.coordinator.nextBeatAtMs = 0;
    this.#tick();
  }

  /** Resolves when an active of the group opens anywhere, or after `ms`. */
  openingOf(group: string, ms: number): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.#waiting.delete(onOpened);
        resolve();
      };
      const onOpened = (opened: string) => {
        if (opened === group) end();
      };
      const timer = setTimeout(end, ms);
      this.#waiting.add(onOpened);
    });
  }

  /** Names of the groups whose active is here. */
  activeGroups(): string[] {
    return [...this.#members.values()]
      .filter(({ driver }) => driver.member.role.state === 'active')
      .map(({ config }) => config.name);
  }

  ports(config: GroupConfig): Ports {
    const { names, config: node, connections } = this.#options;
    const shard = shardOf(config.groupId, node.shards);
    const log = natsLog({
      control: this.#control,
      bulk: this.#bulk,
      tail: connections.tail,
      stream: names.logStream(shard),
      subject: names.log(shard, config.groupId, config.standby),
      tailSubject: names.tail(shard, config.groupId),
    });
    const chunks = natsChunks({ bulk: this.#chunks, names, groupId: config.groupId });
    const dropBefore = (id: string) => {
      chunks.dropBefore(id);
      this.#collector.nudge();
    };
    const { cache } = this.#options;
    return { log, chunks: { ...chunks, dropBefore }, cache, askPeer: askPeer(this.#chunks, names) };
  }

  /** A group was deleted: its chunks may be of use to nobody now. */
  nudgeCollector(): void {
    this.#collector.nudge();
  }

  // What reaches this node.

  #require(group: string): Hosted {
    const hosted = this.#members.get(group);
    if (hosted !== undefined) return hosted;
    const detail = `node ${this.#options.info.id} hosts no member of ${group} now`;
    throw new UnderstudyError('not-ready', detail);
  }

  #listen(): () => void {
    return listen(this.#options, {
      feed: (input) => this.#feed(input),
      driver: (group) => this.#members.get(group)?.driver,
      opened: (group) => this.#tellOpened(group),
    });
  }

  #tick(): void {
    for (const { driver } of this.#members.values()) {
      this.#feed({ kind: 'own-report', report: driver.report() });
    }
    this.#feed({ kind: 'tick' });
  }

  // What the coordinator decides.

  #feed(input: NodeInput): void {
    if (this.#stopped) return;
    for (const effect of stepNode(this.coordinator, input, instant())) this.#carryOut(effect);
  }

  #carryOut(effect: NodeEffect): void {
    const { connections, names, logger } = this.#options;
    switch (effect.kind) {
      case 'superseded':
        this.#options.superseded(effect.by);
        break;
      case 'beat':
        connections.control.publish(names.beat, encodeValue(effect.beat));
        break;
      case 'probe':
        void this.#probe(effect.node, effect.incarnation);
        break;
      case 'start-member':
        this.#startMember(effect.config, effect.index);
        break;
      case 'stop-member':
        this.#stopMember(effect.group);
        break;
      case 'promote':
        logger.warn({ group: effect.group, ...effect.cause }, 'promoting');
        this.#members.get(effect.group)?.driver.input({ kind: 'promote', ...effect.cause });
        break;
      case 'epoch-seen':
        this.#members.get(effect.group)?.driver.input({ kind: 'epoch-seen', epoch: effect.epoch });
        break;
      case 'followers': {
        const { indexes } = effect;
        this.#members.get(effect.group)?.driver.input({ kind: 'followers', indexes });
        break;
      }
      case 'peers': {
        const { nodes } = effect;
        this.#members.get(effect.group)?.driver.input({ kind: 'peers', nodes });
        break;
      }
      case 'replace-member':
        void this.#replaceMember(effect);
        break;
      default:
        throw effect satisfies never;
    }
  }

  async #probe(node: string, incarnation: string): Promise<void> {
    const { connections, names } = this.#options;
    const ask = { timeout: probeTimeoutMs };
    const result = await connections.control.request(names.node(node, 'ping'), '', ask).then(
      () => 'alive' as const,
      (error: unknown) => (isNoResponders(error) ? ('gone' as const) : ('silent' as const)),
    );
    this.#feed({ kind: 'probed', node, incarnation, result });
  }

  async #replaceMember(effect: Extract<NodeEffect, { kind: 'replace-member' }>): Promise<void> {
    const { group, index, node, revision } = effect;
    const state = this.coordinator.groups.get(group);
    if (state === undefined) return;
    const members = state.config.members.map((member, i) =>
      i === index ? { ...member, node } : member,
    );
    try {
      const done = await this.registry.update({ ...state.config, members }, revision);
      const { logger } = this.#options;
      if (done) logger.warn({ group, index, node }, 'a lost member is placed anew');
    } catch (error) {
      this.#options.logger.debug({ err: error, group }, 'replacement not recorded; trying again');
    }
  }

  #startMember(config: GroupConfig, index: number): void {
    const { kinds, info, logger, config: node } = this.#options;
    const kind = kinds.get(config.kind);
    if (kind === undefined) {
      logger.error({ group: config.name, kind: config.kind }, 'this node does not have the kind');
      return;
    }
    const { name: group, groupId, standby, sync } = config;
    const driver = new MemberDriver(
      {
        group,
        groupId,
        kind,
        hash: sha256,
        id: { index, node: info.id, incarnation: info.incarnation },
        identity: identityOf(config, index),
        standby,
        cheapSizeBytes,
        replayEvents,
        sync,
        pollMs: node.pollMs,
      },
      this.ports(config),
      this.#memberEvents(group, index),
      logger.child({ group, index }),
    );
    const { connections, names } = this.#options;
    this.#members.set(group, new Hosted(config, index, driver, connections.control, names));
    driver.start();
  }

  #memberEvents(group: string, index: number): ConstructorParameters<typeof MemberDriver>[2] {
    const { info, logger } = this.#options;
    return {
      opened: (inEpoch) => {
        this.#members.get(group)?.openIntake();
        this.#announce({ kind: 'opened', group, epoch: inEpoch, node: info.id, index });
        this.#tellOpened(group);
      },
      closed: () => this.#members.get(group)?.closeIntake(),
      stepped: this.fetched.follow(),
      changed: (report) => {
        logger.debug({ ...report }, 'member changed');
        this.#members.get(group)?.follow(report);
        this.#feed({ kind: 'own-report', report });
        this.#tick();
      },
      attest: ({ node, bytes }) => {
        const { connections, names } = this.#options;
        connections.control.publish(names.node(node, `${attestVerb}.${group}`), bytes);
      },
      reportLost: ({ node, hashes }) => {
        const { connections, names } = this.#options;
        connections.control.publish(names.node(node, `${lostVerb}.${group}`), encodeValue(hashes));
      },
      announceSnapshot: ({ epoch: inEpoch, position: at, seq: atSeq }) =>
        this.#announce({ kind: 'snapshot', group, epoch: inEpoch, position: at, seq: atSeq }),
      announceHandoff: ({ epoch: inEpoch, target }) =>
        this.#announce({ kind: 'handoff', group, epoch: inEpoch, target }),
      alarm: (alarm) => {
        const { code, detail } = alarm;
        logger.warn({ group, index, code }, detail);
        this.#members.get(group)?.alarms.add(alarm, instant().wallMs);
      },
    };
  }

  #stopMember(group: string): void {
    this.#members.get(group)?.stop();
    this.#members.delete(group);
  }

  #announce(notice: Notice): void {
    const { connections, names } = this.#options;
    connections.control.publish(names.notice(notice.group), JSON.stringify(notice));
  }

  #tellOpened(group: string): void {
    for (const onOpened of this.#waiting) onOpened(group);
  }
}
