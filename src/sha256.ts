import { hash } from 'node:crypto';
import type { Hash } from '../replication/ports.js';

/**
 * A chunk is hashed where it is read and where it was asked for: what was found is remembered as long as
 * the bytes are. Nobody writes on them.
 */
const known = new WeakMap<Uint8Array, Uint8Array>();
const worthKnowingSizeBytes = 64 * 1024;

/**
 * At once, also what is large: another thread has to be given a copy, and making that takes as long as hashing
 * where the processor has instructions for it.
 */
export const sha256: Hash = (bytes) => {
  if (bytes.length < worthKnowingSizeBytes) return hashed(bytes);
  const found = known.get(bytes) ?? hashed(bytes);
  known.set(bytes, found);
  return found;
};

const hashed: Hash = (bytes) => hash('sha256', bytes, 'buffer');
