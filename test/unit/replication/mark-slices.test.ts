/** Digests and cuts of followers take a while: what happens meanwhile. */
import { describe, expect, it } from 'vitest';
import { type Attestation, decodeAttestation } from '../../../replication/attestation.js';
import { report } from '../../../replication/member.js';
import type { SnapshotBody } from '../../../replication/record.js';
import { hasWork } from '../../../replication/work.js';
import { HotGroup, leafChunksOf, replicaOf, tamper } from './hot-group.js';
import { keyFor, rows } from './rows.js';
import { batchOf, itemsOf, judge, type Rig, settleAll } from './support.js';

const large = { cheapSizeBytes: 0 };

const marksOf = (rig: Rig) => {
  const { follow } = rig.member;
  if (follow === null) throw new Error('it follows nothing');
  return follow.marks;
};

const newestOf = (group: HotGroup): SnapshotBody => {
  const bodies = group.store.decoded().map(({ body }) => body);
  return bodies.findLast((body) => body.type === 'snapshot') as SnapshotBody;
};

const attestedBy = ({ told }: Rig): Attestation[] =>
  told.flatMap((effect) => {
    const said = effect.kind === 'attest' ? decodeAttestation(effect.bytes, judge) : null;
    return said === null ? [] : [said];
  });

const wake = (rig: Rig): void => {
  rig.isResting = false;
};

/** Member 2 has no time for the digest of the mark. */
function resting(): { group: HotGroup; rig: Rig } {
  const group = new HotGroup(3).add('a');
  const rig = group.follower(2);
  rig.isResting = true;
  return { group, rig };
}

describe('a digest that takes longer than the snapshot record', () => {
  it('is compared with it once it is there: level members stay', () => {
    const { group, rig } = resting();
    expect(group.sync()).toEqual({ through: 1 });
    expect(marksOf(rig).toCompare?.body).toEqual(newestOf(group));
    expect(hasWork(rig.member)).toBe(true);
    expect(attestedBy(rig).length).toBe(0);
    wake(rig);
    group.settle();
    expect(marksOf(rig)).toMatchObject({ toCompare: null, work: null });
    expect(attestedBy(rig).at(-1)?.digest).toEqual(newestOf(group).digest);
    expect(report(rig.member)).toMatchObject({ diverged: 0, hot: true });
  });

  it('is compared with it once it is there: who differs begins anew', () => {
    const { group, rig } = resting();
    tamper(rig);
    group.sync();
    expect(report(rig.member).diverged).toBe(0);
    wake(rig);
    group.settle();
    expect(report(rig.member)).toMatchObject({ diverged: 1, error: null, hot: true });
    expect(rig.alarms()[1]).toContain('tampered here');
    expect(itemsOf(rig)).toEqual(['a']);
    expect(marksOf(rig)).toMatchObject({ toCompare: null, digests: [] });
  });

  it('is not compared with the record of another mark', () => {
    const { group, rig } = resting();
    tamper(rig);
    group.sync();
    group.add('b').sync();
    // The first mark's came too late: only the second is found.
    expect(marksOf(rig).toCompare?.body).toEqual(newestOf(group));
    wake(rig);
    group.settle();
    expect(attestedBy(rig)).toHaveLength(1);
    expect(attestedBy(rig)[0]?.number).toBe(newestOf(group).mark);
    expect(rig.alarms()[0]).toMatch(/^at seq 2 /);
    expect(itemsOf(rig)).toEqual(['a', 'b']);
  });

  it('is that of the mark, whatever is applied before it is found', () => {
    const group = new HotGroup(3, large).add('a');
    for (const rig of group.followers) rig.isResting = true;
    expect(group.sync()).toBeUndefined();
    group.add('b', 'c');
    for (const rig of group.followers) expect(itemsOf(rig)).toEqual(['a', 'b', 'c']);
    group.followers.forEach(wake);
    group.settle();
    expect(newestOf(group)).toMatchObject({ at: 1, cutter: 1 });
    expect(group.active.alarms()).toEqual([]);
    expect(group.followers.map(({ member }) => member.diverged)).toEqual([0, 0]);
  });
});

describe('the digest of an active that vouches', () => {
  it('takes a while, too: nothing is recorded before, and commands are served', () => {
    const group = new HotGroup(2).add('a');
    group.active.isResting = true;
    expect(group.sync()).toBeUndefined();
    expect(attestedBy(group.follower(1))).toHaveLength(1);
    expect(hasWork(group.active.member)).toBe(true);
    group.add('b');
    expect(itemsOf(group.follower(1))).toEqual(['a', 'b']);
    expect(newestOf(group).at).toBe(0);
    wake(group.active);
    group.settle();
    expect(newestOf(group)).toMatchObject({ at: 1, cutter: 1 });
    expect(group.active.alarms()).toEqual([]);
  });

  it('is forgotten with its mark when time is up', () => {
    const group = new HotGroup(2).add('a');
    group.active.isResting = true;
    group.sync();
    group.pass(10_000);
    expect(group.active.alarms()).toEqual([expect.stringMatching(/no other member vouched/)]);
    wake(group.active);
    group.settle();
    expect(newestOf(group)).toMatchObject({ at: 1, cutter: 0 });
    expect(hasWork(group.active.member)).toBe(false);
  });
});

describe('a promotion', () => {
  it('forgets the digest that is under way', () => {
    const { group, rig } = resting();
    group.sync();
    const attested = attestedBy(rig).length;
    expect(hasWork(rig.member)).toBe(true);
    rig.promote(1);
    expect(hasWork(rig.member)).toBe(false);
    wake(rig);
    rig.settle();
    expect(rig.state).toBe('active');
    expect(attestedBy(rig)).toHaveLength(attested);
    expect(itemsOf(rig)).toEqual(['a']);
  });

  it.each<[string, (rig: Rig) => void]>([
    ['announced', () => undefined],
    ['put', (rig) => rig.settleOnly('announce')],
    ['pinned', (rig) => rig.settleOnly('announce', 'put-chunk', 'keep-chunk')],
  ])('forgets the cut that is being %s, which is never recorded', (_, act) => {
    const group = new HotGroup(3).add('a');
    const rig = group.follower(1);
    group.active.sync();
    group.active.settle();
    act(rig);
    expect(marksOf(rig).work?.mark).toMatchObject({ epoch: 1 });
    rig.promote(1);
    expect(hasWork(rig.member)).toBe(false);
    rig.settle();
    expect(rig.state).toBe('active');
    expect(attestedBy(rig)).toEqual([]);
    expect(newestOf(group).at).toBe(0);
    rig.tick(100).settle();
    expect(newestOf(group)).toMatchObject({ at: 1, id: expect.stringMatching(/^2-/) });
  });
});

describe('a state that is thrown away', () => {
  it('takes the digest that is under way with it', () => {
    const { group, rig } = resting();
    group.sync();
    expect(hasWork(rig.member)).toBe(true);
    rig.reinit();
    expect(hasWork(rig.member)).toBe(false);
    wake(rig);
    group.settle();
    expect(attestedBy(rig)).toEqual([]);
    expect(itemsOf(rig)).toEqual(['a']);
  });
});

describe('a follower that cuts', () => {
  let first = 1;
  function group(): { group: HotGroup; change: (key: string, value: unknown) => void } {
    const hot = new HotGroup(3, { kind: rows });
    const change = (key: string, value: unknown) => {
      first += 10;
      hot.active.deliver(batchOf([{ key, value }], { first, floor: 1 }));
      settleAll(hot.active, ...hot.followers);
    };
    for (let i = 0; i < 200; i++) change(keyFor(i), `value ${i} `.repeat(4));
    hot.sync();
    return { group: hot, change };
  }

  it('builds upon its snapshot once that is recorded, as the active does not', () => {
    const { group: hot, change } = group();
    const cutter = hot.follower(1);
    expect(replicaOf(cutter).base?.snapshotId).toBe(newestOf(hot).id);
    expect(replicaOf(hot.active).base?.snapshotId).not.toBe(newestOf(hot).id);
    const leaves = leafChunksOf(cutter);
    expect(leaves.length).toBeGreaterThan(10);
    change('more', 1);
    hot.sync();
    expect(newestOf(hot)).toMatchObject({ cutter: 1, at: 201 });
    expect(leafChunksOf(cutter).filter((key) => !leaves.includes(key))).toHaveLength(1);
  });

  it('does not build upon one that was never recorded', () => {
    const { group: hot, change } = group();
    const cutter = hot.follower(1);
    const recorded = newestOf(hot).id;
    hot.post = () => [];
    change('more', 1);
    hot.sync();
    expect(marksOf(cutter).deposited?.base.snapshotId).not.toBe(recorded);
    expect(replicaOf(cutter).base?.snapshotId).toBe(recorded);
    hot.pass(10_000);
    expect(newestOf(hot)).toMatchObject({ cutter: 0, at: 201 });
    expect(replicaOf(cutter).base?.snapshotId).toBe(recorded);
  });
});
