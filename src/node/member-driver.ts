/**
 * Runs one member: gives it time, carries out its effects, and takes requests for it while it is the
 * active. The member decides; nothing here does.
 */
import type { Work } from '../../cluster/permits.js';
import type { Batch, BatchAnswer } from '../../replication/batch.js';
import type {
  Effect,
  Input,
  MemberReport,
  ReadRequest,
  ReadResult,
} from '../../replication/effects.js';
import { isSameEnd } from '../../replication/ends.js';
import { execute, type OutwardEffect, type Running, stopAll } from '../../replication/execute.js';
import { type Member, newMember, report, step, wakeAtMs } from '../../replication/member.js';
import { syncOf } from '../../replication/syncing.js';
import { hasClaimed, hasWork, isHeavy } from '../../replication/work.js';
import { failpoint } from '../failpoint.js';
import { instant } from './clock.js';
import { HeavyWork } from './heavy-work.js';
import type { MemberDriverOptions, SyncResult } from './member-options.js';
import { Pacer, restFactors } from './pacer.js';
import { PermitPool } from './permit-pool.js';
import { Triggers } from './triggers.js';

interface Answers {
  readonly deliver: (answer: BatchAnswer) => void;
  readonly read: (result: ReadResult) => void;
  readonly sync: (result: SyncResult) => void;
  readonly handOff: (failure: string | null) => void;
  readonly reinit: (failure: string | null) => void;
}

/** setTimeout takes no more. */
const longestTimerMs = 2 ** 31 - 1;

export class MemberDriver {
  #member: Member;
  #report: MemberReport;
  #wakeAtMs = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | null = null;
  /** After a crash. What reaches the member meanwhile must not keep it from starting. */
  #restart: NodeJS.Timeout | null = null;
  #stopped = false;
  #requests = 1;
  #requestsAtSlice = 1;
  #running: Running = new Map();
  readonly #triggers: Triggers;
  readonly #heavy: HeavyWork;
  readonly #pacer = new Pacer({
    work: (sizeBytes) => this.input({ kind: 'work', sizeBytes }),
    hasWork: () => !this.#stopped && hasWork(this.#member),
    restFactor: () => this.#restFactor(),
  });
  /** Requests without an answer; as many as the member's own limits let in. */
  readonly #deliveries = new Map<number, Answers['deliver']>();
  readonly #reads = new Map<number, Answers['read']>();
  readonly #syncs = new Map<number, Answers['sync']>();
  readonly #handOffs = new Map<number, Answers['handOff']>();
  readonly #reinits = new Map<number, Answers['reinit']>();

  constructor(private readonly options: MemberDriverOptions) {
    const { config, permits = new PermitPool(), priority = () => 0, known = null } = options;
    this.#heavy = new HeavyWork(permits, config.group, priority);
    this.#member = newMember(config, known);
    this.#report = report(this.#member);
    this.#triggers = new Triggers(config, (ended) => this.input(ended));
  }

  #restFactor(): number {
    const isAsked = this.#requests > this.#requestsAtSlice;
    this.#requestsAtSlice = this.#requests;
    if (this.#member.role.state !== 'active') return restFactors.standby;
    return isAsked ? restFactors.serving : restFactors.unasked;
  }

  /** Once, after construction: the first effects may reach the owner at once. */
  start(): void {
    this.input({ kind: 'start' });
  }

  /** In place of `start`: it is to be seen, and to be reinitialised, but not to run. */
  quarantine(detail: string): void {
    this.input({ kind: 'quarantine', detail });
  }

  stop(): void {
    this.#stopped = true;
    this.#pacer.stop();
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#restart !== null) clearTimeout(this.#restart);
    this.#heavy.end();
    stopAll(this.#running);
    this.#triggers.stop();
    this.#dropRequests();
  }

  get member(): Member {
    return this.#member;
  }

  /** What it would say of itself now. */
  report(): MemberReport {
    const now = report(this.#member);
    const known = this.#report;
    const syncs = now.sync !== null || known.sync !== null;
    const same =
      !syncs &&
      now.seq === known.seq &&
      now.snapshotSeq === known.snapshotSeq &&
      now.syncedThrough === known.syncedThrough &&
      now.error === known.error &&
      // Rejections and barriers are acknowledged too, and no seq comes of them.
      isSameEnd(now.known, known.known);
    if (!same) this.#report = now;
    return this.#report;
  }

  deliver(batch: Batch, answer: Answers['deliver']): void {
    const request = this.#requests++;
    this.#deliveries.set(request, answer);
    this.input({ kind: 'deliver', request, batch });
  }

  read(read: Omit<ReadRequest, 'request'>, answer: Answers['read']): void {
    const request = this.#requests++;
    this.#reads.set(request, answer);
    this.input({ kind: 'read', request, ...read });
  }

  sync(): Promise<SyncResult> {
    return new Promise((resolve) => {
      const request = this.#requests++;
      this.#syncs.set(request, resolve);
      this.input({ kind: 'sync', request });
    });
  }

  /** Resolves with null once another member has taken over, or with why none has. */
  handOff(target: number, budgetMs: number): Promise<string | null> {
    return new Promise((resolve) => {
      const request = this.#requests++;
      this.#handOffs.set(request, resolve);
      this.input({ kind: 'hand-off', request, target, budgetMs });
    });
  }

  /** Resolves with null once the member has forgotten what it held, or with why it does not. */
  reinit(): Promise<string | null> {
    return new Promise((resolve) => {
      const request = this.#requests++;
      this.#reinits.set(request, resolve);
      this.options.events.reinstated();
      this.input({ kind: 'reinit', request });
    });
  }

  input(input: Input): void {
    if (this.#stopped) return;
    if (input.kind === 'promote') this.#promote(input);
    else this.#take(input);
  }

  /** Its stopwatch goes on while it waits for its turn. */
  #promote(input: Extract<Input, { kind: 'promote' }>): void {
    const { state } = this.#member.role;
    const begins = state === 'starting' || state === 'restoring' || state === 'standby';
    if (!begins) return this.#take(input);
    const askedAtMs = instant().monoMs;
    const { mayActOn = () => true } = this.options;
    const run = () => {
      if (!mayActOn(input.cause)) return this.#heavy.settle(isHeavy(this.#member));
      const decideMs = input.decideMs + instant().monoMs - askedAtMs;
      this.#take({ ...input, decideMs });
    };
    this.#heavy.begin('promotion', { work: 'promotion', sinceMs: input.startedAtMs, run });
  }

  #take(input: Input): void {
    try {
      this.#step(input);
    } catch (error) {
      this.#crashed(error);
    }
  }

  #step(input: Input): void {
    const member = this.#member;
    const feed = (completion: Input) => {
      if (this.#member === member) this.input(completion);
    };
    for (const effect of step(member, input, instant())) {
      this.#execute(effect, feed);
    }
    this.#heavy.settle(isHeavy(this.#member));
    this.options.events.stepped(syncOf(this.#member));
    this.#tellIfChanged();
    this.#schedule();
    this.#pacer.nudge();
  }

  #execute(effect: Effect, feed: (completion: Input) => void): void {
    if (effect.kind === 'replay' && hasClaimed(this.#member)) failpoint('after-claim');
    const work = this.#workOf(effect);
    if (work !== null) {
      const run = () => void execute(effect, this.options.ports, this.#running, feed);
      this.#heavy.begin(work.call, { work: work.kind, sinceMs: instant().wallMs, run });
      return;
    }
    if (effect.kind === 'stop') this.#heavy.drop(effect.call);
    const outward = execute(effect, this.options.ports, this.#running, feed);
    if (outward !== null) this.#carryOut(outward);
  }

  /** What it begins, if that needs a permit. */
  #workOf(effect: Effect): { readonly call: number; readonly kind: Work } | null {
    switch (effect.kind) {
      case 'replay': {
        const { state } = this.#member.role;
        return { call: effect.call, kind: state === 'active' ? 'rebuild' : 'replay' };
      }
      case 'read-at':
        return { call: effect.call, kind: 'restore' };
      case 'announce':
        return { call: effect.call, kind: 'cut' };
      default:
        return null;
    }
  }

  #carryOut(effect: OutwardEffect): void {
    switch (effect.kind) {
      case 'answer':
        failpoint('before-answer');
        settle(this.#deliveries, effect.request, effect.answer);
        break;
      case 'answer-read':
        settle(this.#reads, effect.request, effect.result);
        break;
      case 'answer-sync':
        settle(this.#syncs, effect.request, effect.result);
        break;
      case 'answer-hand-off':
        settle(this.#handOffs, effect.request, effect.failure);
        break;
      case 'answer-reinit':
        settle(this.#reinits, effect.request, effect.failure);
        break;
      case 'attest':
        this.options.events.attest(effect);
        break;
      case 'report-lost':
        this.options.events.reportLost(effect);
        break;
      case 'open':
        failpoint('before-open');
        this.options.events.opened(effect.epoch);
        break;
      case 'close':
        this.#triggers.stop();
        this.options.events.closed();
        break;
      case 'arm':
        this.#triggers.arm(effect);
        break;
      case 'disarm':
        this.#triggers.disarm(effect.call);
        break;
      case 'announce-snapshot':
        failpoint('after-snapshot-record');
        this.options.events.announceSnapshot(effect);
        break;
      case 'announce-handoff':
        this.options.events.announceHandoff(effect);
        break;
      case 'epoch-noted':
        this.options.logger.info({ ...effect.note }, 'promoted');
        break;
      case 'alarm':
        this.options.events.alarm(effect);
        break;
      default:
        throw effect satisfies never;
    }
  }

  #tellIfChanged(): void {
    const before = this.#report;
    const { state } = this.#member.role;
    const { lastSyncMs } = this.#member;
    if (before.state === state && before.lastSyncMs === lastSyncMs && state === 'active') return;
    const now = report(this.#member);
    const same =
      before.state === now.state &&
      before.epoch === now.epoch &&
      before.lastSyncMs === now.lastSyncMs &&
      before.diverged === now.diverged &&
      before.error === now.error;
    if (same) return;
    this.#report = now;
    this.options.events.changed(now);
  }

  #schedule(): void {
    const atMs = wakeAtMs(this.#member);
    if (atMs === this.#wakeAtMs) return;
    this.#wakeAtMs = atMs;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (atMs === Number.POSITIVE_INFINITY) return;
    const inMs = Math.min(longestTimerMs, Math.max(0, atMs - instant().monoMs));
    this.#timer = setTimeout(() => {
      this.#wakeAtMs = Number.POSITIVE_INFINITY;
      this.input({ kind: 'tick' });
    }, inMs);
  }

  /** A member that fails an assertion is replaced by a fresh one: its state cannot be trusted. */
  #crashed(error: unknown): void {
    this.options.events.closed();
    this.#heavy.end();
    stopAll(this.#running);
    this.#running = new Map();
    this.#triggers.stop();
    this.#dropRequests();
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#restart !== null) clearTimeout(this.#restart);
    const { peers } = this.#member.calls;
    this.#member = newMember(this.options.config, this.#member.known);
    // They are told only when they change.
    this.#member.calls.peers = peers;
    this.#wakeAtMs = Number.NaN;
    const verdict = this.options.events.crashed(error);
    if ('quarantine' in verdict) return this.quarantine(verdict.quarantine);
    this.#member.error = `it crashed and begins anew: ${messageOf(error)}`;
    this.#tellIfChanged();
    this.#restart = setTimeout(() => {
      this.#member.error = null;
      this.start();
    }, verdict.restartInMs);
  }

  #dropRequests(): void {
    const detail = 'the member was stopped; send the same batch again';
    const moved = { ok: false, code: 'moved', detail } as const;
    for (const answer of this.#deliveries.values()) answer(moved);
    for (const answer of this.#reads.values()) answer(moved);
    for (const answer of this.#syncs.values()) answer({ failure: detail });
    for (const answer of this.#handOffs.values()) answer(detail);
    for (const answer of this.#reinits.values()) answer(detail);
    const all = [this.#deliveries, this.#reads, this.#syncs, this.#handOffs, this.#reinits];
    for (const map of all) map.clear();
  }
}

function settle<Answer>(
  waiting: Map<number, (answer: Answer) => void>,
  request: number,
  answer: Answer,
): void {
  const tell = waiting.get(request);
  waiting.delete(request);
  tell?.(answer);
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
