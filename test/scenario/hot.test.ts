/** What following the log is good for, and what becomes of a member that has it wrong. */
import { describe, expect, it } from 'vitest';
import type { Kind } from '../../replication/kind.js';
import type { Member } from '../../replication/member.js';
import type { Opened, SnapshotBody } from '../../replication/record.js';
import { traceKind } from '../simulation/kind.js';
import { Liar } from '../simulation/liar.js';
import { Stage, type StageOptions } from './stage.js';

/** A group whose active has been told who follows. */
function hotStage(options: StageOptions = {}): Stage {
  const stage = new Stage({ standby: 'hot', ...options });
  stage.until('the followers are known', () => {
    const { role } = stage.member('n0');
    return role.state === 'active' && role.active.cutting.followers.length === 2;
  });
  return stage;
}

/** How the promotion of the active went. */
function opening(stage: Stage): Opened {
  const { role } = stage.member(stage.active ?? '');
  const opened = role.state === 'active' ? role.active.replica.history.at(-1)?.opened : null;
  if (!opened) throw new Error('nobody has opened the epoch');
  return opened;
}

function failOver(stage: Stage): Opened {
  const { epoch } = stage;
  stage.kill(stage.active ?? '');
  stage.promoted(epoch + 1);
  stage.events(1);
  return opening(stage);
}

const newestSnapshot = (stage: Stage): SnapshotBody | undefined => {
  const bodies = stage.records().map(({ body }) => body);
  return bodies.findLast((body) => body.type === 'snapshot');
};

describe('a failover', () => {
  it('of a hot group replays nothing, where a warm one replays what is past its snapshot', () => {
    const replayed = (['warm', 'hot'] as const).map((standby) => {
      const stage = new Stage({ standby });
      stage.events(3);
      stage.sync();
      stage.events(7);
      stage.run(20);
      const opened = failOver(stage);
      expect(stage.state(stage.active ?? '').events).toBe(11);
      return opened.replayed;
    });
    expect(replayed).toEqual([7, 0]);
  });

  it('of a hot group in the middle of its work replays almost nothing', () => {
    const stage = hotStage();
    stage.events(20);
    const { replayed } = failOver(stage);
    expect(replayed).toBeLessThanOrEqual(1);
    expect(stage.state(stage.active ?? '').events).toBe(21);
  });

  it('that follows another finds members that have followed both', () => {
    const stage = hotStage({ nodes: 4, members: 3 });
    stage.events(5);
    stage.run(20);
    expect(failOver(stage).replayed).toBe(0);
    stage.run(20);
    expect(failOver(stage).replayed).toBe(0);
    expect(stage.state(stage.active ?? '').events).toBe(7);
  });

  it('on purpose replays nothing either, and the old active follows the new one', () => {
    const stage = hotStage();
    stage.events(4);
    const outcome = stage.switchover(2);
    stage.promoted(2);
    stage.until('the operator is told', () => outcome() !== undefined);
    expect(outcome()).toBeNull();
    stage.events(3);
    expect(opening(stage).replayed).toBe(0);
    stage.run(20);
    expect(stage.syncedThrough('n0')).toBe(7);
  });
});

describe('a hot standby', () => {
  it('has what is acknowledged within milliseconds, without a snapshot', () => {
    const stage = hotStage();
    stage.events(10);
    stage.run(20);
    expect(['n1', 'n2'].map((name) => stage.syncedThrough(name))).toEqual([10, 10]);
    expect(newestSnapshot(stage)?.at ?? 0).toBe(0);
  });

  it('that is deaf to the log catches up by itself, and hears again', () => {
    const stage = hotStage();
    stage.world.model.deafen('n1');
    stage.events(3);
    stage.run(20);
    expect(['n1', 'n2'].map((name) => stage.syncedThrough(name))).toEqual([0, 3]);
    stage.until('it has noticed', () => stage.syncedThrough('n1') === 3, 1000);
    stage.events(1);
    stage.run(20);
    expect(stage.syncedThrough('n1')).toBe(4);
  });

  it('that was cut off is level again soon after it is back', () => {
    const stage = hotStage();
    stage.cutOff('n2');
    stage.events(5);
    stage.reconnect('n2');
    stage.until('it is level', () => stage.syncedThrough('n2') === 5, 3000);
    stage.events(1);
    stage.run(20);
    expect(stage.syncedThrough('n2')).toBe(6);
  });

  it('that starts while commands come misses none of them', () => {
    const stage = hotStage();
    stage.kill('n1');
    stage.events(5);
    stage.start('n1');
    for (let i = 0; i < 10; i++) {
      stage.events(1);
      stage.run(3);
    }
    stage.whole();
    stage.run(100);
    expect(stage.contents('n1')).toEqual(stage.contents('n0'));
  });
});

describe('a member whose memory was corrupted', () => {
  /** A bit flips in what this member holds, and nobody is told. */
  function corrupt(stage: Stage, name: string): void {
    stage.world.checker(stage.group).expectsDivergence = true;
    stage.state(name).events += 64;
  }

  /** The log's fold, and what everybody answers and holds, are still one. */
  function expectRight(stage: Stage, events: number): void {
    expect(stage.deliver(1)).toMatchObject([{ ok: true, seq: events + 1 }]);
    expect(stage.sync()).toEqual({ through: events + 1 });
    for (const { config } of stage.standbys()) {
      expect(stage.contents(config.id.node)).toEqual(stage.contents(stage.active ?? ''));
    }
    expect(stage.state(stage.active ?? '').events).toBe(events + 1);
    const others = stage.standbys().map(({ config }) => config.id.node);
    failOver(stage);
    expect(others).toContain(stage.active);
    expect(stage.state(stage.active ?? '').events).toBe(events + 2);
  }

  it.each([
    ['a follower', 'n2', 1],
    ['the one that cuts', 'n1', 0],
  ] as const)('is caught at the next mark and made anew: %s', (_, name, cutter) => {
    const stage = hotStage();
    stage.events(6);
    stage.run(20);
    corrupt(stage, name);
    expect(stage.sync()).toEqual({ through: 6 });
    expect(newestSnapshot(stage)).toMatchObject({ at: 6, cutter });
    expect(stage.standbys().map(({ diverged }) => diverged)).toEqual(
      ['n1', 'n2'].map((each) => (each === name ? 1 : 0)),
    );
    expect(stage.member(name)).toMatchObject({ role: { state: 'standby' }, error: null });
    expect(stage.contents(name)).toEqual(stage.contents('n0'));
    expect(stage.syncedThrough(name)).toBe(6);
    expectRight(stage, 6);
  });

  it('is caught although commands go on, and misses none of them', () => {
    const stage = hotStage();
    stage.events(6);
    stage.run(20);
    corrupt(stage, 'n2');
    const host = stage.host('n0');
    host.input('g0', { kind: 'sync', request: host.expect('g0') });
    stage.events(10);
    stage.until('it is caught', () => stage.member('n2').diverged === 1);
    stage.until('it is level', () => stage.syncedThrough('n2') === 16);
    expectRight(stage, 16);
  });

  it('is no candidate while it is made anew', () => {
    const stage = hotStage();
    stage.events(6);
    stage.run(20);
    corrupt(stage, 'n1');
    const host = stage.host('n0');
    host.input('g0', { kind: 'sync', request: host.expect('g0') });
    stage.until('it is caught', () => stage.member('n1').diverged === 1);
    expect(stage.syncedThrough('n1')).toBeNull();
    stage.breakSnapshots(true);
    stage.pause('n1');
    stage.kill('n0');
    stage.promoted(2);
    expect(stage.active).toBe('n2');
    stage.resume('n1');
    stage.until('it follows', () => stage.syncedThrough('n1') === 6);
    expect(stage.contents('n1')).toEqual(stage.contents('n2'));
  });
});

describe('a standby that lies', () => {
  it.each(['warm', 'hot'] as const)('may be promoted, and a %s group loses nothing', (standby) => {
    const stage = new Stage({ standby });
    stage.events(4);
    stage.sync();
    stage.cutOff('n2');
    stage.events(4);
    stage.run(1000);
    stage.reconnect('n2');
    stage.host('n2').lies = new Liar('digest');
    stage.world.model.deafen('n2');
    stage.run(1500);
    stage.events(2);
    stage.kill('n0');
    // Its own node knows better: an operator believes what the others see.
    stage.failover('n2');
    stage.promoted(2);
    stage.events(1);
    expect(stage.active).toBe('n2');
    expect(stage.state('n2').events).toBe(11);
  });

  it('about the digest costs a snapshot of its own, and none is wrong', () => {
    const stage = hotStage();
    stage.events(4);
    stage.host('n1').lies = new Liar('digest');
    expect(stage.sync()).toEqual({ through: 4 });
    expect(newestSnapshot(stage)).toMatchObject({ at: 4, cutter: 0 });
    stage.host('n1').lies = null;
    stage.events(1);
    expect(stage.sync()).toEqual({ through: 5 });
    expect(newestSnapshot(stage)).toMatchObject({ at: 5, cutter: 1 });
    expect(stage.standbys().map(({ diverged }) => diverged)).toEqual([0, 0]);
  });
});

describe('poison on replay', () => {
  /** Until the cause is gone, this kind throws at one seq: a build of it that some nodes run. */
  class Build {
    isBroken = true;
    readonly kind: Kind = {
      ...(traceKind as Kind),
      apply: (state, event, context) => {
        if (this.isBroken && context.seq === 4) throw new Error('a table is missing');
        return (traceKind as Kind).apply(state, event, context);
      },
    };

    install({ config, replica }: Member): void {
      for (const holder of [config, replica] as ({ kind: Kind } | null)[]) {
        if (holder !== null) holder.kind = this.kind;
      }
    }
  }

  const names = ['n0', 'n1', 'n2'];

  /** The standbys stop at seq 4; then the active, restarted with that build, does so too. */
  function stopped(standby: 'warm' | 'hot'): { stage: Stage; build: Build } {
    const stage = new Stage({ groups: 2, standby });
    stage.events(3);
    stage.sync();
    const build = new Build();
    for (const member of stage.standbys()) build.install(member);
    stage.events(3);
    stage.run(100);
    expect([stage.active, stage.seq]).toEqual(['n0', 6]);
    stage.kill('n0');
    stage.start('n0');
    build.install(stage.member('n0'));
    stage.until('all have stopped', () =>
      names.every((name) => stage.member(name).role.state === 'quarantined'),
    );
    return { stage, build };
  }

  it.each(['warm', 'hot'] as const)(
    'stops every member of a %s group at the same seq',
    (standby) => {
      const { stage } = stopped(standby);
      const errors = names.map((name) => stage.member(name).error);
      expect(errors[0]).toMatch(/^kind trace threw .* event at seq 4: a table is missing/);
      expect(new Set(errors).size).toBe(1);
      stage.run(5000);
      expect(stage.active).toBeNull();
      expect(names.map((name) => stage.member(name).role.state)).toEqual(
        new Array(3).fill('quarantined'),
      );
    },
  );

  it('stops no other group', () => {
    const { stage } = stopped('hot');
    stage.group = 'g1';
    stage.until('it has an active', () => stage.active !== null);
    stage.events(3);
    expect(stage.sync()).toEqual({ through: 3 });
    stage.run(100);
    for (const name of names) expect(stage.state(name).events).toBe(3);
  });

  it.each(['warm', 'hot'] as const)('is over in a %s group once the cause is gone', (standby) => {
    const { stage, build } = stopped(standby);
    build.isBroken = false;
    const told: unknown[] = [];
    for (const name of names) {
      const host = stage.host(name);
      const request = host.expect('g0', (failure) => told.push(failure));
      host.input('g0', { kind: 'reinit', request });
    }
    expect(told).toEqual([null, null, null]);
    stage.whole();
    expect(stage.seq).toBe(6);
    expect(stage.deliver(1)).toMatchObject([{ ok: true, seq: 7 }]);
    expect(stage.sync()).toEqual({ through: 7 });
    for (const name of names) expect(stage.state(name).events).toBe(7);
  });

  it('that was tried too early stops the member again', () => {
    const { stage } = stopped('hot');
    const host = stage.host('n1');
    host.input('g0', { kind: 'reinit', request: host.expect('g0') });
    stage.until('it tries', () => stage.member('n1').role.state !== 'quarantined');
    stage.until('it has stopped', () => stage.member('n1').role.state === 'quarantined');
    expect(stage.member('n1').error).toMatch(/at seq 4/);
  });
});
