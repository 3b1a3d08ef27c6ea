/** One run: nodes, clients, the broker and the faults, all in virtual time, all from one seed. */
import {
  type Beat,
  type ClusterConfig,
  type ClusterTimings,
  defaultTimings,
  type GroupConfig,
  newClusterConfig,
} from '../../cluster/types.js';
import type { Batch, BatchAnswer } from '../../replication/batch.js';
import type { ReadRequest, ReadResult } from '../../replication/effects.js';
import type { Member } from '../../replication/member.js';
import { JetStreamModel, stranger } from '../support/jetstream-model.js';
import { type Random, type VirtualScheduler, virtualScheduler } from '../support/scheduler.js';
import { Bus, type Peer } from './bus.js';
import { type GroupChecker, Violation } from './checker.js';
import { SimulationClient } from './client.js';
import { Injector } from './faults.js';
import { Host } from './host.js';
import type { Notice } from './hosted.js';
import { checkRows } from './inspect.js';
import type { TraceCommand } from './kind.js';
import { type ChunkRates, checkChunks, soundChunks } from './node-chunks.js';
import { Operating } from './operations/operating.js';
import type { Fault, SimulationOptions } from './options.js';
import { longestPauseMs } from './pauses.js';
import { type Play, tracePlay } from './play.js';

const timings: ClusterTimings = { ...defaultTimings, replaceAfterMs: 3000 };

/** I9: how long after the last fault a group may take to serve and to answer everything. */
const healWithinMs = 15_000;
const warmUpMs = 1500;

export class World {
  readonly scheduler: VirtualScheduler;
  readonly faults: Random;
  readonly reads: Random;
  readonly orders: Random;
  readonly model: JetStreamModel;
  readonly bus: Bus;
  readonly hosts: Host[] = [];
  readonly clients: SimulationClient[] = [];
  readonly injector: Injector;
  readonly operating: Operating;
  readonly registry = new Map<string, { config: GroupConfig; revision: number }>();
  /** What operators want of the cluster as a whole; 0: it is not written yet. */
  cluster: { config: ClusterConfig; revision: number } = { config: newClusterConfig, revision: 0 };
  readonly groupNames: string[] = [];
  readonly lines: string[] = [];
  readonly chunkRates: ChunkRates = { ...soundChunks };
  /** Ids of snapshots that somebody cut who lies, and `keyOf` chunks that are not what they are called. */
  readonly lies = new Set<string>();
  #checkers = new Map<string, GroupChecker>();
  #keyed = new Map<string, TraceCommand[]>();
  #anonymous = 1;
  #digest = 0x811c9dc5;

  constructor(
    seed: number | string,
    readonly options: SimulationOptions,
    private readonly tracing: boolean,
    readonly play: Play = tracePlay,
  ) {
    this.scheduler = virtualScheduler(seed);
    this.faults = this.scheduler.fork('faults');
    this.reads = this.scheduler.fork('reads');
    this.orders = this.scheduler.fork('orders');
    this.model = new JetStreamModel(this.scheduler, { replicas: options.replicas, timeoutMs: 400 });
    this.bus = new Bus(this.scheduler, { messageLost: 0, messageSlow: 0 });
    this.injector = new Injector(this);
    this.operating = new Operating(this);
    this.model.onStored((groupId, record, client) => {
      this.mixDigest(groupId.length + record.position + record.bytes.length);
      const checker = this.checker(groupId);
      const { snapshot } = checker;
      checker.onStored(record, client === stranger);
      if (checker.snapshot !== snapshot) checkChunks(this, groupId);
    });
  }

  /** Equal for equal runs: every stored record and every answer goes in. */
  get digest(): number {
    return this.#digest;
  }

  mixDigest(n: number): void {
    this.#digest = Math.imul(this.#digest ^ n, 0x01000193) >>> 0;
  }

  trace(line: () => string): void {
    if (this.tracing) this.lines.push(`${this.scheduler.now().toFixed(1).padStart(9)} ${line()}`);
  }

  checker(group: string): GroupChecker {
    let checker = this.#checkers.get(group);
    if (checker === undefined) {
      checker = this.play.checker(group);
      this.#checkers.set(group, checker);
    }
    return checker;
  }

  /** Commands that were lately sent with a key, for whoever wants to send one again. */
  keyed(group: string): TraceCommand[] {
    let commands = this.#keyed.get(group);
    if (commands === undefined) {
      commands = [];
      this.#keyed.set(group, commands);
    }
    return commands;
  }

  /** Numbers for commands without a session, so that the checker can tell them apart. */
  nextAnonymous(): number {
    this.#anonymous += 4;
    return this.#anonymous;
  }

  run(schedule: readonly Fault[]): void {
    this.build();
    this.scheduler.run(warmUpMs);
    this.injector.turnOn();
    for (const fault of schedule) {
      this.scheduler.after(Math.max(0, fault.atMs - warmUpMs), () => this.injector.strike(fault));
    }
    this.scheduler.run(warmUpMs + this.options.chaosMs);
    this.injector.heal();
    this.#converge();
  }

  /** Starts the nodes, the groups and the clients. */
  build(): void {
    for (let i = 0; i < this.options.nodes; i++) {
      const host = new Host(`n${i}`, this, timings);
      const drift = (this.faults.next() * 2 - 1) * (this.options.driftPercent / 100);
      host.clock.rate = 1 + drift;
      host.clock.wallOffsetMs = this.faults.below(2000) - 1000;
      this.hosts.push(host);
    }
    for (let i = 0; i < this.options.groups; i++) this.#createGroup(`g${i}`);
    for (const host of this.hosts) host.start();
    for (let i = 0; i < this.options.clients; i++) {
      const client = new SimulationClient(`c${i}`, this);
      this.clients.push(client);
      client.start();
    }
  }

  #createGroup(name: string): void {
    const members = this.hosts.slice(0, this.options.members).map((host) => ({
      node: host.name,
      publicKey: '',
    }));
    const config: GroupConfig = {
      name,
      kind: 'trace',
      groupId: name,
      seed: '',
      standby: this.options.standby,
      sync: { everyEvents: this.options.everyEvents, everyMs: this.options.everyMs },
      members,
      createdAtMs: 0,
      placement: this.options.placed ? { spread: 'zone', priorities: { n1: 1, n2: 2 } } : {},
    };
    this.registry.set(name, { config, revision: 1 });
    this.groupNames.push(name);
  }

  replaceMember(group: string, revision: number, index: number, node: string): void {
    const entry = this.registry.get(group);
    if (entry === undefined || entry.revision !== revision) return;
    const members = entry.config.members.map((member, i) =>
      i === index ? { node, publicKey: '' } : member,
    );
    const next = { config: { ...entry.config, members }, revision: revision + 1 };
    this.registry.set(group, next);
    this.trace(() => `${group}: member ${index} moves to ${node}`);
    this.operating.judge.placesMember(group, index, node);
    for (const host of this.hosts) {
      this.scheduler.after(this.faults.next() * 20, () => {
        host.run(() => host.hear({ kind: 'group', ...next }));
      });
    }
  }

  // Messages.

  broadcastBeat(from: Host, beat: Beat): void {
    for (const to of this.hosts) {
      const arrive = () => to.hear({ kind: 'beat', beat });
      if (to === from) this.bus.echo(from, arrive);
      else this.bus.send(from, to, arrive);
    }
  }

  notice(from: Host, notice: Notice): void {
    this.trace(() => `${from.name} announces ${JSON.stringify(notice)}`);
    for (const to of this.hosts) {
      if (to !== from) this.bus.send(from, to, () => to.hearNotice(notice));
    }
    if (notice.kind !== 'opened') return;
    for (const to of this.clients) this.bus.send(from, to, () => to.hearOpened(notice.group));
  }

  attest(from: Host, node: string, group: string, bytes: Uint8Array): void {
    const to = this.hosts.find((host) => host.name === node);
    if (to !== undefined) {
      this.bus.send(from, to, () => to.input(group, { kind: 'attested', bytes }));
    }
  }

  reportLost(from: Host, node: string, group: string, hashes: readonly Uint8Array[]): void {
    const to = this.hosts.find((host) => host.name === node);
    if (to !== undefined) this.bus.send(from, to, () => to.chunksLost(group, hashes));
  }

  /** "No responders" comes from the broker at once; a live process answers; a frozen one does not. */
  probe(from: Host, node: string, incarnation: string): void {
    const { life } = from;
    let ended = false;
    const end = (result: 'alive' | 'gone' | 'silent') => {
      if (ended || from.life !== life) return;
      ended = true;
      from.run(() => from.hear({ kind: 'probed', node, incarnation, result }));
    };
    this.scheduler.after(500, () => end('silent'));
    const target = this.hosts.find((host) => host.name === node);
    if (target === undefined || from.partitioned || !this.bus.up) return;
    if (!target.alive || target.partitioned) {
      this.scheduler.after(0.5, () => end('gone'));
      return;
    }
    this.bus.send(from, target, () => this.bus.send(target, from, () => end('alive')));
  }

  /** Everybody whom the broker counts as a subscriber gets it, the deposed and frozen too. */
  deliver(from: Peer, group: string, batch: Batch, onAnswer: (answer: BatchAnswer) => void): void {
    const answerTo = (host: Host) => (answer: BatchAnswer) => {
      this.bus.send(host, from, () => onAnswer(answer));
    };
    const send = () => {
      for (const host of this.hosts) {
        if (!host.open.has(group)) continue;
        this.bus.send(from, host, () => host.deliver(group, batch, answerTo(host)));
      }
    };
    send();
    const again = this.injector.copyAfterMs();
    if (again !== null) this.scheduler.after(again, send);
  }

  read(
    from: Peer,
    group: string,
    read: Omit<ReadRequest, 'request'>,
    onResult: (result: ReadResult) => void,
  ): void {
    for (const host of this.hosts) {
      if (!host.open.has(group)) continue;
      const reply = (result: ReadResult) => {
        this.bus.send(host, from, () => onResult(result));
      };
      this.bus.send(from, host, () => host.read(group, read, reply));
    }
  }

  /** To any one of those who say that they can answer. */
  readFromStandby(
    from: Peer,
    group: string,
    read: Omit<ReadRequest, 'request'>,
    onResult: (result: ReadResult) => void,
  ): void {
    const standbys = this.hosts.filter((host) => host.alive && host.servesReads(group));
    const host = standbys[this.reads.below(standbys.length)];
    if (host === undefined) return;
    const reply = (result: ReadResult) => this.bus.send(host, from, () => onResult(result));
    this.bus.send(from, host, () => host.read(group, read, reply));
  }

  // After the faults.

  /** I9, from the end of the last pause on. */
  #converge(): void {
    let deadline = this.scheduler.now() + healWithinMs + longestPauseMs(this);
    let answeredBefore = -1;
    while (this.scheduler.now() < deadline) {
      this.scheduler.run(this.scheduler.now() + 500);
      // What an operation does takes its time, and the group as much again.
      if (this.operating.mayGoOn)
        deadline = Math.max(deadline, this.scheduler.now() + healWithinMs);
      const answered = this.clients.reduce((sum, client) => sum + client.answered, 0);
      if (answeredBefore < 0 && this.#hasHealed()) {
        answeredBefore = answered;
        for (const client of this.clients) client.stopped = true;
      } else if (answeredBefore >= 0 && this.#isSettled()) {
        this.#checkEnd();
        return;
      }
    }
    if (!this.operating.isSettled) throw this.operating.unsettled();
    const unsettled = this.#unsettled();
    if (this.isWhole() && unsettled.length > 0) throw new Violation('I10', unsettled.join('; '));
    throw new Violation('I9', this.#describe());
  }

  /** One active per group, every other member synced and healthy. */
  isWhole(): boolean {
    return this.#areAll(({ role }) => role.state === 'standby');
  }

  /** The same while snapshots follow each other so fast that standbys are always fetching one. */
  #hasHealed(): boolean {
    return this.#areAll(
      ({ role, lastSyncMs }) =>
        role.state === 'standby' || (role.state === 'restoring' && lastSyncMs !== null),
    );
  }

  #areAll(isWell: (standby: Member) => boolean): boolean {
    return this.groupNames.every((group) => {
      const places = this.registry.get(group)?.config.members ?? [];
      const members = places.map(({ node }) =>
        this.hosts.find((each) => each.name === node)?.member(group),
      );
      const standbys = members.filter((member) => member?.role.state !== 'active');
      const isOne = standbys.length === members.length - 1;
      return isOne && standbys.every((member) => member !== undefined && isWell(member));
    });
  }

  #isSettled(): boolean {
    const isAnswered = this.clients.every((c) => c.outstanding === 0);
    const isOver = isAnswered && this.operating.isSettled && this.isWhole();
    return isOver && this.#unsettled().length === 0 && this.#isLevel();
  }

  /** Whoever follows the log lacks nothing of it, and whoever does not has the newest snapshot. */
  #isLevel(): boolean {
    return this.groupNames.every((group) => {
      const members = this.hosts.map((host) => host.member(group));
      const { seq, snapshot } = this.checker(group);
      const least = this.options.standby === 'warm' ? (snapshot?.at ?? 0) : seq;
      return members.every((member) => {
        if (member === undefined || member.role.state === 'active') return true;
        return member.lastSyncMs !== null && (member.replica?.tip.seq ?? -1) >= least;
      });
    });
  }

  #unsettled(): string[] {
    return this.groupNames.flatMap((group) =>
      this.hosts.map((host) => host.unsettled(group)).filter((each) => each !== null),
    );
  }

  #checkEnd(): void {
    this.operating.judge.checkEnd();
    for (const group of this.groupNames) {
      const open = this.hosts.filter((host) => host.open.has(group));
      if (open.length !== 1) {
        throw new Violation('I9', `${open.length} members of ${group} take deliveries`);
      }
      if (this.checker(group).seq === 0) throw new Violation('I9', `${group} never took an event`);
      checkChunks(this, group);
      for (const host of this.hosts) {
        const member = host.member(group);
        if (member?.replica) checkRows(this.checker(group), host.name, member.replica);
      }
      const verdict = this.checker(group).history.check();
      if (!verdict.ok) throw new Violation('I3', `${group}: ${verdict.id} ${verdict.reason}`);
    }
  }

  #describe(): string {
    const groups = this.groupNames.map((group) => {
      const states = this.hosts.map((host) => {
        const member = host.member(group);
        return `${host.name}=${member?.role.state ?? 'none'}@${member?.tip.epoch ?? '-'}`;
      });
      return `${group}: epoch ${this.checker(group).epoch}, ${states.join(' ')}`;
    });
    const outstanding = this.clients.map((client) => client.outstanding).join(',');
    return `not whole ${healWithinMs} ms after the last fault; ${groups.join('; ')}; outstanding ${outstanding}`;
  }
}
