/** Cuts a stream of bytes into lines without ever holding more than one of them. */

export type RawLine =
  | { readonly number: number; readonly bytes: Uint8Array }
  /** Longer than allowed; its bytes were let go. */
  | { readonly number: number; readonly sizeBytes: number };

const newline = 0x0a;

/**
 * Yields the lines of each piece of input together. Numbers count from 1 and include blank lines,
 * which are skipped.
 */
export async function* readLines(
  input: AsyncIterable<Uint8Array>,
  mostBytes: number,
): AsyncGenerator<RawLine[]> {
  const splitter = new LineSplitter(mostBytes);
  for await (const piece of input) {
    const lines = splitter.add(piece);
    if (lines.length > 0) yield lines;
  }
  const rest = splitter.end();
  if (rest.length > 0) yield rest;
}

class LineSplitter {
  readonly #mostBytes: number;
  /** The line that has no end yet. */
  #parts: Uint8Array[] = [];
  #sizeBytes = 0;
  #number = 0;

  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  add(piece: Uint8Array): RawLine[] {
    const lines: RawLine[] = [];
    let start = 0;
    for (;;) {
      const end = piece.indexOf(newline, start);
      if (end === -1) break;
      this.#hold(piece.subarray(start, end));
      this.#cut(lines);
      start = end + 1;
    }
    this.#hold(piece.subarray(start));
    return lines;
  }

  /** The last line may lack its newline. */
  end(): RawLine[] {
    const lines: RawLine[] = [];
    if (this.#sizeBytes > 0) this.#cut(lines);
    return lines;
  }

  #hold(part: Uint8Array): void {
    this.#sizeBytes += part.length;
    if (this.#sizeBytes > this.#mostBytes) this.#parts = [];
    else if (part.length > 0) this.#parts.push(part);
  }

  #cut(lines: RawLine[]): void {
    this.#number += 1;
    const [only, more] = this.#parts;
    const number = this.#number;
    if (this.#sizeBytes > this.#mostBytes) lines.push({ number, sizeBytes: this.#sizeBytes });
    else {
      const bytes = only !== undefined && more === undefined ? only : Buffer.concat(this.#parts);
      if (!isBlank(bytes)) lines.push({ number, bytes });
    }
    this.#parts = [];
    this.#sizeBytes = 0;
  }
}

function isBlank(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d);
}
