/**
 * The store comes back older than it was, after a run with faults of every kind: every member that lives or
 * begins anew finds out, and nothing is appended to what is left.
 */
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../support/scheduler.js';
import type { Host } from './host.js';
import { drawOptions, drawSchedule } from './options.js';
import { World } from './world.js';

/** Until all nodes have told each other what they know. */
const tellMs = 1500;
/** An election of the broker, and the time it takes to be sure. */
const noticeMs = 8000;

/** A world with faults behind it, whole again; its clients go on. */
function healed(seed: number): World {
  const random = seededRandom(`loss/${seed}`);
  const options = drawOptions(random.fork('options'));
  const world = new World(`loss ${seed}`, options, false);
  world.build();
  world.scheduler.run(1500);
  world.injector.turnOn();
  for (const fault of drawSchedule(random.fork('schedule'), options)) {
    world.scheduler.after(Math.max(0, fault.atMs - 1500), () => world.injector.strike(fault));
  }
  world.scheduler.run(1500 + options.chaosMs);
  world.injector.heal();
  for (let i = 0; i < 400 && !world.isWhole(); i++) pass(world, 50);
  return world;
}

const pass = ({ scheduler }: World, ms: number) => scheduler.run(scheduler.now() + ms);

/** The broker ends and begins again, and with it perhaps the nodes. */
function restart(world: World, withNodes: boolean): void {
  for (const host of world.hosts) {
    if (withNodes) world.injector.crash(host, 50 + world.faults.next() * 500);
    else world.injector.partition(host, 20 + world.faults.next() * 300);
  }
}

const membersOf = (world: World, group: string) =>
  (world.registry.get(group)?.config.members ?? []).map(({ node }) => {
    const host = world.hosts.find(({ name }) => name === node) as Host;
    return host.member(group);
  });

const seeds = Array.from({ length: 40 }, (_, i) => i + 1);

describe.each([false, true])('with the nodes ended too: %s', (withNodes) => {
  test('what was lost is found by every member, and nothing is written over it', () => {
    let affected = 0;
    for (const seed of seeds) {
      const world = healed(seed);
      const copy = world.model.end;
      pass(world, tellMs);
      for (const client of world.clients) client.stopped = true;
      pass(world, tellMs);
      const lost = world.groupNames.filter(
        (group) => (world.model.records(group).at(-1)?.position ?? 0) > copy,
      );
      for (const group of lost) world.checker(group).expectsLoss = true;
      world.model.restoreCopy(copy);
      restart(world, withNodes);
      pass(world, noticeMs);
      for (const group of world.groupNames) {
        const losses = membersOf(world, group).map((member) => member?.loss ?? null);
        const isLost = lost.includes(group);
        if (isLost) affected += 1;
        const what = `seed ${seed}, ${group}`;
        expect(
          losses.every((loss) => (loss !== null) === isLost),
          what,
        ).toBe(true);
        const { length } = world.model.records(group);
        if (isLost)
          expect(world.model.records(group)[length - 1]?.position ?? 0).toBeLessThanOrEqual(copy);
      }
    }
    expect(affected).toBeGreaterThan(seeds.length / 2);
  }, 120_000);

  test('a broker that lost nothing stops nobody', () => {
    for (const seed of seeds.slice(0, 15)) {
      const world = healed(seed);
      for (const client of world.clients) client.stopped = true;
      pass(world, tellMs);
      restart(world, withNodes);
      pass(world, noticeMs);
      expect(world.isWhole(), `seed ${seed}`).toBe(true);
    }
  }, 120_000);
});
