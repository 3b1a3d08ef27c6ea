/** A backend without a cluster: one process, groups in memory, exactly-once like the real one. */
import type {
  AlarmDocument,
  ClusterDocument,
  GroupDetail,
  GroupSpec,
  MemberSync,
  NodeDocument,
  OperationDocument,
} from '../../cluster/documents.js';
import type { Plan } from '../../cluster/plan.js';
import {
  type AnswerRun,
  type Batch,
  type BatchAnswer,
  eachValue,
} from '../../replication/batch.js';
import { UnderstudyError } from '../../replication/errors.js';
import type {
  Backend,
  EventEntry,
  NodeCounters,
  QueryRequest,
  ReadRequest,
  RebalanceRequest,
  ReplaceRequest,
  StateRequest,
  SwitchoverAnswer,
  SwitchoverRequest,
} from '../../src/admin/backend.js';
import { nothingSeen, parseToken } from '../../src/client/token.js';
import { groupDocument, nodeDocument, time } from './fake-documents.js';

export { nodeDocument };

/** Nothing is answered in the same turn, as over a network. */
const turn = Promise.resolve();

interface Decided {
  readonly seq: number | null;
  readonly result?: unknown;
  readonly rejection?: readonly [code: string, detail: string];
}

interface Group {
  readonly spec: GroupSpec;
  readonly events: EventEntry[];
  readonly decided: Map<string, Decided>;
  total: number;
}

export class FakeBackend implements Backend {
  readonly #groups = new Map<string, Group>();
  readonly batches: Batch[] = [];
  readonly actors: string[] = [];
  nodeDocuments: NodeDocument[] = [nodeDocument('n1', null)];
  isReady = true;
  /** Thrown by the next calls of `deliver`, in order. `undefined` lets one pass. */
  deliverErrors: (Error | undefined)[] = [];
  /** Applied although the answer is lost: what a timeout looks like from outside. */
  loseAnswers = 0;
  operationDocuments: OperationDocument[] = [];
  switchoverAnswer: SwitchoverAnswer | undefined;
  switchoverRequest: SwitchoverRequest | undefined;
  plan: Plan = { moves: [], stays: [] };
  alarms: AlarmDocument[] = [];
  /** What the one member of every group fetches. */
  memberSync: MemberSync | null = null;
  nodeCounters: NodeCounters = {
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

  async cluster(): Promise<ClusterDocument> {
    await turn;
    if (this.clusterError) throw this.clusterError;
    const total = this.#groups.size;
    const broker = { connected: true, server: 's1', version: '2.14.0', url: 'nats://127.0.0.1:1' };
    const groups = { total, healthy: total, degraded: 0, dead: 0 };
    return { namespace: 'test', version: '0.0.0', nodes: this.nodeDocuments, groups, broker };
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
    return [...this.#groups.values()].map((group) => groupDocument(group, this.memberSync));
  }

  async group(name: string): Promise<GroupDetail> {
    await turn;
    this.onLook();
    return { ...groupDocument(this.#group(name), this.memberSync), alarms: this.alarms };
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
    const operation: OperationDocument = {
      id: `op${this.operationDocuments.length + 1}`,
      kind,
      target,
      state: 'running',
      step: 'begin',
      attempts: 1,
      retries: 0,
      wakeAt: null,
      driver: 'n1',
      lastError: null,
      createdAt: time,
      updatedAt: time,
      by: 'local',
      steps: [{ name: 'begin', at: time }],
    };
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

function decideAll(group: Group, batch: Batch): AnswerRun[] {
  const runs: AnswerRun[] = [];
  let number = batch.first;
  eachValue(batch.blob, (command) => {
    const key = batch.keys?.[number - batch.first] ?? null;
    const names = [`${batch.session} ${number}`, ...(key === null ? [] : [`key ${key}`])];
    const before = names.map((name) => group.decided.get(name)).find((known) => known);
    const decided = before ?? decide(group, command as Record<string, unknown>);
    for (const name of names) group.decided.set(name, decided);
    runs.push(runOf(number, decided, before !== undefined));
    number += 1;
  });
  return runs;
}

/** The counter, with one rule that depends on the state: the total never goes below zero. */
function decide(group: Group, command: Record<string, unknown>): Decided {
  const { by } = command;
  if (!Number.isSafeInteger(by)) {
    return { seq: null, rejection: ['bad-request', `by is ${String(by)}, not an integer`] };
  }
  if (group.total + (by as number) < 0) {
    return { seq: null, rejection: ['insufficient-funds', `${group.total} are there`] };
  }
  group.total += by as number;
  const seq = group.events.length + 1;
  group.events.push({ seq, epoch: 1, at: time, event: command });
  return { seq, result: { total: group.total } };
}

function runOf(first: number, { seq, result, rejection }: Decided, duplicate: boolean): AnswerRun {
  return {
    first,
    count: 1,
    epoch: 1,
    baseSeq: seq ?? 0,
    eventCounts: [0],
    results: [result],
    rejections: rejection ? [[0, ...rejection]] : null,
    duplicate,
  };
}
