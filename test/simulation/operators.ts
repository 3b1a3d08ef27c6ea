/** Operators who pause and resume groups and cordon nodes, at bad times too. */

import type { Host } from './host.js';
import type { Fault } from './options.js';
import { changeCluster, changeGroup } from './pauses.js';
import type { World } from './world.js';

const daysMs = 3e8;

/** Mostly a node is lost meanwhile: an active while it is paused, somebody else than is cordoned. */
export function order(fault: Fault, victim: Host, world: World): void {
  const { faults, hosts, injector } = world;
  const { kind, target, durationMs } = fault;
  if (kind === 'operate' || kind === 'cancel') return world.operating.strike(fault, victim);
  if (kind === 'hold') {
    holdOrResume(fault, world);
    if (faults.chance(0.7)) injector.crashLater(faults.next() ** 2 * 300, victim, durationMs / 2);
    return;
  }
  cordonOrNot(fault, world);
  const other = hosts[(target + 1) % hosts.length] as Host;
  // For so long that its members are placed anew.
  if (faults.chance(0.5)) injector.crashLater(500, other, 6000);
}

/** By the clock of the node that takes the order, which may be days ahead. */
function holdOrResume({ target, durationMs }: Fault, world: World): void {
  const group = world.groupNames[target % world.groupNames.length] as string;
  const host = world.hosts[target % world.hosts.length];
  const ttlMs = 300 + durationMs;
  const offMs = world.options.clockJumps && target % 4 === 1 ? daysMs : 0;
  const untilMs = (host?.clock.now().wallMs ?? 0) + offMs + ttlMs;
  const pause = target % 5 === 0 ? null : { untilMs, ttlMs, reason: null, by: 'operator' };
  const scope = target % 3 === 0 ? 'all groups' : group;
  world.trace(() => `${scope}: ${pause === null ? 'resumed' : `paused for ${ttlMs} ms`}`);
  if (target % 3 === 0) changeCluster(world, (config) => ({ ...config, pause }));
  else changeGroup(world, group, (config) => ({ ...config, pause }));
}

/** Now and then all nodes, so that nobody is left who is not cordoned. */
function cordonOrNot({ target }: Fault, world: World): void {
  const host = world.hosts[target % world.hosts.length];
  const nodes = target % 4 === 0 ? world.hosts : world.hosts.filter((each) => each === host);
  const isCordoned = (host?.name ?? '') in world.cluster.config.cordons;
  const some = Object.fromEntries(nodes.map(({ name }) => [name, { by: 'operator', atMs: 0 }]));
  const names = Object.keys(some).join(', ');
  world.trace(() => `${names}: ${isCordoned ? 'all uncordoned' : 'cordoned'}`);
  changeCluster(world, (config) => ({
    ...config,
    cordons: isCordoned ? {} : { ...config.cordons, ...some },
  }));
}
