import { describe, expect, it, test } from 'vitest';
import {
  type Attestation,
  decodeAttestation,
  encodeAttestation,
} from '../../../replication/attestation.js';
import { epoch, position, seq } from '../../../replication/ids.js';
import { wakeAtMs } from '../../../replication/member.js';
import type { SnapshotBody } from '../../../replication/record.js';
import { HotGroup, replicaOf, tamper } from './hot-group.js';
import {
  add,
  batchOf,
  causeOf,
  configOf,
  itemsOf,
  judge,
  type Rig,
  standbyRig,
} from './support.js';

const large = { cheapSizeBytes: 0 };
const late = () => batchOf([add('late')], { first: 900, floor: 1 });

const marksIn = (group: HotGroup) =>
  group.store.decoded().flatMap(({ number, body }) => {
    const mark = body.type === 'barrier' ? body.mark : null;
    return mark === null ? [] : [{ number, cutter: mark.cutter }];
  });

const snapshotsIn = (group: HotGroup): SnapshotBody[] =>
  group.store.decoded().flatMap(({ body }) => (body.type === 'snapshot' ? [body] : []));

const newestOf = (group: HotGroup) => snapshotsIn(group).at(-1) as SnapshotBody;

const read = (bytes: Uint8Array): Attestation => {
  const attestation = decodeAttestation(bytes, judge);
  if (attestation === null) throw new Error('it is forged');
  return attestation;
};

/** What the member said, changed, and signed by it again. */
const reword = (bytes: Uint8Array, change: (said: Attestation) => Attestation): Uint8Array => {
  const said = change(read(bytes));
  return encodeAttestation(said, configOf(said.index));
};

const attestedBy = ({ told }: Rig): Attestation[] =>
  told.flatMap((effect) => (effect.kind === 'attest' ? [read(effect.bytes)] : []));

describe('a mark', () => {
  it('names the lowest follower, which cuts; the digest is attested, and the snapshot recorded', () => {
    const group = new HotGroup().add('a', 'b');
    const before = group.active.carried.length;
    expect(group.sync()).toEqual({ through: 2 });
    const mark = marksIn(group).at(-1);
    expect(mark).toMatchObject({ cutter: 1 });
    const { digest } = attestedBy(group.follower(2)).at(-1) as Attestation;
    expect(newestOf(group)).toMatchObject({ at: 2, mark: mark?.number, cutter: 1, digest });
    expect(group.store.decoded().at(-1)?.signature).not.toBeNull();
    expect(group.active.carried.slice(before)).not.toContain('announce');
    expect(group.follower(1).carried).toEqual(
      expect.arrayContaining(['announce', 'put-chunk', 'pin']),
    );
    expect(group.follower(2).carried).not.toContain('announce');
    expect(itemsOf(standbyRig(group.store, 5))).toEqual(['a', 'b']);
  });

  it('in a group without followers is cut at by the active, and compared all the same', () => {
    const group = new HotGroup(1).add('a');
    expect(group.sync()).toEqual({ through: 1 });
    const mark = marksIn(group).at(-1);
    expect(mark?.cutter).toBe(0);
    expect(newestOf(group)).toMatchObject({ mark: mark?.number, cutter: 0 });
  });

  it('is not needed in a warm group', () => {
    const group = new HotGroup(1, { standby: 'warm' }).add('a');
    group.sync();
    expect(marksIn(group)).toEqual([]);
    expect(newestOf(group)).toMatchObject({ mark: null, cutter: 0 });
  });

  it('is not drafted past while the active is to vouch for it', () => {
    const group = new HotGroup().add('a');
    group.active.sync();
    expect(marksIn(group)).toHaveLength(1);
    const request = group.active.deliver(late());
    expect(itemsOf(group.active)).toEqual(['a']);
    group.settle();
    expect(group.active.answer(request)).toMatchObject({ ok: true });
    expect(newestOf(group)).toMatchObject({ at: 1, cutter: 1 });
    expect(itemsOf(group.follower(1))).toEqual(['a', 'late']);
  });

  it('of a large state holds up no command', () => {
    const group = new HotGroup(3, large).add('a');
    group.active.sync();
    const request = group.active.deliver(late());
    expect(itemsOf(group.active)).toEqual(['a', 'late']);
    group.settle();
    expect(group.active.answer(request)).toMatchObject({ ok: true });
    expect(newestOf(group)).toMatchObject({ at: 1, cutter: 1 });
  });
});

describe('the witness', () => {
  it('of a cheap state is the active itself: one follower is enough', () => {
    const group = new HotGroup(2).add('a');
    expect(group.sync()).toEqual({ through: 1 });
    expect(newestOf(group).cutter).toBe(1);
  });

  it('of a large state is another follower, without which nothing is recorded', () => {
    const group = new HotGroup(3, large).add('a');
    const held: Uint8Array[] = [];
    group.post = (bytes, index) => {
      if (index === 1) return [bytes];
      held.push(bytes);
      return [];
    };
    expect(group.sync()).toBeUndefined();
    expect(marksIn(group).at(-1)?.cutter).toBe(1);
    expect(newestOf(group).at).toBe(0);
    group.active.feed({ kind: 'attested', bytes: held[0] as Uint8Array });
    group.settle();
    expect(newestOf(group)).toMatchObject({ at: 1, cutter: 1 });
    expect(group.active.alarms()).toEqual([]);
  });

  it('is no cutter: without its snapshot nothing is recorded', () => {
    const group = new HotGroup(3, large).add('a');
    group.post = (bytes, index) => (index === 2 ? [bytes, bytes] : []);
    expect(group.sync()).toBeUndefined();
    expect(newestOf(group).at).toBe(0);
  });

  it('cannot be the cutter once more', () => {
    const group = new HotGroup(3, large).add('a');
    group.post = (bytes, index) => (index === 1 ? [bytes, bytes] : []);
    expect(group.sync()).toBeUndefined();
    expect(newestOf(group).at).toBe(0);
  });

  it('is needed at once after a promotion, if the state was large before', () => {
    const group = new HotGroup(3, { cheapSizeBytes: 10 }).add('a'.repeat(100));
    group.sync();
    const rig = group.follower(1);
    rig.feed({ kind: 'promote', ...causeOf(1) }).settle();
    expect(replicaOf(rig).coreSizeBytes).toBeGreaterThan(10);
    rig.feed({ kind: 'followers', indexes: [2] });
    rig.deliver(late());
    rig.settle();
    rig.tick(100).settle();
    const mark = group.store.decoded().findLast(({ body }) => body.type === 'barrier' && body.mark);
    expect(mark).toMatchObject({ epoch: 2, body: { mark: { cutter: 1 } } });
  });

  it('of a large state cannot be had from one follower: the active cuts', () => {
    const group = new HotGroup(2, large).add('a');
    expect(group.sync()).toEqual({ through: 1 });
    expect(newestOf(group).cutter).toBe(0);
  });

  it('that differs proves nothing of a large state, until time is up', () => {
    const group = new HotGroup(3, large).add('a');
    tamper(group.follower(2));
    expect(group.sync()).toBeUndefined();
    expect(newestOf(group).at).toBe(0);
    group.pass(10_000);
    expect(newestOf(group)).toMatchObject({ at: 1, cutter: 0 });
  });

  it.each([
    ['cheap', 2, {}],
    ['large', 3, large],
  ] as const)('of a %s state may speak before the mark is known to be stored', (_, size, rest) => {
    const group = new HotGroup(size, rest).add('a');
    const request = group.active.sync();
    const { call, bytes } = group.active.take('append');
    const at = group.store.append(bytes);
    group.settle();
    expect(group.follower(1).told.some(({ kind }) => kind === 'attest')).toBe(true);
    expect(group.active.holds('append')).toBe(false);
    group.active.feed({ kind: 'appended', call, outcome: { kind: 'stored', position: at } });
    group.settle();
    expect(group.active.synced(request)).toEqual({ through: 1 });
    expect(newestOf(group).cutter).toBe(1);
    expect(group.active.alarms()).toEqual([]);
  });
});

describe('the active cuts alone', () => {
  const isAlone = (group: HotGroup) => {
    expect(
      marksIn(group)
        .slice(-2)
        .map(({ cutter }) => cutter),
    ).toEqual([1, 0]);
    expect(newestOf(group)).toMatchObject({ at: 1, cutter: 0 });
    expect(newestOf(group).mark).toBe(marksIn(group).at(-1)?.number);
    expect(itemsOf(standbyRig(group.store, 5))).toEqual(['a']);
  };

  it('when its own digest is another than the cutter’s', () => {
    const group = new HotGroup(3).add('a');
    tamper(group.follower(1));
    expect(group.sync()).toEqual({ through: 1 });
    isAlone(group);
    expect(group.active.alarms()).toEqual([
      expect.stringMatching(/^the snapshot of member 1 is not used: it is not that of this active/),
    ]);
  });

  it('when nobody has vouched in ten seconds', () => {
    const group = new HotGroup(3).add('a');
    group.post = () => [];
    expect(group.sync()).toBeUndefined();
    expect(wakeAtMs(group.active.member)).toBe(group.active.nowMs + 10_000);
    group.pass(9999);
    expect(newestOf(group).at).toBe(0);
    group.pass(1);
    isAlone(group);
    expect(group.active.alarms()).toEqual([expect.stringMatching(/no other member vouched/)]);
  });

  it('when the cutter cannot store what it has cut', () => {
    const group = new HotGroup(2).add('a');
    group.store.failure = 'no space left';
    group.sync();
    expect(group.follower(1).alarms()).toEqual(['no snapshot: no space left']);
    group.store.failure = null;
    group.pass(10_000);
    isAlone(group);
  });

  it('once, and then lets others cut again', () => {
    const group = new HotGroup(2).add('a');
    group.post = () => [];
    group.sync();
    group.pass(10_000);
    group.post = (bytes) => [bytes];
    group.add('b').sync();
    expect(newestOf(group)).toMatchObject({ at: 2, cutter: 1 });
  });

  test.each<[string, (body: SnapshotBody) => SnapshotBody]>([
    ['another seq', (body) => ({ ...body, at: seq(body.at + 1) })],
    ['another position', (body) => ({ ...body, position: position(body.position + 1) })],
    ['another mark', (body) => ({ ...body, mark: 1 })],
    ['another cutter', (body) => ({ ...body, cutter: 2 })],
    ['another digest', (body) => ({ ...body, digest: Uint8Array.of(1) })],
  ])('when the snapshot that the cutter offers is of %s', (_, change) => {
    const group = new HotGroup(3).add('a');
    group.post = (bytes, index) => {
      if (index !== 1) return [bytes];
      return [reword(bytes, (said) => ({ ...said, body: said.body && change(said.body) }))];
    };
    expect(group.sync()).toEqual({ through: 1 });
    isAlone(group);
    expect(group.active.alarms()).toEqual([expect.stringMatching(/member 1 is not used/)]);
  });
});

describe('an attestation', () => {
  it('that is forged is refused, and reported', () => {
    const group = new HotGroup(2).add('a');
    group.post = (bytes) => {
      const forged = encodeAttestation(read(bytes), configOf(2));
      return [forged, bytes.subarray(0, 5), Uint8Array.of(7), new Uint8Array(0)];
    };
    expect(group.sync()).toBeUndefined();
    expect(newestOf(group).at).toBe(0);
    expect(group.active.alarms()).toEqual(new Array(4).fill('a forged attestation was refused'));
  });

  it('of another group is no better', () => {
    const group = new HotGroup(2).add('a');
    group.post = (bytes) => [encodeAttestation(read(bytes), configOf(1, { groupId: 'other' }))];
    expect(group.sync()).toBeUndefined();
    expect(group.active.alarms()).toEqual(['a forged attestation was refused']);
  });

  test.each<[string, (said: Attestation) => Attestation]>([
    ['another mark', (said) => ({ ...said, number: said.number + 1 })],
    ['another epoch', (said) => ({ ...said, epoch: epoch(said.epoch + 1) })],
  ])('of %s is passed over without a word', (_, change) => {
    const group = new HotGroup(2).add('a');
    const held: Uint8Array[] = [];
    group.post = (bytes) => {
      held.push(bytes);
      return [reword(bytes, change)];
    };
    expect(group.sync()).toBeUndefined();
    expect(newestOf(group).at).toBe(0);
    expect(group.active.alarms()).toEqual([]);
    group.active.feed({ kind: 'attested', bytes: held[0] as Uint8Array });
    group.settle();
    expect(newestOf(group)).toMatchObject({ at: 1, cutter: 1 });
  });

  it('with a snapshot, of one that was not to cut, is its vote and no more', () => {
    const group = new HotGroup(3, large).add('a');
    group.post = (bytes, index) => {
      if (index === 1) return [];
      return [reword(bytes, (said) => ({ ...said, body: newestOf(group) }))];
    };
    expect(group.sync()).toBeUndefined();
    expect(newestOf(group).at).toBe(0);
  });

  it('reads as it was written, and of anything else nothing does', () => {
    const group = new HotGroup(2).add('a');
    const said: Uint8Array[] = [];
    group.post = (bytes) => {
      said.push(bytes);
      return [bytes];
    };
    group.sync();
    const bytes = said[0] as Uint8Array;
    const { index, epoch: inEpoch, body } = read(bytes);
    expect([index, inEpoch, body]).toEqual([1, 1, newestOf(group)]);
    for (let at = 0; at < bytes.length; at++) {
      const flipped = Uint8Array.from(bytes);
      flipped[at] = (flipped[at] as number) ^ 1;
      expect(decodeAttestation(flipped, judge)).toBeNull();
      expect(decodeAttestation(bytes.subarray(0, at), judge)).toBeNull();
    }
  });
});

describe('a state that cannot be packed', () => {
  it('costs alarms and no snapshot, and the group runs on', () => {
    const group = new HotGroup(2);
    for (const rig of [group.active, ...group.followers]) {
      (replicaOf(rig).state as { odd: unknown }).odd = Symbol('x');
    }
    group.add('a');
    expect(group.sync()).toMatchObject({ failure: expect.stringMatching(/cannot be packed/) });
    expect(group.follower(1).alarms()).toEqual([expect.stringMatching(/^no digest: the state/)]);
    group.add('b');
    expect(itemsOf(group.follower(1))).toEqual(['a', 'b']);
  });
});
