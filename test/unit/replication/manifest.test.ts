import { Packr } from 'msgpackr';
import { describe, expect, it, test } from 'vitest';
import { keyOf } from '../../../replication/bytes.js';
import { limits } from '../../../replication/limits.js';
import {
  decodeManifest,
  encodeManifest,
  type Manifest,
} from '../../../replication/snapshot/manifest.js';
import { seededRandom } from '../../support/scheduler.js';
import { Rows } from './rows.js';

const packr = new Packr({ useRecords: false });

/** The manifest of a snapshot with tables of several levels. */
function wholeManifest(): Uint8Array {
  const group = new Rows().fill(60);
  const { body } = group.cut();
  return group.store.get(body.manifest) as Uint8Array;
}

const whole = wholeManifest();
const parts = packr.unpack(whole) as unknown[];

/** The whole with one part changed. */
function withPart(at: number, value: unknown): Uint8Array {
  return packr.pack(parts.map((part, i) => (i === at ? value : part)));
}

const chunk = (parts[7] as unknown[][])[0] as unknown[];
const root = (parts[6] as unknown[][])[0] as unknown[];
const rootName = root[1] as unknown[];
const renamed = (at: number, value: unknown) =>
  withPart(6, [[root[0], rootName.map((part, i) => (i === at ? value : part))]]);
const rechunked = (at: number, value: unknown) =>
  withPart(7, [chunk.map((part, i) => (i === at ? value : part))]);

describe('a manifest', () => {
  it('reads as it was written', () => {
    const manifest = decodeManifest(whole) as Manifest;
    expect(manifest).toMatchObject({ snapshotId: '1-60-60', kind: 'rows', kindVersion: 1 });
    expect(manifest.tables.map(([table]) => table)).toEqual(['other', 'rows']);
    expect(keyOf(encodeManifest(manifest))).toBe(keyOf(whole));
  });

  it('is refused without the mark of its end, wherever it was cut off', () => {
    expect(decodeManifest(withPart(8, 'complet'))).toEqual({ problem: 'it is not complete' });
    expect(decodeManifest(packr.pack(parts.slice(0, 8)))).toEqual({
      problem: 'it is not complete',
    });
    expect(decodeManifest(packr.pack([...parts, 'complete']))).toEqual({
      problem: 'it is not complete',
    });
    for (let length = 0; length < whole.length; length++) {
      expect(decodeManifest(whole.subarray(0, length))).toHaveProperty('problem');
    }
  });

  it('of another version says so, whatever else is in it', () => {
    const problem = 'manifest version 3, this program reads 2';
    expect(decodeManifest(packr.pack([3, { what: 'ever' }]))).toEqual({ problem });
  });

  test.each<[string, Uint8Array]>([
    ['nothing', new Uint8Array(0)],
    ['a number', packr.pack(7)],
    ['null', packr.pack(null)],
    ['text', packr.pack('manifest')],
    ['a map', packr.pack({ 0: 1, length: 9 })],
    ['a snapshot without an id', withPart(1, 7)],
    ['a kind without a version', withPart(3, null)],
    ['a core that is no list', withPart(4, 'core')],
    ['a core of text', withPart(4, ['core'])],
    ['a core of a negative size', withPart(5, -1)],
    ['no tables', withPart(6, null)],
    ['a table without a root', withPart(6, [['rows', null]])],
    ['a root above all trees', renamed(0, 17)],
    ['a root without a hash', renamed(1, 'abc')],
    ['a root with part of an entry', renamed(2, 0.5)],
    ['a root of a negative size', renamed(3, -1)],
    ['a root that is stored nowhere', renamed(4, [])],
    ['a root that is stored in no chunk', renamed(4, [['abc', 0, 1]])],
    ['a root before the beginning of a chunk', renamed(4, [[Uint8Array.of(1), -1, 1]])],
    ['no chunks', withPart(7, null)],
    ['a chunk without a hash', rechunked(0, null)],
    ['a chunk whose hash is a list', rechunked(0, [1, 2, 3])],
    ['a chunk of a negative size', rechunked(1, -1)],
    ['a chunk of no size', rechunked(1, Number.NaN)],
    ['a chunk larger than chunks are', rechunked(1, limits.chunkSizeBytes + 1)],
    ['a chunk of unknown work', rechunked(2, 3)],
    ['a chunk of which less than nothing is used', rechunked(3, -1)],
    ['too many chunks', withPart(7, new Array(limits.snapshotChunks + 1).fill(chunk))],
  ])('is not %s', (_, bytes) => {
    expect(decodeManifest(bytes)).toEqual({ problem: expect.stringMatching(/\w/) });
  });

  it('is decoded without a throw, whatever is flipped', () => {
    const random = seededRandom('hostile manifest');
    for (let i = 0; i < 5000; i++) {
      const bytes = Uint8Array.from(whole);
      for (let flips = 0; flips <= i % 4; flips++) bytes[random.below(bytes.length)] = i % 256;
      expect(() => decodeManifest(bytes)).not.toThrow();
    }
  });
});
