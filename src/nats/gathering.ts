/**
 * Puts together what a socket tears apart. A large message is read into memory of exactly its size; the client
 * library would copy its pieces into ever larger buffers, in all four times its size and the last of them twice
 * as large, which costs more than anything else that is done with a chunk of a snapshot.
 *
 * B1 What goes out is what came in, byte for byte and in order, only cut elsewhere: a message is whole.
 * B2 What does not look like the protocol is passed on as it comes, from there on: the library says what is
 *    wrong with it.
 */

/** What is read at once where no message is being gathered; a longer line is not waited for (B2). */
const deskSizeBytes = 64 * 1024;
/** After a large message mostly comes another one: of its line and headers, and little that has to be moved. */
const headSizeBytes = 4 * 1024;
/** As large as the broker can be told to let messages be. */
const messageSizeBytes = 64 * 1024 * 1024;

const [cr, lf, zero, nine] = [0x0d, 0x0a, 0x30, 0x39];
const crlfSizeBytes = 2;
/** The first letters of MSG and HMSG, small or capital: only their lines have a payload. */
const carriers = new Set([...'MmHh'].map((letter) => letter.charCodeAt(0)));

export class Gathering {
  /** What comes is read here; its first bytes may be a line whose end has not come. */
  readonly #desk = Buffer.allocUnsafeSlow(deskSizeBytes);
  #lineSizeBytes = 0;
  #readSizeBytes = deskSizeBytes;
  /** The message that lacks its end, and how much of it is there. */
  #message: Buffer | null = null;
  #used = 0;
  #isBlind = false;

  /** Where the next bytes belong. */
  room(): Uint8Array {
    const message = this.#message?.subarray(this.#used);
    return message ?? this.#desk.subarray(this.#lineSizeBytes, this.#readSizeBytes);
  }

  /** So many have been written there; returns what can be passed on. */
  take(sizeBytes: number): readonly Uint8Array[] {
    const message = this.#message;
    if (message === null) return this.#scan(this.#lineSizeBytes + sizeBytes);
    this.#used += sizeBytes;
    if (this.#used < message.length) return [];
    this.#message = null;
    this.#readSizeBytes = headSizeBytes;
    return [message];
  }

  #scan(sizeBytes: number): readonly Uint8Array[] {
    const desk = this.#desk.subarray(0, sizeBytes);
    this.#lineSizeBytes = 0;
    this.#readSizeBytes = deskSizeBytes;
    let at = 0;
    while (at < sizeBytes && !this.#isBlind) {
      const end = desk.indexOf(lf, at);
      const payload = end < 0 ? 0 : payloadSizeBytes(desk, at, end);
      this.#isBlind = payload === null || (end < 0 && sizeBytes - at === deskSizeBytes);
      if (payload === null || end < 0) break;
      const next = end + 1 + payload;
      if (next > sizeBytes) {
        this.#gather(desk.subarray(at), next - at);
        return copied(desk.subarray(0, at));
      }
      at = next;
    }
    if (this.#isBlind) return copied(desk);
    const whole = copied(desk.subarray(0, at));
    this.#lineSizeBytes = desk.copy(this.#desk, 0, at);
    return whole;
  }

  /** In memory of its own: whoever keeps the message keeps nothing beside it. */
  #gather(begun: Uint8Array, sizeBytes: number): void {
    this.#message = Buffer.allocUnsafeSlow(sizeBytes);
    this.#message.set(begun);
    this.#used = begun.length;
  }
}

/** The desk is written on again. */
function copied(bytes: Uint8Array): readonly Uint8Array[] {
  return bytes.length === 0 ? [] : [Buffer.from(bytes)];
}

/** What follows the line, its own end included; null: that cannot be told. */
function payloadSizeBytes(bytes: Uint8Array, from: number, end: number): number | null {
  if (!carriers.has(bytes[from] as number)) return 0;
  const last = bytes[end - 1] === cr ? end - 2 : end - 1;
  let sizeBytes = 0;
  let at = last;
  for (let scale = 1; at > from && isDigit(bytes[at] as number); at--, scale *= 10) {
    sizeBytes += ((bytes[at] as number) - zero) * scale;
  }
  return at < last && sizeBytes <= messageSizeBytes ? sizeBytes + crlfSizeBytes : null;
}

function isDigit(byte: number): boolean {
  return byte >= zero && byte <= nine;
}
