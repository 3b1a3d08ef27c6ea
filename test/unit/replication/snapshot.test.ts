import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, test } from 'vitest';
import { position, seq } from '../../../replication/ids.js';
import type { Kind } from '../../../replication/kind.js';
import { limits } from '../../../replication/limits.js';
import type { SnapshotBody } from '../../../replication/record.js';
import { blankReplica, type Replica } from '../../../replication/replica.js';
import {
  type Cut,
  cutSnapshot,
  digestOf,
  restoreSnapshot,
} from '../../../replication/snapshot/snapshot.js';
import { sampleReplica } from './samples.js';
import { hash, lister } from './support.js';

function cut(replica: Replica): Cut {
  const result = cutSnapshot(replica, 2, 6);
  if ('problem' in result) throw new Error(result.problem);
  return result;
}

/** The sample has seen no snapshot yet. */
function restore({ body, chunks }: Cut, kind: Kind = lister as Kind) {
  const restored = restoreSnapshot(kind, hash, body, chunks);
  return 'problem' in restored ? restored : { ...restored, snapshotSizeBytes: 0 };
}

/** With a state of several chunks. */
function large(): Replica {
  const replica = sampleReplica();
  replica.state = { items: Array.from({ length: 150_000 }, (_, i) => `item ${i}`) };
  return replica;
}

describe('a snapshot', () => {
  it('restores everything a member knew', () => {
    const replica = sampleReplica();
    expect(restore(cut(replica))).toEqual(replica);
  });

  it('tells whoever restores it what the state takes', () => {
    const { body, chunks } = cut(sampleReplica());
    const restored = restoreSnapshot(lister as Kind, hash, body, chunks);
    expect(restored).toMatchObject({ snapshotSizeBytes: body.sizeBytes });
  });

  it('names the record it was cut at', () => {
    expect(cut(sampleReplica()).body).toMatchObject({ id: '2-7-2', at: 2, position: 90 });
  });

  it('names who cut it, the mark it was cut at, and the digest of the state', () => {
    const replica = sampleReplica();
    const digest = digestOf(replica);
    expect(cut(replica).body).toMatchObject({ cutter: 2, mark: 6, ...digest });
    expect(digestOf({ ...replica, state: { items: [] } })).not.toEqual(digest);
    expect(digestOf({ ...replica, sessions: blankReplica(lister, hash).sessions })).not.toEqual(
      digest,
    );
  });

  it('is cut into chunks within their limit, and joined again', () => {
    const replica = large();
    const { body, chunks } = cut(replica);
    expect(chunks.length).toBeGreaterThan(2);
    expect(Math.max(...chunks.map(({ length }) => length))).toBe(limits.chunkSizeBytes);
    expect(restore({ body, chunks })).toEqual(replica);
  });

  it('of the same state has the same bytes, whatever was packed between', () => {
    const before = cut(large());
    cut(sampleReplica());
    expect(cut(large()).body.chunks).toEqual(before.body.chunks);
  });

  test.each<[string, unknown]>([
    ['maps, sets and dates', { m: new Map([[{ k: 1 }, new Set([1, 'a'])]]), d: new Date(5) }],
    ['binary fields', { bytes: Uint8Array.of(1, 2, 3) }],
    ['undefined, null and odd numbers', [undefined, null, Number.NaN, -1.5, 2 ** 53, 7n]],
    [
      'an object used as a table',
      Object.fromEntries(Array.from({ length: 70_000 }, (_, i) => [`key ${i}`, { i }])),
    ],
    ['nothing', null],
  ])('keeps %s', (_, state) => {
    const replica = { ...sampleReplica(), state };
    expect(restore(cut(replica))).toEqual(replica);
  });

  it('of a state that cannot be packed says so', () => {
    const replica = { ...sampleReplica(), state: { what: Symbol('x') } };
    expect(cutSnapshot(replica, 2, 6)).toEqual({
      problem: expect.stringMatching(/of lister cannot/),
    });
  });

  it('reads what version 2 wrote, and writes it still', () => {
    const written = fixture('snapshot-v2');
    expect(restore(written)).toEqual(sampleReplica());
    const { body, chunks } = cut(sampleReplica());
    expect(body).toEqual(written.body);
    expect(chunks.map(hexOf)).toEqual(written.chunks.map(hexOf));
  });

  it('of version 1 is not taken for one of the present', () => {
    expect(restore(fixture('snapshot-v1'))).toEqual({
      problem: 'snapshot version 1, this program reads 2',
    });
  });
});

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** The hashes are the simulation's: they are no part of the format. */
function fixture(name: string): Cut {
  const file = join(import.meta.dirname, `fixtures/${name}.json`);
  const { body, chunks: texts } = JSON.parse(readFileSync(file, 'utf8')) as {
    body: Omit<SnapshotBody, 'chunks' | 'digest'>;
    chunks: string[];
  };
  const chunks = texts.map((hex) => Uint8Array.from(Buffer.from(hex, 'hex')));
  const digest = hash(chunks[1] ?? new Uint8Array(0));
  return { body: { ...body, chunks: chunks.map(hash), digest }, chunks };
}

describe('a snapshot that is not what its record says', () => {
  const whole = cut(large());
  const flipped = whole.chunks.map((chunk, i) => {
    const copy = Uint8Array.from(chunk);
    if (i === 1) copy[100] = (copy[100] ?? 0) ^ 1;
    return copy;
  });
  const other = { ...lister, name: 'other' } as Kind;
  const newer = { ...lister, version: 2 } as Kind;

  test.each<[string, Cut, Kind, RegExp]>([
    ['a flipped bit', { ...whole, chunks: flipped }, lister as Kind, /chunk 1 of snapshot 2-7-2/],
    [
      'a chunk cut short',
      { ...whole, chunks: whole.chunks.map((chunk, i) => (i === 0 ? chunk.subarray(1) : chunk)) },
      lister as Kind,
      /chunk 0 .* does not have the recorded hash/,
    ],
    [
      'two chunks swapped',
      { ...whole, chunks: [...whole.chunks].reverse() },
      lister as Kind,
      /does not have the recorded hash/,
    ],
    [
      'a chunk missing',
      { ...whole, chunks: whole.chunks.slice(1) },
      lister as Kind,
      /has \d+ chunks, its record names \d+/,
    ],
    ['another kind', whole, other, /state of lister version 1, this node runs other version 1/],
    ['another version of the kind', whole, newer, /this node runs lister version 2/],
    [
      'another seq than it was cut at',
      { ...whole, body: { ...whole.body, at: seq(3) } },
      lister as Kind,
      /was cut at seq 2, position 90; its record says seq 3/,
    ],
    [
      'another position',
      { ...whole, body: { ...whole.body, position: position(91) } },
      lister as Kind,
      /position 91/,
    ],
    [
      'bytes of another format',
      {
        body: { ...whole.body, chunks: [hash(Uint8Array.of(193))], sizeBytes: 1 },
        chunks: [Uint8Array.of(193)],
      },
      lister as Kind,
      /cannot be read/,
    ],
    [
      'another digest than that of the state',
      { ...whole, body: { ...whole.body, digest: hash(Uint8Array.of(1)) } },
      lister as Kind,
      /holds another state than its record's digest says/,
    ],
  ])('%s is refused', (_, { body, chunks }, kind, problem) => {
    expect(restoreSnapshot(kind, hash, body, chunks)).toEqual({
      problem: expect.stringMatching(problem),
    });
  });
});
