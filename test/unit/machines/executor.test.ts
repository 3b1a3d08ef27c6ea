/** What the machines of a group promise, told one story at a time. */
import { describe, expect, it } from 'vitest';
import type { Kind } from '../../../replication/kind.js';
import { Store, standbyRig } from '../replication/support.js';
import { MachineRig, noted, receiver, timer } from './rig.js';

const start = (operation: string) => receiver.start(operation, 'start', 1);

describe('adding machines', () => {
  it('succeeds, and the state is active after it', () => {
    const rig = MachineRig.open();
    expect(rig.run(start('o1'))).toMatchObject({ ok: true, seq: 1 });
    expect(rig.active('o1')).toMatchObject([
      { operation: 'o1', machine: 'receiver', step: 0, state: 'start', data: 1, exitedAtMs: null },
    ]);
    expect(rig.inactive('o1')).toEqual([]);
    expect(rig.ask('machines.operations')).toEqual(['o1']);
  });

  it('fails the second time, be the state active, left or final', () => {
    const rig = MachineRig.open();
    rig.run(start('o1'));
    expect(rig.run(start('o1'))).toMatchObject({ ok: false, code: 'machine-exists' });
    rig.fire('o1', 'event', 'a').settle();
    expect(rig.run(start('o1'))).toMatchObject({ ok: false, code: 'machine-exists' });
    rig.fire('o1', 'event', 'b').settle();
    expect(rig.run(start('o1'))).toMatchObject({ ok: false, code: 'machine-exists' });
    expect(rig.active('o1')).toEqual([]);
  });

  it.each([
    [
      'an unknown module',
      { start: 'ghost', operation: 'o1', state: 'start', data: 1 },
      'machine-unknown',
    ],
    ['a state that is terminal already', receiver.start('o1', 'final', 'x'), 'machine-final'],
    ['an unknown state', { ...start('o1'), state: 'nowhere' }, 'machine-state'],
    ['an inherited name of a state', { ...start('o1'), state: 'constructor' }, 'machine-state'],
    ['an operation with white space', start('o 1'), 'machine-operation'],
    ['an operation that is too long', start('x'.repeat(257)), 'machine-operation'],
    ['the same one twice', start('o2'), 'machine-exists'],
  ])('refuses %s, and all that came with it', (_, bad, code) => {
    const rig = MachineRig.open();
    const answer = rig.deliver({ do: [start('o2'), bad], notes: ['a'] });
    expect(answer).toMatchObject({ ok: false, code });
    expect(rig.ask('machines.operations')).toEqual([]);
    expect(rig.ask('notes')).toBe(0);
  });

  it('is atomic with events, in one record', () => {
    const rig = MachineRig.open();
    expect(rig.deliver({ do: [start('o1'), start('o2')], notes: ['a', 'b'] })).toMatchObject({
      ok: true,
      seq: 3,
      result: 2,
    });
    expect(rig.rig.store.types().filter((type) => type === 'events')).toHaveLength(1);
    expect(rig.ask('notes')).toBe(2);
  });

  it('keeps instances apart', () => {
    const rig = MachineRig.open();
    rig.run(start('o1'), start('o10'));
    rig.run(timer.start('o1', 'waiting', 1000));
    rig.fire('o1', 'event', null).settle();
    expect(rig.states('o1')).toEqual([
      'receiver 0 start -event->',
      'receiver 1 final',
      'timer 0 waiting (active)',
    ]);
    expect(rig.states('o10')).toEqual(['receiver 0 start (active)']);
  });
});

describe('a machine', () => {
  it('goes from Start to Final, which is inactive', () => {
    const rig = MachineRig.open();
    rig.run(start('o1'));
    rig.fire('o1', 'event', null).settle();
    expect(rig.active('o1')).toEqual([]);
    expect(rig.inactive('o1')).toMatchObject([
      { step: 0, state: 'start', fired: 'event', output: null, isFinal: false },
      { step: 1, state: 'final', data: 'nothing for 1', exitedAtMs: null, isFinal: true },
    ]);
    expect(rig.armed()).toEqual([]);
    expect(rig.ask('notes')).toBe(1);
  });

  it('goes from Start through ReceivedNonNull to Final', () => {
    const rig = MachineRig.open();
    rig.run(start('o1'));
    rig.fire('o1', 'event', 'value').settle();
    expect(rig.names()).toEqual(['o1 receiver 1 event']);
    expect(rig.trigger('o1', 'event')).toMatchObject({
      state: 'received',
      data: { value: 'value' },
    });
    rig.fire('o1', 'event', 'again').settle();
    expect(rig.states('o1')).toEqual([
      'receiver 0 start -event->',
      'receiver 1 received -event->',
      'receiver 2 final',
    ]);
  });

  it('takes a step in one record: its row, the events and the next state', () => {
    const rig = MachineRig.open();
    rig.run(start('o1'));
    const before = rig.rig.store.types().length;
    rig.fire('o1', 'event', 'value').settle();
    expect(rig.rig.store.types().slice(before)).toEqual(['events']);
    expect(rig.rig.store.decoded().at(-1)).toMatchObject({ baseSeq: 1, seq: 3 });
  });

  it('has its triggers armed when the step is committed, and not before', () => {
    const rig = MachineRig.open();
    rig.send({ do: [start('o1')] });
    expect(rig.armed()).toEqual([]);
    rig.rig.commit();
    expect(rig.names()).toEqual(['o1 receiver 0 event', 'o1 receiver 0 other']);
    rig.fire('o1', 'event', 'value');
    expect(rig.armed()).toEqual([]);
    rig.rig.commit();
    expect(rig.names()).toEqual(['o1 receiver 1 event']);
  });
});

describe('the first trigger', () => {
  it('wins: the siblings are told to stop, and what they say late has no effect', () => {
    const rig = MachineRig.open();
    rig.run(start('o1'));
    const late = rig.trigger('o1', 'other');
    rig.fire('o1', 'event', 'first');
    expect(rig.armed()).toEqual([]);
    rig.end(late.call, { output: 'second' }).settle();
    expect(rig.states('o1')).toEqual(['receiver 0 start -event->', 'receiver 1 received (active)']);
  });

  it('counts once, however often it says so', () => {
    const rig = MachineRig.open();
    rig.run(start('o1'));
    const { call } = rig.trigger('o1', 'event');
    for (let i = 0; i < 3; i++) rig.end(call, { output: 'value' });
    rig.settle();
    expect(rig.states('o1')).toHaveLength(2);
  });

  it('that fires for a state which is left has no effect on the next, be it of the same name', () => {
    const rig = MachineRig.open();
    rig.run(timer.start('o1', 'waiting', 1000));
    rig.rig.tick(999);
    rig.send({ do: [timer.signal('o1', 'renewed')] });
    rig.rig.tick(1);
    rig.settle();
    expect(rig.states('o1')).toEqual(['timer 0 waiting -renewed->', 'timer 1 waiting (active)']);
    rig.rig.pass(1000);
    expect(rig.states('o1').at(-1)).toBe('timer 2 over');
  });

  it('loses against a command that was decided before it', () => {
    const rig = MachineRig.open();
    rig.run(timer.start('o1', 'waiting', 1000));
    rig.send({ do: [timer.signal('o1', 'stopped', 'by hand')] });
    rig.rig.tick(1000);
    rig.settle();
    expect(rig.states('o1')).toEqual(['timer 0 waiting -stopped->', 'timer 1 over']);
    expect(rig.inactive('o1').at(-1)).toMatchObject({ data: 'by hand at 0' });
  });
});

describe('a restart mid-machine', () => {
  it('arms the triggers of the state it was in, on whoever is the active then', () => {
    const store = new Store();
    const first = MachineRig.open(store);
    first.run(start('o1'), start('o2'));
    first.fire('o1', 'event', 'value').settle();
    const second = MachineRig.open(store, 1);
    expect(second.names()).toEqual([
      'o1 receiver 1 event',
      'o2 receiver 0 event',
      'o2 receiver 0 other',
    ]);
    second.fire('o1', 'event', 'x').settle();
    expect(second.states('o1').at(-1)).toBe('receiver 2 final');
  });

  it('starts from a snapshot as well as from the log', () => {
    const store = new Store();
    const first = MachineRig.open(store);
    first.run(start('o1'));
    first.fire('o1', 'event', 'value').settle();
    first.rig.sync();
    first.settle();
    const standby = new MachineRig(standbyRig(store, 1, { kind: noted as Kind }));
    expect(standby.rig.member.replica?.tip.seq).toBe(3);
    expect(standby.armed()).toEqual([]);
    standby.rig.promote(1).settle();
    standby.rig.tick(100).settle();
    expect(standby.names()).toEqual(['o1 receiver 1 event']);
    expect(standby.states('o1')).toEqual(first.states('o1'));
  });

  it('runs nothing on a standby, nor on a member that has left the role or lost it', () => {
    const store = new Store();
    const first = MachineRig.open(store);
    first.run(start('o1'));
    expect(first.armed()).toHaveLength(2);
    first.rig.handOff(1);
    first.settle();
    expect(first.rig.state).toBe('handing-off');
    expect(first.armed()).toEqual([]);
  });

  it('crash between trigger and commit: the step is not taken, its trigger runs again', () => {
    const store = new Store();
    const first = MachineRig.open(store);
    first.run(start('o1'));
    first.fire('o1', 'event', 'lost');
    expect(first.rig.holds('append')).toBe(true);
    const second = MachineRig.open(store, 1);
    expect(second.names()).toEqual(['o1 receiver 0 event', 'o1 receiver 0 other']);
    second.fire('o1', 'other', 'kept').settle();
    // The deposed active's append is refused, and with it all that it would have done.
    first.settle();
    expect(first.rig.state).not.toBe('active');
    expect(first.armed()).toEqual([]);
    expect(second.states('o1')).toEqual(['receiver 0 start -other->', 'receiver 1 final']);
  });

  it('conflict: what was decided on a state that is rebuilt is decided again, once', () => {
    const rig = MachineRig.open();
    rig.run(start('o1'));
    rig.send({ do: [], notes: ['hold'] });
    rig.fire('o1', 'event', 'value');
    const poison = rig.send({ do: [], notes: ['poison'] });
    rig.settle();
    expect(rig.answerTo(poison)).toMatchObject({ ok: false, code: 'apply-failed' });
    expect(rig.states('o1')).toEqual(['receiver 0 start -event->', 'receiver 1 received (active)']);
    expect(rig.ask('notes')).toBe(2);
    expect(rig.names()).toEqual(['o1 receiver 1 event']);
  });
});

describe('a signal', () => {
  it('moves its machine on in the record of the command', () => {
    const rig = MachineRig.open();
    rig.run(timer.start('o1', 'waiting', 1000));
    const answer = rig.deliver({ do: [timer.signal('o1', 'stopped', 'enough')], notes: ['a'] });
    expect(answer).toMatchObject({ ok: true, seq: 3 });
    expect(rig.inactive('o1').at(-1)).toMatchObject({ state: 'over', data: 'enough at 0' });
    rig.rig.pass(2000);
    expect(rig.states('o1')).toHaveLength(2);
  });

  it.each([
    ['of nobody', timer.signal('o2', 'stopped'), 'machine-absent'],
    [
      'of an unknown module',
      { ...timer.signal('o1', 'stopped'), signal: 'ghost' },
      'machine-unknown',
    ],
    ['that the state does not take', timer.signal('o1', 'gone'), 'machine-state'],
    ['for a deadline', timer.signal('o1', 'expired'), 'machine-state'],
    ['for a trigger', receiver.signal('o1', 'event'), 'machine-state'],
    ['whose transition throws', timer.signal('o1', 'stopped', 'bug'), 'machine-failed'],
  ])('%s is refused, and nothing of its command stays', (_, signal, code) => {
    const rig = MachineRig.open();
    rig.run(timer.start('o1', 'waiting', 1000), start('o1'));
    const answer = rig.deliver({ do: [signal], notes: ['a'] });
    expect(answer).toMatchObject({ ok: false, code });
    expect(rig.ask('notes')).toBe(0);
    expect(rig.active('o1').map(({ error }) => error)).toEqual([null, null]);
  });
});

describe('what clients send', () => {
  const forged = { operation: 'o1', machine: 'receiver', step: 0, fired: 'event', output: 'x' };
  it.each([
    ['a change', { $machines: [{ change: 'moved', ...forged }] }],
    ['a fired trigger', { $machines: forged }],
    ['nothing', { $machines: null }],
  ])('cannot pass for a step: %s', (_, command) => {
    const rig = MachineRig.open();
    rig.run(start('o1'));
    expect(rig.deliver(command)).toMatchObject({ ok: false, code: 'bad-request' });
    expect(rig.states('o1')).toEqual(['receiver 0 start (active)']);
  });
});
