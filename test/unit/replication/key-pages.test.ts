/** Answers under idempotency keys in snapshots: all of them come back, and only what is new is stored. */
import { describe, expect, it } from 'vitest';
import type { Replica } from '../../../replication/replica.js';
import { beginDigest, stepDigest } from '../../../replication/snapshot/cut.js';
import { type Image, pagesOfKeys, takeImage } from '../../../replication/snapshot/image.js';
import { Restoring } from '../../../replication/snapshot/restoring.js';
import { seededRandom } from '../../support/scheduler.js';
import { keyFor, Rows, recordKeyed, rows } from './rows.js';
import { hash } from './support.js';

function imageOf(replica: Replica): Image {
  const image = takeImage(replica);
  if ('problem' in image) throw new Error(image.problem);
  return image;
}

const digestOf = (replica: Replica) =>
  stepDigest(beginDigest(imageOf(replica)), Number.POSITIVE_INFINITY);
const pagesOf = (replica: Replica) => [...replica.sessions.keyPages.starts];
const answersOf = ({ sessions }: Replica) => [...sessions.byKey];

describe('pages of keys', () => {
  it('are none until one is full: a snapshot has no table for a few keys', () => {
    const few = new Rows().key(3);
    expect(imageOf(few.replica).tables.map(([name]) => name)).toEqual(['other', 'rows']);
    expect(answersOf(few.restore(few.cut().body))).toEqual(answersOf(few.replica));
    const more = few.key(1, 3);
    expect(imageOf(more.replica).tables.map(([name]) => name)).toContain(pagesOfKeys);
    expect(answersOf(more.restore(more.cut().body))).toEqual(answersOf(more.replica));
  });

  it('end sooner with large answers', () => {
    const { replica } = new Rows();
    for (let i = 0; i < 3; i++) recordKeyed(replica, keyFor(i), 'x'.repeat(1000));
    expect(pagesOf(replica)).toEqual([0]);
  });

  it('make of a snapshot what was recorded since the last one', () => {
    const group = new Rows().key(4000);
    const sizeOf = () => [...group.store.chunks.values()].reduce((sum, one) => sum + one.length, 0);
    group.cut();
    const whole = sizeOf();
    expect(imageOf(group.replica).core.length).toBeLessThan(1000);
    group.key(40, 4000).cut();
    expect(sizeOf() - whole).toBeLessThan(whole / 10);
  });

  it('are taken apart bit by bit, and a replica is not given away before it knows all keys', () => {
    const count = 5000;
    const group = new Rows().key(count);
    const { body } = group.cut();
    const restoring = new Restoring({ kind: rows, hash, body, held: null });
    const wants = [...restoring.begin()];
    // Since the last chunk came, and beside leaves.
    let slices = 0;
    while (wants.length > 0 || restoring.hasWork) {
      expect(() => restoring.finish()).toThrow('there is more to be done first');
      const want = wants.pop();
      if (want) slices = 0;
      else if (restoring.waitingSizeBytes === 0) slices += 1;
      const more = want
        ? restoring.accept(want.hash, group.store.get(want.hash) as Uint8Array)
        : restoring.work(1);
      if ('problem' in more) throw new Error(more.problem);
      wants.push(...more);
    }
    expect(slices).toBeGreaterThanOrEqual(4);
    expect(answersOf(restoring.finish())).toEqual(answersOf(group.replica));
  });

  it('are gone when everything in them is forgotten, and what is forgotten does not come back', () => {
    const group = new Rows().key(12);
    expect(pagesOf(group.replica)).toEqual([0, 4, 8]);
    // The oldest are forgotten to make room for one that takes nearly all of it.
    const { replica } = group;
    const large = 'x'.repeat(2 ** 22);
    const before = answersOf(replica).length;
    for (let i = 100; answersOf(replica).length >= before; i++)
      recordKeyed(replica, keyFor(i), large);
    for (let i = 200; replica.sessions.byKey.has(keyFor(9)); i++) {
      recordKeyed(replica, keyFor(i), large);
    }
    expect(pagesOf(replica)[0]).toBeGreaterThanOrEqual(8);
    expect(answersOf(group.restore(group.cut().body))).toEqual(answersOf(replica));
  });

  it.each([1, 2, 3])(
    'are the same for whoever lived through it and whoever was restored, seed %s',
    (seed) => {
      const random = seededRandom(`key pages ${seed}`);
      const group = new Rows();
      let others: Replica[] = [];
      for (let round = 0; round < 12; round++) {
        const { body } = group.cut();
        others = [...others.slice(-2), group.restore(body, others.at(-1) ?? null)];
        for (let i = random.below(30); i > 0; i--) {
          // Keys come again: the later answer counts.
          const key = keyFor(random.below(60));
          const result = random.below(5) === 0 ? 'y'.repeat(random.below(9000)) : i;
          for (const replica of [group.replica, ...others]) recordKeyed(replica, key, result);
        }
        for (const other of others) {
          expect(answersOf(other)).toEqual(answersOf(group.replica));
          expect(pagesOf(other)).toEqual(pagesOf(group.replica));
          expect(digestOf(other)).toEqual(digestOf({ ...group.replica, tip: other.tip }));
        }
      }
    },
  );
});
