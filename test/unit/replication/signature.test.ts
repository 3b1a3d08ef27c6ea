import { Packr } from 'msgpackr';
import { describe, expect, it, test } from 'vitest';
import { epoch, seq } from '../../../replication/ids.js';
import { report } from '../../../replication/member.js';
import { type Body, encodeRecord, type LogRecord } from '../../../replication/record.js';
import { isAuthentic, signed } from '../../../replication/signature.js';
import { simulatedIdentity } from '../../simulation/identity.js';
import { followerRig, replicaOf } from './hot-group.js';
import { bodies, sample, types } from './samples.js';
import { activeRig, add, batchOf, itemsOf, judge, Rig, Store, standbyRig } from './support.js';

const signer = (index: number, groupId = 'g') => ({ groupId, identity: simulatedIdentity(index) });

describe('a signature', () => {
  const needed: readonly Body['type'][] = ['claim', 'snapshot'];
  const writer = sample(bodies.claim).writer.index;

  test.each(needed)('of its writer makes a %s authentic', (type) => {
    const record = signed(sample(bodies[type]), signer(writer));
    expect(isAuthentic(judge, record)).toBe(true);
  });

  test.each(needed)('that is missing, somebody else’s or another group’s does not: %s', (type) => {
    const record = sample(bodies[type]);
    expect(isAuthentic(judge, { ...record, signature: null })).toBe(false);
    expect(isAuthentic(judge, { ...record, signature: Uint8Array.of(1) })).toBe(false);
    expect(isAuthentic(judge, signed(record, signer(writer + 1)))).toBe(false);
    expect(isAuthentic(judge, signed(record, signer(writer, 'h')))).toBe(false);
  });

  test.each<[string, Partial<LogRecord>]>([
    ['epoch', { epoch: epoch(9) }],
    ['number', { number: 9 }],
    ['writer’s node', { writer: { ...sample(bodies.claim).writer, node: 'elsewhere' } }],
    ['predecessor', { previous: new Uint8Array(32) }],
    ['time', { recordedAtMs: 9 }],
    ['seq', { seq: seq(99) }],
    ['body', { body: { ...bodies.snapshot, digest: Uint8Array.of(1) } }],
  ])('is over the %s, too', (_, change) => {
    const record = signed(sample(bodies.snapshot), signer(writer));
    expect(isAuthentic(judge, { ...record, ...change })).toBe(false);
  });

  test.each(types.filter((type) => !needed.includes(type)))('is not asked of %s', (type) => {
    expect(isAuthentic(judge, { ...sample(bodies[type]), signature: null })).toBe(true);
  });
});

it('is on every claim and snapshot record that a member writes, and on nothing else', () => {
  const { store } = begun();
  standbyRig(store).promote(1).settle().tick(100).settle();
  const records = store.decoded();
  expect(records.map(({ body }) => body.type)).toContain('events');
  for (const record of records) {
    const { type } = record.body;
    expect(record.signature !== null).toBe(type === 'claim' || type === 'snapshot');
    expect(isAuthentic(judge, record)).toBe(true);
  }
});

/** A log of epoch 1 that holds `a`, and its active. */
function begun(): { active: Rig; store: Store } {
  const active = activeRig();
  active.deliver(batchOf([add('a')]));
  active.settle();
  return { active, store: active.store };
}

/** What continues the log of this active in every way. */
function next(active: Rig, body: Body): LogRecord {
  const { tip } = replicaOf(active);
  if (tip.writer === null) throw new Error('nobody writes');
  const claims = body.type === 'claim';
  return {
    epoch: epoch(claims ? tip.epoch + 1 : tip.epoch),
    number: claims ? 0 : tip.number + 1,
    writer: claims ? { index: 7, node: 'n7', incarnation: '9' } : tip.writer,
    previous: tip.hash,
    recordedAtMs: tip.recordedAtMs,
    baseSeq: tip.seq,
    seq: tip.seq,
    snapshotPosition: tip.snapshotPosition,
    snapshotSeq: tip.snapshotSeq,
    body,
    signature: null,
  };
}

describe('at the end of the log', () => {
  const forgeries: [string, (active: Rig) => LogRecord][] = [
    ['a claim that nobody signed', (active) => next(active, bodies.claim)],
    ['a claim signed by another member', (active) => signed(next(active, bodies.claim), signer(6))],
    [
      'a claim signed in another group',
      (active) => signed(next(active, bodies.claim), signer(7, 'h')),
    ],
    ['a snapshot that its writer did not sign', (active) => next(active, bodies.snapshot)],
  ];
  const isReported = (rig: Rig) => {
    expect(rig.alarms()).toEqual([expect.stringMatching(/passed over: it is a .*it is forged/)]);
  };

  test.each(forgeries)('%s is passed over and reported by a candidate', (_, forge) => {
    const { active, store } = begun();
    const rig = standbyRig(store);
    store.append(encodeRecord(forge(active)));
    rig.promote(1).settle();
    expect(rig.state).toBe('active');
    expect(rig.member.tip).toMatchObject({ epoch: 2, writer: { index: 1 } });
    expect(itemsOf(rig)).toEqual(['a']);
    isReported(rig);
  });

  test.each(forgeries)('%s is passed over and reported by the active', (_, forge) => {
    const { active, store } = begun();
    store.append(encodeRecord(forge(active)));
    const request = active.deliver(batchOf([add('b')], { first: 2, floor: 1 }));
    active.settle();
    expect(active.answer(request)).toMatchObject({ ok: true });
    expect(active.state).toBe('active');
    isReported(active);
  });

  test.each(forgeries)('%s is passed over and reported by who follows', (_, forge) => {
    const { active, store } = begun();
    const rig = followerRig(store);
    store.append(encodeRecord(forge(active)));
    rig.settle();
    expect(report(rig.member)).toMatchObject({ epoch: 1, writer: { index: 0 } });
    active.deliver(batchOf([add('b')], { first: 2, floor: 1 }));
    active.settle();
    rig.settle().tick(500).settle();
    expect(itemsOf(rig)).toEqual(['a', 'b']);
    isReported(rig);
  });

  test.each(forgeries)('%s tells a warm standby nothing', (_, forge) => {
    const { active, store } = begun();
    const rig = standbyRig(store);
    const { tip } = rig.member;
    store.append(encodeRecord(forge(active)));
    rig.tick(500).settle();
    expect(rig.member.tip).toEqual(tip);
    expect(rig.state).toBe('standby');
  });

  it('a claim that its writer did sign fences the active', () => {
    const { active, store } = begun();
    store.append(encodeRecord(signed(next(active, bodies.claim), signer(7))));
    const request = active.deliver(batchOf([add('b')], { first: 2, floor: 1 }));
    active.settle();
    expect(active.answer(request)).toMatchObject({ ok: false, code: 'moved' });
    expect(active.member.tip).toMatchObject({ epoch: 2, writer: { index: 7 } });
  });
});

describe.each([1, 2])('a record of version %d that continues the log', (version) => {
  const packr = new Packr({ useRecords: false });
  /** The first had twelve parts, and no signature. */
  function former(record: LogRecord): Uint8Array {
    const parts = packr.unpack(encodeRecord(record)) as unknown[];
    return Uint8Array.from(packr.pack([version, ...parts.slice(1, version === 1 ? 12 : 13)]));
  }
  const stopped = (rig: Rig) => {
    expect(rig.state).toBe('quarantined');
    expect(rig.member.error).toContain(
      `record version ${version}, this program reads 3. Run the same version`,
    );
    expect(rig.alarms().filter((detail) => /foreign/.test(detail))).toEqual([]);
  };

  it('stops a candidate', () => {
    const { active, store } = begun();
    const rig = standbyRig(store);
    store.append(former(next(active, bodies.claim)));
    rig.promote(1).settle();
    stopped(rig);
    expect(store.decoded().some(({ writer }) => writer.index === 1)).toBe(false);
  });

  it('stops the active, which answers nobody', () => {
    const { active, store } = begun();
    store.append(former(next(active, bodies.claim)));
    const request = active.deliver(batchOf([add('b')], { first: 2, floor: 1 }));
    active.settle();
    expect(active.answer(request)).toMatchObject({ ok: false, code: 'moved' });
    stopped(active);
  });

  it('stops who follows, live and in a gap', () => {
    const { active, store } = begun();
    const rig = followerRig(store);
    store.append(former(next(active, bodies.barrier)));
    stopped(rig.settle());
    stopped(followerRig(store, 2).tick(500).settle().promote(1).settle());
  });

  it('at the very beginning stops everybody', () => {
    const store = new Store();
    const first = { ...sample(bodies.claim), previous: new Uint8Array(0) };
    store.append(former(first));
    for (const standby of ['warm', 'hot'] as const) {
      stopped(new Rig(store, 1, { standby }).feed({ kind: 'start' }).settle().promote(0).settle());
    }
  });

  it('but does not follow the chain is a stranger’s', () => {
    const { active, store } = begun();
    store.append(former({ ...next(active, bodies.claim), previous: Uint8Array.of(1) }));
    const rig = standbyRig(store).promote(1).settle();
    expect(rig.state).toBe('active');
    expect(rig.member.tip).toMatchObject({ epoch: 2, writer: { index: 1 } });
  });
});
