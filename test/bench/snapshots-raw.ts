/**
 * The yardsticks of `bench:snapshots`: as fast as our client reads messages of a chunk's size from one
 * stream, asking for them in whatever way is fastest, or as programs usually read, through a consumer.
 * Nothing is done with what arrives; or the least that a sync has to do with it, which is to hash it, as
 * a chunk and as the leaves in it, to write it to a file, and to hold a copy of it in memory.
 */
import { hash, randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect } from 'nats';
import { limits } from '../../replication/limits.js';
import { LeafMemory } from '../../replication/state/leaf-memory.js';
import { Requests } from '../../src/nats/requests.js';
import { answerParent } from './child.js';

/** One message for each request, or several. */
export interface Manner {
  readonly inFlight: number;
  readonly batch: number;
}

const stream = 'raw';
const publishedAtOnce = 8;
/** As the client library reads by itself: how nodes read is part of what is measured. */
const connection = await connect({ servers: process.env.BENCH_NATS_URL ?? '', name: 'bench-raw' });

async function fill({ sizeBytes }: { sizeBytes: number }): Promise<number> {
  const manager = await jetstreamManager(connection);
  await manager.streams.add({ name: stream, subjects: ['raw.>'], allow_direct: true });
  const js = jetstream(connection);
  const count = Math.ceil(sizeBytes / limits.chunkSizeBytes);
  let next = 0;
  const publisher = async () => {
    while (next < count) await js.publish(`raw.${next++}`, randomBytes(limits.chunkSizeBytes));
  };
  await Promise.all(Array.from({ length: publishedAtOnce }, publisher));
  return count;
}

export interface RawRead {
  readonly bytesPerSecond: number;
  /** Of this process. */
  readonly cpuMs: number;
}

export interface RawRequest {
  readonly count: number;
  readonly manner: Manner;
  /** Hash what arrives, write it down and hold it. */
  readonly keep?: boolean;
}

/** Of what `run` reads; it returns how much that was. */
async function measured(run: () => Promise<number>): Promise<RawRead> {
  const beganMs = performance.now();
  const cpuBefore = process.cpuUsage();
  const sizeBytes = await run();
  const tookMs = performance.now() - beganMs;
  const { user, system } = process.cpuUsage(cpuBefore);
  return { bytesPerSecond: (sizeBytes / tookMs) * 1000, cpuMs: (user + system) / 1000 };
}

async function read({ count, manner, keep = false }: RawRequest): Promise<RawRead> {
  const { inFlight, batch } = manner;
  const dir = keep ? await mkdtemp(join(tmpdir(), 'understudy-raw-')) : null;
  const kept: Promise<void>[] = [];
  const memory = new LeafMemory();
  memory.expect(count * limits.chunkSizeBytes);
  const requests = new Requests(connection, { timeoutMs: 10_000, inFlight, waiting: count });
  let sizeBytes = 0;
  const readFrom = (seq: number) =>
    new Promise<void>((resolve, reject) => {
      requests.send(`$JS.API.DIRECT.GET.${stream}`, question(seq, batch), (reply) => {
        if (reply.kind !== 'message') {
          reject(new Error(reply.reason));
          return 'done';
        }
        const { data } = reply.message;
        sizeBytes += data.length;
        if (dir !== null && data.length > 0) {
          kept.push(hashAndWrite(dir, data));
          memory.room(data.length).set(data);
        }
        // A batch ends with a message of its own.
        if (batch > 1 && data.length > 0) return 'more';
        resolve();
        return 'done';
      });
    });
  const seqs = Array.from({ length: Math.ceil(count / batch) }, (_, i) => 1 + i * batch);
  const result = await measured(async () => {
    await Promise.all(seqs.map(readFrom));
    await Promise.all(kept);
    return sizeBytes;
  });
  requests.close();
  if (dir !== null) await rm(dir, { recursive: true });
  return result;
}

/** By itself the library asks for 100 messages at a time: of these, that is nearly all that a broker holds for a client. */
const consumedAtOnce = 32;

/** An ordered consumer, as the client library sets it up. */
async function consume({ count }: Pick<RawRequest, 'count'>): Promise<RawRead> {
  const consumer = await jetstream(connection).consumers.get(stream);
  return await measured(async () => {
    let sizeBytes = 0;
    let left = count;
    for await (const { data } of await consumer.consume({ max_messages: consumedAtOnce })) {
      sizeBytes += data.length;
      left -= 1;
      if (left === 0) break;
    }
    return sizeBytes;
  });
}

async function hashAndWrite(dir: string, data: Uint8Array): Promise<void> {
  const name = hash('sha256', data, 'hex');
  for (let at = 0; at < data.length; at += limits.leafSizeBytes) {
    hash('sha256', data.subarray(at, at + limits.leafSizeBytes), 'buffer');
  }
  await writeFile(join(dir, name), data);
}

function question(seq: number, batch: number): string {
  return JSON.stringify(batch === 1 ? { seq } : { seq, next_by_subj: 'raw.>', batch });
}

answerParent({ fill, read, consume });
