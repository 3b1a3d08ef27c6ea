/** Snapshots that are cut and chunks that are collected, and who dies or stands still meanwhile. */
import { describe, expect, it, test } from 'vitest';
import { collectGated } from '../simulation/node-chunks.js';
import type { Stage } from './stage.js';
import {
  all,
  chunksOf,
  collectNow,
  expectLevel,
  filled,
  forget,
  leftovers,
  newestSnapshot,
  withholdWork,
} from './transfer.js';

/** More than any cut has. */
const mostEffects = 300;

/** A group that cuts its snapshots here: at its active, or at a follower. */
function cutting(cutter: 'n0' | 'n1'): Stage {
  const stage = filled({ standby: cutter === 'n0' ? 'warm' : 'hot' }, 60);
  if (cutter === 'n1') untilFollowed(stage);
  stage.sync();
  stage.deliver(1, 3, 1, 3, 1);
  expect(newestSnapshot(stage).cutter).toBe(cutter === 'n0' ? 0 : 1);
  return stage;
}

function untilFollowed(stage: Stage): void {
  stage.until('the followers are known', () => {
    const { role } = stage.member(stage.active ?? '');
    return role.state === 'active' && role.active.cutting.followers.length === 2;
  });
}

function beginSync(stage: Stage): void {
  const host = stage.host(stage.active ?? '');
  host.input(stage.group, { kind: 'sync', request: host.expect(stage.group) });
}

/** Whatever was begun: the next snapshots are right, everybody has them, and nothing else is left. */
function expectClean(stage: Stage): void {
  for (let i = 0; i < 3; i++) {
    stage.events(1);
    expect(stage.sync()).toEqual({ through: stage.seq });
  }
  stage.until('all have it', () =>
    all.every((name) => name === stage.active || stage.syncedThrough(name) === stage.seq),
  );
  for (const name of all) expect(stage.contents(name)).toEqual(stage.contents(stage.active ?? ''));
  collectNow(stage);
  expect(leftovers(stage)).toEqual({ garbage: 0, begun: 0, snapshots: 2 });
}

/** How far a snapshot came that was to follow this one. */
function remainsOf(stage: Stage, before: ReturnType<typeof standing>): string {
  const { id, begun, snapshots, garbage } = standing(stage);
  if (id !== before.id) return 'recorded';
  if (snapshots > before.snapshots) return 'pinned';
  if (garbage > before.garbage) return 'some chunks';
  return begun > before.begun ? 'announced' : 'not begun';
}

const standing = (stage: Stage) => ({ id: newestSnapshot(stage).id, ...leftovers(stage) });

describe('whoever cuts a snapshot may die after any effect', () => {
  test.each([
    ['an active', 'n0'],
    ['a follower', 'n1'],
  ] as const)('%s', (_, cutter) => {
    /** What there was of the snapshot then, in the order in which it comes to be. */
    const found = new Set<string>();
    let effects = 1;
    for (; effects < mostEffects; effects++) {
      const stage = cutting(cutter);
      const before = standing(stage);
      const died = stage.killAfter(cutter, effects);
      beginSync(stage);
      for (let ms = 0; ms < 300 && !died(); ms++) stage.run(1);
      if (!died()) break;
      // What was on its way is there.
      stage.run(5);
      found.add(remainsOf(stage, before));
      stage.start(cutter);
      stage.whole();
      expectClean(stage);
    }
    expect(effects).toBeGreaterThan(10);
    expect(effects).toBeLessThan(mostEffects);
    expect([...found]).toEqual(['announced', 'some chunks', 'pinned', 'recorded']);
  });
});

describe('an active that is deposed in the middle of a cut', () => {
  it('leaves a snapshot that never is one, and that its successor clears away', () => {
    const stage = cutting('n0');
    const { id } = newestSnapshot(stage);
    const resume = withholdWork(stage, 'n0');
    beginSync(stage);
    stage.until('it is announced', () => leftovers(stage).begun === 1);
    stage.failover('n1');
    stage.leads('n1');
    resume();
    stage.whole();
    stage.run(2000);
    expect(
      stage
        .records()
        .filter(({ body, writer }) => body.type === 'snapshot' && writer.index === 0)
        .map(({ body }) => body.type === 'snapshot' && body.id)
        .at(-1),
    ).toBe(id);
    expectClean(stage);
  });
});

describe('an active whose state is made anew in the middle of a cut', () => {
  it('builds upon what it restored, not upon what it cut', () => {
    const stage = filled({ replayEvents: 10 }, 60);
    stage.sync();
    stage.deliver(1, 3, 1);
    const resume = withholdWork(stage, 'n0');
    beginSync(stage);
    stage.until('it is announced', () => leftovers(stage).begun === 1);
    const batch = stage.batch('poison', 1);
    const answers: boolean[] = [];
    stage.host('n0').deliver('g0', batch, ({ ok }) => answers.push(ok));
    const { role } = stage.member('n0');
    expect(role.state === 'active' && role.rebuild).not.toBeNull();
    resume();
    stage.until('it is rebuilt, and has answered', () => answers.length === 1);
    stage.until('the snapshot is recorded', () => newestSnapshot(stage).at === 65);
    expect(role.state === 'active' && role.active.replica.base?.snapshotId).not.toBe(
      newestSnapshot(stage).id,
    );
    expectClean(stage);
  });
});

describe('a follower that is promoted in the middle of a cut', () => {
  it('gives it up, and cuts another as the active', () => {
    const stage = cutting('n1');
    const resume = withholdWork(stage, 'n1');
    beginSync(stage);
    stage.until('it is announced', () => leftovers(stage).begun === 1);
    stage.failover('n1');
    stage.leads('n1');
    resume();
    stage.whole();
    untilFollowed(stage);
    expectClean(stage);
    expect(newestSnapshot(stage).id).toMatch(/^2-/);
  });
});

describe('a collector', () => {
  /** Things a frozen process has to do, once it goes on. */
  class Freezer {
    readonly tasks: (() => void)[] = [];
    ended = false;
    isFrozen = false;

    constructor(stage: Stage, steps: number) {
      let left = steps;
      const gate = (task: () => void) => {
        if (left === 0) this.isFrozen = true;
        if (this.isFrozen) this.tasks.push(task);
        else task();
        left -= 1;
      };
      collectGated(stage.world, `collector after ${steps}`, gate, () => {
        this.ended = true;
      });
    }

    goOn(): void {
      this.isFrozen = false;
      for (const task of this.tasks.splice(0)) task();
    }
  }

  const change = (stage: Stage) => {
    stage.deliver(...new Array<1>(15).fill(1));
    expect(stage.sync()).toEqual({ through: stage.seq });
  };

  /** A member that has nothing at all gets the newest snapshot whole. */
  function expectWhole(stage: Stage): void {
    forget(stage, all, chunksOf(stage, newestSnapshot(stage)));
    stage.kill('n2');
    stage.start('n2');
    stage.until('n2 is in sync', () => stage.syncedThrough('n2') !== null);
    expectLevel(stage, 'n2');
  }

  it.each([
    ['before it has a mark', 0],
    ['before it knows the pins', 1],
    ['before it knows the chunks', 2],
    ['in the middle of forgetting', 5],
  ])('frozen %s for many snapshots takes nothing that is needed', (_, steps) => {
    const stage = filled({}, 60);
    for (let i = 0; i < 4; i++) change(stage);
    const freezer = new Freezer(stage, steps);
    stage.until('it is frozen', () => freezer.isFrozen);
    for (let i = 0; i < 5; i++) change(stage);
    freezer.goOn();
    stage.until('it has ended', () => freezer.ended);
    expectWhole(stage);
    expectClean(stage);
  });

  it('frozen while a snapshot is cut takes nothing of it, wherever the cut is then', () => {
    for (const steps of [0, 1, 2, 4]) {
      const stage = cutting('n0');
      change(stage);
      change(stage);
      const freezer = new Freezer(stage, steps);
      stage.until('it is frozen', () => freezer.isFrozen);
      stage.deliver(1, 3, 1, 3);
      const resume = withholdWork(stage, 'n0');
      beginSync(stage);
      stage.until('a snapshot is begun', () => leftovers(stage).begun === 1);
      freezer.goOn();
      resume();
      const { seq } = stage;
      stage.until('it is recorded', () => newestSnapshot(stage).at === seq);
      stage.until('it has ended', () => freezer.ended);
      expectWhole(stage);
      expectClean(stage);
    }
  });

  it('beside another takes what nobody needs, once', () => {
    const stage = filled({}, 60);
    for (let i = 0; i < 4; i++) change(stage);
    expect(leftovers(stage).garbage).toBeGreaterThan(0);
    const both = [new Freezer(stage, 1000), new Freezer(stage, 1000)];
    change(stage);
    stage.until('both have ended', () => both.every(({ ended }) => ended));
    expectWhole(stage);
    expectClean(stage);
  });
});

describe('a digest that is found only after the snapshot record has come', () => {
  function scene(isSpoilt: boolean): { stage: Stage; resume: () => void } {
    const stage = cutting('n1');
    if (isSpoilt) {
      stage.world.checker(stage.group).expectsDivergence = true;
      stage.state('n2').events += 64;
    }
    const resume = withholdWork(stage, 'n2');
    expect(stage.sync()).toEqual({ through: stage.seq });
    expect(stage.member('n2').follow?.marks.toCompare).not.toBeNull();
    return { stage, resume };
  }

  it('is compared all the same: a state that differs is found', () => {
    const { stage, resume } = scene(true);
    expect(stage.member('n2').diverged).toBe(0);
    resume();
    stage.until('it is found', () => stage.member('n2').diverged === 1);
    stage.until('it is level', () => stage.syncedThrough('n2') === stage.seq);
    expect(stage.alarms('n2').join()).toContain('the first difference at seq');
    expectClean(stage);
  });

  it('and is right raises no alarm', () => {
    const { stage, resume } = scene(false);
    resume();
    stage.until('it is compared', () => stage.member('n2').follow?.marks.toCompare === null);
    expect(stage.member('n2').diverged).toBe(0);
    expect(stage.alarms('n2')).toEqual([]);
    expectClean(stage);
  });

  it('but before the next mark, is not compared with another record', () => {
    const { stage, resume } = scene(true);
    stage.events(1);
    expect(stage.sync()).toEqual({ through: stage.seq });
    resume();
    stage.until('it is found at the second', () => stage.member('n2').diverged === 1);
    stage.until('it is level', () => stage.syncedThrough('n2') === stage.seq);
    expectClean(stage);
  });
});
