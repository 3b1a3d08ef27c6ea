export function equalBytes(a: Uint8Array, b: Uint8Array | undefined): boolean {
  if (b === undefined || a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Bytes a text takes in UTF-8. */
export function utf8SizeBytes(text: string): number {
  let sizeBytes = text.length;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    // Half of a surrogate pair: two of them make four bytes; a lone one is written as three.
    if (code > 0x7f) sizeBytes += code > 0x7ff ? 2 : 1;
  }
  return sizeBytes;
}

/** Binary fields read the same wherever their bytes came from: out of a Buffer come Buffers. */
export function plainBytes(bytes: Uint8Array): Uint8Array {
  if (bytes.constructor === Uint8Array) return bytes;
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

const hexOfByte = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** The first eight bytes of a hash in hexadecimal: as much as no accident repeats. */
export function tagOf(hash: Uint8Array): string {
  let tag = '';
  for (const byte of hash.subarray(0, 8)) tag += hexOfByte[byte];
  return tag;
}

export function joined(parts: readonly Uint8Array[]): Uint8Array {
  let sizeBytes = 0;
  for (const part of parts) sizeBytes += part.length;
  const bytes = new Uint8Array(sizeBytes);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Something to look a hash up by. */
export function keyOf(hash: Uint8Array): string {
  return String.fromCharCode.apply(null, hash as unknown as number[]);
}
