/** A manifest is a chunk like any other: it can get lost, and is made anew. */
import { expect, it } from 'vitest';
import { keyOf } from '../../../replication/bytes.js';
import type { SnapshotBody } from '../../../replication/record.js';
import { replicaOf } from './hot-group.js';
import { contentsOf, keyFor, rows } from './rows.js';
import { activeRig, batchOf, type Rig, standbyRig } from './support.js';

function newest({ store }: Rig): SnapshotBody {
  const bodies = store.decoded().map(({ body }) => body);
  return bodies.findLast((body) => body.type === 'snapshot') as SnapshotBody;
}

it('an active that is told of its lost manifest makes another, though nothing was written', () => {
  const rig = activeRig({ kind: rows });
  rig.deliver(batchOf([{ key: keyFor(1), value: 'one' }], { first: 1, floor: 1 }));
  rig.settle().sync();
  rig.settle();
  const { id, manifest } = newest(rig);
  rig.store.chunks.delete(keyOf(manifest));
  rig.feed({ kind: 'chunks-lost', hashes: [manifest] }).settle();

  expect(newest(rig).id).not.toBe(id);
  const standby = standbyRig(rig.store, 1, { kind: rows });
  expect(contentsOf(replicaOf(standby)).rows).toEqual(contentsOf(replicaOf(rig)).rows);
  const { length } = rig.store.records;
  rig.tick(100_000).settle();
  expect(rig.store.records).toHaveLength(length);
});
