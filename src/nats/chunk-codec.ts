/**
 * How a chunk is written down, in the store, in a node's cache and between peers: one byte that says how,
 * then the bytes themselves or what deflate made of them. Its hash is that of the chunk, however written.
 */
import { promisify } from 'node:util';
import { deflateRaw, inflateRaw } from 'node:zlib';
import { limits } from '../../replication/limits.js';
import type { Fetched } from '../../replication/ports.js';
import { plain } from './replies.js';

const asIs = 0;
const deflated = 1;

const sampleSizeBytes = 4 * 1024;
/**
 * Of a sample: what saves less costs more time than it is worth. Chance as base64 comes down to 0.75, and
 * deflate makes 40 MiB a second of it and inflate 190, where a stream is read at some hundreds.
 */
const worthwhile = 0.7;
/** What comes from elsewhere must not fill the memory: no chunk is larger than a message. */
const mostSizeBytes = 2 * limits.chunkSizeBytes;

/** In zlib's threads, so that nobody waits for it. */
const deflate = promisify(deflateRaw);
const inflate = promisify(inflateRaw);
const quick = { level: 1 } as const;
/** All at once: by zlib's own measure each 16 KiB of a result would wait for the event loop's next turn. */
const whole = { chunkSize: limits.chunkSizeBytes + 1024 } as const;

/** Never rejects. */
export async function packChunk(bytes: Uint8Array): Promise<Uint8Array> {
  try {
    const sample = bytes.subarray(0, sampleSizeBytes);
    const small = await deflate(sample, quick);
    if (small.length > sample.length * worthwhile) return asItIs(bytes);
    const all =
      sample.length === bytes.length ? small : await deflate(bytes, { ...quick, ...whole });
    return marked(deflated, all);
  } catch {
    return asItIs(bytes);
  }
}

/** Written down without any work on it. */
export function asItIs(bytes: Uint8Array): Uint8Array {
  return marked(asIs, bytes);
}

/** The same, for whoever can write the parts one after the other: they need not be copied together. */
export function asItIsInParts(bytes: Uint8Array): readonly Uint8Array[] {
  return [Uint8Array.of(asIs), bytes];
}

function marked(how: number, bytes: Uint8Array): Uint8Array {
  const packed = new Uint8Array(1 + bytes.length);
  packed[0] = how;
  packed.set(bytes, 1);
  return packed;
}

/**
 * Whether it is the right chunk its hash must show, so what cannot be unpacked is handed over as it is.
 * Never rejects.
 */
export async function unpackChunk(packed: Uint8Array): Promise<Fetched> {
  return { kind: 'chunk', bytes: await unpacked(plain(packed)) };
}

async function unpacked(packed: Uint8Array): Promise<Uint8Array> {
  const body = packed.subarray(1);
  if (packed[0] === asIs) return body;
  if (packed[0] !== deflated) return packed;
  try {
    return plain(await inflate(body, { ...whole, maxOutputLength: mostSizeBytes }));
  } catch {
    return packed;
  }
}
