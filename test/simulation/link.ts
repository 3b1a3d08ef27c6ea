/**
 * A host's link to the broker over all of its lives, and an independent judge of what the host makes of the
 * others' silence: it may have heard nobody because it was cut off.
 */
import type { NodeEffect } from '../../cluster/coordinator.js';
import { defaultTimings } from '../../cluster/types.js';
import type { Instant } from '../../replication/effects.js';
import { Violation } from './checker.js';
import type { Host } from './host.js';
import type { World } from './world.js';

/** By then it would have heard whoever was there. */
const leastHeardMs = 2 * defaultTimings.beatMs;

/** So long it takes until two pings in a row have not been answered. */
export const unnoticedMs = 3000;

export class Link {
  /** The host knows that it is cut off. */
  isNoticed = false;
  #cutAtMs: number | null = null;
  readonly #cuts: { readonly fromMs: number; readonly toMs: number }[] = [];

  cut({ monoMs }: Instant): void {
    this.#cutAtMs = monoMs;
  }

  restore({ monoMs }: Instant): void {
    if (this.#cutAtMs !== null) this.#cuts.push({ fromMs: this.#cutAtMs, toMs: monoMs });
    this.#cutAtMs = null;
    this.isNoticed = false;
  }

  /** P9: nobody is given up on for a silence in which the host could not hear. */
  check(node: string, effect: NodeEffect, { monoMs }: Instant): void {
    if (effect.kind !== 'promote' || effect.cause.cause !== 'silence') return;
    const { detectMs, decideMs } = effect.cause;
    const heardMs = this.#heardMs(monoMs - detectMs - decideMs, monoMs);
    if (heardMs >= leastHeardMs) return;
    const silence = `a silence of ${Math.round(detectMs + decideMs)} ms`;
    const detail = `it was connected for ${Math.round(heardMs)} ms of it`;
    throw new Violation('P9', `${node} acts in ${effect.group} on ${silence}; ${detail}`);
  }

  #heardMs(sinceMs: number, nowMs: number): number {
    let heardMs = nowMs - sinceMs;
    for (const { fromMs, toMs } of [
      ...this.#cuts,
      { fromMs: this.#cutAtMs ?? nowMs, toMs: nowMs },
    ]) {
      heardMs -= Math.max(0, toMs - Math.max(fromMs, sinceMs));
    }
    return heardMs;
  }
}

/** It may take a while until the host knows: meanwhile it only hears nobody. */
export function cutOff(world: World, host: Host, forMs: number, knowsAfterMs = 0): void {
  if (host.partitioned) return;
  host.partitioned = true;
  host.link.cut(host.clock.now());
  world.model.partition(host.name);
  if (knowsAfterMs === 0) notice(host);
  else if (knowsAfterMs < forMs) world.scheduler.after(knowsAfterMs, () => notice(host));
  world.scheduler.after(forMs, () => rejoin(world, host));
}

function notice(host: Host): void {
  if (!host.partitioned || host.link.isNoticed) return;
  host.link.isNoticed = true;
  host.run(() => host.hear({ kind: 'broker', connected: false }));
}

export function rejoin(world: World, host: Host): void {
  if (!host.partitioned) return;
  host.partitioned = false;
  const { isNoticed } = host.link;
  host.link.restore(host.clock.now());
  world.model.heal(host.name);
  if (isNoticed) host.run(() => host.hear({ kind: 'broker', connected: true }));
}
