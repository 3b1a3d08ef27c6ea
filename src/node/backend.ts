/** The admin API's view of this node: every node serves all of it, for every group. */
import type { GroupState } from '../../cluster/coordinator.js';
import type {
  ClusterDocument,
  DoctorDocument,
  GroupChange,
  GroupDetail,
  GroupDocument,
  GroupSpec,
  HistoryEntry,
  NodeDocument,
  OperationDocument,
  PauseDocument,
} from '../../cluster/documents.js';
import { requestDelete } from '../../cluster/operations/delete.js';
import type { GroupConfig } from '../../cluster/types.js';
import type { Batch, BatchAnswer } from '../../replication/batch.js';
import { UnderstudyError } from '../../replication/errors.js';
import type { Kind } from '../../replication/kind.js';
import type { EpochNote } from '../../replication/replica.js';
import type {
  AcceptLossRequest,
  Actor,
  Backend,
  EventPage,
  NodeCounters,
  PauseRequest,
  QueryRequest,
  ReadAnswer,
  RebalanceAnswer,
  RebalanceRequest,
  ReplaceRequest,
  RestartAnswer,
  StateRequest,
  SwitchoverAnswer,
  SwitchoverRequest,
} from '../admin/backend.js';
import type { Client } from '../client/client.js';
import type { GroupClient } from '../client/group.js';
import { version } from '../version.js';
import { acceptLoss } from './accept-loss.js';
import {
  type ActionContext,
  drain,
  failover,
  rebalance,
  reinit,
  replace,
  restart,
  switchover,
  sync,
} from './actions.js';
import { instant } from './clock.js';
import { gather } from './doctor/facts.js';
import { findingsOf } from './doctor/findings.js';
import { judgeOf } from './identity.js';
import { foldUntil, type GroupLog, leastOf, readEvents } from './log-reader.js';
import { cordon, pause, resume, uncordon } from './maintenance.js';
import { changeGroup, newGroup, untilOpen } from './new-group.js';
import type { Operations } from './operations/operations.js';
import { operationsOf } from './operations/own.js';
import type { OperationStore } from './operations/store.js';
import type { Runtime } from './runtime.js';
import type { Inspection } from './verbs.js';
import { clusterPause, groupDocument, historyEntry, nodeDocuments, refuseLost } from './views.js';

const reportTimeoutMs = 300;
const deleteTimeoutMs = 12_000;
const readTimeoutMs = 10_000;

export class NodeBackend implements Backend {
  readonly #runtime: Runtime;
  readonly #operations: Operations;
  readonly #client: Client;
  #connected = true;
  #hasJoined = false;
  #hasLeft = false;

  constructor(runtime: Runtime, store: OperationStore, client: Client) {
    this.#runtime = runtime;
    this.#client = client;
    this.#operations = operationsOf(runtime, store, (name) => this.group(name));
  }

  /** From here on this node takes over operations whose driver is gone. */
  async open(): Promise<void> {
    await this.#operations.open();
    this.#hasJoined = true;
  }

  brokerStatus(connected: boolean): void {
    this.#connected = connected;
  }

  /** Whoever still waits for a group is told that no answer came; who comes now is sent on. */
  async leave(): Promise<void> {
    this.#hasLeft = true;
    await this.#client.close(0);
  }

  /** Requests that wait for something are answered soon; others go on with its operations. */
  stop(): Promise<void> {
    return this.#operations.stop();
  }

  ready(): { readonly ready: boolean; readonly reason: string } {
    if (!this.#connected) return { ready: false, reason: 'not connected to the broker' };
    const { isReady } = this.#runtime;
    return { ready: isReady, reason: isReady ? 'registry read' : 'reading the registry' };
  }

  hasJoined(): boolean {
    return this.#hasJoined;
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
      pause: clusterPause(this.#runtime.coordinator, instant()),
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

  async doctor(): Promise<DoctorDocument> {
    const [nodes, groups] = await Promise.all([this.nodes(), this.groups()]);
    const facts = await gather(this.#runtime, { isConnected: this.#connected, nodes, groups });
    const findings = findingsOf(facts);
    const ok = findings.every(({ level }) => level !== 'fail');
    return { ok, node: facts.node, at: new Date(instant().wallMs).toISOString(), findings };
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
    return groupDocument(this.#runtime.coordinator, state, origin, instant());
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
    const config = newGroup(this.#runtime, spec);
    await this.#runtime.registry.create(config);
    await untilOpen(
      this.#runtime,
      config.name,
      (group) => this.#document(group).activeIndex !== null,
    );
    return this.group(config.name);
  }

  async changeGroup(name: string, change: GroupChange, _actor: Actor): Promise<GroupDetail> {
    await changeGroup(this.#runtime, name, change);
    return this.group(name);
  }

  /** Answers when all of it is gone. Throws `timeout` if that takes long; it goes on. */
  async deleteGroup(name: string, { by }: Actor): Promise<void> {
    const { id } = await this.#operations.start(requestDelete(await this.group(name), by));
    await this.#operations.untilDone(id, deleteTimeoutMs);
  }

  // Data.

  async deliver(
    group: string,
    batch: Batch,
    timeoutMs: number,
  ): Promise<BatchAnswer & { readonly ok: true }> {
    refuseLost(this.#state(group));
    return await this.#groupClient(group).deliverBatch(batch, timeoutMs);
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
    refuseLost(this.#state(group));
    // A whole state may be too large for a message; where a member stands is not.
    const place = await this.#read(group, null, read);
    const { state } = await foldUntil(log, place.seq);
    return { ...place, value: state };
  }

  async query(group: string, request: QueryRequest): Promise<ReadAnswer> {
    refuseLost(this.#state(group));
    return await this.#read(group, request.name, request);
  }

  #read(
    group: string,
    name: string | null,
    { args, ...request }: Omit<QueryRequest, 'name'>,
  ): Promise<ReadAnswer> {
    const { consistency, minSeq, after, timeoutMs = readTimeoutMs } = request;
    const options = { consistency, minSeq, after, timeoutMs };
    return this.#groupClient(group).query(name as string, args, options);
  }

  #groupClient(group: string): GroupClient {
    if (!this.#hasLeft) return this.#client.group(group);
    throw new UnderstudyError('not-ready', 'this node stops; ask another one');
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
    const notes = fromActive ?? (await foldUntil(this.#log(state.config), null)).history;
    return notes.map(historyEntry).reverse();
  }

  // Actions.

  get #actions(): ActionContext {
    return {
      runtime: this.#runtime,
      operations: this.#operations,
      group: (name) => this.group(name),
    };
  }

  sync(group: string, actor: Actor): Promise<{ readonly through: number }> {
    return sync(this.#actions, group, actor);
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

  cordon(node: string, actor: Actor): Promise<NodeDocument> {
    return cordon(this.#runtime, node, actor);
  }

  uncordon(node: string, _actor: Actor): Promise<NodeDocument> {
    return uncordon(this.#runtime, node);
  }

  async pause(group: string | null, request: PauseRequest, actor: Actor) {
    await pause(this.#runtime, group, request, actor);
    return this.#pauseOf(group);
  }

  async resume(group: string | null, _actor: Actor) {
    await resume(this.#runtime, group);
    return this.#pauseOf(group);
  }

  #pauseOf(group: string | null): { readonly pause: PauseDocument | null } {
    if (group !== null) return { pause: this.#document(this.#state(group)).pause };
    return { pause: clusterPause(this.#runtime.coordinator, instant()) };
  }

  async acceptLoss(name: string, request: AcceptLossRequest, actor: Actor): Promise<GroupDetail> {
    const { lost } = await this.group(name);
    const { config } = this.#state(name);
    await acceptLoss(this.#runtime, { config, lost }, request, actor);
    return await this.group(name);
  }

  replace(group: string, request: ReplaceRequest, actor: Actor): Promise<OperationDocument> {
    return replace(this.#actions, group, request, actor);
  }

  async drain(node: string, actor: Actor): Promise<OperationDocument> {
    return await drain(this.#actions, node, actor);
  }

  rebalance(request: RebalanceRequest, actor: Actor): Promise<RebalanceAnswer> {
    return rebalance(this.#actions, request, actor);
  }

  async restart(node: string | null, actor: Actor): Promise<RestartAnswer> {
    return await restart(this.#actions, node, actor);
  }

  operations(): Promise<readonly OperationDocument[]> {
    return Promise.resolve(this.#operations.list());
  }

  operation(id: string, waitMs: number): Promise<OperationDocument> {
    return this.#operations.get(id, waitMs);
  }

  cancelOperation(id: string, { by }: Actor): Promise<OperationDocument> {
    return this.#operations.cancel(id, by);
  }
}
