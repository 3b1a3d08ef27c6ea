import type { Kind } from '../../replication/kind.js';
import { counter } from './counter.js';
import { kv } from './kv.js';
import { ledger } from './ledger.js';

/** The kinds every node knows without being told. */
export const shippedKinds: readonly Kind[] = [counter, kv, ledger];
