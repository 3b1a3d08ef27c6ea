/** The permits of a node, and who is to be told when it is their turn. What is fair is in cluster/permits.ts. */
import {
  ask,
  countsOf,
  defaultPermits,
  end,
  lapse,
  newPermits,
  type Permit,
  type PermitLimits,
  type Permits,
} from '../../cluster/permits.js';
import { instant } from './clock.js';

/** Most work takes some dozens of milliseconds. What takes so much longer waits for something itself. */
const longestHeldMs = 5000;
const lookEveryMs = 1000;

export class PermitPool {
  readonly #permits: Permits;
  readonly #onGrant = new Map<string, () => void>();
  #granted: string[] = [];
  #immediate: NodeJS.Immediate | null = null;
  /** Since when permits are held. */
  readonly #since = new Map<string, number>();
  /** While somebody waits. */
  #watch: NodeJS.Timeout | null = null;

  constructor(limits: PermitLimits = defaultPermits) {
    this.#permits = newPermits(limits);
  }

  /** `onGrant` runs before this returns, or once it is its turn; not at all after `end`. */
  ask(permit: Permit, onGrant: () => void): void {
    const { id } = permit;
    this.#onGrant.set(id, onGrant);
    const granted = ask(this.#permits, permit);
    this.#tellSoon(granted.filter((other) => other !== id));
    if (granted.includes(id)) this.#tell(id);
    else this.#watch ??= setInterval(() => this.#look(), lookEveryMs);
  }

  end(id: string): void {
    this.#onGrant.delete(id);
    this.#since.delete(id);
    this.#tellSoon(end(this.#permits, id));
  }

  get counts(): ReturnType<typeof countsOf> {
    return countsOf(this.#permits);
  }

  stop(): void {
    if (this.#immediate !== null) clearImmediate(this.#immediate);
    this.#endWatch();
  }

  #look(): void {
    if (this.#permits.waiting.size === 0) return this.#endWatch();
    const beforeMs = instant().monoMs - longestHeldMs;
    for (const [id, sinceMs] of this.#since) {
      if (sinceMs < beforeMs) this.#tellSoon(lapse(this.#permits, id));
    }
  }

  #endWatch(): void {
    if (this.#watch !== null) clearInterval(this.#watch);
    this.#watch = null;
  }

  /** Not from within: whoever is told may be done at once, and tell the next, and so on. */
  #tellSoon(granted: readonly string[]): void {
    if (granted.length === 0) return;
    this.#granted.push(...granted);
    this.#immediate ??= setImmediate(() => this.#tellAll());
  }

  #tellAll(): void {
    this.#immediate = null;
    const granted = this.#granted;
    this.#granted = [];
    for (const id of granted) this.#tell(id);
  }

  #tell(id: string): void {
    if (!this.#since.has(id)) this.#since.set(id, instant().monoMs);
    const onGrant = this.#onGrant.get(id);
    this.#onGrant.delete(id);
    onGrant?.();
  }
}
