/**
 * A small cluster for operations to act on, in virtual time: one group, its nodes, the registry, and the
 * record. Drivers may crash before, inside and after everything they do.
 */
import type { GroupDocument, MemberDocument } from '../../cluster/documents.js';
import type { Loaded } from '../../cluster/operations/drive.js';
import { failureOf } from '../../cluster/operations/engine.js';
import { type Locks, lock, unlock } from '../../cluster/operations/locks.js';
import type { Begun } from '../../cluster/operations/moving.js';
import {
  begin,
  type Call,
  type Driver,
  holderOf,
  isOver,
  type Operation,
  type OperationRequest,
  type Seen,
} from '../../cluster/operations/operation.js';
import { requestReplace } from '../../cluster/operations/replace.js';
import { requestSwitchover } from '../../cluster/operations/switchover.js';
import type { Move } from '../../cluster/plan.js';
import { UnderstudyError } from '../../replication/errors.js';
import { Drains } from './operation-world-drains.js';
import { seenIn } from './operation-world-seen.js';

/** What an effect does; `answer` may be called at once, later or never. */
export type Answer = (input: object) => void;

/** What requests carry, all verbs together. */
interface Asked {
  readonly epoch: number;
  readonly target: number;
  readonly budgetMs: number;
  readonly cause: { readonly endsEpoch: number; readonly operation: string };
  readonly below: { readonly log: number };
  readonly index: number;
  readonly from: string;
  readonly to: string;
  readonly move: Move;
  readonly by: string;
  readonly ids: readonly string[];
  readonly incarnation: string;
  readonly order: string;
}

const leading = new Set(['active', 'handing-off']);

export const driverOf = (node: string, life = 1): Driver => ({ node, incarnation: `${life}` });

export class OperationWorld {
  nowMs = 1_000_000;
  readonly records = new Map<string, NonNullable<Loaded>>();
  locks: Locks = {};
  /** Every epoch but the first, and whose operation opened it. */
  readonly opened: { epoch: number; node: string; by: string }[] = [];
  readonly calls: string[] = [];
  group: GroupDocument | null;
  idTaken = true;
  logSize = 5;
  readonly down = new Set<string>();
  /** Nodes that take requests and do nothing. */
  readonly frozen = new Set<string>();
  readonly drains = new Drains();
  /** Nodes that nothing starts again. */
  readonly unsupervised = new Set<string>();
  /** Lives of nodes that ended because they were told to. */
  readonly ended: string[] = [];
  /** How long a node takes from its end to its next life; null: it does not come back. */
  absenceMs: number | null = 300;
  readonly #lives = new Map<string, number>();
  /** Why no snapshot can be cut; null: it can. */
  cutFailure: string | null = null;
  /** Standbys fetch what is cut, in no time. */
  syncsBySnapshots = false;
  /** Why the group is held; null: it is not paused. */
  paused: string | null = null;
  zones: Readonly<Record<string, string>> = {};
  /** Begins to drive an operation that another began. */
  onBegun: (id: string) => void = () => undefined;
  /** Whatever is asked of a node is asked twice. */
  twice = false;
  #revision = 0;
  #events: { atMs: number; run: () => void }[] = [];
  readonly #handOffs = new Map<string, Answer[]>();

  constructor(readonly nodes: readonly string[] = ['a', 'b', 'c', 'd']) {
    const members = nodes.slice(0, 3).map((nodeId, index) => this.#member(index, nodeId));
    this.group = {
      name: 'g',
      kind: 'k',
      groupId: 'id',
      createdAt: '2026-01-02T03:04:05.678Z',
      epoch: 1,
      activeIndex: 0,
      activeNode: nodes[0],
      memberCount: 3,
      members,
      seq: 5,
      standby: 'warm',
      paused: false,
      pause: null,
      placement: { spread: 'zone' },
    } as unknown as GroupDocument;
  }

  #member(index: number, nodeId: string, synced = true): MemberDocument {
    const state = index === 0 && synced ? 'active' : 'standby';
    const lastSync = synced ? 'some time' : null;
    const common = { index, nodeId, state, lastSync, sync: null, error: null, healthy: synced };
    return { ...common, syncedThrough: synced ? 5 : 0 } as unknown as MemberDocument;
  }

  // Time.

  after(ms: number, run: () => void): void {
    this.#events.push({ atMs: this.nowMs + ms, run });
  }

  /** Runs the next event; false if there is none. */
  tick(): boolean {
    const next = this.#events.toSorted((a, b) => a.atMs - b.atMs)[0];
    if (next === undefined) return false;
    this.#events = this.#events.filter((event) => event !== next);
    this.nowMs = Math.max(this.nowMs, next.atMs);
    next.run();
    return true;
  }

  /** Until nothing is under way. */
  settle(): void {
    while (this.tick());
  }

  // The record.

  start(request: OperationRequest, driver: Driver): Operation {
    const found = this.records.get(request.id) ?? null;
    const begun = begin(request, found?.operation ?? null, driver, this.nowMs);
    if (begun === null) return (found as NonNullable<Loaded>).operation;
    this.save(begun, found?.revision ?? 0);
    return begun;
  }

  save(operation: Operation, revision: number): number | 'conflict' {
    const found = this.records.get(operation.id)?.revision ?? 0;
    if (found !== revision) return 'conflict';
    this.#revision += 1;
    const stored = JSON.parse(JSON.stringify(operation)) as Operation;
    this.records.set(operation.id, { operation: stored, revision: this.#revision });
    return this.#revision;
  }

  operation(id: string): Operation {
    return (this.records.get(id) as NonNullable<Loaded>).operation;
  }

  lock(keys: readonly string[], holder: string) {
    const isLive = (one: string) => {
      const found = this.records.get(one.replace(/#\d+$/, ''))?.operation;
      return found !== undefined && !isOver(found) && holderOf(found) === one;
    };
    const result = lock(this.locks, keys, holder, isLive);
    if (result.kind === 'locked') this.locks = result.locks;
    return result.kind === 'busy' ? result : null;
  }

  unlock(holder: string, keys: readonly string[] | 'all'): void {
    this.locks = unlock(this.locks, holder, keys);
  }

  // The cluster.

  see(): Seen {
    return seenIn(this);
  }

  change(index: number, parts: Partial<MemberDocument>): void {
    const { group } = this;
    if (group === null) return;
    const members = group.members.map((one) => (one.index === index ? { ...one, ...parts } : one));
    this.group = { ...group, members };
  }

  on(node: string): MemberDocument {
    const member = this.group?.members.find(({ nodeId }) => nodeId === node);
    if (member !== undefined) return member;
    throw new UnderstudyError('not-ready', `node ${node} hosts no member of g now`);
  }

  /** The claim decides: it follows the epoch that it names, or nothing happens. */
  claim(index: number, endsEpoch: number, by: string): boolean {
    const { group } = this;
    const member = group?.members[index];
    if (group === null || member === undefined || group.epoch !== endsEpoch) return false;
    if (this.down.has(member.nodeId) || this.frozen.has(member.nodeId)) return false;
    for (const one of group.members) {
      if (one.index === index) this.change(index, { state: 'active', syncedThrough: group.seq });
      else if (leading.has(one.state)) this.change(one.index, { state: 'standby' });
    }
    this.group = { ...(this.group as GroupDocument), epoch: endsEpoch + 1 };
    this.opened.push({ epoch: endsEpoch + 1, node: member.nodeId, by });
    return true;
  }

  /** The process of a node dies; after a while the best standby takes over what it led. */
  kill(node: string): void {
    this.down.add(node);
    const led = this.see().group;
    if (led === null || led.activeIndex !== null) return;
    const best = led.members.find(({ healthy }) => healthy);
    if (best !== undefined) this.after(200, () => this.claim(best.index, led.epoch, 'coordinator'));
  }

  incarnationOf(node: string): string {
    return String(this.#lives.get(node) ?? 1);
  }

  #end(node: string, incarnation: string): void {
    if (this.incarnationOf(node) === incarnation && !this.down.has(node)) this.endLife(node);
  }

  /** The process of a node ends, and begins its next life after a while. */
  endLife(node: string): void {
    const incarnation = this.incarnationOf(node);
    this.ended.push(`${node}${incarnation}`);
    this.kill(node);
    if (this.absenceMs === null) return;
    this.after(this.absenceMs, () => {
      this.#lives.set(node, Number(incarnation) + 1);
      this.down.delete(node);
      this.drains.nodes.delete(node);
      const member = this.group?.members.find(({ nodeId }) => nodeId === node);
      if (member !== undefined) this.#beginAnew(member.index, {});
    });
  }

  call({ node, verb, request, timeoutMs }: Call, answer: Answer): void {
    this.calls.push(`${verb} ${node ?? 'own'}`);
    if (node !== null && this.down.has(node)) {
      throw new UnderstudyError('node-not-found', `node ${node} is not connected`);
    }
    const late = new UnderstudyError('timeout', `no answer within ${timeoutMs} ms`);
    if (node !== null && this.frozen.has(node)) {
      return this.after(timeoutMs, () => answer({ kind: 'failed', error: failureOf(late) }));
    }
    const asked = request as Asked;
    this.#verb(node ?? '', verb, asked, (value) => answer({ kind: 'answered', value }));
  }

  #verb(node: string, verb: string, request: Asked, value: (of: unknown) => void): void {
    switch (verb) {
      case 'sync':
        this.on(node);
        this.after(10, () => this.#cut(value));
        break;
      case 'hand-off':
        this.#handOff(node, request, value);
        break;
      case 'promote': {
        const { endsEpoch, operation } = request.cause;
        const { index } = this.on(node);
        this.after(20, () => this.claim(index, endsEpoch, operation));
        value(null);
        break;
      }
      case 'reinit': {
        const { index, state } = this.on(node);
        if (state === 'active') return value({ failure: 'it is active: switch over first' });
        this.#beginAnew(index, {});
        value({ failure: null });
        break;
      }
      case 'end': {
        const ends = this.incarnationOf(node) === request.incarnation;
        if (ends) this.after(20, () => this.#end(node, request.incarnation));
        value({ ends });
        break;
      }
      case 'start-draining':
        return value(this.drains.start(node, request.order));
      case 'stop-draining':
        return value(this.drains.stop(node, request.order));
      case 'inspect': {
        const { state, lastSync, syncedThrough, error } = this.on(node);
        const lastSyncMs = lastSync === null ? null : 1;
        value({ report: { state, lastSyncMs, syncedThrough, error, sync: null } });
        break;
      }
      default:
        this.#own(verb, request, value);
    }
  }

  #cut(value: (of: unknown) => void): void {
    if (this.cutFailure !== null) return value({ failure: this.cutFailure });
    value({ through: 5 });
    if (!this.syncsBySnapshots) return;
    this.after(30, () => {
      const behind = this.group?.members.filter(({ syncedThrough }) => syncedThrough < 5) ?? [];
      for (const { index } of behind) this.change(index, { syncedThrough: 5 });
    });
  }

  /** As a member that holds nothing, on the same node or another. */
  #beginAnew(index: number, parts: Partial<MemberDocument>): void {
    const nothing = { state: 'starting', lastSync: null, syncedThrough: 0, healthy: false };
    this.change(index, { ...nothing, ...parts });
    this.after(30, () => {
      const synced = { state: 'standby', lastSync: 'later', syncedThrough: 5, healthy: true };
      if (this.group?.members[index]?.state === 'starting') this.change(index, synced);
    });
  }

  #place({ index, from, to }: Asked): boolean {
    const members = this.group?.members ?? [];
    const isFree = members.every(({ nodeId }) => nodeId !== to);
    if (members[index]?.nodeId !== from || !isFree) return false;
    this.#beginAnew(index, { nodeId: to });
    return true;
  }

  #beginMove({ move, by }: Asked): Begun {
    const seen = this.see();
    const { index, to: node, from } = move;
    try {
      const request =
        move.kind === 'switchover'
          ? requestSwitchover(
              seen.group as GroupDocument,
              { leader: from, candidate: node },
              null,
              by,
            )
          : requestReplace(seen, { index, node }, by);
      const before = this.records.get(request.id)?.revision;
      const begun = this.start(request, driverOf('c'));
      if (this.records.get(request.id)?.revision !== before) this.onBegun(request.id);
      return begun;
    } catch (cause) {
      return { refused: failureOf(cause) };
    }
  }

  #own(verb: string, request: Asked, value: (of: unknown) => void): void {
    switch (verb) {
      case 'id-revision':
        return value({ revision: this.idTaken ? 7 : 0 });
      case 'remove-group':
        this.group = null;
        return value({ gone: true });
      case 'still-hosting':
        return value({ nodes: [] });
      case 'log-ends':
        return value({ log: 6, snapshots: 6 });
      case 'purge':
        if (request.below.log === 6) this.logSize = 0;
        return value(null);
      case 'place-member':
        return value({ placed: this.#place(request) });
      case 'begin-move':
        return value({ move: request.move, begun: this.#beginMove(request) });
      case 'look-at':
        return value({ looked: request.ids.map((id) => this.operation(id)) });
      case 'release-id':
        this.idTaken = false;
        return value({ released: true });
      default:
        throw new UnderstudyError('unsupported', `no verb ${verb}`);
    }
  }

  /** As the node's own verb: whoever asks again gets the answer to the first. */
  #handOff(node: string, request: Asked, value: (of: unknown) => void): void {
    const { epoch, target, budgetMs } = request;
    const { index, state } = this.on(node);
    const key = `${epoch} ${target}`;
    const waiting = this.#handOffs.get(key);
    if (waiting !== undefined) {
      waiting.push(value as Answer);
      return;
    }
    if (state !== 'active' || this.group?.epoch !== epoch) {
      return value({ failure: `${state} in epoch ${this.group?.epoch}, not active of ${epoch}` });
    }
    this.#handOffs.set(key, [value as Answer]);
    this.change(index, { state: 'handing-off' });
    const answer = (failure: string | null) => {
      for (const tell of this.#handOffs.get(key) ?? []) tell({ failure });
      this.#handOffs.delete(key);
    };
    this.after(20, () => {
      if (this.claim(target, epoch, 'hand-off')) answer(null);
    });
    this.after(budgetMs, () => {
      if (this.down.has(node)) return;
      if (this.claim(index, epoch, 'rollback')) answer('no claim followed');
    });
  }
}
