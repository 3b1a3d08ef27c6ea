/**
 * A manifest: what a snapshot consists of. It is a chunk itself; the snapshot record names its hash,
 * and everything else is named, directly or by way of others, in here.
 */
import { Packr, Unpackr } from 'msgpackr';
import { keyOf, plainBytes } from '../bytes.js';
import { limits } from '../limits.js';
import { type WorkKind, workKinds } from '../sync/assembly.js';
import type { Problem } from './image.js';
import type { ChunkUse, ChunkUses } from './packing.js';
import { isWhole, type NodeName, packName, unpackName } from './pages.js';

const packr = new Packr({ useRecords: false });
const unpackr = new Unpackr({ useRecords: false, copyBuffers: true });

const manifestVersion = 2;
/** The last thing in a manifest: what ends before it was cut off. */
const completed = 'complete';

export interface Manifest {
  readonly snapshotId: string;
  readonly kind: string;
  readonly kindVersion: number;
  /** Chunks that hold nothing but the core, in order, and its size. */
  readonly core: readonly Uint8Array[];
  readonly coreSizeBytes: number;
  /** The roots of the tables, in the order of their names. */
  readonly tables: readonly (readonly [table: string, root: NodeName])[];
  /** All chunks but this one. */
  readonly uses: ChunkUses;
}

export function encodeManifest(manifest: Manifest): Uint8Array {
  const { snapshotId, kind, kindVersion, core, coreSizeBytes, tables, uses } = manifest;
  return packr.pack([
    manifestVersion,
    snapshotId,
    kind,
    kindVersion,
    core,
    coreSizeBytes,
    tables.map(([table, root]) => [table, packName(root)]),
    [...uses.values()].map((use) => [
      use.hash,
      use.sizeBytes,
      workKinds.indexOf(use.work),
      use.usedSizeBytes,
    ]),
    completed,
  ]);
}

/** The manifest in these bytes, or what is wrong with them. Never throws. */
export function decodeManifest(bytes: Uint8Array): Manifest | Problem {
  try {
    const parts = unpackr.unpack(plainBytes(bytes)) as unknown[];
    if (parts[0] !== manifestVersion) {
      const problem = `manifest version ${String(parts[0])}, this program reads ${manifestVersion}`;
      return { problem };
    }
    if (parts.length !== 9 || parts.at(-1) !== completed) return { problem: 'it is not complete' };
    return fromParts(parts);
  } catch (error) {
    return { problem: `it cannot be read: ${(error as Error).message}` };
  }
}

function fromParts(parts: readonly unknown[]): Manifest | Problem {
  const [, snapshotId, kind, kindVersion, core, coreSizeBytes, tables, chunks] = parts as [
    number,
    string,
    string,
    number,
    Uint8Array[],
    number,
    [string, unknown][],
    [Uint8Array, number, number, number][],
  ];
  const areNumbers = [kindVersion, coreSizeBytes].every(isWhole);
  const areHashes = core.every((hash) => hash instanceof Uint8Array);
  if (typeof snapshotId !== 'string' || !areNumbers || !areHashes)
    return { problem: 'no manifest' };
  if (chunks.length > limits.snapshotChunks) return { problem: `it names ${chunks.length} chunks` };
  const uses: ChunkUses = new Map();
  for (const [hash, sizeBytes, work, usedSizeBytes] of chunks) {
    const use: ChunkUse = { hash, sizeBytes, work: workKinds[work] as WorkKind, usedSizeBytes };
    if (use.work === undefined) return { problem: `work ${work} is unknown` };
    const areSizes =
      [sizeBytes, usedSizeBytes].every(isWhole) && sizeBytes <= limits.chunkSizeBytes;
    if (!areSizes || !(hash instanceof Uint8Array)) return { problem: 'it names what is no chunk' };
    uses.set(keyOf(hash), use);
  }
  const roots = tables.map(([table, root]) => [table, unpackName(root)] as const);
  return { snapshotId, kind, kindVersion, core, coreSizeBytes, tables: roots, uses };
}
