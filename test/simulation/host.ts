/** A node in the simulation: the real coordinator and the real members, on a process that may fail. */
import {
  type Coordinator,
  type NodeEffect,
  type NodeInput,
  newCoordinator,
  stepNode,
} from '../../cluster/coordinator.js';
import { tickEveryMs } from '../../cluster/membership.js';
import type { ClusterTimings, GroupConfig } from '../../cluster/types.js';
import type { Batch, BatchAnswer } from '../../replication/batch.js';
import type { Input, ReadRequest, ReadResult } from '../../replication/effects.js';
import { execute, type OutwardEffect, stopAll } from '../../replication/execute.js';
import { type Member, newMember, report, step, wakeAtMs } from '../../replication/member.js';
import { hasWork } from '../../replication/work.js';
import type { Random } from '../support/scheduler.js';
import { Violation } from './checker.js';
import { simulationHash } from './hash.js';
import { type Hosted, infoOf, type Notice, reply, saysTheSame } from './hosted.js';
import { simulatedIdentity } from './identity.js';
import { checkMember, heldBy } from './inspect.js';
import { KeptEnds } from './kept-ends.js';
import type { Liar } from './liar.js';
import { Link } from './link.js';
import { collectGated, NodeChunks, portsOf } from './node-chunks.js';
import { Desk } from './operations/desk.js';
import { OrdersKept, rereadMs } from './pauses.js';
import { Process } from './process.js';
import { checkTriggers, onTrigger, type TriggerEffect } from './triggers.js';
import type { World } from './world.js';

export class Host extends Process {
  /** It tells the others more than it has, and attests what is not so. */
  lies: Liar | null = null;
  #members = new Map<string, Hosted>();
  /** Groups this node takes deliveries for, as the broker sees it: outlives a pause, not a crash. */
  readonly open = new Set<string>();
  coordinator: Coordinator;
  readonly link = new Link();
  readonly chunks: NodeChunks;
  readonly #ends = new KeptEnds();
  readonly #pace: Random;
  #requests = 1;
  #orders: OrdersKept;
  /** Of this life: what it does about operations. */
  desk: Desk;
  #rereadAtMs = 0;

  constructor(
    readonly name: string,
    private readonly world: World,
    private readonly timings: ClusterTimings,
  ) {
    super(world.scheduler, world.faults);
    const kept = world.scheduler.fork(`chunks of ${name}`);
    this.chunks = new NodeChunks(world.scheduler, kept, world.chunkRates);
    this.#pace = world.scheduler.fork(`pace of ${name}`);
    this.coordinator = newCoordinator(this.#info(), timings, this.clock.now());
    this.#orders = new OrdersKept(name);
    this.desk = new Desk(this, world);
  }

  #info() {
    return infoOf(this.name, this.life, this.world.options.placed);
  }

  // Process: start, crash, pause, go on.

  start(): void {
    this.begin();
    this.#members = new Map();
    this.open.clear();
    this.coordinator = newCoordinator(this.#info(), this.timings, this.clock.now());
    this.#orders = new OrdersKept(this.name);
    this.desk = new Desk(this, this.world);
    this.#readRegistry();
    this.#tick(this.life);
  }

  #readRegistry(): void {
    this.#rereadAtMs = this.world.scheduler.now() + rereadMs;
    for (const { config, revision } of this.world.registry.values()) {
      this.hear({ kind: 'group', config, revision });
    }
    const { cluster } = this.world;
    if (cluster.revision > 0) this.hear({ kind: 'cluster', ...cluster });
  }

  crash(): void {
    this.end();
    this.open.clear();
    for (const hosted of this.#members.values()) hosted.cancelWake();
    this.#members.clear();
    this.world.model.crash(this.name);
  }

  #tick(life: number): void {
    if (this.life !== life || !this.alive) return;
    const isDue = this.world.scheduler.now() >= this.#rereadAtMs;
    if (isDue && !this.partitioned) this.#readRegistry();
    this.hear({ kind: 'tick' });
    this.#ends.note(this.coordinator);
    this.desk.tick();
    for (const hosted of [...this.#members.values()]) this.#tellCoordinator(hosted);
    this.later(tickEveryMs * (0.8 + this.world.faults.next() * 0.4), () => this.#tick(life));
  }

  // Coordinator.

  hear(input: NodeInput): void {
    const now = this.clock.now();
    this.#orders.heard(input, now);
    for (const effect of stepNode(this.coordinator, input, now)) {
      this.#orders.check(effect, now);
      this.link.check(this.name, effect, now);
      this.#carryOut(effect);
    }
  }

  #carryOut(effect: NodeEffect): void {
    switch (effect.kind) {
      case 'beat':
        this.world.broadcastBeat(this, this.lies?.boast(effect.beat) ?? effect.beat);
        break;
      case 'superseded':
      case 'entry-outdated':
        throw new Error(`${this.name}: ${effect.kind}`);
      case 'probe':
        this.world.probe(this, effect.node, effect.incarnation);
        break;
      case 'start-member':
        this.#startMember(effect.config, effect.index);
        break;
      case 'stop-member':
        this.#stopMember(effect.group);
        break;
      case 'promote':
        this.input(effect.group, { kind: 'promote', ...effect.cause });
        break;
      case 'epoch-seen':
      case 'behind':
      case 'suspect':
      case 'end-told':
      case 'loss-told':
      case 'followers':
      case 'peers': {
        const { group, ...hint } = effect;
        this.input(group, hint);
        break;
      }
      case 'replace-member':
        this.world.replaceMember(effect.group, effect.revision, effect.index, effect.node);
        break;
      default:
        throw effect satisfies never;
    }
  }

  hearNotice(notice: Notice): void {
    if (notice.kind === 'opened') {
      this.input(notice.group, { kind: 'epoch-seen', epoch: notice.epoch });
    } else if (notice.kind === 'snapshot') {
      const { position, seq } = notice;
      this.input(notice.group, { kind: 'snapshot-seen', position, seq });
    } else {
      const { group, epoch, target } = notice;
      this.hear({ kind: 'handed-off', group, epoch, target });
    }
  }

  // Members.

  #startMember(config: GroupConfig, index: number): void {
    const { incarnation } = this.coordinator.info;
    const memberConfig = {
      group: config.name,
      groupId: config.groupId,
      kind: this.world.play.kind,
      hash: simulationHash,
      id: { index, node: this.name, incarnation },
      identity: simulatedIdentity(index),
      standby: config.standby,
      cheapSizeBytes: this.world.options.cheapSizeBytes,
      replayEvents: this.world.options.replayEvents,
      sync: config.sync,
      pollMs: 500,
      era: config.era ?? 0,
    };
    const member = newMember(memberConfig, this.#ends.of(config.name));
    const hosted: Hosted = {
      member,
      config,
      replies: new Map(),
      ports: portsOf(this.world, this, config.groupId),
      running: new Map(),
      triggers: new Set(),
      cancelWake: () => undefined,
      idleWakes: 0,
      willWork: false,
    };
    this.#members.set(config.name, hosted);
    this.input(config.name, { kind: 'start' });
  }

  #stopMember(group: string): void {
    const hosted = this.#members.get(group);
    if (hosted === undefined) return;
    hosted.cancelWake();
    stopAll(hosted.running);
    this.#members.delete(group);
    this.open.delete(group);
  }

  servesReads(group: string): boolean {
    const member = this.member(group);
    return member?.role.state === 'standby' && member.lastSyncMs !== null;
  }

  member(group: string): Member | undefined {
    return this.#members.get(group)?.member;
  }

  input(group: string, input: Input): void {
    const hosted = this.#members.get(group);
    if (hosted === undefined) return;
    const { life } = this;
    const feed = (completion: Input) => {
      if (this.life !== life) return;
      this.run(() => {
        if (this.#members.get(group) === hosted) this.input(group, completion);
      });
    };
    for (const effect of step(hosted.member, input, this.clock.now())) {
      const carried = this.lies?.alter(effect, hosted) ?? effect;
      const outward = execute(carried, hosted.ports, hosted.running, feed);
      if (outward !== null) this.#outward(hosted, outward);
      if (this.world.injector.crashBetweenEffects(this)) return;
    }
    checkMember(this.world.checker(hosted.config.name), this.name, hosted.member);
    checkTriggers(this.name, hosted);
    this.#tellCoordinator(hosted);
    this.#scheduleWake(hosted);
    this.#scheduleWork(hosted);
  }

  /** Some time after a snapshot was retired, and whenever somebody feels like it. */
  collect(): void {
    if (this.alive) collectGated(this.world, this.name, this.inThisLife());
  }

  collectSoon(): void {
    this.later(this.#pace.next() * 1000, () => this.collect());
  }

  #scheduleWork(hosted: Hosted): void {
    if (hosted.willWork || !hasWork(hosted.member)) return;
    hosted.willWork = true;
    const { name } = hosted.config;
    this.later(this.#pace.next() ** 3 * 20, () => {
      hosted.willWork = false;
      if (this.#members.get(name) !== hosted) return;
      const sizeBytes = 1 + Math.floor(this.#pace.next() ** 3 * 60_000);
      this.input(name, { kind: 'work', sizeBytes });
    });
  }

  #scheduleWake(hosted: Hosted): void {
    hosted.cancelWake();
    const atMs = wakeAtMs(hosted.member);
    if (atMs === Number.POSITIVE_INFINITY) return;
    const { name } = hosted.config;
    hosted.cancelWake = this.later(Math.max(1, atMs - this.clock.now().monoMs), () => {
      if (this.#members.get(name) === hosted) this.#wake(name, hosted);
    });
  }

  /** Whoever asks to be woken has something to do then, or asks for a later time. */
  #wake(group: string, hosted: Hosted): void {
    const { life } = this;
    this.input(group, { kind: 'tick' });
    if (this.life !== life || !this.alive) return;
    const isLate = wakeAtMs(hosted.member) <= this.clock.now().monoMs;
    hosted.idleWakes = isLate ? hosted.idleWakes + 1 : 0;
    if (hosted.idleWakes < 20) return;
    const { state } = hosted.member.role;
    throw new Violation(
      'I10',
      `${this.name}/${state} of ${group} wakes again and again for nothing`,
    );
  }

  #tellCoordinator(hosted: Hosted): void {
    const known = this.coordinator.groups
      .get(hosted.config.name)
      ?.reports.get(hosted.member.config.id.index);
    const now = report(hosted.member);
    if (!saysTheSame(known, now)) this.hear({ kind: 'own-report', report: now });
  }

  #outward(hosted: Hosted, effect: OutwardEffect): void {
    const { world } = this;
    const group = hosted.config.name;
    switch (effect.kind) {
      case 'open':
        this.open.add(group);
        world.notice(this, { kind: 'opened', group, epoch: effect.epoch });
        break;
      case 'close':
        this.open.delete(group);
        break;
      case 'answer':
        reply(hosted, effect.request, effect.answer);
        break;
      case 'answer-read':
      case 'answer-sync':
        reply(hosted, effect.request, effect.result);
        break;
      case 'answer-hand-off':
      case 'answer-reinit':
        reply(hosted, effect.request, effect.failure);
        break;
      case 'attest': {
        const { bytes } = effect;
        const { config } = hosted.member;
        world.attest(this, effect.node, group, this.lies?.misattest(bytes, config) ?? bytes);
        break;
      }
      case 'report-lost':
        world.reportLost(this, effect.node, group, effect.hashes);
        break;
      case 'announce-snapshot':
        world.notice(this, { kind: 'snapshot', group, position: effect.position, seq: effect.seq });
        break;
      case 'announce-handoff':
        world.notice(this, { kind: 'handoff', group, epoch: effect.epoch, target: effect.target });
        break;
      case 'arm':
      case 'disarm':
        this.#trigger(hosted, effect);
        break;
      case 'epoch-noted':
      case 'alarm':
        world.trace(() => `${this.name} ${group} ${JSON.stringify(effect)}`);
        break;
      default:
        throw effect satisfies never;
    }
  }

  #trigger(hosted: Hosted, effect: TriggerEffect): void {
    onTrigger(this.world.play.triggers, hosted, effect, (ms, ended) =>
      this.later(ms, () => {
        if (this.#members.get(hosted.config.name) === hosted)
          this.input(hosted.config.name, ended());
      }),
    );
  }

  chunksLost(group: string, hashes: readonly Uint8Array[]): void {
    this.input(group, { kind: 'chunks-lost', hashes });
  }

  /** A request from a client, as the broker delivers it to whoever is subscribed. */
  deliver(group: string, batch: Batch, reply: (answer: BatchAnswer) => void): void {
    const request = this.#remember(group, reply);
    if (request !== null) this.input(group, { kind: 'deliver', request, batch });
  }

  read(
    group: string,
    read: Omit<ReadRequest, 'request'>,
    reply: (result: ReadResult) => void,
  ): void {
    const request = this.#remember(group, reply);
    if (request !== null) this.input(group, { kind: 'read', request, ...read });
  }

  #remember(group: string, reply: (answer: never) => void): number | null {
    const hosted = this.#members.get(group);
    if (hosted === undefined) return null;
    const request = this.#requests++;
    hosted.replies.set(request, reply);
    return request;
  }

  /** A request of an operator: that it has one answer is checked. */
  expect(group: string, answered: (answer: unknown) => void = () => undefined): number {
    return this.#remember(group, answered) ?? 0;
  }

  /** What is owed to somebody or held for somebody: at rest nothing (I10). */
  unsettled(group: string): string | null {
    const hosted = this.#members.get(group);
    if (hosted === undefined) return null;
    const held = heldBy(hosted.member);
    if (hosted.replies.size === 0 && held === 0) return null;
    const owed = [...hosted.replies.keys()].join(', ');
    return `${this.name} owes ${group} answers to ${owed || 'nobody'} and holds ${held}`;
  }
}
