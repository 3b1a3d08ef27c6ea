import { expect, it } from 'vitest';
import { decodePin, encodePin, type PinMessage, pinKinds } from '../../../src/nats/pins.js';

const hash = (sizeBytes: number, value: number) => new Uint8Array(sizeBytes).fill(value);

it.each<PinMessage>([
  ...pinKinds.map((kind) => ({ kind, chunks: [] })),
  { kind: 'open', chunks: [hash(8, 1)] },
  { kind: 'whole', chunks: [1, 2, 3].map((value) => hash(32, value)) },
  { kind: 'whole', chunks: Array.from({ length: 8192 }, (_, i) => hash(32, i)) },
])('reads what it wrote: $kind', (message) => {
  expect(decodePin(Buffer.from(encodePin(message)))).toEqual(message);
});

it.each([
  ['nothing', []],
  ['half a header', [1]],
  ['an unknown kind', [4, 0]],
  ['hashes without a size', [2, 0, 1, 2]],
  ['a hash that was cut off', [2, 8, 1, 2, 3]],
])('reads no pin in %s', (_name, bytes) => {
  expect(decodePin(Uint8Array.from(bytes))).toBeNull();
});
