/** Signatures that nobody in the simulation forges by accident: a hash, and whose it is. */
import type { Identity } from '../../replication/signature.js';
import { simulationHash } from './hash.js';

export function simulatedIdentity(index: number): Identity {
  const sign = (by: number, statement: Uint8Array) =>
    Uint8Array.from([...simulationHash(statement), by]);
  return {
    sign: (statement) => sign(index, statement),
    verify(by, statement, signature) {
      const right = sign(by, statement);
      return right.length === signature.length && right.every((byte, i) => byte === signature[i]);
    },
  };
}
