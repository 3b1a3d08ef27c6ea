/**
 * The first byte of a chunk says what it is one of, so that no two of different kinds are ever equal:
 * whoever puts the bytes of a leaf into a large value does not make them one chunk.
 */
export const chunkTags = { healing: 1, ranges: 2, value: 3, core: 4 } as const;

export function tagged(kind: 'value' | 'core', piece: Uint8Array): Uint8Array {
  const chunk = new Uint8Array(1 + piece.length);
  chunk[0] = chunkTags[kind];
  chunk.set(piece, 1);
  return chunk;
}

export function untagged(chunk: Uint8Array): Uint8Array {
  return chunk.subarray(1);
}

/** Pieces that fit into a chunk each. At least one: nothing, too, is stored somewhere. */
export function* piecesOf(bytes: Uint8Array, chunkSizeBytes: number): Generator<Uint8Array> {
  const sizeBytes = chunkSizeBytes - 1;
  for (let at = 0; at < Math.max(1, bytes.length); at += sizeBytes) {
    yield bytes.subarray(at, at + sizeBytes);
  }
}
