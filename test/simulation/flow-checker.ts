/**
 * Checks machines against the log: every step once, from the state before, with its event; nothing moves
 * that has ended; and members hold the rows that the log gives (I5).
 */
import { eachValue } from '../../replication/batch.js';
import { type Change, changesIn, isMarked, keyOf } from '../../replication/machines/machine.js';
import type { MachineState } from '../../replication/machines/tables.js';
import type { EventsBody, LogRecord } from '../../replication/record.js';
import { applyEvent, blankReplica } from '../../replication/replica.js';
import type { Node, Tree } from '../../replication/state/tree.js';
import { GroupChecker, Violation } from './checker.js';
import { type FlowEvent, flowKind } from './flow.js';
import { simulationHash } from './hash.js';
import { isSameTree } from './same-tree.js';

const tables = ['$active', '$ended', '$steps'];

export class FlowChecker extends GroupChecker {
  /** The step each machine is in, or that it has ended. */
  readonly machines = new Map<string, number | 'ended'>();
  /** How many changes of each sort there were. */
  readonly counts = { started: 0, moved: 0, failed: 0, retried: 0, ended: 0 };
  readonly fired = new Map<string, number>();
  readonly #replica = blankReplica(flowKind, simulationHash);
  readonly #roots: Node[][] = [this.#rootsNow()];

  override get seq(): number {
    return this.#roots.length - 1;
  }

  get state(): MachineState {
    return this.#replica.state as MachineState;
  }

  protected override fold(record: LogRecord, { blob, runs }: EventsBody): void {
    const events: unknown[] = [];
    eachValue(blob, (event) => events.push(event));
    let at = 0;
    for (const run of runs) {
      const refused = new Set(run.rejections?.map(([offset]) => offset));
      for (let i = 0; i < run.count; i++) {
        const count = run.eventCounts?.[i] ?? Number(!refused.has(i));
        this.#check(events.slice(at, at + count));
        at += count;
      }
    }
    for (const event of events) {
      applyEvent(this.#replica, event, this.seq + 1, record.recordedAtMs);
      this.#roots.push(this.#rootsNow());
    }
  }

  /** The events of one command: those of the kind tell which steps there have to be. */
  #check(events: readonly unknown[]): void {
    const own = events.filter((event) => !isMarked(event)) as FlowEvent[];
    const changes = events.flatMap(changesIn);
    const moved = changes.filter((change) => change.change === 'moved');
    const told = own.map(({ operation, machine, step }) => `${operation} ${machine} ${step}`);
    const done = moved.map(({ operation, machine, step }) => `${operation} ${machine} ${step}`);
    if (told.join() !== done.join()) {
      throw new Violation('I2', `steps ${done.join()} came with events for ${told.join()}`);
    }
    for (const change of changes) this.#follow(change);
  }

  #follow(change: Change): void {
    const key = keyOf(change.operation, change.machine);
    const known = this.machines.get(key);
    this.counts[change.change] += 1;
    if (change.change === 'started') {
      if (known !== undefined) throw new Violation('I2', `${key} was started twice`);
      this.machines.set(key, 0);
      return;
    }
    if (known !== change.step) {
      throw new Violation('I2', `${key} ${change.change} from ${change.step}, it is at ${known}`);
    }
    if (change.change !== 'moved') return;
    this.fired.set(change.fired, (this.fired.get(change.fired) ?? 0) + 1);
    if (change.isFinal) this.counts.ended += 1;
    this.machines.set(key, change.isFinal ? 'ended' : change.step + 1);
  }

  #rootsNow(): Node[] {
    const { trees } = this.#replica.tables;
    return tables.map((table) => (trees.get(table) as Tree).freeze());
  }

  override onMemberState(): void {}

  override onMemberRows(who: string, seq: number, trees: ReadonlyMap<string, Tree>): void {
    const own = this.#roots[seq] as Node[];
    for (const [i, table] of tables.entries()) {
      if (isSameTree(own[i] as Node, trees.get(table)?.root as Node)) continue;
      throw new Violation('I5', `${who} at seq ${seq} holds another ${table} than the log gives`);
    }
  }
}
