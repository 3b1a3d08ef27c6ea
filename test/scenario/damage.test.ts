/** Chunks that are lost, spoilt or not what they are called: told one story at a time. */
import { describe, expect, it } from 'vitest';
import { decodeAttestation, encodeAttestation } from '../../replication/attestation.js';
import { keyOf } from '../../replication/bytes.js';
import type { Effect, MemberConfig } from '../../replication/effects.js';
import type { SnapshotBody } from '../../replication/record.js';
import { syncOf } from '../../replication/syncing.js';
import { Liar } from '../simulation/liar.js';
import type { Stage } from './stage.js';
import {
  all,
  alterStore,
  amidSync,
  chunksOf,
  expectLevel,
  filled,
  forget,
  network,
  newestSnapshot,
  recordedWithout,
  watchFetches,
} from './transfer.js';

/** What may have become of a chunk of a snapshot; null: it is gone. */
const damages: readonly (readonly [
  string,
  (bytes: Uint8Array, another: Uint8Array) => Uint8Array,
])[] = [
  ['with a bit flipped', (bytes) => bytes.map((byte, i) => (i === 0 ? byte ^ 4 : byte))],
  ['cut short', (bytes) => bytes.subarray(0, bytes.length - 1)],
  ['that is empty', () => new Uint8Array(0)],
  ['in the place of another', (_, another) => another],
  ['of another group', () => Uint8Array.of(1, 2, 3)],
];

/** Of the newest snapshot, what each chunk has become. */
function damaged(stage: Stage, damage: (typeof damages)[number][1]): [Uint8Array, Uint8Array][] {
  const { stored } = stage.world.model;
  const hashes = chunksOf(stage, newestSnapshot(stage));
  const bytes = hashes.map((hash) => stored.chunk(hash) as Uint8Array);
  return hashes.map((hash, i) => {
    const another = bytes[(i + 1) % bytes.length] as Uint8Array;
    return [hash, damage(bytes[i] as Uint8Array, another)];
  });
}

describe.each(damages)('a chunk %s', (_, damage) => {
  /** A standby that is about to sync, and what all chunks have become somewhere. */
  function scene(): { stage: Stage; chunks: [Uint8Array, Uint8Array][] } {
    const stage = filled({ groups: 2 });
    recordedWithout(stage, 'n2');
    return { stage, chunks: damaged(stage, damage) };
  }

  /** The end of it: all is right, and there was one alarm about this source. */
  function expectHealed(stage: Stage, source: string, corrupt: number): void {
    stage.resume('n2');
    const sync = amidSync(stage, 'n2', 0);
    stage.until('it is over', () => sync.result.kind !== 'busy');
    expect(sync.result.kind).toBe('done');
    expect(sync.corrupt).toBe(corrupt);
    expect(stage.alarms('n2')).toHaveLength(1);
    expect(stage.alarms('n2').join()).toContain(`${source} gave other bytes for chunk`);
    expectLevel(stage, 'n2');
  }

  it('in the store is refused, and comes from a peer', () => {
    const { stage, chunks } = scene();
    for (const [hash, bytes] of chunks) alterStore(stage, hash, bytes);
    forget(
      stage,
      ['n1'],
      chunks.map(([hash]) => hash),
    );
    stage.resume('n2');
    const sync = amidSync(stage, 'n2', 0);
    stage.until('it is over', () => sync.result.kind !== 'busy');
    expect(sync.result.kind).toBe('done');
    expect(sync.corrupt).toBeGreaterThan(0);
    expect(sync.ledger.store).toMatchObject({ sizeBytes: 0, excluded: null });
    expect(stage.alarms('n2').join()).toContain('the store gave other bytes for chunk');
    expectLevel(stage, 'n2');
  });

  it('of a peer excludes that peer, and comes from elsewhere', () => {
    const { stage, chunks } = scene();
    for (const [hash, bytes] of chunks) stage.host('n1').chunks.alter(hash, bytes);
    forget(
      stage,
      ['n0'],
      chunks.map(([hash]) => hash),
    );
    expectHealed(stage, 'peer n1', 1);
  });

  it('on its own disk is fetched anew, and then it is right there', () => {
    const { stage, chunks } = scene();
    for (const [hash, bytes] of chunks) stage.host('n2').chunks.alter(hash, bytes);
    expectHealed(stage, 'the cache', chunks.length);
    const again = watchFetches(stage, 'n2');
    stage.kill('n2');
    stage.start('n2');
    stage.until('it is level', () => stage.syncedThrough('n2') === stage.seq);
    expect(network(again)).toEqual([]);
    expectLevel(stage, 'n2');
  });
});

/** Everybody has the second of two snapshots: with directories, leaves, changes and large values. */
function filledTwice(): Stage {
  const stage = filled();
  stage.sync();
  stage.deliver(1, 1, 1);
  stage.sync();
  stage.until('all have it', () =>
    ['n1', 'n2'].every((name) => stage.syncedThrough(name) === stage.seq),
  );
  return stage;
}

describe('a chunk that nobody has', () => {
  it('is put anew whatever it holds, and once', () => {
    const sample = filledTwice();
    const count = chunksOf(sample, newestSnapshot(sample)).length;
    for (let i = 0; i < count; i++) {
      const stage = filledTwice();
      const { at } = newestSnapshot(stage);
      stage.kill('n2');
      const lost = chunksOf(stage, newestSnapshot(stage))[i] as Uint8Array;
      forget(stage, all, [lost]);
      alterStore(stage, lost, null);
      const before = stage.records().length;
      stage.start('n2');
      stage.until(`n2 has it without chunk ${i}`, () => stage.syncedThrough('n2') === at, 9000);
      expect(stage.records().length - before).toBeLessThanOrEqual(2);
      expectLevel(stage, 'n2');
    }
  });

  it('is missed aloud, what was there stays, and the writer puts it anew', () => {
    const stage = filled();
    stage.sync();
    const first = new Set(chunksOf(stage, newestSnapshot(stage)).map(keyOf));
    stage.deliver(1, 1, 1);
    recordedWithout(stage, 'n2');
    const { id, at } = newestSnapshot(stage);
    const anew = chunksOf(stage, newestSnapshot(stage)).filter((hash) => !first.has(keyOf(hash)));
    const lost = anew.at(-1) as Uint8Array;
    forget(stage, all, [lost]);
    alterStore(stage, lost, null);
    stage.resume('n2');
    stage.until('it says so', () => stage.member('n2').error !== null);
    expect(stage.member('n2').error).toMatch(/chunks cannot be had/);
    expect(stage.alarms('n2').join()).toContain('snapshot refused');
    expect(stage.syncedThrough('n2')).toBe(120);
    stage.until('there is another', () => newestSnapshot(stage).id !== id, 3000);
    expect(newestSnapshot(stage).at).toBe(at);
    stage.until('it is healthy', () => stage.syncedThrough('n2') === at, 3000);
    expect(stage.member('n2').error).toBeNull();
    expectLevel(stage, 'n2');
    expect(syncOf(stage.member('n2'))).toBeNull();
  });
});

type Named = Pick<SnapshotBody, 'manifest' | 'manifestSizeBytes'>;

describe('a snapshot record that names', () => {
  /** It cuts as it should, and then says that this is the snapshot's manifest. */
  class Swapper extends Liar {
    constructor(
      private readonly stage: Stage,
      private readonly named: Named,
    ) {
      super('manifest');
    }

    override alter(effect: Effect): Effect {
      return effect;
    }

    override misattest(bytes: Uint8Array, config: MemberConfig): Uint8Array {
      const attestation = decodeAttestation(bytes, config);
      if (!attestation?.body) return bytes;
      this.stage.world.lies.add(attestation.body.id);
      return encodeAttestation(
        { ...attestation, body: { ...attestation.body, ...this.named } },
        config,
      );
    }
  }

  /** A follower that was cut off finds such a record, recorded in good faith. */
  function scene(name: (stage: Stage) => Named): Stage {
    const stage = filled({ standby: 'hot', replayEvents: 10 });
    stage.until('the followers are known', () => {
      const { role } = stage.member('n0');
      return role.state === 'active' && role.active.cutting.followers.length === 2;
    });
    stage.sync();
    const first = newestSnapshot(stage);
    expect(first.cutter).toBe(1);
    stage.host('n1').lies = new Swapper(stage, name(stage));
    stage.cutOff('n2');
    stage.deliver(1, 3, 1, 3, 1, 3, 1, 3);
    stage.sync();
    stage.host('n1').lies = null;
    expect(newestSnapshot(stage)).toMatchObject({ cutter: 1, at: stage.seq });
    stage.reconnect('n2');
    return stage;
  }

  /** The log is replayed instead, and the next snapshot is a good one. */
  function expectRefused(stage: Stage, why: RegExp): void {
    stage.until('n2 is level', () => stage.syncedThrough('n2') === stage.seq);
    expect(stage.alarms('n2').join()).toMatch(why);
    expect(stage.contents('n2')).toEqual(stage.contents('n0'));
    expect(stage.member('n2').diverged).toBe(0);
    stage.events(1);
    stage.sync();
    stage.events(1);
    stage.run(100);
    for (const name of ['n1', 'n2']) expect(stage.contents(name)).toEqual(stage.contents('n0'));
  }

  it('the manifest of another snapshot is refused', () => {
    const stage = scene((each) => {
      const { manifest, manifestSizeBytes } = newestSnapshot(each);
      return { manifest, manifestSizeBytes };
    });
    expectRefused(stage, /replaying the whole log: snapshot .*: its manifest is that of /);
  });

  it('a chunk that is no manifest is refused', () => {
    const stage = scene((each) => {
      const [manifest, first] = chunksOf(each, newestSnapshot(each)) as [Uint8Array, Uint8Array];
      expect(manifest).not.toEqual(first);
      const bytes = each.world.model.stored.chunk(first) as Uint8Array;
      return { manifest: first, manifestSizeBytes: bytes.length };
    });
    expectRefused(stage, /replaying the whole log: snapshot .*: its manifest: /);
  });

  it('a manifest that nobody has is refused, and the log replayed', () => {
    const stage = scene(() => ({ manifest: new Uint8Array(8), manifestSizeBytes: 100 }));
    expectRefused(stage, /replaying the whole log: 1 of 1 chunks cannot be had/);
  });
});
