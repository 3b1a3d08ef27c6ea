/** Snapshots in a log that is read back: their digests have to be those of a replay. */
import { expect, test } from 'vitest';
import { encodeValue, joinCommands } from '../../../replication/batch.js';
import { epoch, position, seq } from '../../../replication/ids.js';
import type { Kind } from '../../../replication/kind.js';
import type { StoredRecord } from '../../../replication/ports.js';
import { encodeRecord, type LogRecord } from '../../../replication/record.js';
import { applyRecord, blankReplica } from '../../../replication/replica.js';
import { beginDigest, snapshotId, stepDigest } from '../../../replication/snapshot/cut.js';
import { type Image, takeImage } from '../../../replication/snapshot/image.js';
import { checkDigests } from '../../../src/chaos/check/digests.js';
import { counter } from '../../../src/kinds/counter.js';
import { sha256 } from '../../../src/sha256.js';

const kind = counter as Kind;
const judge = { groupId: 'g', identity: { verify: () => true } };
const writer = { index: 0, node: 'n', incarnation: 'i' };

/** A claim, three events, a snapshot of them, one more event; `spoil` changes what is recorded. */
function logOf(spoil: (digest: Uint8Array) => Uint8Array = (digest) => digest): StoredRecord[] {
  const replica = blankReplica(kind, sha256);
  const stored: StoredRecord[] = [];
  const append = (body: LogRecord['body'], events = 0) => {
    const { tip } = replica;
    const record: LogRecord = {
      ...{ epoch: epoch(1), number: stored.length, writer, previous: tip.hash, recordedAtMs: 5 },
      ...{ signature: new Uint8Array(64), baseSeq: tip.seq, seq: seq(tip.seq + events) },
      ...{ snapshotPosition: position(0), snapshotSeq: seq(0), body },
    };
    const bytes = encodeRecord(record);
    const at = position(stored.length + 1);
    applyRecord(replica, record, bytes, at);
    stored.push({ bytes, position: at });
  };
  const addThree = () => {
    const blob = joinCommands([1, 2, 3].map((by) => encodeValue({ by })));
    const run = { session: null, floor: 1, first: 1, count: 3, keys: null, eventCounts: null };
    const runs = [{ ...run, results: null, rejections: null }];
    append({ type: 'events', kindVersion: 1, runs, blob }, 3);
  };
  const times = { startedAtMs: 0, detectMs: 0, decideMs: 0 };
  append({ type: 'claim', cause: 'created', operation: null, ...times });
  addThree();
  const image = takeImage(replica) as Image;
  const digest = stepDigest(beginDigest(image), Number.POSITIVE_INFINITY) as Uint8Array;
  const { tip } = replica;
  const sizes = { manifestSizeBytes: 1, coreSizeBytes: 1, sizeBytes: 1 };
  const what = { id: snapshotId(tip), at: tip.seq, position: tip.position, mark: null, cutter: 2 };
  addThree();
  append({ type: 'snapshot', ...what, ...sizes, manifest: sha256(digest), digest: spoil(digest) });
  return stored;
}

test('the digest of a snapshot is that of the replayed log where it was cut', () => {
  expect(checkDigests(kind, logOf(), judge, 'g')).toEqual({ digests: 1, violations: [] });
});

test('another digest is a violation that names who cut it and where', () => {
  const { violations } = checkDigests(kind, logOf(sha256), judge, 'g');
  expect(violations).toEqual([
    expect.objectContaining({
      check: 'members',
      detail: expect.stringMatching(/member 2 recorded a snapshot of seq 3 .* a replay .* gives/),
    }),
  ]);
});

test('a kind that folds otherwise than the members did is found', () => {
  const other = { ...counter, apply: () => ({ total: 7, count: 7 }) } as unknown as Kind;
  expect(checkDigests(other, logOf(), judge, 'g').violations).toHaveLength(1);
});

test('what nobody of the group signed counts as nothing', () => {
  const nobody = { ...judge, identity: { verify: () => false } };
  expect(checkDigests(kind, logOf(sha256), nobody, 'g')).toEqual({ digests: 0, violations: [] });
});
