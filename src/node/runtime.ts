/**
 * One running node: the coordinator's driver. It listens to the cluster, gives the coordinator time,
 * carries out what it decides, and keeps a driver for every member that belongs here.
 */
import type { Logger } from 'pino';
import {
  type Coordinator,
  mayActOn,
  type NodeEffect,
  type NodeInput,
  newCoordinator,
  stepNode,
  takeNewEnds,
} from '../../cluster/coordinator.js';
import { leave, startDraining, stopDraining } from '../../cluster/draining.js';
import { tickEveryMs } from '../../cluster/membership.js';
import { withMemberOn } from '../../cluster/placement.js';
import type { GroupConfig, NodeInfo } from '../../cluster/types.js';
import { UnderstudyError } from '../../replication/errors.js';
import type { Ports } from '../../replication/execute.js';
import type { Kind } from '../../replication/kind.js';
import type { NodeCounters } from '../admin/backend.js';
import { beatMessages } from '../nats/beats.js';
import { natsChunks } from '../nats/chunks.js';
import type { Connections } from '../nats/connect.js';
import { natsGarbage } from '../nats/garbage.js';
import { natsLog } from '../nats/log.js';
import { askPeer } from '../nats/peers.js';
import { bulkLimits, chunkLimits, controlLimits, Requests } from '../nats/requests.js';
import { type Names, shardOf } from '../nats/subjects.js';
import type { NodeChunkCache } from './chunk-cache.js';
import { instant } from './clock.js';
import { Collector } from './collector.js';
import type { NodeConfig } from './config.js';
import { selfOf } from './doctor/facts.js';
import type { EndsMemory } from './ends-memory.js';
import { FetchMeter } from './fetched.js';
import { listen } from './listening.js';
import { Members } from './members.js';
import { tellPromotion } from './promoting.js';
import { Registry } from './registry.js';
import { isNoResponders, Rpc } from './rpc.js';
import { serveNode } from './verbs.js';

const probeTimeoutMs = 500;
/** What changes together is told together: the first of it at once, the rest so much later. */
const flushEveryMs = 10;

export interface RuntimeOptions {
  readonly config: NodeConfig;
  readonly info: NodeInfo;
  readonly connections: Connections;
  readonly names: Names;
  readonly kinds: ReadonlyMap<string, Kind>;
  readonly cache: NodeChunkCache;
  readonly ends: EndsMemory;
  readonly logger: Logger;
  /** Another process with this node's id has started later. */
  superseded(by: NodeInfo): void;
  /** An operator wants this process to end, and its supervisor to start it anew. */
  restartAsked(): void;
}

interface DrainRequest {
  /** On whose behalf, so that no other takes it back. */
  readonly order: string;
}

interface EndRequest {
  /** Of the life that is to end. */
  readonly incarnation: string;
}

export class Runtime {
  readonly rpc: Rpc;
  readonly coordinator: Coordinator;
  readonly fetched = new FetchMeter();
  /** Called when the life of a node has ended. */
  onEnding: () => void = () => undefined;
  #registry: Registry | null = null;
  readonly #options: RuntimeOptions;
  readonly #control: Requests;
  readonly #bulk: Requests;
  readonly #chunks: Requests;
  readonly #collector: Collector;
  readonly #members: Members;
  /** Who waits for a group to open. */
  readonly #waiting = new Set<(group: string) => void>();
  #ticker: NodeJS.Timeout | null = null;
  #flusher: NodeJS.Timeout | null = null;
  #flushedAtMs = 0;
  #stopped = false;
  #supersededBy: NodeInfo | null = null;
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
    this.#members = new Members(options, {
      fetched: this.fetched,
      ports: (group) => this.ports(group),
      priorityOf: (group) => this.coordinator.groups.get(group)?.config.priority ?? 0,
      mayActOn: (cause) => mayActOn(this.coordinator, cause, instant().monoMs),
      feed: (input) => this.#feed(input),
      flushSoon: () => this.#flushSoon(),
      opened: (group) => this.#tellOpened(group),
    });
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
    serveNode(this.rpc, this.#options.info.incarnation, (group) => this.#members.require(group));
    this.rpc.serve('start-draining', ({ order }: DrainRequest) => {
      startDraining(this.coordinator, order);
      this.#tick();
    });
    this.rpc.serve('stop-draining', ({ order }: DrainRequest) => {
      stopDraining(this.coordinator, order);
      this.#tick();
    });
    this.rpc.serve('end', ({ incarnation }: EndRequest) => this.#end(incarnation));
    this.rpc.serve('examine', () => selfOf(this.#options));
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
    if (this.#flusher !== null) clearTimeout(this.#flusher);
    this.#registry?.close();
    this.#collector.stop();
    this.#stopListening();
    this.rpc.close();
    if (this.#supersededBy === null) this.#members.stopAll('stopped', 'the node stops');
    else this.#members.stopAll('superseded', `process ${this.#supersededBy.pid} runs as this node`);
    this.#control.close();
    this.#bulk.close();
    this.#chunks.close();
  }

  /** Connection to the broker lost or back: who cannot hear must not judge (P9). */
  brokerStatus(connected: boolean): void {
    this.#feed({ kind: 'broker', connected });
    if (connected) this.#registry?.doubt();
  }

  /** From here on this node gets no new members and is no candidate: its process ends soon. */
  leave(): void {
    leave(this.coordinator);
    this.#tick();
  }

  /** Whoever means a former life of this node has what it wants already. */
  #end(incarnation: string): { readonly ends: boolean } {
    const { info, config, restartAsked } = this.#options;
    const ends = info.incarnation === incarnation;
    if (ends && !config.supervised) {
      const detail = `nothing would start node ${info.id} again: UNDERSTUDY_SUPERVISED is not set there`;
      throw new UnderstudyError('unsupported', detail);
    }
    if (ends) restartAsked();
    return { ends };
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

  /** What its members are at together, and how they have ended. */
  get work(): Pick<NodeCounters, 'permits' | 'ended'> {
    const { permits, ended } = this.#members;
    return { permits: permits.counts, ended };
  }

  /** Names of the groups whose active is here. */
  activeGroups(): string[] {
    return this.#members.activeGroups();
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

  #listen(): () => void {
    return listen(this.#options, {
      feed: (input) => this.#feed(input),
      tell: (group, hint) => this.#members.tell(group, hint),
      opened: (group) => this.#tellOpened(group),
    });
  }

  #tick(): void {
    this.#members.reportStirred();
    this.#feed({ kind: 'tick' });
    this.#options.ends.note(takeNewEnds(this.coordinator), instant().monoMs);
  }

  /** Others wait for what was just reported, but not for each of a thousand such reports alone. */
  #flushSoon(): void {
    if (this.#flusher !== null || this.#stopped) return;
    const inMs = Math.max(0, this.#flushedAtMs + flushEveryMs - instant().monoMs);
    this.#flusher = setTimeout(() => {
      this.#flusher = null;
      this.#flushedAtMs = instant().monoMs;
      this.#feed({ kind: 'flush' });
    }, inMs);
  }

  // What the coordinator decides.

  #feed(input: NodeInput): void {
    if (this.#stopped) return;
    const { membership } = this.coordinator;
    const { endings } = membership;
    for (const effect of stepNode(this.coordinator, input, instant())) this.#carryOut(effect);
    if (membership.endings !== endings) this.onEnding();
  }

  #carryOut(effect: NodeEffect): void {
    const { connections, names, logger } = this.#options;
    switch (effect.kind) {
      case 'superseded':
        this.#supersededBy = effect.by;
        this.#options.superseded(effect.by);
        break;
      case 'beat':
        for (const message of beatMessages(effect.beat)) {
          connections.control.publish(names.beat, message);
        }
        break;
      case 'probe':
        void this.#probe(effect.node, effect.incarnation);
        break;
      case 'start-member':
        this.#members.start(effect.config, effect.index);
        break;
      case 'stop-member':
        this.#members.stop(effect.group);
        break;
      case 'promote':
        tellPromotion(logger, effect.group, effect.cause);
        this.#members.driver(effect.group)?.input({ kind: 'promote', ...effect.cause });
        break;
      case 'suspect':
        // Not by mail: nothing may be written before.
        this.#members.driver(effect.group)?.input({ kind: 'suspect' });
        break;
      case 'epoch-seen':
      case 'behind':
      case 'end-told':
      case 'loss-told':
      case 'followers':
      case 'peers': {
        const { group, ...hint } = effect;
        this.#members.tell(group, hint);
        break;
      }
      case 'entry-outdated':
        this.registry.catchUp(effect.group);
        break;
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
    try {
      const done = await this.registry.update(withMemberOn(state.config, index, node), revision);
      const { logger } = this.#options;
      if (done) logger.warn({ group, index, node }, 'a lost member is placed anew');
    } catch (error) {
      this.#options.logger.debug({ err: error, group }, 'replacement not recorded; trying again');
    }
  }

  #tellOpened(group: string): void {
    for (const onOpened of this.#waiting) onOpened(group);
  }
}
