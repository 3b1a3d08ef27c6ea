import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Packr } from 'msgpackr';
import { describe, expect, it, test } from 'vitest';
import { epoch, seq } from '../../../replication/ids.js';
import {
  decodeRecord,
  encodeRecord,
  isRecord,
  type LogRecord,
  packSnapshot,
} from '../../../replication/record.js';
import { emptyTip, misfit, tipOf } from '../../../replication/replica.js';
import { signed } from '../../../replication/signature.js';
import { simulatedIdentity } from '../../simulation/identity.js';
import { seededRandom } from '../../support/scheduler.js';
import { bodies, sample, types } from './samples.js';
import { after, hash, judge } from './support.js';

const packr = new Packr({ useRecords: false });
const fixture = (name: string): Uint8Array => {
  const text = readFileSync(join(import.meta.dirname, 'fixtures', `${name}.hex`), 'utf8');
  return Uint8Array.from(Buffer.from(text.replace(/\s/g, ''), 'hex'));
};

describe.each(types)('a record of type %s', (type) => {
  const record = sample(bodies[type]);

  it('reads as it was written', () => {
    expect(decodeRecord(encodeRecord(record))).toEqual(record);
  });

  it('is read from the bytes that version 3 wrote', () => {
    expect(decodeRecord(fixture(`record-v3-${type}`))).toEqual(record);
  });

  it('is still written as version 3 writes it', () => {
    expect(Buffer.from(encodeRecord(record)).toString('hex')).toBe(
      Buffer.from(fixture(`record-v3-${type}`)).toString('hex'),
    );
  });

  it.each([1, 2])(
    'as version %d wrote it is told apart from a stranger’s by the record it follows',
    (version) => {
      expect(decodeRecord(fixture(`record-v${version}-${type}`))).toEqual({
        problem: `record version ${version}, this program reads 3`,
        follows: record.previous,
      });
    },
  );
});

describe('bytes that are no record', () => {
  const whole = encodeRecord(sample(bodies.snapshot));
  /** A snapshot's body with one part changed. */
  const snapshotWith = (at: number, value: unknown) => {
    const parts: unknown[] = packSnapshot(bodies.snapshot);
    parts[at] = value;
    return packed(11, parts, 'snapshot');
  };
  const packed = (at: number, value: unknown, type: (typeof types)[number] = 'claim') => {
    const parts = packr.unpack(encodeRecord(sample(bodies[type]))) as unknown[];
    parts[at] = value;
    return Uint8Array.from(packr.pack(parts));
  };

  test.each([
    ['nothing', new Uint8Array(0)],
    ['text', new TextEncoder().encode('{"by":1}')],
    ['a number', Uint8Array.from(packr.pack(7))],
    ['a short array', Uint8Array.from(packr.pack([1, 0]))],
    ['an unknown type', packed(1, 17)],
    ['a type named like a property of arrays', packed(1, 'length')],
    ['a negative epoch', packed(2, -1)],
    ['a fraction for a number', packed(3, 1.5)],
    ['an infinite seq', packed(8, Number.POSITIVE_INFINITY)],
    ['a time that is none', packed(6, 'now')],
    ['a writer that is text', packed(4, 'abc')],
    ['a writer without a node', packed(4, [0, null, '1'])],
    ['no hash', packed(5, null)],
    ['no body', packed(11, null)],
    ['a signature that is text', packed(12, 'signed')],
    ['a part too many', packed(13, null)],
    ['a claim without a cause', packed(11, [1, 2, 3, 4, null])],
    ['a snapshot without an id', snapshotWith(0, 7)],
    ['a snapshot at no seq', snapshotWith(1, -1)],
    ['a snapshot at no position', snapshotWith(2, 0.5)],
    ['a snapshot without a manifest', snapshotWith(3, null)],
    ['a snapshot of text', snapshotWith(3, 'a')],
    ['a snapshot of several manifests', snapshotWith(3, [Uint8Array.of(1)])],
    ['a snapshot whose manifest takes nothing that is a size', snapshotWith(4, -300)],
    ['a snapshot whose core has no size', snapshotWith(5, null)],
    ['a snapshot of no size', snapshotWith(6, 'large')],
    ['a snapshot without a digest', snapshotWith(7, null)],
    ['a snapshot of a mark that is none', snapshotWith(8, '')],
    ['a snapshot that nobody cut', snapshotWith(9, null)],
    [
      'a snapshot as version 2 had it',
      packed(11, ['1-1-1', 1, 1, [], 1, hash(whole), 1, 1], 'snapshot'),
    ],
    ['a mark without a cutter', packed(11, [null, []], 'barrier')],
    ['events without runs', packed(11, [1, null, new Uint8Array(0)], 'events')],
    ['events that are text', packed(11, [1, [], 'events'], 'events')],
  ])('%s', (_, bytes) => {
    const decoded = decodeRecord(bytes);
    expect(isRecord(decoded)).toBe(false);
    expect(decoded).toMatchObject({ problem: expect.stringMatching(/\w/) });
  });

  it('never throws, whatever is cut off or flipped', () => {
    const random = seededRandom('hostile bytes');
    for (let length = 0; length < whole.length; length++) {
      expect(isRecord(decodeRecord(whole.subarray(0, length)))).toBe(false);
    }
    for (let i = 0; i < 5000; i++) {
      const type = types[i % types.length] as (typeof types)[number];
      const bytes = Uint8Array.from(encodeRecord(sample(bodies[type])));
      for (let flips = 0; flips <= i % 4; flips++) bytes[random.below(bytes.length)] = i % 256;
      expect(() => decodeRecord(bytes)).not.toThrow();
    }
  });

  it('of a later version are told apart from a stranger’s by the record they follow', () => {
    const previous = sample(bodies.claim).previous;
    const parts = packr.unpack(encodeRecord(sample(bodies.claim))) as unknown[];
    const later = Uint8Array.from(packr.pack([4, ...parts.slice(1), 'a field of the future']));
    expect(decodeRecord(later)).toEqual({
      problem: 'record version 4, this program reads 3',
      follows: previous,
    });
    expect(decodeRecord(packed(0, 0))).not.toHaveProperty('follows');
  });
});

describe('whether a record continues a log', () => {
  const last = sample(bodies.barrier);
  const bytes = encodeRecord(last);
  const tip = tipOf(last, bytes, 1 as never, hash);
  const next = after(last, bytes, bodies.handoff);
  const signer = (index: number) => ({ groupId: 'g', identity: simulatedIdentity(index) });
  const unsigned: LogRecord = { ...next, epoch: epoch(3), number: 0, body: bodies.claim };
  const claim = signed(unsigned, signer(1));
  const snapshot: LogRecord = { ...next, body: bodies.snapshot };

  test.each<[string, LogRecord, RegExp | undefined]>([
    ['the next record of the epoch', next, undefined],
    ['a claim of the next epoch', claim, undefined],
    [
      'a claim by somebody else',
      signed({ ...claim, writer: { index: 0, node: 'x', incarnation: '1' } }, signer(0)),
      undefined,
    ],
    ['a snapshot that its writer signed', signed(snapshot, signer(1)), undefined],
    ['a claim that nobody signed', unsigned, /is a claim that member 1 on n1 .* did not sign/],
    ['a claim that another member signed', signed(unsigned, signer(2)), /it is forged/],
    ['a snapshot that nobody signed', snapshot, /is a snapshot that .* did not sign: it is forged/],
    ['another predecessor', { ...next, previous: last.previous }, /another predecessor/],
    ['a record left out', { ...next, number: 10 }, /is record 10 of epoch 2, expected 9 of 2/],
    ['another epoch without a claim', { ...next, epoch: epoch(3) }, /of epoch 3, expected 9 of 2/],
    ['a claim that skips an epoch', { ...claim, epoch: epoch(4) }, /of epoch 4, expected 0 of 3/],
    ['a claim with a number', { ...claim, number: 9 }, /is record 9/],
    ['a gap in the events', { ...next, baseSeq: seq(44) }, /starts after seq 44, not 41/],
    [
      'another writer in the same epoch',
      { ...next, writer: { ...last.writer, incarnation: '000000000043' } },
      /is by member 1 on n1 \(life 000000000043\), epoch 2 belongs to member 1 on n1 \(life 000000000042\)/,
    ],
  ])('%s', (_, record, problem) => {
    if (problem === undefined) expect(misfit(tip, record, judge)).toBeUndefined();
    else expect(misfit(tip, record, judge)).toMatch(problem);
  });

  it('begins with a claim of epoch 1', () => {
    const first: LogRecord = {
      ...unsigned,
      epoch: epoch(1),
      previous: new Uint8Array(0),
      baseSeq: seq(0),
      seq: seq(0),
    };
    expect(misfit(emptyTip, signed(first, signer(1)), judge)).toBeUndefined();
    expect(misfit(emptyTip, { ...first, epoch: epoch(2) }, judge)).toMatch(/expected 0 of 1/);
  });
});
