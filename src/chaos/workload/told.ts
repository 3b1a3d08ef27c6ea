import type { History } from '../history.js';

/** The last seq of each group that anybody was told of, asked often while the history grows. */
export class Told {
  readonly #known = new Map<string, { readonly looked: number; readonly last: number }>();

  /** 0: nobody was. */
  of({ group, deliveries }: History): number {
    let { looked, last } = this.#known.get(group) ?? { looked: 0, last: 0 };
    for (; looked < deliveries.length; looked++) {
      const outcome = deliveries[looked]?.outcome;
      if (outcome?.kind === 'accepted') last = Math.max(last, outcome.seq);
    }
    this.#known.set(group, { looked, last });
    return last;
  }
}
