import { randomBytes } from 'node:crypto';
import { deflateRawSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { packChunk, unpackChunk } from '../../../src/nats/chunk-codec.js';

const chance = (sizeBytes: number) => Uint8Array.from(randomBytes(sizeBytes));
const text = new TextEncoder().encode('{"account":"alice","balance":12}'.repeat(10_000));
const [kib, asIs, deflated] = [1024, 0, 1];

it.each<[string, Uint8Array, number]>([
  ['nothing', new Uint8Array(0), asIs],
  ['one byte', Uint8Array.of(9), asIs],
  ['chance', chance(512 * kib), asIs],
  ['text', text, deflated],
  ['a short text', text.slice(0, 200), deflated],
  ['zeros', new Uint8Array(512 * kib), deflated],
  ['chance behind zeros', chance(512 * kib).fill(0, 0, 16 * kib), deflated],
  ['zeros behind chance', chance(512 * kib).fill(0, 16 * kib), asIs],
])('reads what it wrote: %s', async (_name, bytes, how) => {
  const packed = await packChunk(bytes);
  expect([packed[0], packed.length <= bytes.length + 1]).toEqual([how, true]);
  const unpacked = await unpackChunk(Buffer.from(packed));
  expect(unpacked.kind === 'chunk' && unpacked.bytes.constructor).toBe(Uint8Array);
  expect(unpacked.kind === 'chunk' && Buffer.compare(unpacked.bytes, bytes)).toBe(0);
});

it.each([
  ['nothing', []],
  ['an unknown way of writing', [2, 1, 2]],
  ['what no deflate has written', [1, 255, 255]],
  ['half of what deflate has written', [1, ...deflateRawSync(text).subarray(0, 50)]],
  ['too much, in few bytes', [1, ...deflateRawSync(new Uint8Array(2 * kib * kib))]],
])('hands %s over as it is: no hash will be right', async (_name, bytes) => {
  const packed = Uint8Array.from(bytes);
  expect(await unpackChunk(packed)).toEqual({ kind: 'chunk', bytes: packed });
});
