/** A backend without a cluster: one process, groups in memory, exactly-once like the real one. */
import type {
  AcceptedLossDocument,
  AlarmDocument,
  ClusterDocument,
  DoctorDocument,
  Finding,
  GroupChange,
  GroupDetail,
  GroupDocument,
  GroupSpec,
  LossDocument,
  MemberSync,
  NodeDocument,
  OperationDocument,
  PauseDocument,
} from '../../cluster/documents.js';
import type { Plan } from '../../cluster/plan.js';
import type { Batch, BatchAnswer } from '../../replication/batch.js';
import { UnderstudyError } from '../../replication/errors.js';
import type {
  Backend,
  NodeCounters,
  PauseRequest,
  QueryRequest,
  ReadRequest,
  RebalanceRequest,
  ReplaceRequest,
  StateRequest,
  SwitchoverAnswer,
  SwitchoverRequest,
} from '../../src/admin/backend.js';
import { nothingSeen, parseToken } from '../../src/client/token.js';
import { groupDocument, nodeDocument, operationDocument, time } from './fake-documents.js';
import { decideAll, type Group } from './fake-group.js';

export { nodeDocument };

/** Nothing is answered in the same turn, as over a network. */
const turn = Promise.resolve();

export class FakeBackend implements Backend {
  readonly #groups = new Map<string, Group>();
  readonly batches: Batch[] = [];
  readonly actors: string[] = [];
  readonly changes: GroupChange[] = [];
  nodeDocuments: NodeDocument[] = [nodeDocument('n1', null)];
  isReady = true;
  isJoined = true;
  /** Thrown by the next calls of `deliver`, in order. `undefined` lets one pass. */
  deliverErrors: (Error | undefined)[] = [];
  /** Applied although the answer is lost: what a timeout looks like from outside. */
  loseAnswers = 0;
  operationDocuments: OperationDocument[] = [];
  switchoverAnswer: SwitchoverAnswer | undefined;
  switchoverRequest: SwitchoverRequest | undefined;
  plan: Plan = { moves: [], stays: [] };
  alarms: AlarmDocument[] = [];
  findings: Finding[] = [];
  /** Of every group. */
  lost: LossDocument | null = null;
  losses: AcceptedLossDocument[] = [];
  /** By group; null: of all. */
  readonly pauses = new Map<string | null, PauseDocument>();
  /** What the one member of every group fetches. */
  memberSync: MemberSync | null = null;
  nodeCounters: NodeCounters = {
    permits: { promotion: { held: 2, waiting: 3 } },
    ended: { crashed: 4 },
    node: 'n1',
    fetched: { fromSizeBytes: { cache: 1, store: 2, peers: 3 }, corrupt: 4 },
    cache: { hits: 5, misses: 6, corrupt: 7, sizeBytes: 8 },
  };
  /** Awaited by every sync, and by whoever waits for an operation. */
  syncGate: Promise<void> = Promise.resolve();
  onLook: () => void = () => undefined;
  /** What the last read asked for. */
  lastRead: ReadRequest | undefined;
  clusterError: Error | undefined;
  outstanding = 0;
  mostOutstanding = 0;
  /** Awaited by every delivery before it is decided. */
  gate: Promise<void> = Promise.resolve();
  onDeliver: ((batch: Batch) => void) | undefined;

  constructor(...names: string[]) {
    for (const name of names) this.#add({ name, kind: 'counter' });
  }

  ready() {
    return { ready: this.isReady, reason: this.isReady ? '' : 'no connection to the broker' };
  }

  hasJoined() {
    return this.isJoined;
  }

  async cluster(): Promise<ClusterDocument> {
    await turn;
    if (this.clusterError) throw this.clusterError;
    const total = this.#groups.size;
    const broker = { connected: true, server: 's1', version: '2.14.0', url: 'nats://127.0.0.1:1' };
    const groups = { total, healthy: total, degraded: 0, dead: 0 };
    const pause = this.pauses.get(null) ?? null;
    return {
      namespace: 'test',
      version: '0.0.0',
      nodes: this.nodeDocuments,
      pause,
      groups,
      broker,
    };
  }

  async doctor(): Promise<DoctorDocument> {
    await turn;
    const { findings } = this;
    const ok = findings.every(({ level }) => level !== 'fail');
    return { ok, node: 'n1', at: time, findings };
  }

  async nodes() {
    await turn;
    return this.nodeDocuments;
  }

  kinds() {
    return [{ name: 'counter', version: 1 }];
  }

  async groups() {
    await turn;
    return [...this.#groups.values()].map((group) => this.#document(group));
  }

  async group(name: string): Promise<GroupDetail> {
    await turn;
    this.onLook();
    return { ...this.#document(this.#group(name)), alarms: this.alarms };
  }

  counters() {
    return this.nodeCounters;
  }

  async createGroup(spec: GroupSpec, actor: { by: string }) {
    await turn;
    this.actors.push(actor.by);
    if (this.#groups.has(spec.name)) throw new UnderstudyError('group-exists', spec.name);
    if (spec.kind !== 'counter') {
      throw new UnderstudyError('factory-not-found', `no kind ${spec.kind}; known: counter`);
    }
    return { ...groupDocument(this.#add(spec), null), alarms: [] };
  }

  async changeGroup(name: string, change: GroupChange, actor: { by: string }) {
    await turn;
    this.actors.push(actor.by);
    this.changes.push(change);
    const { priority = 0 } = change;
    return { ...this.#document(this.#group(name)), priority, alarms: [] };
  }

  async deleteGroup(name: string, actor: { by: string }) {
    await turn;
    this.actors.push(actor.by);
    this.#group(name);
    this.#groups.delete(name);
  }

  async deliver(name: string, batch: Batch): Promise<BatchAnswer & { readonly ok: true }> {
    this.outstanding += 1;
    this.mostOutstanding = Math.max(this.mostOutstanding, this.outstanding);
    this.batches.push(batch);
    this.onDeliver?.(batch);
    try {
      await this.gate;
      const error = this.deliverErrors.shift();
      if (error) throw error;
      const runs = decideAll(this.#group(name), batch);
      if (this.loseAnswers > 0) {
        this.loseAnswers -= 1;
        throw new UnderstudyError('timeout', 'no answer in time; the outcome is unknown');
      }
      return { ok: true, runs };
    } finally {
      this.outstanding -= 1;
    }
  }

  async events(name: string, range: { from: number; to: number | null; limit: number }) {
    await turn;
    const { events } = this.#group(name);
    const to = Math.min(range.to ?? events.length, range.from + range.limit - 1, events.length);
    const end = to >= Math.min(range.to ?? events.length, events.length);
    return { events: events.slice(range.from - 1, to), next: end ? null : to + 1 };
  }

  async state(name: string, { at = null, ...read }: StateRequest) {
    await turn;
    const { events, total } = this.#group(name);
    this.#requireSeen(read, events.length);
    const value = new Map<string, unknown>([
      ['total', BigInt(total)],
      ['tags', new Set(['a'])],
    ]);
    return { value, seq: at ?? events.length, epoch: 1, member: 0 };
  }

  async query(name: string, request: QueryRequest) {
    await turn;
    const { events, total } = this.#group(name);
    this.#requireSeen(request, events.length);
    if (request.name !== 'get')
      throw new UnderstudyError('bad-request', `no query ${request.name}`);
    return { value: { total, args: request.args }, seq: events.length, epoch: 1, member: 0 };
  }

  async sync(name: string, actor: { by: string }) {
    await turn;
    this.actors.push(actor.by);
    await this.syncGate;
    return { through: this.#group(name).events.length };
  }

  async switchover(name: string, request: SwitchoverRequest) {
    await turn;
    this.switchoverRequest = request;
    this.#group(name);
    if (this.switchoverAnswer) return this.switchoverAnswer;
    const preconditions = [{ name: 'lag', ok: true, detail: '0 events' }];
    if (request.dryRun) return { kind: 'dry-run', preconditions } as const;
    return { kind: 'started', operation: this.#start('switchover', name) } as const;
  }

  async failover(name: string) {
    await turn;
    this.#group(name);
    return this.#start('failover', name);
  }

  async reinit(name: string, index: number) {
    await turn;
    this.#group(name);
    if (index > 2) throw new UnderstudyError('member-not-found', `no member ${index}`);
    if (index === 0) throw new UnderstudyError('conflict', 'it is the active; switch over first');
    return this.#start('reinit', `${name}/${index}`);
  }

  async acceptLoss(name: string, { through }: { through: number }, { by }: { by: string }) {
    const group = await this.group(name);
    if (group.lost?.endsAt.seq !== through) {
      throw new UnderstudyError('conflict', `the log does not end at ${through}`);
    }
    const { toSeq: lostSeq, epoch: lostEpoch } = group.lost;
    this.lost = null;
    this.losses = [{ through, epoch: 1, lostSeq, lostEpoch, by, at: time }];
    return this.group(name);
  }

  cordon(node: string, actor: { by: string }) {
    return this.#cordon(node, true, actor);
  }

  uncordon(node: string, actor: { by: string }) {
    return this.#cordon(node, false, actor);
  }

  async #cordon(id: string, cordoned: boolean, actor: { by: string }): Promise<NodeDocument> {
    await turn;
    this.actors.push(actor.by);
    const found = this.nodeDocuments.find((node) => node.id === id);
    if (!found) throw new UnderstudyError('node-not-found', `no node ${id}`);
    const changed = { ...found, cordoned };
    this.nodeDocuments = this.nodeDocuments.map((node) => (node === found ? changed : node));
    return changed;
  }

  /** A pause of so many milliseconds since the epoch of computers. */
  async pause(name: string | null, { ttlMs = 1, reason }: PauseRequest, { by }: { by: string }) {
    await turn;
    if (name !== null) this.#group(name);
    const scope = name === null ? 'all' : 'group';
    const until = new Date(ttlMs).toISOString();
    const pause: PauseDocument = { scope, reason: reason ?? null, by, until };
    this.pauses.set(name, pause);
    return { pause };
  }

  async resume(name: string | null) {
    await turn;
    if (name !== null) this.#group(name);
    this.pauses.delete(name);
    return { pause: null };
  }

  #document(group: Group): GroupDocument {
    const pause = this.pauses.get(group.spec.name) ?? null;
    const { lost, losses } = this;
    const document = groupDocument(group, this.memberSync);
    return { ...document, pause, paused: pause !== null, lost, losses };
  }

  async replace(name: string, { index, node = 'n2' }: ReplaceRequest) {
    await turn;
    this.#group(name);
    if (index === 0) throw new UnderstudyError('conflict', 'it is the active; switch over first');
    return this.#start('replace', `${name}/${index} to ${node}`);
  }

  async drain(node: string) {
    await turn;
    if (node !== 'n1') throw new UnderstudyError('node-not-found', `there is no node ${node}`);
    return this.#start('drain', node);
  }

  async restart(node: string | null) {
    await turn;
    const target = node ?? 'cluster';
    if (node === 'n9') throw new UnderstudyError('node-not-found', `there is no node ${node}`);
    if (node !== 'n2')
      return { kind: 'started', operation: this.#start('restart', target) } as const;
    const preconditions = [
      { name: 'supervised', ok: false, detail: `nothing starts ${node} again` },
    ];
    return { kind: 'refused', preconditions } as const;
  }

  async rebalance({ dryRun }: RebalanceRequest) {
    await turn;
    if (dryRun) return { kind: 'dry-run', plan: this.plan } as const;
    return { kind: 'started', operation: this.#start('rebalance', 'cluster') } as const;
  }

  async history(name: string) {
    await turn;
    this.#group(name);
    const phases = { detectMs: 1, decideMs: 2, claimMs: 3, replayMs: 4, openMs: 5 };
    const change = { epoch: 1, node: 'n1', index: 0, cause: 'created', startedAt: time };
    return [{ ...change, operation: null, fromSeq: 0, phases, replayed: 0, unavailableMs: 15 }];
  }

  async operations() {
    await turn;
    return this.operationDocuments;
  }

  async operation(id: string, waitMs: number) {
    await turn;
    const found = this.operationDocuments.find((operation) => operation.id === id);
    if (!found) throw new UnderstudyError('operation-not-found', `no operation ${id}`);
    if (waitMs === 0 || found.state !== 'running') return found;
    await this.syncGate;
    const done = { ...found, state: 'done', step: 'end' } as const;
    this.operationDocuments[this.operationDocuments.indexOf(found)] = done;
    return done;
  }

  async cancelOperation(id: string) {
    await turn;
    const found = this.operationDocuments.find((operation) => operation.id === id);
    if (!found) throw new UnderstudyError('operation-not-found', `no operation ${id}`);
    if (found.state !== 'running') throw new UnderstudyError('conflict', `it is ${found.state}`);
    const cancelled = { ...found, state: 'cancelled', step: 'cancelled' } as const;
    this.operationDocuments[this.operationDocuments.indexOf(found)] = cancelled;
    return cancelled;
  }

  total(name: string): number {
    return this.#group(name).total;
  }

  /** Its only epoch is 1. */
  #requireSeen(read: ReadRequest, end: number): void {
    this.lastRead = read;
    const { epoch, seq } = read.after === undefined ? nothingSeen : parseToken(read.after);
    const least = Math.max(seq, read.minSeq ?? 0);
    if (epoch <= 1 && least <= end) return;
    throw new UnderstudyError('not-ready', `at seq ${end} of epoch 1, asked for ${least}`);
  }

  #start(kind: string, target: string): OperationDocument {
    const id = `op${this.operationDocuments.length + 1}`;
    const operation = operationDocument({ id, kind, target });
    this.operationDocuments.push(operation);
    return operation;
  }

  #add(spec: GroupSpec): Group {
    const group = { spec, events: [], decided: new Map(), total: 0 };
    this.#groups.set(spec.name, group);
    return group;
  }

  #group(name: string): Group {
    const group = this.#groups.get(name);
    if (group) return group;
    throw new UnderstudyError('group-not-found', `no group ${name}`);
  }
}
