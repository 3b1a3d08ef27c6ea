import { createHash, webcrypto } from 'node:crypto';
import type { Hash } from '../replication/ports.js';

/**
 * A chunk is hashed where it is read and where it was asked for: what was found is remembered as long as
 * the bytes are. Nobody writes on them.
 */
const known = new WeakMap<Uint8Array, Uint8Array>();
const worthKnowingSizeBytes = 64 * 1024;

export const sha256: Hash = (bytes) => {
  if (bytes.length < worthKnowingSizeBytes) return hashed(bytes);
  const found = known.get(bytes) ?? hashed(bytes);
  known.set(bytes, found);
  return found;
};

const hashed: Hash = (bytes) => createHash('sha256').update(bytes).digest();

/** In another thread, so that `sha256` finds it done. Never rejects. */
export async function hashAhead(bytes: Uint8Array): Promise<void> {
  if (bytes.length < worthKnowingSizeBytes || known.has(bytes)) return;
  const found = await webcrypto.subtle.digest('SHA-256', bytes).catch(() => null);
  if (found !== null) known.set(bytes, new Uint8Array(found));
}
