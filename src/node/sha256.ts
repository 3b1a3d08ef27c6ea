import { createHash } from 'node:crypto';
import type { Hash } from '../../replication/ports.js';

export const sha256: Hash = (bytes) => createHash('sha256').update(bytes).digest();
