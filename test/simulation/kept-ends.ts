/** What a simulated node has on its disk of where logs ended: it outlives the process. */
import { type Coordinator, takeNewEnds } from '../../cluster/coordinator.js';
import { furthestEnd } from '../../cluster/losses.js';
import { type End, furtherOf } from '../../replication/ends.js';

export class KeptEnds {
  readonly #ends = new Map<string, End>();

  note(coordinator: Coordinator): void {
    for (const { config, reports } of takeNewEnds(coordinator)) {
      const { name } = config;
      const end = furthestEnd(reports);
      if (end !== null) this.#ends.set(name, furtherOf(this.#ends.get(name) ?? end, end));
    }
  }

  of(group: string): End | null {
    return this.#ends.get(group) ?? null;
  }
}
