/** The admin API's view of this node: every node serves all of it, for every group. */
import { randomBytes } from 'node:crypto';
import { jetstreamManager } from '@nats-io/jetstream';
import type { GroupState } from '../../cluster/coordinator.js';
import { placeableNodes } from '../../cluster/coordinator.js';
import type {
  ClusterDocument,
  GroupDetail,
  GroupDocument,
  GroupSpec,
  HistoryEntry,
  NodeDocument,
  OperationDocument,
} from '../../cluster/documents.js';
import { place } from '../../cluster/placement.js';
import type { GroupConfig } from '../../cluster/types.js';
import type { Batch, BatchAnswer } from '../../replication/batch.js';
import { UnderstudyError } from '../../replication/errors.js';
import type { Kind } from '../../replication/kind.js';
import { limits } from '../../replication/limits.js';
import type { EpochNote } from '../../replication/replica.js';
import type {
  Actor,
  Backend,
  EventPage,
  NodeCounters,
  QueryRequest,
  ReadAnswer,
  ReadRequest,
  StateRequest,
  SwitchoverAnswer,
  SwitchoverRequest,
} from '../admin/backend.js';
import type { Client } from '../client/client.js';
import { laterOf, nothingSeen, parseToken, type Seen } from '../client/token.js';
import { shardOf } from '../nats/subjects.js';
import { version } from '../version.js';
import { type ActionContext, failover, reinit, switchover, sync } from './actions.js';
import { groupIdOf, judgeOf, memberPublicKey, parseSeed } from './identity.js';
import { foldUntil, type GroupLog, readEvents } from './log-reader.js';
import type { Operations } from './operations.js';
import type { Runtime } from './runtime.js';
import type { Inspection } from './verbs.js';
import { groupDocument, historyEntry, nodeDocuments } from './views.js';

const namePattern = /^[A-Za-z0-9_-]{1,64}$/;
const defaultSync = { everyEvents: 10_000, everyMs: 10_000 };
const reportTimeoutMs = 300;
const createTimeoutMs = 10_000;
const createPollMs = 50;
const readTimeoutMs = 10_000;

export class NodeBackend implements Backend {
  readonly #runtime: Runtime;
  readonly #operations: Operations;
  readonly #client: Client;
  #connected = true;
  #isStopping = false;

  constructor(runtime: Runtime, operations: Operations, client: Client) {
    this.#runtime = runtime;
    this.#operations = operations;
    this.#client = client;
  }

  brokerStatus(connected: boolean): void {
    this.#connected = connected;
  }

  /** Requests that wait for something are answered soon. */
  stop(): void {
    this.#isStopping = true;
  }

  ready(): { readonly ready: boolean; readonly reason: string } {
    if (!this.#connected) return { ready: false, reason: 'not connected to the broker' };
    const { isReady } = this.#runtime;
    return { ready: isReady, reason: isReady ? 'registry read' : 'reading the registry' };
  }

  async cluster(): Promise<ClusterDocument> {
    const { config, connections } = this.#runtime.options;
    const groups = await this.groups();
    const count = (status: string) =>
      groups.filter(({ health }) => health.status === status).length;
    return {
      namespace: config.namespace,
      version,
      nodes: nodeDocuments(this.#runtime.coordinator),
      groups: {
        total: groups.length,
        healthy: count('healthy'),
        degraded: count('degraded'),
        dead: count('dead'),
      },
      broker: {
        connected: this.#connected,
        server: connections.control.info?.server_name ?? null,
        version: connections.control.info?.version ?? null,
        url: this.#connected ? connections.control.getServer() : null,
      },
    };
  }

  nodes(): Promise<readonly NodeDocument[]> {
    return Promise.resolve(nodeDocuments(this.#runtime.coordinator));
  }

  kinds() {
    return [...this.#runtime.options.kinds.values()].map(({ name, version: v }) => ({
      name,
      version: v,
    }));
  }

  counters(): NodeCounters {
    const { options, fetched, work } = this.#runtime;
    const { counters: cache } = options.cache;
    return { node: options.info.id, ...work, fetched: fetched.total, cache };
  }

  groups(): Promise<GroupDocument[]> {
    const names = [...this.#runtime.coordinator.groups.keys()].sort();
    return Promise.resolve(names.map((name) => this.#document(this.#state(name))));
  }

  /** With the word of every member that can be asked, so that no seq is a beat old. */
  async group(name: string): Promise<GroupDetail> {
    const { members } = this.#state(name).config;
    const asked = members.map(({ node }, index) => this.#inspect(name, node, index));
    const found = (await Promise.all(asked)).filter((one) => one !== null);
    const state = this.#state(name);
    const reports = new Map(state.reports);
    for (const { report } of found) reports.set(report.index, report);
    const alarms = found
      .flatMap((one) => one.alarms)
      .toSorted((a, b) => (a.at < b.at ? 1 : a.at > b.at ? -1 : 0));
    return { ...this.#document({ ...state, reports }), alarms };
  }

  async #inspect(group: string, node: string, index: number): Promise<Inspection | null> {
    const view = this.#runtime.coordinator.membership.nodes.get(node);
    if (view === undefined || view.state === 'down') return null;
    const found = await this.#runtime.rpc
      .call<Inspection>(node, 'inspect', { group }, reportTimeoutMs)
      .catch(() => null);
    return found?.report.index === index ? found : null;
  }

  #document(state: GroupState): GroupDocument {
    const origin = this.#runtime.options.names.deliver(state.config.name);
    return groupDocument(this.#runtime.coordinator, state, origin);
  }

  #state(name: string): GroupState {
    const state = this.#runtime.coordinator.groups.get(name);
    if (state !== undefined) return state;
    throw new UnderstudyError('group-not-found', `there is no group ${name}`);
  }

  #kind(config: GroupConfig): Kind {
    const kind = this.#runtime.options.kinds.get(config.kind);
    if (kind !== undefined) return kind;
    throw new UnderstudyError('factory-not-found', `this node does not have kind ${config.kind}`);
  }

  #log(config: GroupConfig): GroupLog {
    return {
      ports: this.#runtime.ports(config),
      kind: this.#kind(config),
      judge: judgeOf(config),
    };
  }

  // Lifecycle.

  async createGroup(spec: GroupSpec, _actor: Actor): Promise<GroupDetail> {
    const config = this.#plan(spec);
    await this.#runtime.registry.create(config);
    await this.#untilOpen(config.name);
    return this.group(config.name);
  }

  /** Everything is judged before anything is written. */
  #plan(spec: GroupSpec): GroupConfig {
    const { name, kind, memberCount = 3, standby = 'warm' } = spec;
    const { least, most } = limits.members;
    if (!namePattern.test(name)) {
      throw new UnderstudyError(
        'invalid-config',
        `name "${name}": 1 to 64 letters, digits, - and _`,
      );
    }
    if (!this.#runtime.options.kinds.has(kind)) {
      const known = [...this.#runtime.options.kinds.keys()].join(', ');
      throw new UnderstudyError(
        'factory-not-found',
        `kind "${kind}" is not here; there are: ${known}`,
      );
    }
    if (!Number.isInteger(memberCount) || memberCount < least || memberCount > most) {
      throw new UnderstudyError(
        'invalid-config',
        `memberCount ${memberCount}: ${least} to ${most}`,
      );
    }
    const seed = spec.groupSeed === undefined ? randomBytes(32) : parseSeed(spec.groupSeed);
    if (this.#runtime.coordinator.groups.has(name)) {
      throw new UnderstudyError(
        'group-exists',
        `group ${name} exists already; choose another name`,
      );
    }
    const nodes = this.#placed(spec, memberCount);
    return {
      name,
      kind,
      groupId: groupIdOf(seed),
      seed: seed.toString('hex'),
      standby,
      sync: {
        everyEvents: spec.sync?.everyEvents ?? defaultSync.everyEvents,
        everyMs: spec.sync?.everyMs ?? defaultSync.everyMs,
      },
      members: nodes.map((node, i) => ({ node, publicKey: memberPublicKey(seed, i) })),
      createdAtMs: Date.now(),
    };
  }

  #placed({ kind, placement }: GroupSpec, count: number): string[] {
    const all = placeableNodes(this.#runtime.coordinator, kind);
    const allowed = placement?.nodes;
    const unknown = allowed?.find((id) => !this.#runtime.coordinator.membership.nodes.has(id));
    if (unknown !== undefined) {
      throw new UnderstudyError(
        'node-not-found',
        `placement names node ${unknown}, which is not known`,
      );
    }
    const nodes = allowed === undefined ? all : all.filter(({ id }) => allowed.includes(id));
    const chosen = place({ nodes, count, taken: [], spread: placement?.spread ?? 'node' });
    if (chosen !== null) return chosen;
    throw new UnderstudyError(
      'placement-failed',
      `${count} members need ${count} different nodes that are up, not cordoned and have kind ${kind}; ` +
        `there are ${nodes.length}. Nothing was created.`,
    );
  }

  async #untilOpen(name: string): Promise<void> {
    const { coordinator } = this.#runtime;
    const isOpen = () => {
      const state = coordinator.groups.get(name);
      return state !== undefined && this.#document(state).activeIndex !== null;
    };
    const deadlineMs = performance.now() + createTimeoutMs;
    while (!isOpen() && performance.now() < deadlineMs) {
      await this.#runtime.openingOf(name, createPollMs);
    }
  }

  /** The registry entry goes first, so that every member stops; then what the group stored. */
  async deleteGroup(name: string, _actor: Actor): Promise<void> {
    const { config } = this.#state(name);
    const { names, config: node, connections } = this.#runtime.options;
    await this.#runtime.registry.remove(config);
    const manager = await jetstreamManager(connections.control, { checkAPI: false });
    const shard = shardOf(config.groupId, node.shards);
    await manager.streams.purge(names.logStream(shard), {
      filter: names.log(shard, config.groupId, config.standby),
    });
    await manager.streams.purge(names.snapshotStream, {
      filter: names.snapshotsOf(config.groupId),
    });
    this.#runtime.nudgeCollector();
  }

  // Data.

  async deliver(
    group: string,
    batch: Batch,
    timeoutMs: number,
  ): Promise<BatchAnswer & { readonly ok: true }> {
    this.#state(group);
    return await this.#client.group(group).deliverBatch(batch, timeoutMs);
  }

  async events(
    group: string,
    range: { from: number; to: number | null; limit: number },
  ): Promise<EventPage> {
    const { config } = this.#state(group);
    return await readEvents(this.#runtime.ports(config).log, range);
  }

  async state(group: string, { at = null, ...read }: StateRequest): Promise<ReadAnswer> {
    const { config } = this.#state(group);
    const log = this.#log(config);
    if (at !== null) {
      const { state, tip } = await foldUntil(log, at, leastOf(read));
      return { value: state, seq: at, epoch: tip.epoch, member: tip.writer?.index ?? 0 };
    }
    // A whole state may be too large for a message; where a member stands is not.
    const place = await this.#read(group, null, read);
    const { state } = await foldUntil(log, place.seq);
    return { ...place, value: state };
  }

  async query(group: string, request: QueryRequest): Promise<ReadAnswer> {
    this.#state(group);
    return await this.#read(group, request.name, request);
  }

  #read(
    group: string,
    name: string | null,
    { args, ...request }: Omit<QueryRequest, 'name'>,
  ): Promise<ReadAnswer> {
    const { consistency, minSeq, after, timeoutMs = readTimeoutMs } = request;
    const options = { consistency, minSeq, after, timeoutMs };
    return this.#client.group(group).query(name as string, args, options);
  }

  async history(group: string): Promise<HistoryEntry[]> {
    const state = this.#state(group);
    const { activeNode } = this.#document(state);
    const fromActive =
      activeNode === null
        ? null
        : await this.#runtime.rpc
            .call<EpochNote[] | null>(activeNode, 'history', { group }, readTimeoutMs)
            .catch(() => null);
    const notes = fromActive ?? (await this.#historyFromLog(state.config));
    return notes.map(historyEntry).reverse();
  }

  async #historyFromLog(config: GroupConfig): Promise<EpochNote[]> {
    const replica = await foldUntil(this.#log(config), null);
    return replica.history;
  }

  // Actions.

  get #actions(): ActionContext {
    return {
      runtime: this.#runtime,
      operations: this.#operations,
      group: (name) => this.group(name),
      isStopping: () => this.#isStopping,
    };
  }

  sync(group: string, _actor: Actor): Promise<{ readonly through: number }> {
    return sync(this.#actions, group);
  }

  switchover(group: string, request: SwitchoverRequest, actor: Actor): Promise<SwitchoverAnswer> {
    return switchover(this.#actions, group, request, actor);
  }

  failover(
    group: string,
    request: { candidate?: string | undefined },
    actor: Actor,
  ): Promise<OperationDocument> {
    return failover(this.#actions, group, request, actor);
  }

  reinit(group: string, index: number, actor: Actor): Promise<OperationDocument> {
    return reinit(this.#actions, group, index, actor);
  }

  operations(): Promise<readonly OperationDocument[]> {
    return this.#operations.list();
  }

  operation(id: string, waitMs: number): Promise<OperationDocument> {
    return this.#operations.get(id, waitMs);
  }
}

/** How far the log must be for a state of the past to be shown. */
function leastOf({ minSeq = 0, after }: ReadRequest): Seen {
  const seen = after === undefined ? nothingSeen : parseToken(after);
  return laterOf(seen, { epoch: 0, seq: minSeq });
}
