/**
 * Checking signatures is the dearest thing that a promotion does, and the same few are looked at again
 * and again: by whoever wrote them, at the log's end, in a replay. What was found good once is remembered,
 * and keys are made when they are needed, for all members of a node together.
 */
import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto';

/** Some claims and snapshot records for each of a thousand members; 100 bytes each. */
const mostRemembered = 16_384;
/** Each takes some kilobytes outside of the heap. */
const mostKeys = 256;

export class Signatures {
  readonly #good = new Set<string>();
  readonly #keys = new Map<string, KeyObject>();

  /** `publicKey`: 64 hexadecimal characters. */
  verify(publicKey: string, statement: Uint8Array, signature: Uint8Array): boolean {
    const name = nameOf(publicKey, statement, signature);
    if (this.#good.delete(name)) {
      this.#good.add(name);
      return true;
    }
    if (!verify(null, statement, this.#key(publicKey), signature)) return false;
    this.#remember(name);
    return true;
  }

  /** It was made with the private key that belongs to `publicKey`, here and now. */
  made(publicKey: string, statement: Uint8Array, signature: Uint8Array): void {
    this.#remember(nameOf(publicKey, statement, signature));
  }

  get remembered(): number {
    return this.#good.size;
  }

  #remember(name: string): void {
    this.#good.add(name);
    if (this.#good.size > mostRemembered) drop(this.#good);
  }

  #key(publicKey: string): KeyObject {
    const known = this.#keys.get(publicKey);
    this.#keys.delete(publicKey);
    const key = known ?? newKey(publicKey);
    this.#keys.set(publicKey, key);
    if (this.#keys.size > mostKeys) drop(this.#keys);
    return key;
  }
}

/** Of this process. */
export const signatures = new Signatures();

/** The one that was used least recently. */
function drop<Key>(table: { keys(): Iterator<Key>; delete(key: Key): boolean }): void {
  const { value, done } = table.keys().next();
  if (!done) table.delete(value);
}

function newKey(publicKey: string): KeyObject {
  const x = Buffer.from(publicKey, 'hex').toString('base64url');
  return createPublicKey({ format: 'jwk', key: { kty: 'OKP', crv: 'Ed25519', x } });
}

/** All of it: what is good for one key or statement says nothing of another. */
function nameOf(publicKey: string, statement: Uint8Array, signature: Uint8Array): string {
  const hash = createHash('sha256').update(publicKey).update(signature).update(statement);
  return hash.digest('base64');
}
