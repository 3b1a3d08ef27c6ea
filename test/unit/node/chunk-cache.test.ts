import { createHash, randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Fetched } from '../../../replication/ports.js';
import { unpackChunk } from '../../../src/nats/chunk-codec.js';
import { type NodeChunkCache, noCache, openChunkCache } from '../../../src/node/chunk-cache.js';
import { until } from '../../support/until.js';

const hash = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest();
const chance = (sizeBytes: number) => Uint8Array.from(randomBytes(sizeBytes));
const kib = 1024;

let dir: string;
let warnings: string[];
let cache: NodeChunkCache;

const pathOf = (chunk: Uint8Array) => {
  const name = Buffer.from(hash(chunk)).toString('hex');
  return join(dir, name.slice(0, 2), name);
};
const open = async (sizeBytes = 1024 * kib, at = dir): Promise<NodeChunkCache> => {
  const logger = { warn: (_fields: unknown, text: string) => void warnings.push(text) };
  cache = await openChunkCache({
    dir: at,
    sizeBytes,
    hash,
    logger: logger as unknown as Parameters<typeof openChunkCache>[0]['logger'],
  });
  return cache;
};
const get = (chunk: Uint8Array) => new Promise<Fetched>((done) => cache.get(hash(chunk), done));
const keep = (chunk: Uint8Array) => cache.keep(hash(chunk), chunk);
/** Kept, and written: what comes from the disk is a copy. */
const store = async (...chunks: readonly Uint8Array[]) => {
  for (const chunk of chunks) {
    keep(chunk);
    await until('it is written', async () => {
      const got = await get(chunk);
      return got.kind === 'chunk' && got.bytes !== chunk;
    });
  }
};
const kindsOf = async (...chunks: readonly Uint8Array[]) =>
  (await Promise.all(chunks.map(get))).map(({ kind }) => kind);

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'understudy-cache-'));
  warnings = [];
});
afterEach(async () => {
  await cache.close();
  rmSync(dir, { recursive: true, force: true });
});

describe('a cache of chunks on disk', () => {
  it('gives back what it keeps, before it is written and after, and to the next life', async () => {
    await open();
    const [chunk, text] = [chance(300 * kib), new Uint8Array(300 * kib).fill(5)];
    keep(chunk);
    expect(await get(chunk)).toEqual({ kind: 'chunk', bytes: chunk });
    await store(chunk, text);
    for (let life = 0; life < 2; life++) {
      const { hits, misses } = cache.counters;
      const got = await get(text);
      expect(got.kind === 'chunk' && Buffer.compare(got.bytes, text)).toBe(0);
      expect(await kindsOf(chunk, chance(10))).toEqual(['chunk', 'none']);
      const { sizeBytes, ...counts } = cache.counters;
      expect(counts).toEqual({ hits: hits + 2, misses: misses + 1, corrupt: 0 });
      expect(sizeBytes).toBe(
        readFileSync(pathOf(chunk)).length + readFileSync(pathOf(text)).length,
      );
      await cache.close();
      await open();
    }
  });

  it('hands out chunks as they are written down', async () => {
    await open();
    const chunk = new Uint8Array(100 * kib).fill(1);
    keep(chunk);
    const early = await cache.getPacked(hash(chunk));
    await store(chunk);
    const packed = (await cache.getPacked(hash(chunk))) as Uint8Array;
    expect(early).toEqual(packed);
    expect(await unpackChunk(packed)).toEqual({ kind: 'chunk', bytes: chunk });
    expect(await cache.getPacked(hash(chance(3)))).toBeNull();
  });

  it('forgets first what was not read for longest, in this life and in the next', async () => {
    await open(350 * kib);
    const [a, b, c, d] = [1, 2, 3, 4].map(() => chance(100 * kib)) as [
      Uint8Array,
      Uint8Array,
      Uint8Array,
      Uint8Array,
    ];
    await store(a, b, c);
    await get(a);
    await store(d);
    expect(await kindsOf(b, a, c, d)).toEqual(['none', 'chunk', 'chunk', 'chunk']);
    expect(cache.counters.sizeBytes).toBeLessThanOrEqual(350 * kib);
    await cache.close();
    expect(existsSync(pathOf(b))).toBe(false);
    for (const [i, chunk] of [c, a, d].entries()) utimesSync(pathOf(chunk), 1000 + i, 1000 + i);
    await open(250 * kib);
    expect(await kindsOf(c, a, d)).toEqual(['none', 'chunk', 'chunk']);
  });

  it.each<[string, (file: Buffer) => Uint8Array]>([
    ['with a bit flipped', (file) => file.fill((file[500] ?? 0) ^ 1, 500, 501)],
    ['cut off', (file) => file.subarray(0, 500)],
    ['emptied', () => new Uint8Array(0)],
    ['of another chunk', () => Uint8Array.of(0, 1, 2, 3)],
  ])('deletes a file %s, says so and counts it', async (_name, spoil) => {
    await open();
    const chunk = chance(kib);
    await store(chunk);
    writeFileSync(pathOf(chunk), spoil(readFileSync(pathOf(chunk))));
    expect(await get(chunk)).toEqual({ kind: 'none' });
    expect(cache.counters).toMatchObject({ misses: 1, corrupt: 1, sizeBytes: 0 });
    expect(warnings).toEqual([expect.stringContaining('corrupt')]);
    await until('it is deleted', () => !existsSync(pathOf(chunk)));
    await store(chunk);
    expect(await get(chunk)).toEqual({ kind: 'chunk', bytes: chunk });
  });

  it('misses a file that somebody removed, and keeps it anew', async () => {
    await open();
    const [chunk, other] = [chance(kib), chance(kib)];
    await store(chunk, other);
    for (const each of [chunk, other]) rmSync(pathOf(each));
    expect(await get(chunk)).toEqual({ kind: 'none' });
    expect(await cache.getPacked(hash(other))).toBeNull();
    expect(cache.counters).toMatchObject({ corrupt: 0, sizeBytes: 0 });
    await store(chunk);
    expect(await kindsOf(chunk)).toEqual(['chunk']);
  });

  it('removes what a crash left half written, and leaves alone what is not its own', async () => {
    const chunk = chance(10);
    mkdirSync(join(pathOf(chunk), '..'), { recursive: true });
    writeFileSync(`${pathOf(chunk)}.half`, 'half');
    writeFileSync(join(dir, 'README'), 'mine');
    await open();
    expect(await get(chunk)).toEqual({ kind: 'none' });
    expect(existsSync(`${pathOf(chunk)}.half`)).toBe(false);
    expect(readdirSync(dir)).toContain('README');
  });

  it('drops what comes faster than it can be written, and nothing else', async () => {
    await open(1024 * 1024 * kib);
    const chunks = Array.from({ length: 80 }, (_, i) => new Uint8Array(512 * kib).fill(i));
    for (const chunk of chunks) keep(chunk);
    const kept = chunks.slice(0, 64);
    await until('all is written', () => kept.every((chunk) => existsSync(pathOf(chunk))));
    expect(await kindsOf(...chunks.slice(64))).toEqual(Array(16).fill('none'));
    await store(chunks[79] as Uint8Array);
  });

  it('goes on without a disk that takes anything, complains once, and recovers', async () => {
    await open();
    const [a, b, c] = [chance(kib), chance(kib), chance(kib)];
    const folders = new Set([a, b].map((chunk) => join(pathOf(chunk), '..')));
    for (const folder of folders) writeFileSync(folder, 'in the way');
    for (const chunk of [a, b]) {
      keep(chunk);
      await until('it is given up', async () => (await get(chunk)).kind === 'none');
    }
    expect(warnings).toEqual([expect.stringContaining('cannot be kept')]);
    for (const folder of folders) rmSync(folder);
    await store(c, a);
    expect(await kindsOf(a, b, c)).toEqual(['chunk', 'none', 'chunk']);
  });

  it('keeps nothing that is larger than all of it', async () => {
    await open(10 * kib);
    const small = chance(kib);
    await store(small);
    const large = chance(20 * kib);
    keep(large);
    await until('it is dropped', async () => (await get(large)).kind === 'none');
    expect(await kindsOf(small)).toEqual(['chunk']);
  });

  it('waits for what is being written when it is closed, and takes nothing more', async () => {
    await open(1024 * 1024 * kib);
    const chunks = Array.from({ length: 20 }, (_, i) => new Uint8Array(512 * kib).fill(i));
    for (const chunk of chunks) keep(chunk);
    await cache.close();
    const written = chunks.filter((chunk) => existsSync(pathOf(chunk)));
    expect(written.length).toBeGreaterThan(0);
    const late = chance(10);
    keep(late);
    expect(await get(late)).toEqual({ kind: 'none' });
    const files = readdirSync(dir, { recursive: true }) as string[];
    expect(files.filter((file) => file.endsWith('.half'))).toEqual([]);
  });
});

it('has a form without a disk', async () => {
  cache = noCache;
  keep(chance(10));
  const order: string[] = [];
  const asked = new Promise<void>((done) =>
    noCache.get(hash(chance(10)), ({ kind }) => {
      order.push(kind);
      done();
    }),
  );
  order.push('asked');
  await asked;
  expect(order).toEqual(['asked', 'none']);
  expect(await noCache.getPacked(hash(chance(10)))).toBeNull();
});
