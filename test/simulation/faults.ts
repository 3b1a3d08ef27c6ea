/** Strikes the world with the faults of a schedule, and heals it. */
import { epoch } from '../../replication/ids.js';
import { encodeRecord, type LogRecord } from '../../replication/record.js';
import { noFaults } from '../support/model-wire.js';
import type { Host } from './host.js';
import { tellLies } from './liar.js';
import { cutOff, rejoin, unnoticedMs } from './link.js';
import { soundChunks } from './node-chunks.js';
import { order } from './operators.js';
import type { Fault } from './options.js';
import { rot } from './rot.js';
import { strange } from './stranger.js';
import type { World } from './world.js';

const broker = { name: 'broker', life: 0, alive: true, partitioned: false, run: () => undefined };

export class Injector {
  readonly #world: World;
  /** Effects to go until a process dies between two of them; 0: none will. */
  #crashSoon = 0;
  #messageTwice = 0;
  #isOn = false;

  constructor(world: World) {
    this.#world = world;
  }

  turnOn(): void {
    this.#isOn = true;
    const { bus, model, options } = this.#world;
    const { rates } = options;
    model.faults.requestLost = rates.requestLost;
    model.faults.answerLost = rates.answerLost;
    model.faults.slow = rates.requestSlow;
    model.faults.reordered = rates.reordered;
    model.faults.staleRead = rates.staleRead;
    model.faults.chunkCorrupted = rates.chunkCorrupt;
    model.faults.chunkMissing = rates.chunkMissing;
    model.faults.replayGap = rates.replayGap;
    model.faults.tailLost = rates.tailLost;
    model.faults.staleLeaderMs = options.replicas === 3 ? options.staleLeaderMs : 0;
    bus.rates = rates;
    Object.assign(this.#world.chunkRates, rates);
    this.#messageTwice = rates.messageTwice;
  }

  /** How late a copy of a message arrives; null: there is none. */
  copyAfterMs(): number | null {
    const { faults } = this.#world;
    return faults.chance(this.#messageTwice) ? faults.next() ** 2 * 5000 : null;
  }

  /** A crash may come between any two effects of one step. */
  crashBetweenEffects(host: Host): boolean {
    if (this.#crashSoon === 0) return false;
    this.#crashSoon -= 1;
    if (this.#crashSoon > 0) return false;
    this.#world.trace(() => `${host.name} crashes between two effects`);
    this.crash(host, 500);
    return true;
  }

  strike(fault: Fault): void {
    const host = this.#world.hosts[fault.target % this.#world.hosts.length] as Host;
    this.#world.trace(() => `FAULT ${fault.kind} ${host.name} ${fault.durationMs} ms`);
    this.#world.mixDigest(fault.atMs);
    this.#carryOut(fault, host);
  }

  #carryOut(fault: Fault, host: Host): void {
    switch (fault.kind) {
      case 'crash':
        if (fault.target >= 12) this.#crashSoon = 1 + this.#world.faults.below(40);
        else this.crash(this.#preferActive(fault, host), fault.durationMs);
        break;
      case 'pause':
        this.pause(this.#preferActive(fault, host), fault.durationMs);
        break;
      case 'partition':
        this.partition(this.#preferActive(fault, host), fault.durationMs);
        break;
      case 'cut-off':
        return cutOff(this.#world, host, 500 + fault.durationMs, unnoticedMs);
      case 'disconnect':
        this.#world.model.disconnect(host.name);
        break;
      case 'leaderless':
        this.#loseLeader(fault);
        break;
      case 'switchover':
        this.#switchover(fault);
        break;
      case 'failover':
        this.#failover(fault);
        break;
      case 'sync':
        this.#withActive(fault, (active, group) => {
          active.input(group, { kind: 'sync', request: active.expect(group) });
        });
        break;
      case 'clock-jump':
        if (this.#world.options.clockJumps) this.#jump(fault, this.#preferActive(fault, host));
        break;
      case 'restart-all':
        for (const each of this.#world.hosts)
          this.crash(each, fault.durationMs * this.#world.faults.next());
        break;
      case 'stranger':
        this.#intrude(fault);
        break;
      case 'forger':
        this.#forge(fault);
        break;
      case 'deaf':
        return this.#world.model.deafen(host.name);
      case 'liar':
        tellLies(fault, host, this.#world);
        break;
      case 'reinit':
        this.#reinit(fault, host);
        break;
      case 'disk-full':
        this.#fillDisk(fault);
        break;
      case 'move':
        this.#move(fault);
        break;
      case 'collect':
        host.collect();
        break;
      case 'rot':
        rot(fault, this.#world);
        break;
      case 'hold':
      case 'cordon':
      case 'operate':
      case 'cancel':
        order(fault, this.#preferActive(fault, host), this.#world);
        break;
      default:
        throw fault.kind satisfies never;
    }
  }

  /** Half of the faults strike where it hurts. */
  #preferActive(fault: Fault, host: Host): Host {
    const group = this.#world.groupNames[fault.target % this.#world.groupNames.length] as string;
    const active = this.#world.hosts.find((each) => each.alive && each.open.has(group));
    return fault.target % 4 < 2 && active !== undefined ? active : host;
  }

  #withActive(fault: Fault, act: (host: Host, group: string) => void): void {
    const group = this.#world.groupNames[fault.target % this.#world.groupNames.length] as string;
    const host = this.#world.hosts.find((each) => each.alive && each.open.has(group));
    host?.run(() => act(host, group));
  }

  crash(host: Host, downForMs: number): void {
    if (!host.alive) return;
    const { life } = host;
    const incarnation = host.coordinator.info.incarnation;
    host.crash();
    for (const other of this.#world.hosts) {
      this.#world.bus.send(broker, other, () => {
        other.hear({ kind: 'disconnected', node: host.name, incarnation });
      });
    }
    this.#world.scheduler.after(downForMs, () => {
      if (!host.alive && host.life === life) host.start();
    });
  }

  /** Unless it is over by then. */
  crashLater(afterMs: number, host: Host, downForMs: number): void {
    this.#world.scheduler.after(afterMs, () => {
      if (this.#isOn) this.crash(host, downForMs);
    });
  }

  pause(host: Host, forMs: number): void {
    if (!host.alive || host.paused) return;
    const { life } = host;
    host.pause();
    this.#world.scheduler.after(forMs, () => {
      if (host.life === life && host.paused) host.resume();
    });
  }

  partition(host: Host, forMs: number): void {
    cutOff(this.#world, host, forMs);
  }

  #loseLeader({ target, durationMs }: Fault): void {
    const { model, scheduler } = this.#world;
    model.loseLeader(target % 2 === 0 ? 'refusing' : 'silent');
    scheduler.after(durationMs / 2, () => model.electLeader());
  }

  #fillDisk({ durationMs }: Fault): void {
    const { model, scheduler } = this.#world;
    model.faults.isFull = true;
    scheduler.after(durationMs / 4, () => {
      model.faults.isFull = false;
    });
  }

  #switchover(fault: Fault): void {
    this.#withActive(fault, (active, group) => {
      const members = this.#world.registry.get(group)?.config.members ?? [];
      const target = fault.target % members.length;
      if (members[target]?.node === active.name) return;
      const request = active.expect(group);
      active.input(group, { kind: 'hand-off', request, target, budgetMs: 800 });
      this.#crashMeanwhile(fault, active, members[target]?.node);
    });
  }

  /** Now and then one of the two dies before the role has changed hands. */
  #crashMeanwhile(fault: Fault, active: Host, targetNode: string | undefined): void {
    const { faults, hosts } = this.#world;
    if (!faults.chance(0.3)) return;
    const target = hosts.find((host) => host.name === targetNode) ?? active;
    const victim = faults.chance(0.5) ? active : target;
    this.crashLater(faults.next() * 30, victim, fault.durationMs);
  }

  /** By seconds, or by days: forwards or back. */
  #jump({ target, durationMs }: Fault, host: Host): void {
    const scale = target % 3 === 0 ? 20 : 60_000;
    host.clock.wallOffsetMs += (target % 2 === 0 ? 1 : -1) * durationMs * scale;
  }

  #reinit(fault: Fault, host: Host): void {
    const group = this.#world.groupNames[fault.target % this.#world.groupNames.length] as string;
    host.run(() => {
      if (host.member(group) === undefined) return;
      host.input(group, { kind: 'reinit', request: host.expect(group) });
    });
  }

  /** A member is placed on a node that hosts none of its group, if there is one. */
  #move(fault: Fault): void {
    const { groupNames, registry, hosts } = this.#world;
    const group = groupNames[fault.target % groupNames.length] as string;
    const entry = registry.get(group);
    const members = entry?.config.members ?? [];
    const free = hosts.find((host) => members.every(({ node }) => node !== host.name));
    if (entry === undefined || free === undefined) return;
    const index = fault.target % members.length;
    this.#world.replaceMember(group, entry.revision, index, free.name);
  }

  /** An operator promotes a standby although nothing is wrong; two operators, two standbys. */
  #failover(fault: Fault): void {
    const { groupNames, registry, hosts } = this.#world;
    const group = groupNames[fault.target % groupNames.length] as string;
    const members = registry.get(group)?.config.members ?? [];
    const operators = fault.target % 3 === 0 ? 2 : 1;
    for (let i = 0; i < operators; i++) {
      const node = members[(fault.target + i) % members.length]?.node;
      const host = hosts.find((each) => each.name === node);
      host?.run(() => this.#promote(host, group));
    }
  }

  #promote(host: Host, group: string): void {
    const member = host.member(group);
    if (member === undefined) return;
    host.input(group, {
      kind: 'promote',
      cause: 'failover',
      endsEpoch: member.tip.epoch,
      startedAtMs: 0,
      detectMs: 0,
      decideMs: 0,
      operation: null,
      observeMs: 0,
    });
  }

  /**
   * Somebody publishes on a log's subject what does not belong there: at best a copy of the very record
   * that somebody who follows stands at, or is still waiting for.
   */
  #intrude(fault: Fault): void {
    const { model, faults, options, scheduler } = this.#world;
    if (options.standby === 'warm' || faults.chance(0.5)) return this.#publish(fault);
    model.faults.tailLost = 0.8;
    scheduler.after(50 + faults.next() * 200, () => {
      if (!this.#isOn) return;
      model.faults.tailLost = options.rates.tailLost;
      this.#publish(fault);
    });
  }

  #publish(fault: Fault): void {
    const { groupNames, model, faults } = this.#world;
    const group = groupNames[fault.target % groupNames.length] as string;
    const other = groupNames[(fault.target + 1) % groupNames.length] as string;
    const records = model.records(faults.chance(0.7) ? group : other);
    const any = records[faults.below(records.length)]?.bytes ?? new Uint8Array(0);
    const copy = this.#lacking(group) ?? any;
    const how = faults.chance(0.4) ? 0 : faults.below(4);
    model.intrude(group, strange(copy, how, fault.durationMs));
    // Now and then it is the last thing in the log when the active dies.
    const active = this.#world.hosts.find((host) => host.alive && host.open.has(group));
    if (active !== undefined && faults.chance(0.4)) this.crash(active, fault.durationMs);
  }

  /** The first record that some follower has not heard of, or the last one it has. */
  #lacking(group: string): Uint8Array | undefined {
    const records = this.#world.model.records(group);
    for (const host of this.#world.hosts) {
      const member = host.member(group);
      const at = member?.follow ? member.replica?.tip.position : undefined;
      const next = at === undefined ? -1 : records.findIndex(({ position }) => position > at);
      if (next > 0) return records[next - this.#world.faults.below(2)]?.bytes;
    }
    return undefined;
  }

  /** A claim, or a snapshot, that continues the log in every way but for its signature. */
  #forge(fault: Fault): void {
    const { groupNames, model, hosts, faults } = this.#world;
    const group = groupNames[fault.target % groupNames.length] as string;
    const members = this.#world.registry.get(group)?.config.members ?? [];
    const tip = hosts.find((host) => host.open.has(group))?.member(group)?.tip;
    if (tip === undefined || tip.writer === null) return;
    const index = fault.target % members.length;
    const node = members[index]?.node ?? '';
    const common = {
      previous: tip.hash,
      recordedAtMs: tip.recordedAtMs,
      baseSeq: tip.seq,
      seq: tip.seq,
      snapshotPosition: tip.snapshotPosition,
      snapshotSeq: tip.snapshotSeq,
      signature: faults.chance(0.5) ? null : Uint8Array.from([1, 2, 3, 4, 5, 6, 7, 8, index]),
    };
    const claim: LogRecord = {
      ...common,
      epoch: epoch(tip.epoch + 1),
      number: 0,
      writer: { index, node, incarnation: '999999' },
      body: {
        type: 'claim',
        cause: 'forged',
        startedAtMs: 0,
        detectMs: 0,
        decideMs: 0,
        operation: null,
      },
    };
    const snapshot: LogRecord = {
      ...common,
      epoch: tip.epoch,
      number: tip.number + 1,
      writer: tip.writer,
      body: {
        type: 'snapshot',
        id: `${tip.epoch}-${tip.number}-${tip.seq}`,
        at: tip.seq,
        position: tip.position,
        manifest: new Uint8Array(8),
        manifestSizeBytes: 100,
        coreSizeBytes: 0,
        sizeBytes: 0,
        digest: new Uint8Array(8),
        mark: null,
        cutter: index,
      },
    };
    model.intrude(group, encodeRecord(faults.chance(0.7) ? claim : snapshot));
  }

  heal(): void {
    this.#world.trace(() => 'HEAL');
    this.#world.operating.calm();
    this.#crashSoon = 0;
    this.#messageTwice = 0;
    this.#isOn = false;
    Object.assign(this.#world.model.faults, noFaults, { isFull: false, staleLeaderMs: 0 });
    this.#world.model.electLeader();
    this.#world.bus.rates = { messageLost: 0, messageSlow: 0 };
    Object.assign(this.#world.chunkRates, soundChunks);
    for (const host of this.#world.hosts) {
      rejoin(this.#world, host);
      host.lies = null;
      if (host.paused) host.resume();
      if (!host.alive) host.start();
    }
  }
}
