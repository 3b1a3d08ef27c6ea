/** Cuts and restores snapshots at once, with a store that is a map. */
import { keyOf } from '../../replication/bytes.js';
import type { Effect, Input } from '../../replication/effects.js';
import type { SnapshotBody } from '../../replication/record.js';
import type { Replica } from '../../replication/replica.js';
import { beginCut, settleBase, stepCut } from '../../replication/snapshot/cut.js';
import type { Deposited } from '../../replication/snapshot/depositing.js';
import { type Problem, takeImage } from '../../replication/snapshot/image.js';
import { Restoring } from '../../replication/snapshot/restoring.js';
import type { Want } from '../../replication/sync/assembly.js';

export class ChunkMap {
  readonly chunks = new Map<string, Uint8Array>();
  /** Bytes put since it was last asked. */
  #written = 0;
  /** Bytes handed out since. */
  #read = 0;

  put(hash: Uint8Array, bytes: Uint8Array): void {
    this.chunks.set(keyOf(hash), Uint8Array.from(bytes));
    this.#written += bytes.length;
  }

  get(hash: Uint8Array): Uint8Array | undefined {
    const bytes = this.chunks.get(keyOf(hash));
    this.#read += bytes?.length ?? 0;
    return bytes;
  }

  written(): number {
    const written = this.#written;
    this.#written = 0;
    return written;
  }

  read(): number {
    const read = this.#read;
    this.#read = 0;
    return read;
  }
}

export interface WholeCut {
  readonly body: SnapshotBody;
  readonly deposited: Deposited;
}

export interface CutHow {
  readonly sliceSizeBytes?: number;
  /** Ids of snapshots that still stand. Default: the base. */
  readonly standing?: readonly string[];
  readonly doubted?: ReadonlySet<string>;
  /** Who cuts it, and at which mark. Default: member 0, at none. */
  readonly cutter?: number;
  readonly mark?: number;
  /** Runs between two slices. */
  readonly meanwhile?: () => void;
}

/** Cuts, and does not record: see `recorded`. Throws if it fails. */
export function cutWhole(replica: Replica, store: ChunkMap, how: CutHow = {}): WholeCut {
  const image = takeImage(replica);
  if ('problem' in image) throw new Error(image.problem);
  const { base } = replica;
  const { doubted = new Set<string>(), sliceSizeBytes = 1 << 20, meanwhile } = how;
  const { cutter = 0, mark = null } = how;
  const out: Effect[] = [];
  const cut = beginCut({ image, cutter, mark, base, doubted }, { next: 1, peers: [] }, out);
  const standing = how.standing ?? (base === null ? [] : [base.snapshotId]);
  for (;;) {
    const effect = out.shift();
    const input = effect === undefined ? work(sliceSizeBytes) : answer(effect, store, standing);
    if (effect === undefined) meanwhile?.();
    if (input === null) continue;
    const result = stepCut(cut, input, out);
    if (result.kind === 'failed') throw new Error(result.problem);
    if (result.kind === 'cut') return result;
  }
}

const work = (sizeBytes: number): Input => ({ kind: 'work', sizeBytes });

function answer(effect: Effect, store: ChunkMap, standing: readonly string[]): Input | null {
  switch (effect.kind) {
    case 'announce':
      return { kind: 'announced', call: effect.call, result: { standing } };
    case 'put-chunk':
      store.put(effect.hash, effect.bytes);
      return { kind: 'chunk-put', call: effect.call, failure: null };
    case 'pin':
      return { kind: 'pinned', call: effect.call, failure: null };
    default:
      return null;
  }
}

/** Cuts a snapshot that is recorded at once. */
export function recorded(replica: Replica, store: ChunkMap, how: CutHow = {}): WholeCut {
  const cut = cutWhole(replica, store, how);
  settleBase(replica, cut.deposited);
  return cut;
}

/** What becomes of a snapshot whose chunks come in this order: the last wanted first, or the first. */
export function restoreWhole(
  { kind, hash }: Pick<Replica, 'kind' | 'hash'>,
  body: SnapshotBody,
  store: Pick<ChunkMap, 'get'>,
  held: Replica | null = null,
): Replica | Problem {
  const restoring = new Restoring({ kind, hash, body, held });
  const wants: Want[] = [...restoring.begin()];
  while (wants.length > 0 || restoring.hasWork) {
    const want = wants.pop();
    const bytes = want && store.get(want.hash);
    if (want && bytes === undefined) return { problem: 'a chunk is missing' };
    const more = want ? restoring.accept(want.hash, bytes as Uint8Array) : restoring.work(1 << 16);
    if ('problem' in more) return more;
    wants.push(...more);
  }
  return restoring.finish();
}
