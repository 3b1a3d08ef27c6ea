/** A group's id and its members' identities, all derived from one seed: the same seed, the same ones. */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  hkdfSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import type { GroupConfig } from '../../cluster/types.js';
import { UnderstudyError } from '../../replication/errors.js';
import type { Identity, Judge } from '../../replication/signature.js';

/** A PKCS #8 wrapping of an ed25519 seed (RFC 8410): everything before the 32 bytes. */
const pkcs8Prefix = Buffer.from('302e020100300506032b657004220420', 'hex');

/** The same for a public key. */
const spkiPrefix = Buffer.from('302a300506032b6570032100', 'hex');

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

/** The signing key of the member with this index. */
export function memberKey(seed: Buffer, index: number): KeyObject {
  const secret = hkdfSync('sha256', seed, '', `understudy/member/${index}`, 32);
  return createPrivateKey({
    key: Buffer.concat([pkcs8Prefix, Buffer.from(secret)]),
    format: 'der',
    type: 'pkcs8',
  });
}

/** The member's ed25519 public key, 64 hexadecimal characters. */
export function memberPublicKey(seed: Buffer, index: number): string {
  const spki = createPublicKey(memberKey(seed, index)).export({ format: 'der', type: 'spki' });
  return spki.subarray(-32).toString('hex');
}

/** Checks what members of this group have signed. */
export function judgeOf({ groupId, members }: GroupConfig): Judge {
  const keys = members.map(({ publicKey }) =>
    createPublicKey({
      key: Buffer.concat([spkiPrefix, Buffer.from(publicKey, 'hex')]),
      format: 'der',
      type: 'spki',
    }),
  );
  return {
    groupId,
    identity: {
      verify(index, statement, signature) {
        const key = keys[index];
        return key !== undefined && verify(null, statement, key, signature);
      },
    },
  };
}

/** Signs as the member with this index. */
export function identityOf(config: GroupConfig, index: number): Identity {
  const key = memberKey(parseSeed(config.seed), index);
  const { identity } = judgeOf(config);
  return { ...identity, sign: (statement) => sign(null, statement, key) };
}
