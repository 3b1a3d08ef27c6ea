/**
 * Runs in which the store comes back older than it was, or just as it was, after faults of every kind: every
 * member that lives or begins anew has to find out, and nothing may be appended to what is left.
 */
import { type Position, position } from '../../replication/ids.js';
import { type Random, seededRandom } from '../support/scheduler.js';
import { Violation } from './checker.js';
import type { Host } from './host.js';
import { drawOptions, drawSchedule } from './options.js';
import { World } from './world.js';

export interface LossOptions {
  /** The nodes end and begin anew with the broker. */
  readonly withNodes: boolean;
  readonly loses: boolean;
}

/** Until all nodes have told each other what they know. */
const tellMs = 1500;
/** Until standbys that find nothing new have gone to sleep. */
const sleepMs = 25_000;
/** An election of the broker, and the time it takes to be sure. */
const noticeMs = 8000;

/** What the runs differ in, beside their seeds' faults. */
interface Draw {
  /** Appends are on their way while the store is exchanged. */
  readonly clientsGoOn: boolean;
  /** No node loses its connection: what it hangs on is one of several servers, and others lost the records. */
  readonly isUnnoticed: boolean;
  readonly isAlone: boolean;
  /** Somebody else goes on with what is left, until there is a record again wherever one is known. */
  readonly isRefilled: boolean;
  readonly idleMs: number;
  /** The copy lacks a few records, and not all of the last seconds. */
  readonly isRecent: boolean;
}

function draw(random: Random, { withNodes, loses }: LossOptions): Draw {
  const clientsGoOn = loses && random.chance(0.5);
  const isUnnoticed = clientsGoOn && !withNodes && random.chance(0.3);
  return {
    clientsGoOn,
    isUnnoticed,
    isAlone: loses && !isUnnoticed && random.chance(0.5),
    isRefilled: !isUnnoticed && random.chance(0.5),
    idleMs: loses && random.chance(0.3) ? sleepMs : tellMs,
    isRecent: random.chance(0.5),
  };
}

/** Throws what was violated; returns how many groups lost something. */
export function runLoss(seed: number, options: LossOptions): number {
  const { withNodes, loses } = options;
  const world = healed(seed);
  const random = seededRandom(`loss of ${seed}`);
  const drawn = draw(random, options);
  const copy = prepare(world, random, loses, drawn);
  const lost = loses ? loseAfter(world, copy, drawn.isRefilled) : [];
  if (drawn.isAlone) leaveOne(world, world.hosts[random.below(world.hosts.length)] as Host);
  if (!drawn.isUnnoticed) restart(world, withNodes);
  pass(world, noticeMs);
  for (const group of world.groupNames) check(world, group, lost.includes(group));
  if (!loses && !world.isWhole()) {
    throw new Violation('I9', 'nothing was lost, and not all groups are whole');
  }
  return lost.length;
}

/** Returns where the copy of the store ends that is about to take its place. */
function prepare(world: World, random: Random, loses: boolean, drawn: Draw): Position {
  const copy = world.model.end;
  if (loses) pass(world, tellMs);
  if (!drawn.clientsGoOn) for (const client of world.clients) client.stopped = true;
  pass(world, drawn.clientsGoOn ? tellMs : drawn.idleMs);
  if (drawn.clientsGoOn || !drawn.isRecent) return copy;
  // What was acknowledged a moment ago nobody else may have heard of yet, such as a snapshot.
  for (let before = -1; before < world.model.end; ) {
    before = world.model.end;
    pass(world, tellMs);
  }
  return position(Math.max(copy, world.model.end - 1 - random.below(4)));
}

/** Who is left can learn from nobody: the others do not come back in time. */
function leaveOne({ hosts, injector }: World, left: Host): void {
  for (const host of hosts) if (host !== left) injector.crash(host, 10 * noticeMs);
}

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

/** Groups with records after the copy, which are gone. */
function loseAfter(world: World, copy: Position, isRefilled: boolean): string[] {
  const { model, groupNames } = world;
  const gone = groupNames
    .flatMap((group) => model.records(group).map((record) => ({ group, at: record.position })))
    .filter(({ at }) => at > copy)
    .toSorted((a, b) => a.at - b.at);
  const lost = [...new Set(gone.map(({ group }) => group))];
  for (const group of lost) world.checker(group).expectsLoss = true;
  model.restoreCopy(copy);
  if (isRefilled) for (const { group, at } of gone) model.intrude(group, junk(at));
  return lost;
}

const junk = (at: number): Uint8Array => new TextEncoder().encode(`another ${at}`);

/** The broker ends and begins again, and with it perhaps the nodes. */
function restart(world: World, withNodes: boolean): void {
  for (const host of world.hosts.filter(({ alive }) => alive)) {
    if (withNodes) world.injector.crash(host, 50 + world.faults.next() * 500);
    else world.injector.partition(host, 20 + world.faults.next() * 300);
  }
}

/** What is written over it the checker sees: it does not follow what was there. */
function check(world: World, group: string, isLost: boolean): void {
  const members = world.registry.get(group)?.config.members ?? [];
  for (const { node } of members) {
    const host = world.hosts.find(({ name }) => name === node) as Host;
    if (!host.alive) continue;
    const hasFound = (host.member(group)?.loss ?? null) !== null;
    if (hasFound === isLost) continue;
    const what = isLost ? 'does not know what was lost' : 'takes for lost what is there';
    throw new Violation('I2', `the member of ${group} on ${node} ${what}`);
  }
}
