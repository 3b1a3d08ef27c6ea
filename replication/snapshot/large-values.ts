/** The large values of a snapshot on their way into its leaves; equal ones are there once. */
import { equalBytes, keyOf } from '../bytes.js';
import { LargeValue } from '../state/tree.js';
import type { NamedValue } from './pages.js';

interface OpenValue {
  readonly named: NamedValue;
  readonly parts: Uint8Array[];
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
    if (open === undefined) this.#open.set(key, { named, parts: [], puts: [put] });
    else open.puts.push(put);
  }

  /** Every piece that is to be fetched, and what to do with it. */
  *pieces(): Generator<readonly [hash: Uint8Array, onPiece: (bytes: Uint8Array) => null]> {
    for (const { named, parts } of this.#open.values()) {
      for (const [i, hash] of named.pieces.entries()) {
        yield [
          hash,
          (bytes) => {
            parts[i] = bytes;
            return null;
          },
        ];
      }
    }
  }

  /** All pieces are there. Throws if they are not as large as their values' names say. */
  fill(): void {
    for (const { named, parts, puts } of this.#open.values()) {
      const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
      if (bytes.length !== named.sizeBytes) throw new Error('a large value has another size');
      let at = 0;
      for (const part of parts) {
        bytes.set(part, at);
        at += part.length;
      }
      const whole = new LargeValue(bytes, named.pieces);
      for (const put of puts) put(whole);
    }
  }
}

function isSame(a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean {
  return a.length === b.length && a.every((piece, i) => equalBytes(piece, b[i]));
}
