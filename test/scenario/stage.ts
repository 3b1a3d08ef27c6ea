/** The simulated world under direction: no chance, only what a scenario asks for. */
import type { Batch, BatchAnswer, CommandAnswer } from '../../replication/batch.js';
import { encodeValue, joinCommands, unpackRun } from '../../replication/batch.js';
import { epoch } from '../../replication/ids.js';
import { Rejection } from '../../replication/kind.js';
import type { Member } from '../../replication/member.js';
import { decodeRecord, isRecord, type LogRecord } from '../../replication/record.js';
import type { Peer } from '../simulation/bus.js';
import type { Host } from '../simulation/host.js';
import {
  poisonPart,
  type TraceCommand,
  type TraceEvent,
  type TraceState,
  traceKind,
} from '../simulation/kind.js';
import { rejoin } from '../simulation/link.js';
import { drawOptions, type SimulationOptions } from '../simulation/options.js';
import { World } from '../simulation/world.js';
import { seededRandom } from '../support/scheduler.js';

export interface StageOptions {
  readonly nodes?: number;
  readonly members?: number;
  readonly groups?: number;
  readonly standby?: 'warm' | 'hot';
  readonly replayEvents?: number;
}

/** What a command is to become: so many events, a refusal, or poison. */
export type Shape = number | 'refused' | 'poison';

const forEverMs = 1e9;

function quiet({
  nodes = 3,
  members = nodes,
  groups = 1,
  standby = 'warm',
  replayEvents = 20_000,
}: StageOptions): SimulationOptions {
  const drawn = drawOptions(seededRandom('stage'));
  const rates = Object.fromEntries(Object.keys(drawn.rates).map((rate) => [rate, 0]));
  return {
    ...drawn,
    nodes,
    members,
    groups,
    clients: 0,
    replicas: 3,
    standby,
    cheapSizeBytes: 1024 * 1024,
    replayEvents,
    staleLeaderMs: 0,
    everyEvents: forEverMs,
    everyMs: forEverMs,
    rates: rates as unknown as SimulationOptions['rates'],
    driftPercent: 0,
    clockJumps: false,
    placed: false,
  };
}

export class Stage {
  readonly world: World;
  /** The one that is spoken to and asked about. */
  group: string;
  readonly #client: Peer = {
    name: 'client',
    life: 1,
    alive: true,
    partitioned: false,
    run: (task) => task(),
  };
  #number = 1;
  #drawn = 1;

  constructor(options: StageOptions = {}) {
    this.world = new World('stage', quiet(options), true);
    this.group = 'g0';
    this.world.build();
    for (const host of this.world.hosts) host.collectSoon = () => undefined;
    this.until('the group is whole', () => this.world.isWhole());
    this.until('the first sync is done', () => this.standbys().every((m) => m.lastSyncMs !== null));
  }

  // Time.

  run(ms: number): void {
    this.world.scheduler.run(this.world.scheduler.now() + ms);
  }

  until(what: string, holds: () => boolean, limitMs = 10_000): void {
    const deadline = this.world.scheduler.now() + limitMs;
    while (!holds()) {
      if (this.world.scheduler.now() > deadline) throw new Error(`it never happened that ${what}`);
      this.world.scheduler.step();
    }
  }

  whole(): void {
    this.until('the group is whole again', () => this.world.isWhole());
  }

  // Who is who.

  host(name: string): Host {
    const host = this.world.hosts.find((each) => each.name === name);
    if (host === undefined) throw new Error(`no node ${name}`);
    return host;
  }

  member(name: string): Member {
    const member = this.host(name).member(this.group);
    if (member === undefined) throw new Error(`${name} hosts no member of ${this.group}`);
    return member;
  }

  /** The nodes of the group's members, by index. */
  places(): string[] {
    return this.world.registry.get(this.group)?.config.members.map(({ node }) => node) ?? [];
  }

  /** Node of the one active that takes deliveries and whose process runs; null: none. */
  get active(): string | null {
    const open = this.world.hosts.filter((host) => host.alive && host.open.has(this.group));
    const running = open.filter(({ paused, partitioned }) => !paused && !partitioned);
    return running.length === 1 ? (running[0]?.name ?? null) : null;
  }

  standbys(): Member[] {
    const members = this.world.hosts.map((host) => host.member(this.group));
    return members.filter(
      (member) => member !== undefined && member.role.state !== 'active',
    ) as Member[];
  }

  state(name: string): TraceState {
    const { role, replica } = this.member(name);
    const held = role.state === 'active' ? role.active.replica : replica;
    if (held === null) throw new Error(`${name} holds nothing`);
    return held.state as TraceState;
  }

  /** All of it as plain values: what can be compared. */
  contents(name: string): object {
    const { hash, events, last, rows } = this.state(name);
    return { hash, events, last: { ...last }, rows: [...(rows?.entries() ?? [])] };
  }

  syncedThrough(name: string): number | null {
    const { replica, lastSyncMs } = this.member(name);
    return lastSyncMs === null ? null : (replica?.tip.seq ?? 0);
  }

  get epoch(): number {
    return this.world.checker(this.group).epoch;
  }

  get seq(): number {
    return this.world.checker(this.group).seq;
  }

  records(): LogRecord[] {
    return this.world.model
      .records(this.group)
      .map(({ bytes }) => decodeRecord(bytes))
      .filter(isRecord);
  }

  // What is done to it.

  /** One command per shape, in one batch; sent again until it is answered. */
  deliver(...shapes: Shape[]): CommandAnswer[] {
    const batch = this.batch(...shapes);
    let answer: (BatchAnswer & { ok: true }) | null = null;
    this.send(batch, (each) => {
      if (each.ok) answer = each;
    });
    let sentMs = this.world.scheduler.now();
    this.until('the batch is answered', () => {
      if (this.world.scheduler.now() - sentMs > 300) {
        sentMs = this.world.scheduler.now();
        this.send(batch, (each) => {
          if (each.ok) answer = each;
        });
      }
      return answer !== null;
    });
    const answered = answer as unknown as BatchAnswer & { ok: true };
    this.world.checker(this.group).onAnswer(batch, answered, 0);
    return answered.runs.flatMap(unpackRun);
  }

  events(count: number): void {
    for (let i = 0; i < count; i++) this.deliver(1);
  }

  send(batch: Batch, onAnswer: (answer: BatchAnswer) => void): void {
    this.world.deliver(this.#client, this.group, batch, onAnswer);
  }

  batch(...shapes: Shape[]): Batch {
    const { hash, events, last } = this.state(this.active ?? '');
    const state = { hash, events, last: { ...last } };
    const commands = shapes.map((shape) => this.#command(shape, state));
    const first = this.#number;
    this.#number += shapes.length;
    const session = 'director';
    for (const [i, command] of commands.entries()) {
      this.world.checker(this.group).noteSent(session, first + i, command);
    }
    const blob = joinCommands(commands.map((command) => encodeValue(command)));
    return { session, floor: first, first, count: commands.length, keys: null, blob };
  }

  /** Looks for a command that becomes what is asked for, and moves the state on by it. */
  #command(shape: Shape, state: TraceState): TraceCommand {
    for (;;) {
      const n = this.#drawn++;
      const command = { n, op: `op ${n}` };
      const decision = traceKind.decide?.(state, command, { seq: 0, recordedAtMs: 0 });
      if (decision instanceof Rejection) {
        if (shape === 'refused') return command;
        continue;
      }
      const { events } = decision as { events: readonly TraceEvent[] };
      const isPoison = events.some(({ part }) => part === poisonPart);
      if (isPoison ? shape !== 'poison' : events.length !== shape) continue;
      if (isPoison) return command;
      for (const event of events) traceKind.apply(state, event, { seq: 0, recordedAtMs: 0 });
      return command;
    }
  }

  /** Syncs every standby that can be synced; returns what the operator is told. */
  sync(): unknown {
    const host = this.host(this.active ?? '');
    let result: unknown = null;
    const request = host.expect(this.group, (told) => {
      result = told;
    });
    host.input(this.group, { kind: 'sync', request });
    // A cutter that has died is waited for 10 s.
    this.until('the sync is answered', () => result !== null, 12_000);
    this.run(300);
    return result;
  }

  /** An operator wants this member to lead, although nothing is wrong. */
  failover(name: string): void {
    this.host(name).input(this.group, {
      kind: 'promote',
      cause: 'failover',
      endsEpoch: epoch(this.member(name).tip.epoch),
      startedAtMs: 0,
      detectMs: 0,
      decideMs: 0,
      operation: null,
      observeMs: 0,
    });
  }

  switchover(index: number): () => string | null | undefined {
    const host = this.host(this.active ?? '');
    let failure: string | null | undefined;
    const request = host.expect(this.group, (told) => {
      failure = told as string | null;
    });
    host.input(this.group, { kind: 'hand-off', request, target: index, budgetMs: 800 });
    return () => failure;
  }

  kill(name: string): void {
    this.world.injector.crash(this.host(name), forEverMs);
  }

  /** The process dies right after so many more effects of its members. Tells whether it has. */
  killAfter(name: string, effects: number): () => boolean {
    let left = effects;
    this.world.injector.crashBetweenEffects = (host) => {
      if (host.name !== name || left === 0) return false;
      left -= 1;
      if (left === 0) this.kill(name);
      return left === 0;
    };
    if (left === 0) this.kill(name);
    return () => left === 0;
  }

  start(name: string): void {
    this.host(name).start();
  }

  pause(name: string): void {
    this.world.injector.pause(this.host(name), forEverMs);
  }

  resume(name: string): void {
    this.host(name).resume();
  }

  cutOff(name: string): void {
    this.world.injector.partition(this.host(name), forEverMs);
  }

  reconnect(name: string): void {
    rejoin(this.world, this.host(name));
  }

  /** Chunks can neither be stored nor had of anybody from here on, or can again. */
  breakSnapshots(isBroken: boolean): void {
    const rate = isBroken ? 1 : 0;
    this.world.model.faults.chunkMissing = rate;
    Object.assign(this.world.chunkRates, { cacheLost: rate, peerEmpty: rate });
  }

  /** Whoever is asked for a chunk gives something else from here on, or what it should again. */
  spoilSnapshots(isSpoilt: boolean): void {
    const rate = isSpoilt ? 1 : 0;
    this.world.model.faults.chunkCorrupted = rate;
    Object.assign(this.world.chunkRates, { cacheCorrupt: rate, peerLies: rate });
  }

  /** What this node's members have raised alarms about, in order. */
  alarms(name: string): string[] {
    const marked = ` ${name} ${this.group} {"kind":"alarm"`;
    return this.world.lines.filter((line) => line.includes(marked));
  }

  leads(name: string): void {
    this.until(`${name} leads`, () => this.active === name);
  }

  promoted(by: number): void {
    this.until(`epoch ${by} has an active`, () => this.epoch === by && this.active !== null);
  }
}
