/**
 * What operators want of groups and nodes, and an independent judge of what a node makes of it: from what
 * it was told, and by its own clock.
 */
import type { NodeEffect, NodeInput } from '../../cluster/coordinator.js';
import type { ClusterConfig, GroupConfig, Pause } from '../../cluster/types.js';
import type { Instant } from '../../replication/effects.js';
import { Violation } from './checker.js';
import type { World } from './world.js';

/** How often a node reads the registry, whatever it was told. */
export const rereadMs = 2000;
const missed = 0.2;

interface Known {
  readonly revision: number;
  readonly pause: Pause | null;
  readonly untilMs: number;
}

/** One life of one node. */
export class OrdersKept {
  readonly #pauses = new Map<string, Known>();
  #cordons: ClusterConfig['cordons'] = {};

  constructor(private readonly node: string) {}

  heard(input: NodeInput, now: Instant): void {
    if (input.kind === 'group') {
      this.#note(input.config.name, input.config.pause ?? null, input.revision, now);
    } else if (input.kind === 'cluster') {
      const isNew = input.revision > (this.#pauses.get('')?.revision ?? 0);
      if (isNew) this.#cordons = input.config.cordons;
      this.#note('', input.config.pause, input.revision, now);
    }
  }

  #note(scope: string, pause: Pause | null, revision: number, { monoMs, wallMs }: Instant): void {
    const known = this.#pauses.get(scope);
    if (known !== undefined && revision <= known.revision) return;
    const isSame = pause !== null && known?.pause?.untilMs === pause.untilMs;
    const leftMs = pause === null ? 0 : Math.max(0, Math.min(pause.untilMs - wallMs, pause.ttlMs));
    const untilMs = isSame ? known.untilMs : monoMs + leftMs;
    this.#pauses.set(scope, { revision, pause, untilMs });
  }

  /** P7: nobody steps forward in a paused group by itself. P8: nobody new comes to a cordoned node. */
  check(effect: NodeEffect, now: Instant): void {
    if (effect.kind === 'replace-member' && effect.node in this.#cordons) {
      throw new Violation('P8', `${this.node} places ${effect.group} on ${effect.node}, cordoned`);
    }
    if (effect.kind !== 'promote') return;
    const { group, cause } = effect;
    if (cause.cause === 'created' || cause.cause === 'switchover') return;
    for (const scope of [group, '']) {
      const leftMs = (this.#pauses.get(scope)?.untilMs ?? 0) - now.monoMs;
      if (leftMs <= 0) continue;
      const detail = `in ${group}, which is paused for ${Math.round(leftMs)} ms more`;
      throw new Violation('P7', `${this.node} steps forward after ${cause.cause} ${detail}`);
    }
  }
}

/** All nodes are told, but for some that miss it; their next reading of the registry heals that. */
function tell(world: World, input: NodeInput): void {
  for (const host of world.hosts) {
    if (host.partitioned || world.orders.chance(missed)) continue;
    world.scheduler.after(world.orders.next() * 20, () => host.run(() => host.hear(input)));
  }
}

export function changeGroup(
  world: World,
  name: string,
  change: (config: GroupConfig) => GroupConfig,
): void {
  const entry = world.registry.get(name);
  if (entry === undefined) return;
  const next = { config: change(entry.config), revision: entry.revision + 1 };
  world.registry.set(name, next);
  tell(world, { kind: 'group', ...next });
}

export function changeCluster(
  world: World,
  change: (config: ClusterConfig) => ClusterConfig,
): void {
  const { config, revision } = world.cluster;
  world.cluster = { config: change(config), revision: revision + 1 };
  tell(world, { kind: 'cluster', ...world.cluster });
}

/** How long after now the last pause may still be in force: a node that starts anew may begin it anew. */
export function longestPauseMs(world: World): number {
  const configs = [...world.registry.values()].map(({ config }) => config);
  const pauses = [world.cluster.config.pause, ...configs.map(({ pause }) => pause)];
  const ttlMs = Math.max(0, ...pauses.map((pause) => pause?.ttlMs ?? 0));
  return ttlMs === 0 ? 0 : ttlMs + rereadMs;
}
