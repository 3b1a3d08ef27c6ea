/** Drives one member by hand, against a store that does what it is told. */
import {
  type Batch,
  type BatchAnswer,
  encodeValue,
  joinCommands,
} from '../../../replication/batch.js';
import type {
  Consistency,
  Effect,
  Input,
  MemberConfig,
  PromotionCause,
} from '../../../replication/effects.js';
import { execute, type OutwardEffect, type Running } from '../../../replication/execute.js';
import { epoch, seq } from '../../../replication/ids.js';
import { type Kind, reject } from '../../../replication/kind.js';
import { type Member, newMember, step, wakeAtMs } from '../../../replication/member.js';
import type { LogRecord } from '../../../replication/record.js';
import type { Judge } from '../../../replication/signature.js';
import { hasWork } from '../../../replication/work.js';
import { simulationHash } from '../../simulation/hash.js';
import { simulatedIdentity } from '../../simulation/identity.js';
import { Store } from './store.js';

export { Store } from './store.js';

export const hash = simulationHash;
/** Reads the log of the group that these tests are about. */
export const judge: Judge = { groupId: 'g', identity: simulatedIdentity(0) };

export interface ListState {
  items: unknown[];
}

/** A command `{ add: [...] }` becomes an event per item; `no` is refused, `boom` cannot be applied. */
export const lister: Kind<ListState, { add: unknown[] }, { item: unknown }> = {
  name: 'lister',
  version: 1,
  init: () => ({ items: [] }),
  apply(state, { item }) {
    state.items.push(item);
    if (item === 'boom') throw new Error('boom');
  },
  decide(state, { add }) {
    if (add.includes('no')) return reject('no', `at ${state.items.length}`);
    return { events: add.map((item) => ({ item })), result: state.items.length };
  },
  queries: { items: (state) => state.items, count: (state) => state.items.length },
};

export const add = (...items: unknown[]) => ({ add: items });

export function batchOf(commands: readonly unknown[], rest: Partial<Batch> = {}): Batch {
  const blob = joinCommands(commands.map((command) => encodeValue(command)));
  return { session: 's', floor: 1, first: 1, count: commands.length, keys: null, blob, ...rest };
}

export const causeOf = (endsEpoch: number, rest: Partial<PromotionCause> = {}): PromotionCause => ({
  cause: 'test',
  endsEpoch: epoch(endsEpoch),
  startedAtMs: 0,
  detectMs: 0,
  decideMs: 0,
  operation: null,
  observeMs: 0,
  ...rest,
});

export type Port = Exclude<Effect, OutwardEffect>;
type OfKind<All extends { kind: string }, K extends All['kind']> = Extract<All, { kind: K }>;

export function configOf(index: number, rest: Partial<MemberConfig> = {}): MemberConfig {
  return {
    group: 'g',
    groupId: 'g',
    kind: lister as Kind,
    hash,
    id: { index, node: `n${index}`, incarnation: '000001' },
    identity: simulatedIdentity(index),
    standby: 'warm',
    cheapSizeBytes: 1024 * 1024,
    replayEvents: 20_000,
    sync: { everyEvents: 1000, everyMs: 60_000 },
    pollMs: 500,
    era: 0,
    ...rest,
  };
}

/** One member: port effects are carried out by `settle`, or held for the test to answer. */
export class Rig {
  readonly member: Member;
  nowMs = 1000;
  wallMs: number | null = null;
  /** Set: there is no time for what it does beside everything else. */
  isResting = false;
  /** What it told the world, in order. */
  readonly told: OutwardEffect[] = [];
  /** Effects on the ports that nobody has carried out yet. */
  pending: Port[] = [];
  readonly running: Running = new Map();
  /** What was carried out, in order. */
  readonly carried: Port['kind'][] = [];
  #requests = 1;

  constructor(
    readonly store: Store,
    index = 0,
    rest: Partial<MemberConfig> = {},
  ) {
    this.member = newMember(configOf(index, rest));
  }

  get state(): Member['role']['state'] {
    return this.member.role.state;
  }

  feed(input: Input): this {
    const wallMs = this.wallMs ?? this.nowMs;
    for (const effect of step(this.member, input, { monoMs: this.nowMs, wallMs })) {
      if (isOutward(effect)) this.told.push(effect);
      else this.pending.push(effect);
    }
    return this;
  }

  /** Carries out everything until nothing is left to do without time going on. */
  settle(): this {
    do {
      this.work();
      const effects = this.pending;
      this.pending = [];
      for (const effect of effects) this.#carryOut(effect);
    } while (this.store.drain() || this.isBusy);
    return this;
  }

  /** Carries out only these, until none of them is left and there is no work; the others stay. */
  settleOnly(...kinds: readonly Port['kind'][]): this {
    const isMine = ({ kind }: Port) => kinds.includes(kind);
    do {
      this.work();
      const effects = this.pending.filter(isMine);
      this.pending = this.pending.filter((effect) => !isMine(effect));
      for (const effect of effects) this.#carryOut(effect);
    } while (this.store.drain() || this.#hasWork || this.pending.some(isMine));
    return this;
  }

  /** What is being cut is announced, stored and pinned. */
  storeCut(): this {
    return this.settleOnly('announce', 'put-chunk', 'keep-chunk', 'pin');
  }

  #carryOut(effect: Port): void {
    this.carried.push(effect.kind);
    execute(effect, this.store.ports, this.running, (input) => this.feed(input));
  }

  /** As many slices as there is work for, at the same instant. */
  work(sizeBytes = 1024 * 1024): this {
    while (this.#hasWork) this.feed({ kind: 'work', sizeBytes });
    return this;
  }

  get #hasWork(): boolean {
    return !this.isResting && hasWork(this.member);
  }

  /** Something is left to do without time going on. */
  get isBusy(): boolean {
    return this.pending.length > 0 || this.#hasWork;
  }

  tick(forMs = 0): this {
    this.nowMs += forMs;
    return this.feed({ kind: 'tick' });
  }

  /** So much time goes by, with a tick whenever the member wants one. */
  pass(forMs: number): this {
    const endMs = this.nowMs + forMs;
    while (this.nowMs < endMs) {
      const nextMs = Math.max(this.nowMs + 1, wakeAtMs(this.member));
      this.tick(Math.min(endMs, nextMs) - this.nowMs).settle();
    }
    return this;
  }

  /** The next effect of a kind, which the test answers in its own way. */
  take<K extends Port['kind']>(kind: K): OfKind<Port, K> {
    const at = this.pending.findIndex((effect) => effect.kind === kind);
    if (at < 0) {
      throw new Error(`no ${kind} among ${this.pending.map((e) => e.kind).join() || 'nothing'}`);
    }
    return this.pending.splice(at, 1)[0] as OfKind<Port, K>;
  }

  holds(kind: Port['kind']): boolean {
    return this.pending.some((effect) => effect.kind === kind);
  }

  /** Stores the append that is held and says so. */
  commit(): this {
    const { call, bytes } = this.take('append');
    const outcome = { kind: 'stored', position: this.store.append(bytes) } as const;
    return this.feed({ kind: 'appended', call, outcome });
  }

  deliver(batch: Batch): number {
    const request = this.#requests++;
    this.feed({ kind: 'deliver', request, batch });
    return request;
  }

  answer(request: number): BatchAnswer | undefined {
    return this.ask('answer', request)?.answer;
  }

  read(query: string | null, consistency: Consistency = 'linearizable', minSeq = 0): number {
    const request = this.#requests++;
    this.feed({ kind: 'read', request, consistency, minSeq: seq(minSeq), query, args: null });
    return request;
  }

  result(request: number) {
    return this.ask('answer-read', request)?.result;
  }

  sync(): number {
    const request = this.#requests++;
    this.feed({ kind: 'sync', request });
    return request;
  }

  synced(request: number) {
    return this.ask('answer-sync', request)?.result;
  }

  handOff(target: number, budgetMs = 1000): number {
    const request = this.#requests++;
    this.feed({ kind: 'hand-off', request, target, budgetMs });
    return request;
  }

  /** Undefined: no answer; null: it went well. */
  handedOff(request: number): string | null | undefined {
    return this.ask('answer-hand-off', request)?.failure;
  }

  reinit(): number {
    const request = this.#requests++;
    this.feed({ kind: 'reinit', request });
    return request;
  }

  /** Undefined: no answer; null: it begins anew. */
  reinited(request: number): string | null | undefined {
    return this.ask('answer-reinit', request)?.failure;
  }

  ask<K extends 'answer' | 'answer-read' | 'answer-sync' | 'answer-hand-off' | 'answer-reinit'>(
    kind: K,
    request: number,
  ): OfKind<OutwardEffect, K> | undefined {
    const found = this.told.filter((e) => e.kind === kind && e.request === request);
    if (found.length > 1) throw new Error(`request ${request} was answered ${found.length} times`);
    return found[0] as OfKind<OutwardEffect, K> | undefined;
  }

  alarms(): string[] {
    return this.told.flatMap((effect) => (effect.kind === 'alarm' ? [effect.detail] : []));
  }

  promote(endsEpoch: number, rest: Partial<PromotionCause> = {}): this {
    return this.feed({ kind: 'promote', ...causeOf(endsEpoch, rest) });
  }
}

const outward: ReadonlySet<Effect['kind']> = new Set<OutwardEffect['kind']>([
  'answer',
  'answer-read',
  'answer-sync',
  'answer-hand-off',
  'answer-reinit',
  'attest',
  'report-lost',
  'open',
  'close',
  'announce-snapshot',
  'announce-handoff',
  'epoch-noted',
  'alarm',
  'arm',
  'disarm',
]);

function isOutward(effect: Effect): effect is OutwardEffect {
  return outward.has(effect.kind);
}

/** An active that has opened and cut its first snapshot; nothing is pending. */
export function activeRig(rest: Partial<MemberConfig> = {}, store = new Store(), index = 0): Rig {
  const rig = new Rig(store, index, rest);
  rig.feed({ kind: 'start' }).settle();
  rig.promote(rig.member.tip.epoch).settle();
  // The first snapshot comes a moment later.
  rig.tick(100).settle();
  return rig;
}

/** Lets all of them go on until nothing is left to do without time going on. */
export function settleAll(...rigs: readonly Rig[]): void {
  do {
    for (const rig of rigs) rig.settle();
  } while (rigs.some(({ isBusy }) => isBusy));
}

export function standbyRig(store: Store, index = 1, rest: Partial<MemberConfig> = {}): Rig {
  return new Rig(store, index, rest).feed({ kind: 'start' }).settle();
}

/** What an active or a standby holds. */
export function itemsOf(rig: Rig): unknown[] {
  const { role, replica } = rig.member;
  const held = role.state === 'active' ? role.active.replica : replica;
  if (held === null) throw new Error(`a member that is ${role.state} holds nothing`);
  return (held.state as ListState).items;
}

/** A record that continues the given one. */
export function after(last: LogRecord, bytes: Uint8Array, body: LogRecord['body']): LogRecord {
  return {
    ...last,
    number: last.number + 1,
    previous: hash(bytes),
    baseSeq: last.seq,
    seq: seq(last.seq),
    body,
    signature: null,
  };
}
