/**
 * Work on one image beside everything else: its digest, and if this member cuts the snapshot, its chunks.
 * It goes on in slices, a few bytes whenever there is time, so that no slice holds anything up.
 *
 * announcing → depositing → pinning → cut
 *
 * C1 Nothing is put before the snapshot is announced, and it is pinned only when all of it is stored:
 *    garbage collection never takes what it needs (I7).
 * C2 What was stored says nothing to later cuts until the snapshot is recorded: then `settleBase`.
 */
import { keyOf } from '../bytes.js';
import type { Effect, Input } from '../effects.js';
import { limits } from '../limits.js';
import type { SnapshotBody } from '../record.js';
import type { Replica, Tip } from '../replica.js';
import type { StoredBranch, StoredLeaf } from '../state/stored.js';
import type { Branch, Leaf } from '../state/tree.js';
import type { Calls } from '../writer.js';
import { type Base, type Deposited, depositImage } from './depositing.js';
import type { Image, Problem } from './image.js';
import { digestImage } from './naming.js';
import type { Chunk } from './packing.js';

export interface Cut {
  readonly calls: Calls;
  readonly image: Image;
  readonly id: string;
  readonly mark: number | null;
  readonly cutter: number;
  /** What may be built upon if it still stands; null once it is known that it does not. */
  base: Base | null;
  readonly doubted: ReadonlySet<string>;
  phase: 'announcing' | 'depositing' | 'pinning';
  /** The announcement, then the pin. */
  call: number;
  /** Chunks that are being put: their calls. */
  readonly puts: Set<number>;
  deposit: Generator<number | Chunk, Deposited | Problem> | null;
  deposited: Deposited | null;
}

export type CutResult =
  | { readonly kind: 'busy' }
  | { readonly kind: 'cut'; readonly body: SnapshotBody; readonly deposited: Deposited }
  | { readonly kind: 'failed'; readonly problem: string };

export interface CutOrder {
  readonly image: Image;
  readonly cutter: number;
  readonly mark: number | null;
  readonly base: Base | null;
  readonly doubted: ReadonlySet<string>;
}

const busy: CutResult = { kind: 'busy' };
/** Chunks on their way to the store: they and the one that is being filled are all a cut takes. */
export const putsInFlight = 8;

/** In the order of the log; whoever is asked to record one can tell what it must be called. */
export function snapshotId({ epoch, number, seq }: Pick<Tip, 'epoch' | 'number' | 'seq'>): string {
  return `${epoch}-${number}-${seq}`;
}

export function beginCut(order: CutOrder, calls: Calls, out: Effect[]): Cut {
  const { image, base, doubted } = order;
  const id = snapshotId(image.tip);
  const call = calls.next++;
  const reused = [...(base?.uses ?? [])].filter(([key]) => !doubted.has(key));
  out.push({ kind: 'announce', call, id, reused: reused.map(([, { hash }]) => hash) });
  return {
    ...order,
    calls,
    id,
    phase: 'announcing',
    call,
    puts: new Set(),
    deposit: null,
    deposited: null,
  };
}

export function cutHasWork({ phase, puts, deposited }: Cut): boolean {
  return phase === 'depositing' && deposited === null && puts.size < putsInFlight;
}

/** Inputs that are not for it change nothing. */
export function stepCut(cut: Cut, input: Input, out: Effect[]): CutResult {
  switch (input.kind) {
    case 'announced':
      return input.call === cut.call ? onAnnounced(cut, input.result) : busy;
    case 'work':
      return onWork(cut, input.sizeBytes, out);
    case 'chunk-put':
      return cut.puts.delete(input.call) ? onPut(cut, input.failure, out) : busy;
    case 'pinned':
      return input.call === cut.call ? onPinned(cut, input.failure) : busy;
    default:
      return busy;
  }
}

function onAnnounced(cut: Cut, result: Extract<Input, { kind: 'announced' }>['result']): CutResult {
  if ('failure' in result) return { kind: 'failed', problem: result.failure };
  const { image, id, doubted } = cut;
  // What it would build upon may have been collected: all is stored anew.
  if (cut.base !== null && !result.standing.includes(cut.base.snapshotId)) cut.base = null;
  const { base } = cut;
  const chunkSizeBytes = chunkSizeOf(image);
  cut.phase = 'depositing';
  cut.deposit = depositImage({ image, snapshotId: id, base, doubted, chunkSizeBytes });
  return busy;
}

function onWork(cut: Cut, sizeBytes: number, out: Effect[]): CutResult {
  let left = sizeBytes;
  while (left > 0 && cutHasWork(cut)) {
    const next = (cut.deposit as NonNullable<Cut['deposit']>).next();
    if (next.done) return onDeposited(cut, next.value, out);
    if (typeof next.value === 'number') left -= next.value;
    else putChunk(cut, next.value, out);
  }
  return busy;
}

function putChunk(cut: Cut, { hash, bytes }: Chunk, out: Effect[]): void {
  const call = cut.calls.next++;
  cut.puts.add(call);
  out.push({ kind: 'put-chunk', call, hash, bytes }, { kind: 'keep-chunk', hash, bytes });
}

function onDeposited(cut: Cut, deposited: Deposited | Problem, out: Effect[]): CutResult {
  if ('problem' in deposited) return { kind: 'failed', ...deposited };
  cut.deposited = deposited;
  return pinIfStored(cut, out);
}

function onPut(cut: Cut, failure: string | null, out: Effect[]): CutResult {
  if (failure !== null) return { kind: 'failed', problem: failure };
  return pinIfStored(cut, out);
}

/** C1 */
function pinIfStored(cut: Cut, out: Effect[]): CutResult {
  const { deposited, puts, id } = cut;
  if (deposited === null || puts.size > 0) return busy;
  cut.phase = 'pinning';
  cut.call = cut.calls.next++;
  const chunks = [...deposited.base.uses.values()].map(({ hash }) => hash);
  out.push({ kind: 'pin', call: cut.call, id, chunks: [...chunks, deposited.manifest] });
  return busy;
}

function onPinned(cut: Cut, failure: string | null): CutResult {
  if (failure !== null) return { kind: 'failed', problem: failure };
  const { image, id, mark, cutter } = cut;
  const deposited = cut.deposited as Deposited;
  const { tip } = image;
  const body: SnapshotBody = {
    type: 'snapshot',
    id,
    at: tip.seq,
    position: tip.position,
    manifest: deposited.manifest,
    manifestSizeBytes: deposited.manifestSizeBytes,
    coreSizeBytes: deposited.coreSizeBytes,
    sizeBytes: deposited.sizeBytes,
    digest: deposited.digest,
    mark,
    cutter,
  };
  return { kind: 'cut', body, deposited };
}

/**
 * C2: the snapshot is recorded, and so the next one may build upon it. Unless the replica was made anew
 * meanwhile: then its nodes are others, and so is its base.
 */
export function settleBase(replica: Replica, { placed, base, of }: Deposited): void {
  if (replica.tables !== of) return;
  for (const [node, stored] of placed) {
    if (node.level === 0) (node as Leaf).stored = stored as StoredLeaf;
    else (node as Branch).stored = stored as StoredBranch;
  }
  replica.base = base;
}

/** The chunks of the newest snapshot of ours that are not to be built upon. */
export function doubtedIn(base: Base | null, hashes: readonly Uint8Array[]): string[] {
  if (base === null) return [];
  const manifest = keyOf(base.manifest);
  return hashes.map(keyOf).filter((key) => key === manifest || base.uses.has(key));
}

function chunkSizeOf({ kind }: Image): number {
  return kind.layout?.chunkSizeBytes ?? limits.chunkSizeBytes;
}

/** Taking an image's digest, and nothing else. */
export interface Digesting {
  readonly image: Image;
  readonly work: Generator<number, Uint8Array>;
}

export function beginDigest(image: Image): Digesting {
  return { image, work: digestImage(image, chunkSizeOf(image)) };
}

/** Null: it takes more. */
export function stepDigest({ work }: Digesting, sizeBytes: number): Uint8Array | null {
  let left = sizeBytes;
  while (left > 0) {
    const next = work.next();
    if (next.done) return next.value;
    left -= next.value;
  }
  return null;
}
