/** What is remembered of signatures must never make a bad one good. */
import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import type { GroupConfig } from '../../../cluster/types.js';
import { identityOf, judgeOf, memberPublicKey } from '../../../src/node/identity.js';
import { Signatures } from '../../../src/node/signatures.js';
import { groupOf } from '../cluster/support.js';

function group(): GroupConfig {
  const seed = randomBytes(32);
  const members = [0, 1].map((i) => ({ node: `n${i}`, publicKey: memberPublicKey(seed, i) }));
  return groupOf([], { seed: seed.toString('hex'), members });
}

const statement = Buffer.from('member 0 claims epoch 7');
const altered = (bytes: Uint8Array) => bytes.map((byte, i) => (i === 3 ? byte ^ 1 : byte));

it('what a member signs is good for everybody, and again', () => {
  const config = group();
  const signature = identityOf(config, 0).sign(statement);
  const { identity } = judgeOf(config);
  expect(identity.verify(0, statement, signature)).toBe(true);
  expect(identity.verify(0, statement, signature)).toBe(true);
});

it('neither another statement, nor another member, group or signature is good for that', () => {
  const config = group();
  const signature = identityOf(config, 0).sign(statement);
  const { identity } = judgeOf(config);
  identity.verify(0, statement, signature);
  for (let again = 0; again < 2; again++) {
    expect(identity.verify(0, altered(statement), signature)).toBe(false);
    expect(identity.verify(0, statement, altered(signature))).toBe(false);
    expect(identity.verify(1, statement, signature)).toBe(false);
    expect(identity.verify(2, statement, signature)).toBe(false);
    expect(judgeOf(group()).identity.verify(0, statement, signature)).toBe(false);
  }
});

it('a member whose registry entry has another key than its own is not believed, not even here', () => {
  const config = group();
  const members = [...config.members].reverse();
  const signature = identityOf({ ...config, members }, 0).sign(statement);
  expect(judgeOf({ ...config, members }).identity.verify(0, statement, signature)).toBe(false);
});

it('so many are remembered and no more', () => {
  const all = new Signatures();
  const signature = randomBytes(64);
  for (let i = 0; i < 20_000; i++) all.made('00', Buffer.from(String(i)), signature);
  expect(all.remembered).toBe(16_384);
});
