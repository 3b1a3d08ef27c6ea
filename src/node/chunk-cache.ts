/**
 * Chunks that a node keeps on disk: for its own next sync, and for its peers. Only a cache: it may forget
 * anything, and whatever goes wrong with the disk costs a fetch from elsewhere.
 */
import { close, open, read, writev } from 'node:fs';
import { mkdir, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { Logger } from 'pino';
import { equalBytes } from '../../replication/bytes.js';
import type { ChunkCache, Fetched, Hash } from '../../replication/ports.js';
import { asItIs, asItIsInParts, unpackChunk } from '../nats/chunk-codec.js';
import { plain } from '../nats/replies.js';

export interface ChunkCacheOptions {
  /** Belongs to this node alone. */
  readonly dir: string;
  /** All files together; what was not read for longest goes first. */
  readonly sizeBytes: number;
  readonly hash: Hash;
  readonly logger: Pick<Logger, 'warn'>;
}

export interface CacheCounters {
  readonly hits: number;
  readonly misses: number;
  /** Files that were not what their name says, and were deleted. */
  readonly corrupt: number;
  readonly sizeBytes: number;
}

/** What `get` hands over here is verified. */
export interface NodeChunkCache extends ChunkCache {
  /** As it is written down, for a peer, who verifies it; null: not here. Never rejects. */
  getPacked(hash: Uint8Array): Promise<Uint8Array | null>;
  readonly counters: CacheCounters;
  /** Waits for what is being written; what waits for its turn is dropped. */
  close(): Promise<void>;
}

/** For a node without a directory. */
export const noCache: NodeChunkCache = {
  get: (_hash, done) => void setImmediate(done, { kind: 'none' }),
  keep: () => undefined,
  getPacked: () => Promise.resolve(null),
  counters: { hits: 0, misses: 0, corrupt: 0, sizeBytes: 0 },
  close: () => Promise.resolve(),
};

/** Chunks that wait to be written, as bytes: beyond it nothing is kept. */
const waitingSizeBytes = 32 * 1024 * 1024;
const writesAtOnce = 4;
/** A file's time need not be more exact than that. */
const touchEveryMs = 60_000;

/** Throws what the file system throws if the directory cannot be made or read. */
export async function openChunkCache(options: ChunkCacheOptions): Promise<NodeChunkCache> {
  await mkdir(options.dir, { recursive: true });
  return new DiskChunkCache(options, await readIndex(options.dir));
}

interface FoundFile {
  readonly name: string;
  readonly sizeBytes: number;
  readonly usedAtMs: number;
}

const isName = (name: string): boolean => /^([0-9a-f]{2}){2,}$/.test(name);
const folderOf = (name: string): string => name.slice(0, 2);

/** Sizes by name, what was read or written last at the end. What a crash left half written goes. */
async function readIndex(dir: string): Promise<Map<string, number>> {
  const found: FoundFile[] = [];
  const folders = (await readdir(dir)).filter((name) => /^[0-9a-f]{2}$/.test(name));
  for (const folder of folders) {
    for (const name of await readdir(join(dir, folder))) {
      const path = join(dir, folder, name);
      if (!isName(name) || folderOf(name) !== folder) {
        await rm(path, { recursive: true, force: true });
        continue;
      }
      const { size, mtimeMs } = await stat(path);
      found.push({ name, sizeBytes: size, usedAtMs: mtimeMs });
    }
  }
  found.sort((a, b) => a.usedAtMs - b.usedAtMs);
  return new Map(found.map(({ name, sizeBytes }) => [name, sizeBytes]));
}

class DiskChunkCache implements NodeChunkCache {
  readonly #options: ChunkCacheOptions;
  /** Sizes by name; what was used last is at the end. */
  readonly #files: Map<string, number>;
  /** When a file's time was last set in this life. */
  readonly #touchedAtMs = new Map<string, number>();
  /** What is or will be written, by name, in turn. */
  readonly #pending = new Map<string, Uint8Array>();
  readonly #writing = new Set<string>();
  /** Everything under way on the disk. */
  readonly #work = new Set<Promise<void>>();
  #pendingSizeBytes = 0;
  #sizeBytes = 0;
  #hits = 0;
  #misses = 0;
  #corrupt = 0;
  #isClosed = false;
  #hasFailed = false;

  constructor(options: ChunkCacheOptions, files: Map<string, number>) {
    this.#options = options;
    this.#files = files;
    for (const sizeBytes of files.values()) this.#sizeBytes += sizeBytes;
    this.#evict();
  }

  get counters(): CacheCounters {
    const [hits, misses, corrupt] = [this.#hits, this.#misses, this.#corrupt];
    return { hits, misses, corrupt, sizeBytes: this.#sizeBytes };
  }

  get(hash: Uint8Array, done: (result: Fetched) => void): void {
    void this.#get(hash).then((result) => {
      if (result.kind === 'chunk') this.#hits += 1;
      else this.#misses += 1;
      done(result);
    });
  }

  async #get(hash: Uint8Array): Promise<Fetched> {
    const name = nameOf(hash);
    const pending = this.#pending.get(name);
    if (pending !== undefined) return { kind: 'chunk', bytes: pending };
    const packed = await this.#read(name);
    if (!(packed instanceof Uint8Array)) return packed;
    const result = await unpackChunk(packed);
    if (result.kind === 'chunk' && equalBytes(this.#options.hash(result.bytes), hash))
      return result;
    this.#corrupt += 1;
    this.#options.logger.warn({ chunk: name }, 'a chunk on disk was corrupt and is deleted');
    this.#forget(name);
    return { kind: 'none' };
  }

  async getPacked(hash: Uint8Array): Promise<Uint8Array | null> {
    const name = nameOf(hash);
    const pending = this.#pending.get(name);
    if (pending !== undefined) return asItIs(pending);
    const packed = await this.#read(name);
    return packed instanceof Uint8Array ? packed : null;
  }

  async #read(name: string): Promise<Uint8Array | Fetched> {
    const sizeBytes = this.#files.get(name);
    if (sizeBytes === undefined) return { kind: 'none' };
    const path = this.#pathOf(name);
    try {
      const packed = await readWhole(path, sizeBytes);
      this.#touch(name, path);
      return packed;
    } catch (error) {
      if (!isMissing(error)) return { kind: 'failed', reason: (error as Error).message };
      this.#drop(name);
      return { kind: 'none' };
    }
  }

  /** The time is for the next life of this node, which reads the index from the disk. */
  #touch(name: string, path: string): void {
    const sizeBytes = this.#files.get(name);
    if (sizeBytes === undefined || this.#isClosed) return;
    this.#files.delete(name);
    this.#files.set(name, sizeBytes);
    const nowMs = performance.now();
    if (nowMs - (this.#touchedAtMs.get(name) ?? Number.NEGATIVE_INFINITY) < touchEveryMs) return;
    this.#touchedAtMs.set(name, nowMs);
    const now = new Date();
    this.#run(utimes(path, now, now));
  }

  keep(hash: Uint8Array, bytes: Uint8Array): void {
    const name = nameOf(hash);
    const isThere = this.#files.has(name) || this.#pending.has(name);
    const isFull = this.#pendingSizeBytes + bytes.length > waitingSizeBytes;
    if (isThere || isFull || this.#isClosed) return;
    this.#pending.set(name, bytes);
    this.#pendingSizeBytes += bytes.length;
    this.#advance();
  }

  #advance(): void {
    for (const [name, bytes] of this.#pending) {
      if (this.#writing.size >= writesAtOnce || this.#isClosed) return;
      if (this.#writing.has(name)) continue;
      this.#writing.add(name);
      this.#run(this.#write(name, bytes));
    }
  }

  async #write(name: string, bytes: Uint8Array): Promise<void> {
    const path = this.#pathOf(name);
    const half = `${path}.half`;
    try {
      // As quick as chunks come in: what waits too long for its turn is not kept at all.
      const parts = asItIsInParts(bytes);
      const sizeBytes = parts.reduce((sum, { length }) => sum + length, 0);
      if (sizeBytes <= this.#options.sizeBytes) {
        await writeWhole(half, parts, sizeBytes);
        await rename(half, path);
        this.#add(name, sizeBytes);
      }
      this.#hasFailed = false;
    } catch (error) {
      this.#run(rm(half, { force: true }));
      this.#complain(error);
    }
    this.#writing.delete(name);
    this.#pending.delete(name);
    this.#pendingSizeBytes -= bytes.length;
    this.#advance();
  }

  /** Once until something works again: a full disk would say so with every chunk. */
  #complain(error: unknown): void {
    const { dir, logger } = this.#options;
    if (!this.#hasFailed) logger.warn({ err: error, dir }, 'chunks cannot be kept on disk');
    this.#hasFailed = true;
  }

  #add(name: string, sizeBytes: number): void {
    this.#files.set(name, sizeBytes);
    this.#sizeBytes += sizeBytes;
    this.#evict();
  }

  #evict(): void {
    for (const name of this.#files.keys()) {
      if (this.#sizeBytes <= this.#options.sizeBytes) return;
      this.#forget(name);
    }
  }

  #forget(name: string): void {
    this.#drop(name);
    this.#run(rm(this.#pathOf(name), { force: true }));
  }

  #drop(name: string): void {
    this.#sizeBytes -= this.#files.get(name) ?? 0;
    this.#files.delete(name);
    this.#touchedAtMs.delete(name);
  }

  #run(work: Promise<void>): void {
    const ended: Promise<void> = work
      .catch(() => undefined)
      .then(() => {
        this.#work.delete(ended);
      });
    this.#work.add(ended);
  }

  #pathOf(name: string): string {
    return join(this.#options.dir, folderOf(name), name);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    while (this.#work.size > 0) await Promise.all(this.#work);
  }
}

// Files of a chunk's size, with as few turns in the file system's threads as there can be: what
// `readFile` and `writeFile` do beside that costs a sync more than the bytes.

const opened = promisify(open);
const closed = promisify(close);
const readInto = promisify(read);
const written = promisify(writev);

/** Less if the file is shorter. */
async function readWhole(path: string, sizeBytes: number): Promise<Uint8Array> {
  const file = await opened(path, 'r');
  try {
    const bytes = plain(Buffer.allocUnsafeSlow(sizeBytes));
    const { bytesRead } = await readInto(file, bytes, 0, sizeBytes, 0);
    return bytes.subarray(0, bytesRead);
  } finally {
    await closed(file);
  }
}

async function writeWhole(
  path: string,
  parts: readonly Uint8Array[],
  sizeBytes: number,
): Promise<void> {
  const file = await openedIn(path);
  try {
    const { bytesWritten } = await written(file, parts);
    if (bytesWritten < sizeBytes) throw new Error(`${bytesWritten} of ${sizeBytes} were written`);
  } finally {
    await closed(file);
  }
}

/** Its folder is made if it is not there. */
async function openedIn(path: string): Promise<number> {
  try {
    return await opened(path, 'w');
  } catch (error) {
    if (!isMissing(error)) throw error;
    await mkdir(dirname(path), { recursive: true });
    return await opened(path, 'w');
  }
}

function nameOf(hash: Uint8Array): string {
  return Buffer.from(hash.buffer, hash.byteOffset, hash.length).toString('hex');
}

function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT';
}
