/** Who waits for a state of an operation: nothing is lost, doubled or waited for in vain. */
import { describe, expect, it } from 'vitest';
import type { MachineRow } from '../../../replication/machines/queries.js';
import { follow, type MachineGroup, MachinesClient } from '../../../src/client/machines.js';
import { MachineRig, receiver, timer } from './rig.js';

const row = (step: number, seq: number, rest: Partial<MachineRow> = {}): MachineRow => ({
  operation: 'o1',
  machine: 'm',
  step,
  state: `s${step}`,
  data: null,
  enteredAtMs: 0,
  exitedAtMs: null,
  isFinal: false,
  fired: null,
  output: null,
  due: {},
  error: null,
  seq,
  ...rest,
});
const left = (step: number, seq: number) => row(step, seq, { exitedAtMs: 1, fired: 'next' });

/** Answers with these pages, one after the other; what is asked is noted. */
async function changesOf(pages: readonly (readonly MachineRow[])[], asked: number[] = []) {
  const changes: string[] = [];
  const answers = [...pages];
  const end = new Error('no more pages');
  const ask = (since: number) => {
    asked.push(since);
    const rows = answers.shift();
    return rows ? Promise.resolve({ rows, seq: 50 }) : Promise.reject(end);
  };
  const all = async () => {
    for await (const { what, row } of follow(ask)) changes.push(`${what} ${row.step}`);
  };
  await expect(all()).rejects.toBe(end);
  return changes;
}

describe('following an operation', () => {
  it('tells the past first, in the order of the steps', async () => {
    const asked: number[] = [];
    const changes = await changesOf([[left(0, 3), left(1, 4), row(2, 4)], []], asked);
    expect(changes).toEqual(['entered 0', 'left 0', 'entered 1', 'left 1', 'entered 2']);
    expect(asked).toEqual([0, 4, 50]);
  });

  it('tells nothing twice, although a state comes when it is entered and when it is left', async () => {
    const changes = await changesOf([
      [row(0, 1)],
      [row(0, 2, { error: 'x' })],
      [left(0, 3), row(1, 3)],
    ]);
    expect(changes).toEqual(['entered 0', 'left 0', 'entered 1']);
  });

  it('a lagged subscriber resyncs: where steps are missing, all is read again', async () => {
    const asked: number[] = [];
    const changes = await changesOf(
      [
        [row(0, 1)],
        [],
        [left(3, 9), row(4, 9)],
        [left(0, 2), left(1, 3), left(2, 8), left(3, 9), row(4, 9)],
      ],
      asked,
    );
    expect(asked).toEqual([0, 1, 50, 0, 9]);
    expect(changes.filter((change) => change.startsWith('entered'))).toEqual(
      [0, 1, 2, 3, 4].map((step) => `entered ${step}`),
    );
    expect(new Set(changes).size).toBe(changes.length);
  });

  it('passes over what the history has forgotten, and does not hang', async () => {
    const forgotten = [left(7, 9), row(8, 9)];
    const changes = await changesOf([
      [row(0, 1)],
      [],
      forgotten,
      forgotten,
      [],
      [left(8, 60), row(9, 60)],
    ]);
    expect(changes).toEqual([
      'entered 0',
      'entered 7',
      'left 7',
      'entered 8',
      'left 8',
      'entered 9',
    ]);
  });

  it('goes by the steps, whatever the clocks say', async () => {
    const early = { ...left(0, 2), enteredAtMs: 900, exitedAtMs: 950 };
    const changes = await changesOf([[early, row(1, 2, { enteredAtMs: 100 })]]);
    expect(changes).toEqual(['entered 0', 'left 0', 'entered 1']);
  });
});

/** A group that is a rig: what it holds is answered when something else lets it. */
function groupOf(rig: MachineRig, meanwhile: () => void = () => undefined): MachineGroup {
  return {
    deliver: (command) => Promise.resolve(rig.deliver(command)),
    query: (name, args) => {
      const request = rig.askLater(name, args);
      rig.settle();
      if (rig.rig.result(request) === undefined) meanwhile();
      rig.rig.pass(1000);
      const result = rig.rig.result(request);
      if (!result?.ok) return Promise.reject(new Error(JSON.stringify(result)));
      return Promise.resolve({ value: result.value, seq: result.seq });
    },
  };
}

describe('a question for changes', () => {
  const ask = (rig: MachineRig, since: number) =>
    rig.askLater('machines.changes', { operation: 'o1', since, wait: true });

  it('is held until the operation moves, and answered from the committed state', () => {
    const rig = MachineRig.open();
    rig.run(receiver.start('o1', 'start', 1), timer.start('o2', 'waiting', 9000));
    const request = ask(rig, 1);
    rig.settle();
    expect(rig.rig.result(request)).toBeUndefined();
    rig.run(timer.signal('o2', 'stopped', 'other'));
    expect(rig.rig.result(request)).toBeUndefined();
    rig.fire('o1', 'event', 'value');
    expect(rig.rig.result(request)).toBeUndefined();
    rig.settle();
    expect(rig.rig.result(request)).toMatchObject({
      value: [
        { step: 0, fired: 'event', output: 'value' },
        { step: 1, state: 'received' },
      ],
      seq: 4,
    });
  });

  it('is answered after a second without news, and at once if the role is lost', () => {
    const rig = MachineRig.open();
    rig.run(receiver.start('o1', 'start', 1));
    const [first, second] = [ask(rig, 1), ask(rig, 1)];
    rig.settle();
    rig.rig.pass(999);
    expect(rig.rig.result(first)).toBeUndefined();
    rig.rig.pass(1);
    expect(rig.rig.result(first)).toMatchObject({ ok: true, value: [], seq: 1 });
    expect(rig.rig.result(second)).toMatchObject({ ok: true, value: [] });
    const third = ask(rig, 1);
    rig.settle();
    rig.rig.handOff(1);
    rig.settle();
    expect(rig.rig.result(third)).toMatchObject({ ok: false, code: 'moved' });
  });

  it('counts among the reads that may wait', () => {
    const rig = MachineRig.open();
    rig.run(receiver.start('o1', 'start', 1));
    for (let i = 0; i < 4096; i++) ask(rig, 1);
    expect(rig.rig.result(ask(rig, 1))).toMatchObject({ ok: false, code: 'overloaded' });
  });

  it('is answered in pages that never end amid one event', () => {
    const rig = MachineRig.open();
    rig.run(timer.start('o1', 'waiting', 9000), receiver.start('o1', 'start', 1));
    expect(rig.ask('machines.changes', { operation: 'o1' })).toHaveLength(2);
    expect(rig.ask('machines.changes', { operation: 'o1', since: 1, wait: false })).toEqual([]);
  });
});

describe('awaitActive and awaitInactive', () => {
  it('find a state of the past, be it left already', async () => {
    const rig = MachineRig.open();
    rig.run(receiver.start('o1', 'start', 1));
    rig.fire('o1', 'event', 'value').settle();
    rig.fire('o1', 'event', 'x').settle();
    const machines = new MachinesClient(groupOf(rig));
    const received = await machines.awaitActive('o1', ({ state }) => state === 'received');
    expect(received).toMatchObject({ step: 1, data: { value: 'value' } });
    const final = await machines.awaitInactive('o1', ({ isFinal }) => isFinal);
    expect(final).toMatchObject({ step: 2, data: 'after value' });
  });

  it('hear of what happens while they wait', async () => {
    const rig = MachineRig.open();
    rig.run(receiver.start('o1', 'start', 1));
    const outputs = ['value', 'x'];
    const machines = new MachinesClient(
      groupOf(rig, () => void rig.fire('o1', 'event', outputs.shift()).settle()),
    );
    const final = await machines.awaitInactive('o1', ({ isFinal }) => isFinal);
    expect(final).toMatchObject({ step: 2, state: 'final' });
    expect(outputs).toEqual([]);
  });

  it('do not take a state that is left for one that is not', async () => {
    const rig = MachineRig.open();
    rig.run(receiver.start('o1', 'start', 1));
    const machines = new MachinesClient(groupOf(rig));
    const inactive = machines.awaitInactive('o1', ({ state }) => state === 'start', {
      timeoutMs: 20,
    });
    await expect(inactive).rejects.toMatchObject({ code: 'timeout' });
    const active = machines.awaitActive('o1', ({ state }) => state === 'start');
    await expect(active).resolves.toMatchObject({ step: 0 });
  });

  it('retry sets a failed machine going again', async () => {
    const rig = MachineRig.open();
    rig.run(receiver.start('o1', 'start', 1));
    rig.fire('o1', 'event', 'boom').settle();
    rig.fire('o1', 'event', 'x').settle();
    expect(rig.names()).toEqual([]);
    await new MachinesClient(groupOf(rig)).retry('o1', 'receiver');
    expect(rig.names()).toEqual(['o1 receiver 1 event']);
  });
});
