/** What moves machines on, and what stops one of them alone. */
import { describe, expect, it } from 'vitest';
import type { Kind } from '../../../replication/kind.js';
import { Store, standbyRig } from '../replication/support.js';
import { MachineRig, noted, receiver, timer } from './rig.js';

const start = (operation: string) => receiver.start(operation, 'start', 1);

describe('a deadline', () => {
  it('fires when it is due by recorded time, and not before', () => {
    const rig = MachineRig.open();
    rig.run(timer.start('o1', 'waiting', 1000));
    const [row] = rig.active('o1');
    expect(row?.due).toEqual({ expired: (row?.enteredAtMs ?? 0) + 1000 });
    rig.rig.pass(999);
    expect(rig.active('o1')).toHaveLength(1);
    rig.rig.pass(1);
    expect(rig.states('o1')).toEqual(['timer 0 waiting -expired->', 'timer 1 over']);
  });

  it('that is overdue fires after a failover', () => {
    const store = new Store();
    MachineRig.open(store).run(timer.start('o1', 'waiting', 60_000));
    const second = MachineRig.open(store, 1);
    expect(second.active('o1')).toHaveLength(1);
    const third = new MachineRig(standbyRig(store, 2, { kind: noted as Kind }));
    third.rig.nowMs = 100_000;
    third.rig.promote(2).settle();
    third.rig.tick(1).settle();
    expect(third.states('o1')).toEqual(['timer 0 waiting -expired->', 'timer 1 over']);
  });

  it.each([
    ['set back', -3_600_000],
    ['set ahead', 3_600_000],
  ])('is in time although the wall clock is %s while it waits', (_, jumpMs) => {
    const rig = MachineRig.open();
    rig.run(timer.start('o1', 'waiting', 1000));
    rig.rig.wallMs = rig.rig.nowMs + jumpMs;
    rig.rig.pass(999);
    expect(rig.active('o1')).toHaveLength(1);
    rig.rig.pass(1);
    expect(rig.active('o1')).toEqual([]);
    // Recorded time stands still while the wall clock is behind it, and a deadline is still in time.
    rig.run(timer.start('o2', 'waiting', 1000));
    rig.rig.pass(1000);
    expect(rig.active('o2')).toEqual([]);
  });
});

describe('a trigger that fails', () => {
  it('is run again after growing pauses that have a limit', () => {
    const rig = MachineRig.open();
    rig.run(start('o1'));
    const pauses: number[] = [];
    for (let i = 1; i <= 10; i++) {
      expect(rig.trigger('o1', 'event').attempt).toBe(i);
      rig.fail('o1', 'event');
      const failedAtMs = rig.rig.nowMs;
      for (let n = 0; n < 1000 && rig.names().length < 2; n++) rig.rig.pass(250);
      pauses.push(rig.rig.nowMs - failedAtMs);
    }
    expect(pauses).toEqual([500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000]);
    rig.fire('o1', 'event', null).settle();
    expect(rig.states('o1').at(-1)).toBe('receiver 1 final');
  });

  it('pauses for half as long if chance says so', () => {
    const rig = MachineRig.open();
    rig.run(start('o1'));
    rig.fail('o1', 'event', 'down', 0);
    rig.rig.pass(250);
    expect(rig.names()).toHaveLength(2);
  });

  it('counts as failed if it fires while the intake is full', () => {
    const rig = MachineRig.open();
    rig.run(start('o1'));
    rig.send({ do: [], notes: ['held'] });
    for (let i = 0; i < 20; i++) rig.send({ do: [], notes: ['x'.repeat(207_000)] });
    rig.fire('o1', 'event', 'value').settle();
    expect(rig.states('o1')).toEqual(['receiver 0 start (active)']);
    rig.rig.pass(500);
    rig.fire('o1', 'event', 'value').settle();
    expect(rig.states('o1')).toHaveLength(2);
  });

  it('is seen, with its attempts and its error', () => {
    const rig = MachineRig.open();
    rig.run(start('o1'));
    rig.fail('o1', 'event', 'provider is down');
    expect(rig.ask('machines.triggers', { operation: 'o1' })).toEqual({
      running: 1,
      stuck: [],
      triggers: [
        expect.objectContaining({
          transition: 'event',
          attempt: 1,
          isRunning: false,
          lastError: 'provider is down',
          retryInMs: 500,
        }),
        expect.objectContaining({ transition: 'other', attempt: 1, isRunning: true }),
      ],
    });
  });
});

describe('one panicking machine', () => {
  /** A machine that has failed in its second state, and another. */
  function failed(value = 'boom'): MachineRig {
    const rig = MachineRig.open();
    rig.run(start('bad'), start('good'));
    rig.fire('bad', 'event', value).settle();
    rig.fire('bad', 'event', 'x').settle();
    return rig;
  }

  it('is stopped with its error, and leaves the others running', () => {
    const rig = failed();
    expect(rig.rig.state).toBe('active');
    expect(rig.active('bad')).toMatchObject([
      { state: 'received', step: 1, error: 'the transition has a bug' },
    ]);
    expect(rig.rig.alarms()).toEqual([
      'machine receiver of bad stopped in step 1, received: the transition has a bug. ' +
        'Retry it once that is mended.',
    ]);
    expect(rig.names()).toEqual(['good receiver 0 event', 'good receiver 0 other']);
    rig.fire('good', 'event', null).settle();
    expect(rig.states('good').at(-1)).toBe('receiver 1 final');
    expect(rig.deliver({ do: [], notes: ['a'] })).toMatchObject({ ok: true });
    expect(rig.ask('machines.triggers')).toMatchObject({
      stuck: [{ operation: 'bad', error: 'the transition has a bug' }],
    });
  });

  it('stays stopped on a new active, until an operator retries it', () => {
    const store = new Store();
    const first = MachineRig.open(store);
    first.run(start('bad'));
    first.fire('bad', 'event', 'boom').settle();
    first.fire('bad', 'event', 'x').settle();
    const second = MachineRig.open(store, 1);
    expect(second.armed()).toEqual([]);
    const retry = { $machines: { retry: { operation: 'bad', machine: 'receiver' } } };
    expect(second.deliver(retry)).toMatchObject({ ok: true });
    expect(second.names()).toEqual(['bad receiver 1 event']);
    expect(second.active('bad')).toMatchObject([{ error: null }]);
    expect(second.deliver(retry)).toMatchObject({ ok: false, code: 'machine-stale' });
  });

  it('is stopped as well if the kind cannot apply its events', () => {
    const rig = failed('spoilt');
    expect(rig.rig.state).toBe('active');
    expect(rig.active('bad')).toMatchObject([{ state: 'received', error: 'apply-failed: poison' }]);
    expect(rig.ask('notes')).toBe(1);
    expect(rig.names()).toEqual(['good receiver 0 event', 'good receiver 0 other']);
  });

  it('is stopped if its trigger hands over too much, or what cannot be recorded', () => {
    const rig = MachineRig.open();
    rig.run(start('o1'));
    rig.fire('o1', 'event', 'x'.repeat(65 * 1024)).settle();
    expect(rig.active('o1')[0]?.error).toContain('takes 66565 bytes, at most 65536');
    expect(rig.armed()).toEqual([]);
  });

  it('starts no machine that is there already, and says so', () => {
    const rig = MachineRig.open();
    rig.run(start('taken'), timer.start('o1', 'waiting', 1000));
    expect(rig.run(timer.signal('o1', 'stopped', 'next taken'))).toMatchObject({
      ok: false,
      code: 'machine-failed',
    });
    expect(rig.run(timer.signal('o1', 'stopped', 'next free'))).toMatchObject({ ok: true });
    expect(rig.states('free')).toEqual(['receiver 0 start (active)']);
    expect(rig.names().filter((name) => name.startsWith('free'))).toHaveLength(2);
  });
});
