/** Stale actives, strangers, broken snapshots, poison: what must not happen, told one story at a time. */
import { describe, expect, it } from 'vitest';
import { epoch } from '../../replication/ids.js';
import { Stage } from './stage.js';

describe('commands', () => {
  it('that yield no, one and three events keep their seqs over a failover', () => {
    const stage = new Stage();
    const seqs = stage.deliver(1, 0, 3, 0, 1).map((answer) => answer.ok && answer.seq);
    expect(seqs).toEqual([1, 1, 4, 4, 5]);
    stage.kill('n0');
    stage.promoted(2);
    expect(stage.deliver(0, 3).map((answer) => answer.ok && answer.seq)).toEqual([5, 8]);
    expect(stage.state(stage.active ?? '').events).toBe(8);
  });

  it('that are refused never enter the log', () => {
    const stage = new Stage();
    expect(stage.deliver('refused', 1, 'refused').map(({ ok }) => ok)).toEqual([
      false,
      true,
      false,
    ]);
    expect(stage.seq).toBe(1);
  });

  it('that are poison are refused, and what came with them is done', () => {
    const stage = new Stage({ groups: 2 });
    const answers = stage.deliver(1, 'poison', 1);
    expect(answers).toMatchObject([{ seq: 1 }, { ok: false, code: 'apply-failed' }, { seq: 2 }]);
    stage.sync();
    expect(stage.contents('n1')).toEqual(stage.contents('n0'));
    expect(stage.host('n0').member('g1')?.role.state).toBe('active');
  });
});

describe('a stale active', () => {
  it('that wakes up appends nothing, answers nothing, and is in sync again', () => {
    const stage = new Stage();
    stage.events(3);
    const batch = stage.batch(1);
    const answers: string[] = [];
    stage.pause('n0');
    stage.promoted(2);
    stage.send(batch, (answer) => answers.push(answer.ok ? 'done' : answer.code));
    stage.run(200);
    expect(answers).toEqual(['done']);
    stage.resume('n0');
    stage.whole();
    expect(answers).toEqual(['done', 'moved']);
    expect(
      stage
        .records()
        .filter(({ epoch }) => epoch === 1)
        .at(-1)?.seq,
    ).toBe(3);
    expect(stage.member('n0').role.state).toBe('standby');
    stage.sync();
    expect(stage.contents('n0')).toEqual(stage.contents(stage.active ?? ''));
  });

  it('that was cut off cannot publish the snapshot it had cut', () => {
    const stage = new Stage();
    stage.events(3);
    const host = stage.host('n0');
    host.input('g0', { kind: 'sync', request: host.expect('g0') });
    stage.cutOff('n0');
    stage.promoted(2);
    stage.reconnect('n0');
    stage.whole();
    const snapshots = stage.records().filter(({ body }) => body.type === 'snapshot');
    expect(snapshots.map(({ epoch, writer }) => [epoch, writer.node])).not.toContainEqual([
      2,
      'n0',
    ]);
    expect(snapshots.filter(({ epoch }) => epoch === 1)).toHaveLength(1);
  });

  it('that has to rebuild its state first asks whether anybody still wants that', () => {
    const stage = new Stage({ replayEvents: 10 });
    stage.events(30);
    stage.sync();
    const batch = stage.batch('poison');
    stage.pause('n0');
    stage.promoted(2);
    stage.breakSnapshots(true);
    const host = stage.host('n0');
    const answers: string[] = [];
    host.run(() =>
      host.deliver('g0', batch, (answer) => answers.push(answer.ok ? '' : answer.code)),
    );
    const states = new Set<string>();
    stage.resume('n0');
    stage.until(
      'it has left',
      () => {
        const { role } = stage.member('n0');
        states.add(role.state === 'active' && role.rebuild ? 'rebuilding' : role.state);
        return role.state !== 'active';
      },
      100,
    );
    expect(states).toContain('rebuilding');
    expect(answers).toEqual(['moved']);
    stage.breakSnapshots(false);
    stage.whole();
    stage.events(1);
    stage.sync();
    expect(stage.contents('n0')).toEqual(stage.contents(stage.active ?? ''));
  });

  it('that is none goes on with what it rebuilt, as if nobody had asked', () => {
    const stage = new Stage({ replayEvents: 3 });
    stage.events(5);
    stage.sync();
    stage.breakSnapshots(true);
    const batch = stage.batch('poison', 1);
    const host = stage.host('n0');
    const answers: boolean[] = [];
    host.deliver('g0', batch, (answer) => answers.push(answer.ok));
    host.input('g0', { kind: 'epoch-seen', epoch: epoch(9) });
    const { role } = stage.member('n0');
    if (role.state !== 'active') throw new Error(role.state);
    const before = stage.records().length;
    stage.run(100);
    expect(role.rebuild?.phase).toBe('fetching');
    expect(stage.records()).toHaveLength(before + 1);
    stage.until('it is rebuilt', () => role.rebuild === null);
    expect(role.active.replica.tip).toEqual(role.active.writer.tip);
    stage.until('it has answered', () => answers.length > 0);
    expect(answers).toEqual([true]);
    stage.breakSnapshots(false);
    expect(stage.sync()).toEqual({ through: 6 });
    expect(stage.contents('n1')).toEqual(stage.contents('n0'));
    expect([stage.active, stage.epoch]).toEqual(['n0', 1]);
  });

  it('that nobody delivers to learns of its successor all the same', () => {
    const stage = new Stage();
    stage.failover('n2');
    stage.promoted(2);
    stage.until('the old active has left', () => stage.member('n0').role.state === 'standby');
  });
});

describe('two operators', () => {
  it('who press failover together change the epoch once', () => {
    const stage = new Stage();
    stage.events(2);
    stage.failover('n1');
    stage.failover('n2');
    stage.promoted(2);
    stage.whole();
    stage.run(2000);
    expect(stage.epoch).toBe(2);
    expect(stage.records().filter(({ body }) => body.type === 'claim')).toHaveLength(2);
    stage.events(1);
    expect(stage.state(stage.active ?? '').events).toBe(3);
  });

  it('who choose the same member change the epoch once', () => {
    const stage = new Stage();
    stage.failover('n1');
    stage.failover('n1');
    stage.promoted(2);
    stage.run(2000);
    expect([stage.active, stage.epoch]).toEqual(['n1', 2]);
  });
});

describe('a standby that cannot restore', () => {
  it('leaves the others unaffected, and what it holds is never replayed twice', () => {
    const stage = new Stage();
    stage.events(5);
    stage.sync();
    stage.cutOff('n1');
    stage.events(5);
    stage.sync();
    expect([stage.syncedThrough('n1'), stage.syncedThrough('n2')]).toEqual([5, 10]);
    stage.kill('n0');
    stage.promoted(2);
    expect(stage.active).toBe('n2');
    stage.breakSnapshots(true);
    stage.reconnect('n1');
    stage.run(3000);
    expect(stage.syncedThrough('n1')).toBe(5);
    stage.kill('n2');
    stage.promoted(3);
    expect(stage.state('n1').events).toBe(10);
  });

  it('keeps what it has, and catches up when it can', () => {
    const stage = new Stage();
    stage.events(2);
    stage.sync();
    stage.spoilSnapshots(true);
    stage.events(2);
    stage.sync();
    stage.run(2000);
    expect(stage.syncedThrough('n1')).toBe(2);
    expect(stage.member('n1').error).toMatch(/cannot be had.*gave other bytes/);
    stage.spoilSnapshots(false);
    stage.until('it has caught up', () => stage.syncedThrough('n1') === 4);
    expect(stage.member('n1').error).toBeNull();
  });

  it('does not go back to an older snapshot that somebody offers', () => {
    const stage = new Stage();
    stage.events(4);
    stage.sync();
    const { tip } = stage.member('n1');
    stage
      .host('n1')
      .input('g0', { kind: 'snapshot-seen', position: tip.position, seq: 2 as never });
    stage.run(2000);
    expect(stage.syncedThrough('n1')).toBe(4);
  });
});

describe('a switchover', () => {
  it('loses nothing and leaves the old active as a standby that is in sync', () => {
    const stage = new Stage();
    stage.events(4);
    const outcome = stage.switchover(2);
    stage.promoted(2);
    expect(stage.active).toBe('n2');
    stage.until('the operator is told', () => outcome() !== undefined);
    expect(outcome()).toBeNull();
    expect(stage.syncedThrough('n0')).toBe(4);
    stage.events(1);
    expect(stage.state('n2').events).toBe(5);
  });

  it('to a member that does not come is rolled back, and the group serves on', () => {
    const stage = new Stage();
    stage.events(1);
    stage.kill('n2');
    const outcome = stage.switchover(2);
    stage.promoted(2);
    expect(stage.active).toBe('n0');
    expect(outcome()).toMatch(/the old active serves on/);
    stage.events(1);
    expect(stage.seq).toBe(2);
  });

  it('during which the old active dies is finished by its target', () => {
    const stage = new Stage();
    stage.events(3);
    stage.switchover(1);
    stage.until('it has left', () => stage.member('n0').role.state === 'handing-off');
    stage.kill('n0');
    stage.promoted(2);
    expect(stage.active).toBe('n1');
    expect(stage.state('n1').events).toBe(3);
  });
});

describe('the broker', () => {
  it.each(['refusing', 'silent'] as const)('%s for seconds costs time, not events', (manner) => {
    const stage = new Stage();
    stage.events(2);
    const batch = stage.batch(1);
    const answers: string[] = [];
    stage.world.model.loseLeader(manner);
    for (let i = 0; i < 5; i++) {
      stage.send(batch, (answer) => answers.push(answer.ok ? 'done' : answer.code));
      stage.run(1000);
    }
    expect(answers).toEqual([]);
    stage.world.model.electLeader();
    stage.run(3000);
    expect(answers).toEqual(['done', 'done', 'done', 'done', 'done']);
    expect([stage.seq, stage.epoch]).toEqual([3, 1]);
  });

  it('that loses the acknowledgement does not make anything happen twice', () => {
    const stage = new Stage();
    stage.world.model.faults.answerLost = 0.5;
    stage.events(20);
    stage.world.model.faults.answerLost = 0;
    stage.whole();
    expect(stage.seq).toBe(20);
  });

  it('without room refuses writes, and says so, until there is room', () => {
    const stage = new Stage();
    stage.world.model.faults.isFull = true;
    const answers: boolean[] = [];
    stage.send(stage.batch(1), ({ ok }) => answers.push(ok));
    stage.run(2000);
    const { role } = stage.member('n0');
    expect(role.state === 'active' && role.active.writer.stalled).toBe('the store is full');
    stage.world.model.faults.isFull = false;
    stage.until('the batch is answered', () => answers.length === 1);
    expect(answers).toEqual([true]);
  });
});

describe('a stranger on the subject of the log', () => {
  it('is passed over by the active, the standbys and every successor', () => {
    const stage = new Stage();
    stage.events(2);
    stage.world.model.intrude('g0', Uint8Array.of(1, 2, 3));
    const copy = stage.world.model.records('g0')[1]?.bytes ?? new Uint8Array(0);
    stage.world.model.intrude('g0', copy);
    stage.events(2);
    stage.sync();
    expect(stage.syncedThrough('n1')).toBe(4);
    stage.world.model.intrude('g0', copy);
    stage.kill('n0');
    stage.promoted(2);
    expect(stage.state(stage.active ?? '').events).toBe(4);
    stage.events(1);
  });
});
