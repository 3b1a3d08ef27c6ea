/** A cutter that lies: whatever it changes in a snapshot has its hash all the same. */
import { keyOf } from '../../../replication/bytes.js';
import type { SnapshotBody } from '../../../replication/record.js';
import {
  decodeManifest,
  encodeManifest,
  type Manifest,
} from '../../../replication/snapshot/manifest.js';
import {
  type BranchPage,
  decodeBranch,
  encodeBranch,
  type NodeName,
} from '../../../replication/snapshot/pages.js';
import type { Segment } from '../../../replication/state/stored.js';
import { keyFor, Rows } from './rows.js';
import { hash } from './support.js';

/** A group that was cut twice; every row, and so every leaf, was changed in between. */
export class Forger {
  readonly group: Rows;
  readonly first: SnapshotBody;
  readonly body: SnapshotBody;

  constructor(count = 60) {
    this.group = new Rows().fill(count);
    // So that the core, too, takes several chunks.
    const note = { epoch: 1, node: 'n'.repeat(300), index: 0, cause: 'test', startedAtMs: 0 };
    const rest = { fromSeq: 0, detectMs: 0, decideMs: 0, operation: null, opened: null };
    for (let i = 0; i < 9; i++) this.group.replica.history.push({ ...note, ...rest, epoch: i });
    this.first = this.group.cut().body;
    for (let i = 0; i < count; i++) this.group.apply(keyFor(i), `other ${i} `.repeat(4));
    this.body = this.group.cut().body;
  }

  get manifest(): Manifest {
    const manifest = decodeManifest(this.group.store.get(this.body.manifest) as Uint8Array);
    if ('problem' in manifest) throw new Error(manifest.problem);
    return manifest;
  }

  /** The snapshot with another manifest, which has its hash. */
  with(change: Partial<Manifest>): SnapshotBody {
    const bytes = encodeManifest({ ...this.manifest, ...change });
    const manifest = this.#put(bytes);
    return { ...this.body, manifest, manifestSizeBytes: bytes.length };
  }

  #put(bytes: Uint8Array): Uint8Array {
    this.group.store.put(hash(bytes), bytes);
    return hash(bytes);
  }

  page({ chunk, offset, sizeBytes }: Segment): Uint8Array {
    return (this.group.store.get(chunk) as Uint8Array).subarray(offset, offset + sizeBytes);
  }

  /** With the root of the table `rows` named otherwise, and one chunk more to be found in. */
  withRoot(change: (root: NodeName) => NodeName, extra: Uint8Array | null = null): SnapshotBody {
    const { tables, uses } = this.manifest;
    if (extra !== null) {
      const sizes = { sizeBytes: extra.length, usedSizeBytes: extra.length };
      uses.set(keyOf(hash(extra)), { hash: this.#put(extra), work: 'healing', ...sizes });
    }
    const renamed = tables.map(
      ([name, root]) => [name, name === 'rows' ? change(root) : root] as const,
    );
    return this.with({ tables: renamed, uses });
  }

  /** With another page for the directory that the table `rows` begins with. */
  withDirectory(change: (page: BranchPage) => BranchPage): SnapshotBody {
    const root = this.root;
    const page = change(decodeBranch(this.page(root.segments[0] as Segment)));
    const bytes = encodeBranch({ level: page.level, bounds: [...page.bounds] }, page.children);
    const segment = { chunk: hash(bytes), offset: 0, sizeBytes: bytes.length };
    return this.withRoot((name) => ({ ...name, segments: [segment] }), bytes);
  }

  get root(): NodeName {
    const root = this.manifest.tables.find(([name]) => name === 'rows')?.[1];
    if (root === undefined) throw new Error('there is no table rows');
    return root;
  }
}
