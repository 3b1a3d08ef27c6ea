/** What a standby group promises when its active dies, told one story at a time. */
import { describe, expect, it } from 'vitest';
import { Stage } from './stage.js';

/** The active's node dies; the group has a new active in the next epoch. */
function loseActive(stage: Stage): string {
  const lost = stage.active ?? '';
  const { epoch } = stage;
  stage.kill(lost);
  stage.promoted(epoch + 1);
  return lost;
}

describe('a group that was created', () => {
  it('has one active, index 0, and standbys on nodes of their own that are in sync', () => {
    const stage = new Stage({ nodes: 4, members: 3 });
    expect(stage.active).toBe('n0');
    expect(new Set(stage.places()).size).toBe(3);
    expect(stage.epoch).toBe(1);
    expect(['n1', 'n2'].map((name) => stage.syncedThrough(name))).toEqual([0, 0]);
  });

  it('can be as small as two', () => {
    const stage = new Stage({ nodes: 2 });
    stage.events(3);
    loseActive(stage);
    expect(stage.state('n1').events).toBe(3);
  });
});

describe('events between syncs', () => {
  it('are not on the standbys before the sync, and all of them after', () => {
    const stage = new Stage();
    stage.events(10);
    expect(stage.seq).toBe(10);
    expect(stage.syncedThrough('n1')).toBe(0);
    expect(stage.sync()).toEqual({ through: 10 });
    expect(['n1', 'n2'].map((name) => stage.syncedThrough(name))).toEqual([10, 10]);
    expect(stage.contents('n2')).toEqual(stage.contents('n0'));
  });

  it('5 synced + 3 more, kill: the state has 8', () => {
    const stage = new Stage();
    stage.events(5);
    stage.sync();
    stage.events(3);
    loseActive(stage);
    expect(stage.state(stage.active ?? '').events).toBe(8);
  });

  it('10 synced + 3 replayed + 1 new makes 14', () => {
    const stage = new Stage();
    stage.events(10);
    stage.sync();
    stage.events(3);
    loseActive(stage);
    stage.events(1);
    expect(stage.state(stage.active ?? '').events).toBe(14);
  });

  it('are never applied twice to a standby that had them', () => {
    const stage = new Stage();
    stage.events(5);
    stage.sync();
    stage.events(5);
    stage.sync();
    loseActive(stage);
    expect(stage.state(stage.active ?? '').events).toBe(10);
  });

  it('survive although none of them was ever synced', () => {
    const stage = new Stage();
    stage.breakSnapshots(true);
    stage.events(7);
    loseActive(stage);
    expect(stage.state(stage.active ?? '').events).toBe(7);
  });
});

describe('a second failover', () => {
  it('without a sync between loses nothing', () => {
    const stage = new Stage();
    stage.events(5);
    stage.sync();
    stage.events(3);
    stage.breakSnapshots(true);
    const first = loseActive(stage);
    stage.events(2);
    const second = loseActive(stage);
    expect(new Set([first, second, stage.active]).size).toBe(3);
    expect(stage.state(stage.active ?? '').events).toBe(10);
    expect(stage.epoch).toBe(3);
  });

  it('in a group of two waits for a member to come back, and then loses nothing', () => {
    const stage = new Stage({ nodes: 2 });
    stage.events(4);
    const first = loseActive(stage);
    stage.events(4);
    stage.kill(stage.active ?? '');
    stage.run(5000);
    expect(stage.active).toBeNull();
    expect(stage.epoch).toBe(2);
    stage.start(first);
    stage.promoted(3);
    expect(stage.active).toBe(first);
    expect(stage.state(first).events).toBe(8);
  });
});

describe('the successor', () => {
  it('is a synced standby rather than a freshly replaced one', () => {
    const stage = new Stage({ nodes: 4, members: 3 });
    stage.events(6);
    stage.sync();
    stage.breakSnapshots(true);
    stage.kill('n1');
    stage.until('member 1 is placed anew', () => stage.places()[1] === 'n3');
    stage.until('it runs', () => stage.host('n3').member('g0')?.role.state === 'standby');
    expect(stage.syncedThrough('n3')).toBeNull();
    stage.events(2);
    loseActive(stage);
    expect(stage.active).toBe('n2');
    expect(stage.state('n2').events).toBe(8);
  });

  it('is the one that has synced further', () => {
    const stage = new Stage();
    stage.events(3);
    stage.sync();
    stage.cutOff('n1');
    stage.events(3);
    stage.sync();
    stage.reconnect('n1');
    stage.breakSnapshots(true);
    stage.run(1500);
    expect([stage.syncedThrough('n1'), stage.syncedThrough('n2')]).toEqual([3, 6]);
    loseActive(stage);
    expect(stage.active).toBe('n2');
  });

  it('is nobody if no member is healthy, and then nothing changes', () => {
    const stage = new Stage();
    stage.events(2);
    for (const name of ['n1', 'n2']) stage.kill(name);
    const before = stage.records().length;
    stage.kill('n0');
    stage.run(10_000);
    expect(stage.active).toBeNull();
    expect(stage.records()).toHaveLength(before);
  });

  it('is any member that comes back with the log, the old active too', () => {
    const stage = new Stage();
    stage.events(2);
    for (const name of ['n1', 'n2', 'n0']) stage.kill(name);
    stage.run(3000);
    stage.start('n0');
    stage.promoted(2);
    expect(stage.active).toBe('n0');
    expect(stage.state('n0').events).toBe(2);
  });
});

describe('a standby’s node that dies', () => {
  it('changes neither the active nor the epoch', () => {
    const stage = new Stage();
    stage.kill('n2');
    stage.run(5000);
    expect([stage.active, stage.epoch]).toEqual(['n0', 1]);
    stage.events(1);
  });

  it('comes back as a standby, and is in sync again', () => {
    const stage = new Stage();
    stage.kill('n2');
    stage.events(4);
    stage.start('n2');
    stage.whole();
    stage.sync();
    expect(stage.syncedThrough('n2')).toBe(4);
    expect([stage.active, stage.epoch]).toEqual(['n0', 1]);
  });

  it('also does not lead again after its death as the active', () => {
    const stage = new Stage();
    stage.events(2);
    const lost = loseActive(stage);
    const { active } = stage;
    stage.start(lost);
    stage.whole();
    expect(stage.active).toBe(active);
    expect(stage.member(lost).role.state).toBe('standby');
    expect(stage.epoch).toBe(2);
  });

  it('is replaced on a node that hosts no other member', () => {
    const stage = new Stage({ nodes: 5, members: 3 });
    stage.kill('n1');
    stage.until('member 1 is placed anew', () => stage.places()[1] !== 'n1');
    expect(new Set(stage.places()).size).toBe(3);
    expect(['n3', 'n4']).toContain(stage.places()[1]);
    stage.whole();
    stage.start('n1');
    stage.run(2000);
    expect(stage.host('n1').member('g0')).toBeUndefined();
  });

  it('is replaced as soon as a spare node appears', () => {
    const stage = new Stage({ nodes: 4, members: 3 });
    stage.kill('n3');
    stage.kill('n2');
    stage.run(8000);
    expect(stage.places()).toEqual(['n0', 'n1', 'n2']);
    stage.start('n3');
    stage.until('member 2 is placed anew', () => stage.places()[2] === 'n3');
    stage.whole();
    expect(stage.syncedThrough('n3')).not.toBeNull();
  });
});

describe('after a promotion', () => {
  it('the remaining standby is synced at once, without being asked', () => {
    const stage = new Stage();
    stage.events(5);
    loseActive(stage);
    const standby = stage.active === 'n1' ? 'n2' : 'n1';
    stage.until('it is in sync', () => stage.syncedThrough(standby) === 5, 2000);
  });

  it('everybody gets the first answer again, with the first seq', () => {
    const stage = new Stage();
    const batch = stage.batch(1, 3, 0, 'refused');
    const answers: unknown[] = [];
    stage.send(batch, (answer) => answers.push(answer));
    stage.run(100);
    loseActive(stage);
    stage.send(batch, (answer) => answers.push(answer));
    stage.run(100);
    const [first, again] = answers as { ok: true; runs: object[] }[];
    expect(again?.runs).toEqual(first?.runs.map((run) => ({ ...run, duplicate: true })));
    expect(stage.state(stage.active ?? '').events).toBe(4);
  });
});
