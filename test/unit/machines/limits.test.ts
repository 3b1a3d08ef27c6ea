/** What of machines is remembered and for how long, and machines of other versions. */
import { describe, expect, it } from 'vitest';
import type { Kind } from '../../../replication/kind.js';
import { limits } from '../../../replication/limits.js';
import { DueQueue } from '../../../replication/machines/due-queue.js';
import type { Change, Entered } from '../../../replication/machines/machine.js';
import { changesSince } from '../../../replication/machines/queries.js';
import type { MachineState } from '../../../replication/machines/tables.js';
import { applyEvent, blankReplica, type Replica } from '../../../replication/replica.js';
import { defineKind } from '../../../src/kind.js';
import { type DefinedMachine, defineMachine } from '../../../src/machine.js';
import { hash, Store } from '../replication/support.js';
import { MachineRig, noted, receiver, timer } from './rig.js';

/** The state after changes that were decided elsewhere. */
class Fold {
  readonly replica: Replica = blankReplica(noted as Kind, hash);
  seq = 0;

  take(...changes: Change[]): this {
    this.seq += 1;
    applyEvent(this.replica, { $machines: changes }, this.seq, this.seq * 10);
    return this;
  }

  get state(): MachineState {
    return this.replica.state as MachineState;
  }

  start(operation: string): this {
    return this.take({ change: 'started', operation, machine: 'timer', ...entered('waiting') });
  }

  move(operation: string, step: number, state = 'waiting'): this {
    const isFinal = state === 'over';
    const what = { step, fired: 'stopped', output: null, isFinal, ...entered(state) };
    return this.take({ change: 'moved', operation, machine: 'timer', ...what });
  }
}

const entered = (state: string): Entered => ({ version: 1, state, data: 1, due: [] });

describe('the history of a machine', () => {
  it('forgets the oldest states beyond its limit, and the machine goes on', () => {
    const fold = new Fold().start('o1');
    for (let step = 0; step < limits.machineHistory + 10; step++) fold.move('o1', step);
    const steps = [...fold.state.$steps.keys()];
    expect(steps).toHaveLength(limits.machineHistory);
    expect(steps[0]).toBe('o1 timer 0000000010');
    expect(fold.state.$active.get('o1 timer')?.step).toBe(limits.machineHistory + 10);
  });

  it('is told in pages that never end amid the rows of one event', () => {
    const fold = new Fold().start('o1');
    for (let step = 0; step < limits.machineHistory; step++) fold.move('o1', step);
    fold.take(
      ...['receiver'].map((machine) => ({
        change: 'started' as const,
        operation: 'o1',
        machine,
        ...entered('start'),
      })),
    );
    // The last event of the first page has left one state and entered another.
    const first = changesSince(fold.state, 'o1', 0);
    expect(first).toHaveLength(limits.machineRows - 1);
    const rest = changesSince(fold.state, 'o1', first.at(-1)?.seq ?? 0);
    expect(rest.map(({ machine, step }) => `${machine} ${step}`)).toEqual([
      `timer ${limits.machineHistory - 1}`,
      `timer ${limits.machineHistory}`,
      'receiver 0',
    ]);
  });
});

describe('machines that have ended', () => {
  it('are forgotten in the order of their ends, beyond their limit, with all their rows', () => {
    const fold = new Fold();
    const ended = fold.state.$ended;
    for (let i = 0; i < limits.endedMachines; i++) {
      fold.replica.tables.write(() => ended.set(`${String(i).padStart(16, '0')} x`, `x${i} timer`));
    }
    fold.seq = limits.endedMachines;
    fold.start('first').move('first', 0, 'over');
    fold.replica.tables.write(() => {
      for (const key of [...ended.keys({ limit: limits.endedMachines - 1 })]) ended.delete(key);
      for (let i = 1; i < limits.endedMachines; i++) ended.set(`9 ${i}`, `y${i} timer`);
    });
    expect([...fold.state.$steps.keys()]).toHaveLength(2);
    fold.start('last').move('last', 0, 'over');
    expect(ended.size).toBe(limits.endedMachines);
    expect([...fold.state.$steps.keys()]).toEqual([
      'last timer 0000000000',
      'last timer 0000000001',
    ]);
  });
});

describe('a machine of another version', () => {
  const build = (version: number, rest: object = {}): Kind => {
    const machine = defineMachine<{ waiting: number; later: number; over: null }>({
      name: 'timer',
      version,
      states: {
        waiting: { stopped: { to: () => ({ state: 'over', data: null }) } },
        later: { ended: { afterMs: (ms) => ms * 100, to: () => ({ state: 'over', data: null }) } },
        over: {},
      },
      ...rest,
    });
    return kindOf([machine as DefinedMachine]);
  };
  const kindOf = (machines: readonly DefinedMachine[]): Kind =>
    defineKind({
      name: 'noted',
      version: 1,
      init: () => ({ notes: 0 }),
      decide: (_, command: { do: [] }) => ({
        events: [] as { note: string }[],
        machines: command.do,
      }),
      apply(state, _event: { note: string }) {
        state.notes += 1;
      },
      machines,
    }) as Kind;

  it('is brought to the present shape where it is armed and decided, and not in the state', () => {
    const store = new Store();
    MachineRig.open(store).run(timer.start('o1', 'waiting', 5));
    const upcast = ({ data }: { data: unknown }) => ({ state: 'later', data: Number(data) * 2 });
    const second = MachineRig.open(store, 1, { kind: build(2, { upcast }) });
    expect(second.active('o1')).toMatchObject([{ state: 'waiting', data: 5 }]);
    // It was entered 100 ms after this active's clock begins.
    second.rig.pass(899);
    expect(second.active('o1')).toHaveLength(1);
    second.rig.pass(1);
    expect(second.states('o1')).toEqual(['timer 0 waiting -ended->', 'timer 1 over']);
  });

  it('stands still on a node that runs an older one, and says why', () => {
    const store = new Store();
    const first = MachineRig.open(store, 0, { kind: build(2) });
    first.run({ ...timer.start('o1', 'waiting', 5), state: 'later' });
    const second = MachineRig.open(store, 1, { kind: build(1) });
    second.rig.pass(2000);
    expect(second.active('o1')).toHaveLength(1);
    const why = 'its state was recorded by version 2 of machine timer, this node runs 1';
    expect(second.rig.alarms()).toContain(`o1 timer: ${why}`);
    expect(second.ask('machines.triggers')).toMatchObject({
      stuck: [{ operation: 'o1', error: why }],
    });
  });

  it('that the kind has no more stands still, and the others go on', () => {
    const store = new Store();
    MachineRig.open(store).run(
      receiver.start('o1', 'start', 1),
      timer.start('o2', 'waiting', 1000),
    );
    const second = MachineRig.open(store, 1, { kind: kindOf([timer as DefinedMachine]) });
    expect(second.rig.alarms()).toContain('o1 receiver: the kind has no machine receiver any more');
    second.rig.pass(1000);
    expect(second.states('o2').at(-1)).toBe('timer 1 over');
    expect(second.states('o1')).toEqual(['receiver 0 start (active)']);
  });

  it('keeps its events from the upcast of the kind', () => {
    const store = new Store();
    MachineRig.open(store).deliver({ do: [timer.start('o1', 'waiting', 1000)], notes: ['a'] });
    const upcast = (event: unknown) => ({ note: `${(event as { note: string }).note}!` });
    const newer = defineKind({
      name: 'noted',
      version: 2,
      init: () => ({ notes: [] as string[] }),
      decide: (): { note: string }[] => [],
      apply: (state, event: { note: string }) => void state.notes.push(event.note),
      queries: { notes: (state) => state.notes },
      upcast,
      machines: [receiver, timer],
    });
    const second = MachineRig.open(store, 1, { kind: newer as Kind });
    expect(second.ask('notes')).toEqual(['a!']);
    expect(second.active('o1')).toHaveLength(1);
  });
});

describe('active machines', () => {
  it('beyond their limit are not started', () => {
    const rig = MachineRig.open();
    const start = (i: number) => timer.start(`o${i}`, 'waiting', 1e9);
    for (let i = 0; i < limits.activeMachines - 1; i += 1023) {
      const count = Math.min(1023, limits.activeMachines - 1 - i);
      rig.run(...Array.from({ length: count }, (_, n) => start(i + n)));
    }
    expect(rig.run(start(90_000), start(90_001))).toMatchObject({ code: 'machine-limit' });
    expect(rig.run(start(90_000))).toMatchObject({ ok: true });
    expect(rig.run(start(90_001))).toMatchObject({ ok: false, code: 'machine-limit' });
    rig.run(timer.signal('o7', 'stopped', 'x'));
    expect(rig.run(start(90_001))).toMatchObject({ ok: true });
  });
});

describe('the queue of times', () => {
  it('gives what is due, in order, and not before', () => {
    const queue = new DueQueue();
    const times = Array.from({ length: 200 }, (_, i) => (i * 7919) % 211);
    for (const atMs of times) queue.push({ atMs, key: 'k', step: 0, transition: 't' });
    const given: number[] = [];
    for (let entry = queue.pop(100); entry; entry = queue.pop(100)) given.push(entry.atMs);
    expect(given).toEqual(times.filter((atMs) => atMs <= 100).sort((a, b) => a - b));
    expect(queue.nextAtMs).toBe(Math.min(...times.filter((atMs) => atMs > 100)));
  });

  it('does not grow with what has become void', () => {
    const rig = MachineRig.open();
    for (let i = 0; i < 500; i++) {
      rig.run(timer.start(`o${i}`, 'waiting', 1e9));
      rig.run(timer.signal(`o${i}`, 'stopped', 'x'));
    }
    const { role } = rig.rig.member;
    const queue = role.state === 'active' ? role.active.arming?.queue : undefined;
    expect(queue?.size).toBeLessThan(70);
  });
});
