/** A group's id and its members' identities, all derived from one seed: the same seed, the same ones. */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  hkdfSync,
  type KeyObject,
  sign,
} from 'node:crypto';
import type { GroupConfig } from '../../cluster/types.js';
import { UnderstudyError } from '../../replication/errors.js';
import type { Identity, Judge } from '../../replication/signature.js';
import { signatures } from './signatures.js';

/** In a private JWK `x` has to be there, and only `d` counts. */
const anything = Buffer.alloc(32).toString('base64url');

/** 32 bytes from 64 hexadecimal characters. Throws `invalid-config`. */
export function parseSeed(hex: string): Buffer {
  if (!/^[0-9a-fA-F]{64}$/.test(hex)) {
    throw new UnderstudyError(
      'invalid-config',
      `groupSeed has ${hex.length} characters; a seed is 32 bytes as 64 hexadecimal characters`,
    );
  }
  return Buffer.from(hex, 'hex');
}

/** 32 hexadecimal characters, the same for the same seed everywhere. */
export function groupIdOf(seed: Buffer): string {
  return createHash('sha256').update('understudy/group').update(seed).digest('hex').slice(0, 32);
}

/** The signing key of the member with this index. From a JWK: a tenth of what DER costs. */
export function memberKey(seed: Buffer, index: number): KeyObject {
  const secret = Buffer.from(hkdfSync('sha256', seed, '', `understudy/member/${index}`, 32));
  const d = secret.toString('base64url');
  const key = { kty: 'OKP', crv: 'Ed25519', d, x: anything };
  return createPrivateKey({ format: 'jwk', key });
}

/** The member's ed25519 public key, 64 hexadecimal characters. */
export function memberPublicKey(seed: Buffer, index: number): string {
  return publicPart(memberKey(seed, index));
}

function publicPart(key: KeyObject): string {
  const { x = '' } = createPublicKey(key).export({ format: 'jwk' });
  return Buffer.from(x, 'base64url').toString('hex');
}

/** Checks what members of this group have signed. */
export function judgeOf({
  groupId,
  members,
}: {
  readonly groupId: string;
  readonly members: readonly { readonly publicKey: string }[];
}): Judge {
  return {
    groupId,
    identity: {
      verify(index, statement, signature) {
        const member = members[index];
        return member !== undefined && signatures.verify(member.publicKey, statement, signature);
      },
    },
  };
}

/** Signs as the member with this index. Its key is made when it signs: most members never do. */
export function identityOf(config: GroupConfig, index: number): Identity {
  const seed = parseSeed(config.seed);
  const { identity } = judgeOf(config);
  return {
    ...identity,
    sign(statement) {
      const key = memberKey(seed, index);
      const signature = sign(null, statement, key);
      signatures.made(publicPart(key), statement, signature);
      return signature;
    },
  };
}
