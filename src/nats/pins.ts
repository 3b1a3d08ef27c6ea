/**
 * What is stored about snapshots beside their chunks, as messages: the kind, the size of a hash, and the
 * hashes. Whose they are is in the subject.
 */
import { plain } from './replies.js';

/**
 * `mark`: a collector's. `open`: the snapshot is announced. `whole`: all of it is stored. `retired`: in the
 * place of `open`, where nothing may be pinned any more (G5).
 */
export const pinKinds = ['mark', 'open', 'whole', 'retired'] as const;
export type PinKind = (typeof pinKinds)[number];

export interface PinMessage {
  readonly kind: PinKind;
  readonly chunks: readonly Uint8Array[];
}

const headerSizeBytes = 2;

/** All hashes have the same size, at most 255 bytes. */
export function encodePin({ kind, chunks }: PinMessage): Uint8Array {
  const hashSizeBytes = chunks[0]?.length ?? 0;
  const bytes = new Uint8Array(headerSizeBytes + chunks.length * hashSizeBytes);
  bytes[0] = pinKinds.indexOf(kind);
  bytes[1] = hashSizeBytes;
  for (const [i, hash] of chunks.entries()) bytes.set(hash, headerSizeBytes + i * hashSizeBytes);
  return bytes;
}

/** Null: another program's, whose pins must be left alone. The hashes are views. */
export function decodePin(message: Uint8Array): PinMessage | null {
  const bytes = plain(message);
  const [kind = -1, hashSizeBytes = 0] = bytes;
  const name = pinKinds[kind];
  const sizeBytes = bytes.length - headerSizeBytes;
  const count = sizeBytes === 0 ? 0 : sizeBytes / hashSizeBytes;
  if (name === undefined || sizeBytes < 0 || !Number.isSafeInteger(count)) return null;
  const chunks = Array.from({ length: count }, (_, i) => {
    const from = headerSizeBytes + i * hashSizeBytes;
    return bytes.subarray(from, from + hashSizeBytes);
  });
  return { kind: name, chunks };
}

/** By epoch, then number. An id that is not `<epoch>-<number>-<seq>` is nobody's to drop. */
export function isOlder(snapshotId: string, than: string): boolean {
  const id = parseId(snapshotId);
  const other = parseId(than);
  if (!id || !other) return false;
  return id.epoch === other.epoch ? id.number < other.number : id.epoch < other.epoch;
}

function parseId(snapshotId: string): { epoch: number; number: number } | null {
  const parts = /^(\d{1,15})-(\d{1,15})-\d{1,15}$/.exec(snapshotId);
  return parts ? { epoch: Number(parts[1]), number: Number(parts[2]) } : null;
}
