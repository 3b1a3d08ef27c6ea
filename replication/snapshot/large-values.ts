/** The large values of a snapshot on their way into its leaves; equal ones are there once. */
import { equalBytes, joined, keyOf } from '../bytes.js';
import { LargeValue } from '../state/tree.js';
import type { NamedValue } from './pages.js';

interface OpenValue {
  readonly named: NamedValue;
  readonly parts: Uint8Array[];
  lacks: number;
  /** Where it goes. */
  readonly puts: ((whole: LargeValue) => void)[];
}

export class LargeValues {
  readonly #open = new Map<string, OpenValue>();

  /** `known`: values that are held, one of which it may be. */
  add(named: NamedValue, known: readonly LargeValue[], put: (whole: LargeValue) => void): void {
    const held = known.find(({ pieces }) => pieces !== null && isSame(named.pieces, pieces));
    if (held !== undefined) return put(held);
    const key = named.pieces.map(keyOf).join('');
    const open = this.#open.get(key);
    const lacks = named.pieces.length;
    if (open === undefined) this.#open.set(key, { named, parts: [], lacks, puts: [put] });
    else open.puts.push(put);
  }

  /** Every piece that is to be fetched, and what to do with it. */
  *pieces(): Generator<readonly [hash: Uint8Array, onPiece: (bytes: Uint8Array) => null]> {
    for (const [key, open] of this.#open) {
      for (const [i, hash] of open.named.pieces.entries()) {
        yield [
          hash,
          (bytes) => {
            open.parts[i] = bytes;
            open.lacks -= 1;
            if (open.lacks === 0) this.#fill(key, open);
            return null;
          },
        ];
      }
    }
  }

  /**
   * As soon as the last piece has come: the pieces are not to be held beside the value until all others
   * are there, too. Throws if they are not as large as the value's name says.
   */
  #fill(key: string, { named, parts, puts }: OpenValue): void {
    const bytes = joined(parts);
    if (bytes.length !== named.sizeBytes) throw new Error('a large value has another size');
    this.#open.delete(key);
    const whole = new LargeValue(bytes, named.pieces);
    for (const put of puts) put(whole);
  }

  /** Throws if one is still lacking. */
  requireAll(): void {
    if (this.#open.size > 0) throw new Error(`${this.#open.size} large values are not complete`);
  }
}

function isSame(a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean {
  return a.length === b.length && a.every((piece, i) => equalBytes(piece, b[i]));
}
