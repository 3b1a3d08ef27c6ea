/**
 * What must be true of operations, whoever drives them (O1 to O4, I11): seen from the record, from what is
 * asked of nodes, and from the logs of the groups.
 */
import type { Drive } from '../../../cluster/operations/drive.js';
import { operationKinds } from '../../../cluster/operations/kinds.js';
import type { Locks } from '../../../cluster/operations/locks.js';
import {
  type Call,
  type Driver,
  holderOf,
  isOver,
  type Operation,
} from '../../../cluster/operations/operation.js';
import type { SwitchoverData } from '../../../cluster/operations/switchover.js';
import { limits } from '../../../replication/limits.js';
import { Violation } from '../checker.js';
import type { Host } from '../host.js';
import type { World } from '../world.js';
import { checkEnding, checkPromotions, checkPutBack } from './endings.js';

/** Who writes: whoever begins it, wants it to end, or drives it. */
export type Writing = 'begin' | 'cancel' | 'drive';

interface Placed {
  readonly group: string;
  readonly index: number;
  readonly node: string;
  readonly atMs: number;
}

/** One life of a node, which may be over when what it asked for is done. */
export interface Life {
  readonly host: Host;
  readonly life: number;
  readonly self: Driver;
}

export const lifeOf = (host: Host): Life => ({ host, life: host.life, self: host.desk.self });

const lives = ({ host, life }: Life): boolean => host.life === life;

const same = (a: Driver | null, b: Driver | null): boolean =>
  a?.node === b?.node && a?.incarnation === b?.incarnation;

const nameOf = (driver: Driver | null): string =>
  driver === null ? 'nobody' : `${driver.node}/${driver.incarnation}`;

export class OperationJudge {
  /** Where members were placed in the course of the run, beside where they were at first. */
  readonly placed: Placed[] = [];
  /** Epochs that were ended by a hand-off, by run of an operation. */
  readonly handOffs = new Map<string, Set<number>>();
  /** Members that began anew, by run of an operation. */
  readonly anew = new Map<string, number>();
  /** Claims of an operation that was cancelled, at that time. */
  readonly cancelled = new Map<string, number>();
  /** Who ended a run and owes its locks, and who took them last. */
  readonly #owing = new Map<string, Life>();
  readonly #tookLocks = new Map<string, Life>();
  readonly #takenOver = new Set<string>();
  /** Runs whose locks may stay: the next who wants one finds its holder over. */
  readonly #forgiven = new Set<string>();

  constructor(private readonly world: World) {}

  placesMember(group: string, index: number, node: string): void {
    this.placed.push({ group, index, node, atMs: this.world.scheduler.now() });
  }

  beganAnew(operation: Operation): void {
    const holder = holderOf(operation);
    this.anew.set(holder, (this.anew.get(holder) ?? 0) + 1);
  }

  handsOff(operation: Operation, epoch: number): void {
    const holder = holderOf(operation);
    const epochs = this.handOffs.get(holder) ?? new Set();
    this.handOffs.set(holder, epochs.add(epoch));
    const meant = (operation.data as SwitchoverData).epoch;
    if (epochs.size <= 1 && meant === epoch) return;
    throw new Violation('I11', `${holder} ends epoch ${[...epochs].join(', ')}, not ${meant}`);
  }

  gaveUpUnlocking(holder: string): void {
    this.#forgiven.add(holder);
  }

  locksChange(by: Life, before: Locks, after: Locks): void {
    this.world.trace(() => `${by.host.name} changes locks to ${JSON.stringify(after)}`);
    const held = Object.keys(after).length;
    if (held > limits.operationLocks) throw new Violation('I10', `${held} locks are held`);
    for (const [key, holder] of Object.entries(after)) {
      if (before[key] === holder) continue;
      this.#tookLocks.set(holder, by);
      // Asked for before it ended, and nobody waits for the answer any more.
      if (!this.world.operating.store.isLive(holder)) this.#forgiven.add(holder);
    }
  }

  /** Only from a driver that is taken for dead, or has begun a new life. */
  takesOver(host: Host, { id, driver }: Operation): void {
    this.#takenOver.add(`${nameOf(host.desk.self)} ${id} ${nameOf(driver)}`);
    if (driver === null) return;
    const view = host.coordinator.membership.nodes.get(driver.node);
    const isLater = view !== undefined && view.info.incarnation > driver.incarnation;
    if (view === undefined || view.state === 'down' || isLater) return;
    const detail = `which is ${view.state} to it`;
    throw new Violation('I11', `${host.name} takes ${id} over from ${nameOf(driver)}, ${detail}`);
  }

  saved(by: Life, before: Operation | null, after: Operation, how: Writing): void {
    const { world } = this;
    const { id, state, step, run } = after;
    world.trace(() => {
      const why = after.lastError === null ? '' : ` (${after.lastError.detail})`;
      return `${by.host.name} ${how}s ${id}#${run}: ${state} ${step}${why}`;
    });
    if (after.steps.length > limits.operationSteps) {
      throw new Violation('I10', `${id} has ${after.steps.length} steps on record`);
    }
    if (how === 'begin') this.#begins(before, after);
    else if (before === null || isOver(before) || before.run !== run) {
      throw new Violation('I11', `${by.host.name} changes run ${run} of ${id}, which is over`);
    } else if (how === 'drive') this.#drives(by.self, before, after);
    if (!isOver(after)) return;
    this.#owing.set(holderOf(after), by);
    checkEnding(world, this, after);
  }

  #begins(before: Operation | null, { id, run, state }: Operation): void {
    const isNext = run === (before?.run ?? 0) + 1 && state === 'running';
    if (isNext && (before === null || isOver(before))) return;
    throw new Violation('I11', `${id} is begun anew as run ${run} while ${before?.run} runs`);
  }

  /** O3: whoever writes drives it, or has taken it over and changes nothing else. */
  #drives(self: Driver, before: Operation, after: Operation): void {
    const { id, step } = after;
    const who = `${nameOf(self)} writes ${id}`;
    if (!same(after.driver, self)) throw new Violation('I11', `${who} for ${nameOf(after.driver)}`);
    if (!same(before.driver, self)) {
      const isFree = before.driver === null;
      const key = `${nameOf(self)} ${id} ${nameOf(before.driver)}`;
      if (!isFree && !this.#takenOver.has(key)) {
        throw new Violation('I11', `${who}, which ${nameOf(before.driver)} drives`);
      }
      if (step !== before.step || after.state !== before.state) {
        throw new Violation('I11', `${who} at ${step} before it has taken it over`);
      }
    }
    const { sealed = [], takesBack } = operationKinds.get(after.kind) ?? {};
    const goesOn = !isOver(after) && step !== before.step && step !== takesBack?.step;
    if (before.cancelledBy !== null && goesOn && !sealed.includes(before.step)) {
      throw new Violation('I11', `${id} goes on from ${before.step} to ${step} though cancelled`);
    }
  }

  /** O1: what is asked for is of a step on record. O4: whoever drives it has its locks. */
  called(host: Host, { operation, revision, self }: Drive, { verb }: Call): void {
    const { store } = this.world.operating;
    const { id, step, data } = operation as Operation;
    const recorded = store.at(id, revision);
    const isRecorded =
      recorded?.step === step && JSON.stringify(recorded.data) === JSON.stringify(data);
    const who = `${nameOf(self)} asks for ${verb} at ${step} of ${id}`;
    if (recorded === null || !isRecorded || !same(recorded.driver, self)) {
      throw new Violation('I11', `${who}, on record is ${recorded?.step ?? 'nothing'}`);
    }
    if (store.latest(id)?.revision !== revision) return;
    const keys = operationKinds.get(recorded.kind)?.locks(recorded) ?? [];
    const lacking = keys.find((key) => store.locks[key] !== holderOf(recorded));
    if (lacking === undefined) return;
    const holder = store.locks[lacking] ?? 'nobody';
    throw new Violation('I11', `${who}, while ${holder} holds ${lacking} (${host.name})`);
  }

  /** At rest, when everything has ended. */
  checkEnd(): void {
    const { store } = this.world.operating;
    for (const [key, holder] of Object.entries(store.locks)) {
      const owing = [this.#owing.get(holder), this.#tookLocks.get(holder)];
      const died = owing.some((each) => each !== undefined && !lives(each));
      if (died || this.#forgiven.has(holder)) continue;
      throw new Violation('I11', `${holder} has ended and still holds ${key}`);
    }
    for (const id of store.ids) {
      const operation = store.latest(id)?.operation as Operation;
      checkPromotions(this.world, this, operation);
      checkPutBack(this.world, this, operation);
    }
  }
}
