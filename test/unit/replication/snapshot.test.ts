import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, test } from 'vitest';
import { keyOf } from '../../../replication/bytes.js';
import type { Kind } from '../../../replication/kind.js';
import { limits } from '../../../replication/limits.js';
import { type SnapshotBody, unpackSnapshot } from '../../../replication/record.js';
import { blankReplica, type Replica } from '../../../replication/replica.js';
import { beginDigest, stepDigest } from '../../../replication/snapshot/cut.js';
import { takeImage } from '../../../replication/snapshot/image.js';
import { decodeManifest } from '../../../replication/snapshot/manifest.js';
import { ChunkMap, type CutHow, cutWhole, restoreWhole } from '../../support/snapshots.js';
import { contentsOf, keyFor, Rows, rows } from './rows.js';
import { sampleReplica } from './samples.js';
import { hash, lister } from './support.js';

interface Stored {
  readonly body: SnapshotBody;
  readonly store: ChunkMap;
}

function cut(replica: Replica, how: CutHow = {}): Stored {
  const store = new ChunkMap();
  return { body: cutWhole(replica, store, how).body, store };
}

function restore({ body, store }: Stored, kind: Kind = lister as Kind): Replica {
  const restored = restoreWhole({ kind, hash }, body, store);
  if ('problem' in restored) throw new Error(restored.problem);
  return restored;
}

/** What a member knows, without where it has it from. */
function knownTo({ kind, state, sessions, history, tip }: Replica) {
  return { kind, state, sessions, history, tip };
}

function digestOf(replica: Replica): Uint8Array {
  const image = takeImage(replica);
  if ('problem' in image) throw new Error(image.problem);
  const digest = stepDigest(beginDigest(image), Number.POSITIVE_INFINITY);
  if (digest === null) throw new Error('it takes for ever');
  return digest;
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
    expect(knownTo(restore(cut(replica)))).toEqual(knownTo(replica));
  });

  it('tells whoever restores it what its core takes, and where everything is', () => {
    const stored = cut(sampleReplica());
    const restored = restore(stored);
    expect(restored.coreSizeBytes).toBe(stored.body.coreSizeBytes);
    expect(restored.base?.snapshotId).toBe(stored.body.id);
    const named = [...(restored.base?.uses.keys() ?? []), keyOf(stored.body.manifest)];
    expect(named.sort()).toEqual([...stored.store.chunks.keys()].sort());
  });

  it('names the record it was cut at', () => {
    expect(cut(sampleReplica()).body).toMatchObject({ id: '2-7-2', at: 2, position: 90 });
  });

  it('names who cut it, the mark it was cut at, and the digest of the state', () => {
    const replica = sampleReplica();
    const digest = digestOf(replica);
    expect(cut(replica, { cutter: 2, mark: 6 }).body).toMatchObject({ cutter: 2, mark: 6, digest });
    expect(digestOf({ ...replica, state: { items: [] } })).not.toEqual(digest);
    expect(digestOf({ ...replica, sessions: blankReplica(lister, hash).sessions })).not.toEqual(
      digest,
    );
  });

  it('tells what all of it takes, and its manifest', () => {
    const group = new Rows().fill(300);
    const { body } = group.cut();
    const manifest = group.store.chunks.get(keyOf(body.manifest)) as Uint8Array;
    expect(body.manifestSizeBytes).toBe(manifest.length);
    const inTables = [...group.replica.tables.trees.values()].map(({ root }) => root.sizeBytes);
    expect(body.sizeBytes).toBe(inTables.reduce((a, b) => a + b, body.coreSizeBytes));
  });

  it('is cut into chunks within their limit, and joined again', () => {
    const replica = large();
    const stored = cut(replica);
    const sizes = [...stored.store.chunks.values()].map(({ length }) => length);
    expect(sizes.length).toBeGreaterThan(3);
    expect(Math.max(...sizes)).toBe(limits.chunkSizeBytes);
    expect(knownTo(restore(stored))).toEqual(knownTo(replica));
  });

  it('of the same state has the same bytes, whatever was packed between', () => {
    const before = cut(large());
    cut(sampleReplica());
    const after = cut(large());
    expect(after.body).toEqual(before.body);
    expect([...after.store.chunks.keys()]).toEqual([...before.store.chunks.keys()]);
  });

  it('has the same digest, in whatever slices that was found', () => {
    const group = new Rows().fill(300);
    const image = takeImage(group.replica);
    if ('problem' in image) throw new Error(image.problem);
    const digesting = beginDigest(image);
    let slices = 1;
    let digest = stepDigest(digesting, 400);
    for (; digest === null; slices++) digest = stepDigest(digesting, 400);
    expect(slices).toBeGreaterThan(20);
    expect(digest).toEqual(digestOf(new Rows().fill(300).replica));
    expect(digest).toEqual(group.cut().body.digest);
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
    expect(knownTo(restore(cut(replica)))).toEqual(knownTo(replica));
  });

  it('keeps a large value of which a part is also in the core', () => {
    const group = new Rows().fill(30).apply('zeros', new Uint8Array(4000));
    Object.assign(group.replica.state as object, { zeros: new Uint8Array(4000) });
    const { body } = group.cut();
    const restored = group.restore(body);
    expect(contentsOf(restored)).toEqual(contentsOf(group.replica));
    expect(restored.state).toHaveProperty('zeros', new Uint8Array(4000));
    const shared = group.replica.base?.core.map(keyOf) ?? [];
    expect(new Set(shared).size).toBeLessThan(shared.length);
  });

  it('keeps no chunk in memory for the few changes of leaves in it', () => {
    const group = new Rows().fill(60);
    group.cut();
    group.apply(keyFor(30), 'changed');
    const { body } = group.cut();
    const restored = group.restore(body);
    const value = restored.tables.trees.get('rows')?.get(keyFor(30)) as Uint8Array;
    expect(value.buffer.byteLength).toBeLessThan(rows.layout?.leafSizeBytes as number);
  });

  it('of a state that cannot be packed says so', () => {
    const replica = { ...sampleReplica(), state: { what: Symbol('x') } };
    expect(takeImage(replica)).toEqual({ problem: expect.stringMatching(/of lister cannot/) });
  });

  it('of more chunks than a snapshot may have says so', () => {
    const kind = { ...lister, layout: { ...rows.layout, chunkSizeBytes: 100 } } as Kind;
    expect(() => cut({ ...large(), kind })).toThrow(/the state takes \d+ chunks, at most 8191/);
  });
});

/**
 * Two snapshots of one state, the second on top of the first: manifests, directories, leaves, changes of
 * leaves, large values and pages of keys as this version stores them. The hashes are the simulation's.
 */
describe('what is stored', () => {
  interface Fixture {
    /** As in a snapshot record, in hex where they are bytes. */
    readonly bodies: readonly (readonly (string | number | null)[])[];
    readonly chunks: readonly string[];
  }

  const bytesOf = (hex: string) => Uint8Array.from(Buffer.from(hex, 'hex'));
  const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
  const written = JSON.parse(
    readFileSync(join(import.meta.dirname, 'fixtures/snapshots-v4.json'), 'utf8'),
  ) as Fixture;
  const bodies = written.bodies.map((parts) =>
    unpackSnapshot(parts.map((part, i) => (i === 3 || i === 7 ? bytesOf(String(part)) : part))),
  );
  const store = new ChunkMap();
  for (const chunk of written.chunks) store.put(hash(bytesOf(chunk)), bytesOf(chunk));

  /** What it holds is written here, and nowhere else. */
  function cutTwice() {
    const group = new Rows().fill(24).key(9).apply('large', '0123456789'.repeat(100));
    group.replica.tip = { ...group.replica.tip, hash: hash(Uint8Array.of(1)) };
    const first = group.cut();
    const before = contentsOf(group.replica);
    group
      .key(5, 7)
      .apply(keyFor(3), 'changed')
      .apply(keyFor(5), null)
      .apply('large too', 'x'.repeat(200));
    const second = group.cut({ cutter: 1, mark: 4 });
    return { group, first, second, contents: [before, contentsOf(group.replica)] };
  }

  it('is read from the bytes that version 4 wrote', () => {
    const { group, contents } = cutTwice();
    let held: Replica | null = null;
    for (const [i, body] of bodies.entries()) {
      for (const beside of [null, held]) {
        const restored = restoreWhole(group.replica, body, store, beside);
        if ('problem' in restored) throw new Error(restored.problem);
        expect(contentsOf(restored)).toEqual(contents[i]);
        held = restored;
      }
    }
  });

  it('is still written as version 4 writes it', () => {
    const { group, first, second } = cutTwice();
    expect([first.body, second.body]).toEqual(bodies);
    expect([...group.store.chunks.values()].map(hexOf)).toEqual(written.chunks);
  });

  it('has a manifest that tells which version wrote it', () => {
    const manifest = store.chunks.get(keyOf((bodies[0] as SnapshotBody).manifest)) as Uint8Array;
    const later = Uint8Array.from(manifest);
    expect(later[1]).toBe(2);
    later[1] = 3;
    const problem = 'manifest version 3, this program reads 2';
    expect(decodeManifest(later)).toEqual({ problem });
    store.put(hash(later), later);
    const body = { ...(bodies[0] as SnapshotBody), manifest: hash(later) };
    expect(restoreWhole({ kind: rows, hash }, body, store)).toEqual({
      problem: `snapshot ${body.id}: its manifest: ${problem}`,
    });
  });
});
