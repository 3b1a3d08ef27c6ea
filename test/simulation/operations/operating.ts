/** Operators who ask for operations, and what befalls those who drive them. */
import type { DriveEffect } from '../../../cluster/operations/drive.js';
import { isOver } from '../../../cluster/operations/operation.js';
import { UnderstudyError } from '../../../replication/errors.js';
import type { Random } from '../../support/scheduler.js';
import { Violation } from '../checker.js';
import type { Host } from '../host.js';
import type { Fault } from '../options.js';
import type { World } from '../world.js';
import { OperationJudge } from './judge.js';
import { type Asking, askers } from './requests.js';
import { groupNow } from './seeing.js';
import { OperationStore } from './store.js';

/** What happens to a driver before one of its effects is carried out, or in the middle of that: or to what it drives. */
const blows = ['before', 'inside', 'frozen before', 'frozen inside', 'cancelled'] as const;
export type Blow = (typeof blows)[number];

interface Doom {
  readonly blow: Blow;
  readonly durationMs: number;
  effectsToGo: number;
}

/** So long that the others take it for dead, mostly. */
const freezeMs = 2500;
/** How long after the last fault an operation may take. */
const endWithinMs = 60_000;
const scheduledWithinMs = 1500;

export class Operating {
  readonly judge: OperationJudge;
  readonly store: OperationStore;
  /** For what nodes draw by chance. */
  readonly chance: Random;
  #doom: Doom | null = null;
  #healedAtMs = Number.POSITIVE_INFINITY;

  constructor(private readonly world: World) {
    this.chance = world.scheduler.fork('chance of operations');
    this.judge = new OperationJudge(world);
    this.store = new OperationStore(world, this.judge);
  }

  /** Of what is left to be carried out one effect is the driver's last, or the last for long. */
  blow({ kind }: DriveEffect, id: string): Exclude<Blow, 'cancelled'> | null {
    const doom = this.#doom;
    if (doom === null || kind === 'parked' || kind === 'ended') return null;
    doom.effectsToGo -= 1;
    if (doom.effectsToGo > 0) return null;
    this.world.trace(() => `${id}: its driver, ${doom.blow} ${kind}`);
    if (doom.blow !== 'cancelled') return doom.blow;
    this.#doom = null;
    const host = this.world.hosts[this.chance.below(this.world.hosts.length)];
    host?.run(() => host.desk.cancel(id, 'operator'));
    return null;
  }

  strikeDriver(host: Host): void {
    const durationMs = this.#doom?.durationMs ?? 0;
    this.#doom = null;
    this.world.injector.crash(host, durationMs);
  }

  freezeDriver(host: Host): void {
    const durationMs = this.#doom?.durationMs ?? 0;
    this.#doom = null;
    this.world.injector.pause(host, freezeMs + durationMs / 2);
  }

  strike(fault: Fault, host: Host): void {
    const random = this.world.scheduler.fork(`${fault.kind} at ${fault.atMs}`);
    host.run(() => {
      if (fault.kind === 'cancel') this.#cancel(fault, host);
      else this.#ask(fault, host, random);
    });
    if (fault.kind === 'cancel' || random.chance(0.3)) return;
    const effectsToGo = 1 + random.below(30);
    const blow = blows[random.below(blows.length)] as Blow;
    this.#doom = { blow, durationMs: fault.durationMs, effectsToGo };
  }

  #ask({ target }: Fault, host: Host, random: Random): void {
    const { world } = this;
    const names = Object.keys(askers);
    const kind = names[random.below(names.length)] as string;
    const name = world.groupNames[target % world.groupNames.length] as string;
    const laterMs = world.options.clockJumps ? 0 : scheduledWithinMs;
    const nodes = world.hosts.map((each) => each.name);
    groupNow(host, world, name, (found) => {
      if ('failure' in found) return;
      this.#begin(kind, { host, group: found.value, nodes, random, laterMs });
    });
    // Two operators who want the same, at the same time.
    if (!random.chance(0.2)) return;
    const other = world.hosts[(target + 1) % world.hosts.length] as Host;
    const same = world.scheduler.fork(`operate again at ${world.scheduler.now()}`);
    other.run(() =>
      groupNow(other, world, name, (found) => {
        if ('failure' in found) return;
        this.#begin(kind, { host: other, group: found.value, nodes, random: same, laterMs });
      }),
    );
  }

  #begin(kind: string, asking: Asking): void {
    if (this.#healedAtMs !== Number.POSITIVE_INFINITY) return;
    const { host } = asking;
    try {
      const request = (askers[kind] as (typeof askers)[string])(asking);
      this.world.trace(() => `${host.name} is asked for ${request.id}`);
      host.desk.start(request, () => undefined);
    } catch (cause) {
      if (!(cause instanceof UnderstudyError)) throw cause;
      this.world.trace(() => `${host.name} refuses a ${kind}: ${cause.message}`);
    }
  }

  #cancel({ target }: Fault, host: Host): void {
    const running = this.store.ids.filter((id) => this.#runs(id));
    const id = running[target % running.length];
    if (id === undefined) return;
    this.world.trace(() => `${host.name} is asked to cancel ${id}`);
    host.desk.cancel(id, 'operator');
  }

  #runs(id: string): boolean {
    const found = this.store.latest(id);
    return found !== null && !isOver(found.operation);
  }

  /** The faults are over. */
  calm(): void {
    this.#doom = null;
    this.#healedAtMs = this.world.scheduler.now();
  }

  /** Something is under way, and not for too long yet. */
  get mayGoOn(): boolean {
    return !this.isSettled && this.world.scheduler.now() < this.#healedAtMs + endWithinMs;
  }

  /** Nothing is under way any more, on record or on any node. */
  get isSettled(): boolean {
    if (this.store.ids.some((id) => this.#runs(id))) return false;
    return this.world.hosts.every(({ desk }) => desk.isIdle);
  }

  /** I11: whatever was begun comes to its end. */
  unsettled(): Violation {
    const left = this.store.ids
      .filter((id) => this.#runs(id))
      .map((id) => {
        const operation = this.store.latest(id)?.operation;
        const { step, driver, lastError } = operation ?? {};
        return `${id} at ${step}, driven by ${driver?.node}: ${lastError?.detail ?? 'no error'}`;
      });
    const running = this.world.hosts.flatMap(({ name, desk }) =>
      desk.running.map((id) => `${name} drives ${id}`),
    );
    return new Violation('I11', `not ended: ${[...left, ...running].join('; ')}`);
  }
}
