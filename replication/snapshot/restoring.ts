/**
 * Puts a snapshot together from its chunks, beside what is held already, which stays as it is.
 *
 * manifest → directories, level by level → ranges and core → large values → a replica → its keys
 *
 * Q1 Everything is named by its content: a page that does not have its name's hash, a digest that is not
 *    the recorded one, a manifest of another kind end it, whoever vouched for them (I7).
 * Q2 What is held already and stored where the snapshot says is taken over with all below it, unread.
 * Q3 A leaf that is held as it was before is brought up with only what was changed on top of it.
 * Q4 All that is wanted of a chunk is known before it is asked for: no chunk is wanted twice.
 * Q5 Whatever there may be many of, pages, places, leaves, is worked on in slices: a chunk is only taken
 *    apart when it comes, so that nothing else on this node waits for long.
 * Q6 Where something is stored is believed only if it was found there, by this sync or an earlier one: for
 *    what it is there is a digest that others vouch for, for where it is there is not.
 */
import { equalBytes, joined, keyOf } from '../bytes.js';
import type { Kind } from '../kind.js';
import type { Hash } from '../ports.js';
import type { SnapshotBody } from '../record.js';
import type { Replica } from '../replica.js';
import { restoreKeys } from '../sessions.js';
import { LeafMemory, ownRoom, type Room, type Stretches } from '../state/leaf-memory.js';
import type { Segment } from '../state/stored.js';
import { newTables } from '../state/tables.js';
import { type Branch, type Node, newBranch } from '../state/tree.js';
import type { Assembly, Want, WorkKind } from '../sync/assembly.js';
import { untagged } from './chunk-tags.js';
import { decodeCore, digestOfParts, type Problem, pagesOfKeys, treesOf } from './image.js';
import { LargeValues } from './large-values.js';
import { isHeldAs, type LeafPart, LeafTask, nodeAt, type Place } from './leaf-task.js';
import { decodeManifest, type Manifest } from './manifest.js';
import { type ChunkUses, useSegments } from './packing.js';
import { branchHash, decodeBranch } from './pages.js';

export interface RestoreOptions {
  readonly kind: Kind;
  readonly hash: Hash;
  readonly stretches?: Stretches | undefined;
  readonly body: SnapshotBody;
  /** What the member holds already; it may be read meanwhile, and written to. */
  readonly held: Replica | null;
}

interface BranchTask {
  readonly place: Place;
  readonly bounds: readonly string[];
  readonly children: readonly Place[];
}

/** What is to be done with a chunk, or what of it belongs to a leaf. */
type Awaiting = ((bytes: Uint8Array) => Problem | null) | LeafPart;

/** A directory's page that has come, and where it belongs. */
interface Page {
  readonly place: Place;
  readonly bytes: Uint8Array;
}

/** What a directory's page costs for each of its bytes, a place, and a key, as if it were bytes of leaves. */
const pageFactor = 16;
const placeSizeBytes = 4096;
const keySizeBytes = 1024;
/** Learned in some milliseconds: fewer are not worth a slice. */
const keysAtOnce = 1024;

export class Restoring implements Assembly {
  readonly #options: RestoreOptions;
  readonly #held: ReadonlyMap<string, Node>;
  #manifest: Manifest | null = null;
  #roots: Place[] = [];
  /** Nodes of the level that is being resolved, the last first, and of the one below it. */
  #places: Place[] = [];
  #below: Place[] = [];
  readonly #pages: Page[] = [];
  #level = 0;
  readonly #branches: BranchTask[] = [];
  readonly #ready: LeafTask[] = [];
  #leaves = 0;
  readonly #core: Uint8Array[] = [];
  readonly #values: LargeValues;
  /** Null: something is held, and leaves that come in its place have memory of their own. */
  readonly #memory: LeafMemory | null;
  #phase: 'directories' | 'ranges' | 'values' | 'keys' = 'directories';
  #replica: Replica | null = null;
  /** Those that the replica does not know yet. */
  #keys: Iterator<void> | null = null;
  /** What is to be done with the chunks that were asked for. */
  readonly #waiting = new Map<string, Awaiting[]>();
  readonly #came = new Set<string>();
  #wants: Want[] = [];
  #waitingSizeBytes = 0;

  constructor(options: RestoreOptions) {
    this.#options = options;
    const { held, stretches } = options;
    const trees = held === null ? [] : [...treesOf(held)];
    // Frozen: whoever writes to what is held leaves these nodes as they are.
    this.#held = new Map(trees.map(([name, tree]) => [name, tree.freeze()]));
    this.#values = new LargeValues();
    this.#memory = trees.every(([, tree]) => tree.size === 0) ? new LeafMemory(stretches) : null;
  }

  get waitingSizeBytes(): number {
    return this.#waitingSizeBytes;
  }

  get hasWork(): boolean {
    if (this.#keys !== null) return true;
    return this.#ready.length + this.#pages.length + this.#places.length > 0;
  }

  begin(): readonly Want[] {
    const { manifest, manifestSizeBytes } = this.#options.body;
    this.#await(keyOf(manifest), (bytes) => this.#onManifest(bytes));
    return [{ work: 'healing', hash: manifest, sizeBytes: manifestSizeBytes }];
  }

  accept(hash: Uint8Array, bytes: Uint8Array): readonly Want[] | Problem {
    const key = keyOf(hash);
    const waiting = this.#waiting.get(key) ?? [];
    this.#waiting.delete(key);
    this.#came.add(key);
    return this.#guarded(() => {
      for (const each of waiting) {
        const problem = typeof each === 'function' ? each(bytes) : this.#onPart(each, bytes);
        if (problem !== null) return problem;
      }
      return this.#advance();
    });
  }

  work(sizeBytes: number): readonly Want[] | Problem {
    return this.#guarded(() => {
      let left = sizeBytes;
      while (left > 0 && this.hasWork) {
        const cost = this.#workOnce();
        if (typeof cost !== 'number') return cost;
        left -= cost;
      }
      return this.#advance();
    });
  }

  /** Q5. Returns what it cost. */
  #workOnce(): number | Problem {
    if (this.#keys !== null) {
      this.#learnKeys(this.#keys);
      return keysAtOnce * keySizeBytes;
    }
    const task = this.#ready.pop();
    if (task !== undefined) {
      this.#waitingSizeBytes -= task.sizeBytes;
      this.#leaves -= 1;
      const { uses } = this.#manifest as Manifest;
      return task.build(this.#options.hash, this.#values, uses, this.#room) ?? task.sizeBytes;
    }
    const page = this.#pages.pop();
    if (page !== undefined) {
      const { length } = page.bytes;
      this.#waitingSizeBytes -= length;
      return this.#onBranch(page) ?? length * pageFactor;
    }
    const problem = this.#resolve(this.#places.pop() as Place);
    return problem ?? placeSizeBytes;
  }

  /** Q1: whatever is wrong with the bytes of a snapshot is wrong with the snapshot. */
  #guarded(run: () => Problem | null): readonly Want[] | Problem {
    const { id } = this.#options.body;
    try {
      const problem = run();
      if (problem !== null) return { problem: `snapshot ${id}: ${problem.problem}` };
    } catch (error) {
      return { problem: `snapshot ${id} cannot be read: ${(error as Error).message}` };
    }
    // Q4
    if (this.#places.length > 0) return [];
    const wants = this.#wants;
    this.#wants = [];
    return wants;
  }

  #await(key: string, awaiting: Awaiting): void {
    const waiting = this.#waiting.get(key);
    if (waiting === undefined) this.#waiting.set(key, [awaiting]);
    else waiting.push(awaiting);
  }

  #want(work: WorkKind, hash: Uint8Array, awaiting: Awaiting): Problem | null {
    const key = keyOf(hash);
    const use = this.#manifest?.uses.get(key);
    if (use === undefined) return { problem: 'it needs a chunk that its manifest does not name' };
    if (this.#came.has(key)) return { problem: 'it needs a chunk again that was used already' };
    if (!this.#waiting.has(key)) this.#wants.push({ work, hash, sizeBytes: use.sizeBytes });
    this.#await(key, awaiting);
    return null;
  }

  #onManifest(bytes: Uint8Array): Problem | null {
    const { kind, body } = this.#options;
    // A copy: what it names is kept, the message it came in is not to be.
    const manifest = decodeManifest(new Uint8Array(bytes));
    if ('problem' in manifest) return { problem: `its manifest: ${manifest.problem}` };
    const { kind: name, kindVersion, snapshotId, coreSizeBytes } = manifest;
    if (name !== kind.name || kindVersion !== kind.version) {
      const theirs = `${name} version ${kindVersion}`;
      return { problem: `it holds ${theirs}, this node runs ${kind.name} version ${kind.version}` };
    }
    if (snapshotId !== body.id || coreSizeBytes !== body.coreSizeBytes) {
      return { problem: `its manifest is that of ${snapshotId}, with a core of ${coreSizeBytes}` };
    }
    const names = Object.keys(kind.tables ?? {}).sort();
    const given = manifest.tables.map(([table]) => table);
    if (given[0] === pagesOfKeys) given.shift();
    if (given.join() !== names.join()) {
      return { problem: `its tables are not those of kind ${kind.name}` };
    }
    this.#manifest = manifest;
    this.#roots = manifest.tables.map(([table, root]) => {
      const held = this.#held.get(table) ?? null;
      return { name: root, bound: '', tree: held, held: nodeAt(held, root.level, ''), node: null };
    });
    this.#level = Math.max(0, ...this.#roots.map(({ name: { level } }) => level));
    return this.#openLevel();
  }

  get #room(): Room {
    return this.#memory?.room ?? ownRoom;
  }

  /** Q4: one level of all tables after the other. */
  #openLevel(): Problem | null {
    const roots = this.#roots.filter(({ name }) => name.level === this.#level);
    this.#places = [...this.#below, ...roots];
    this.#below = [];
    if (this.#level > 0) return null;
    this.#phase = 'ranges';
    return this.#wantCore();
  }

  #resolve(place: Place): Problem | null {
    if (isHeldAs(place)) {
      place.node = place.held;
      return null;
    }
    if (this.#level === 0) return this.#openLeaf(place);
    const [segment] = place.name.segments as [Segment];
    return this.#want('healing', segment.chunk, (chunk) => {
      const bytes = pageIn(chunk, segment);
      if ('problem' in bytes) return bytes;
      this.#pages.push({ place, bytes });
      this.#waitingSizeBytes += bytes.length;
      return null;
    });
  }

  #onBranch({ place, bytes }: Page): Problem | null {
    const { hash } = this.#options;
    const { level, bounds, children } = decodeBranch(bytes);
    const hashes = children.map((child) => child.hash);
    const isRight =
      level === place.name.level && hasHash(place, branchHash(hash, level, bounds, hashes));
    if (!isRight) return { problem: 'a directory is not what its name says' };
    const places = children.map((name, i): Place => {
      const bound = i === 0 ? place.bound : (bounds[i] as string);
      const held = nodeAt(place.tree, name.level, bound);
      return { name, bound, tree: place.tree, held, node: null };
    });
    this.#branches.push({ place, bounds, children: places });
    this.#below.push(...places);
    return null;
  }

  #wantCore(): Problem | null {
    const { core } = this.#manifest as Manifest;
    for (const [i, hash] of core.entries()) {
      const problem = this.#want('values', hash, (bytes) => {
        this.#core[i] = untagged(bytes);
        return null;
      });
      if (problem !== null) return problem;
    }
    return null;
  }

  #openLeaf(place: Place): Problem | null {
    const task = new LeafTask(place);
    this.#leaves += 1;
    this.#memory?.expect(task.sizeBytes);
    for (const part of task.missing) {
      const problem = this.#want('ranges', part.segment.chunk, part);
      if (problem !== null) return problem;
    }
    if (task.isReady) this.#enqueue(task);
    return null;
  }

  #onPart({ task, at, segment }: LeafPart, chunk: Uint8Array): Problem | null {
    const page = pageIn(chunk, segment);
    if ('problem' in page) return page;
    if (task.add(at, page, this.#room)) this.#enqueue(task);
    return null;
  }

  #enqueue(task: LeafTask): void {
    this.#ready.push(task);
    this.#waitingSizeBytes += task.sizeBytes;
  }

  get #isLevelDone(): boolean {
    return this.#waiting.size === 0 && this.#leaves === 0 && !this.hasWork;
  }

  /** On to the next level or phase, if this one lacks nothing any more. */
  #advance(): Problem | null {
    while (this.#manifest !== null && this.#isLevelDone) {
      if (this.#phase === 'keys') return null;
      const problem = this.#nextPhase();
      if (problem !== null) return problem;
    }
    return null;
  }

  #nextPhase(): Problem | null {
    switch (this.#phase) {
      case 'directories':
        this.#level -= 1;
        return this.#openLevel();
      case 'ranges':
        return this.#wantValues();
      default:
        return this.#assemble();
    }
  }

  #wantValues(): Problem | null {
    this.#phase = 'values';
    for (const [hash, onPiece] of this.#values.pieces()) {
      const problem = this.#want('values', hash, (bytes) => onPiece(untagged(bytes)));
      if (problem !== null) return problem;
    }
    return null;
  }

  /** Everything is there but the keys. */
  #assemble(): Problem | null {
    this.#phase = 'keys';
    const { kind, hash, body } = this.#options;
    const manifest = this.#manifest as Manifest;
    this.#values.requireAll();
    // The last found are the lowest.
    for (const task of this.#branches.toReversed()) task.place.node = branchOf(task, manifest.uses);
    const roots = this.#roots.map(({ node }) => node as Node);
    const names = manifest.tables.map(([name, root]) => [name, root.hash] as const);
    if (!equalBytes(digestOfParts(hash, manifest.core, names), body.digest)) {
      return { problem: "it holds another state than its record's digest says" };
    }
    const byName = new Map(names.map(([name], i) => [name, roots[i] as Node]));
    const pages = byName.get(pagesOfKeys);
    const { tip, history, sessions, plain } = decodeCore(joined(this.#core), kind.layout, pages);
    if (tip.seq !== body.at || tip.position !== body.position) {
      const problem =
        `it was cut at seq ${tip.seq}, position ${tip.position}; ` +
        `its record says seq ${body.at}, position ${body.position}`;
      return { problem };
    }
    const tables = newTables(kind, kind.layout, byName);
    const { uses, core } = manifest;
    const base = { snapshotId: body.id, manifest: body.manifest, uses, core, roots };
    const state = tables.attach(plain);
    const { coreSizeBytes } = body;
    this.#replica = { kind, hash, state, tables, sessions, history, tip, coreSizeBytes, base };
    this.#learnKeys(restoreKeys(sessions));
    return null;
  }

  #learnKeys(keys: Iterator<void>): void {
    this.#keys = keys;
    for (let i = 0; i < keysAtOnce; i++) {
      if (keys.next().done) {
        this.#keys = null;
        return;
      }
    }
  }

  /** Once nothing is wanted and there is no work. Nothing is half-installed (I7). */
  finish(): Replica {
    if (this.#replica === null || this.hasWork) throw new Error('there is more to be done first');
    return this.#replica;
  }
}

function pageIn(chunk: Uint8Array, { offset, sizeBytes }: Segment): Uint8Array | Problem {
  if (offset + sizeBytes > chunk.length) return { problem: 'a page is beyond the end of a chunk' };
  return chunk.subarray(offset, offset + sizeBytes);
}

function hasHash({ name }: Place, hash: Uint8Array): boolean {
  return equalBytes(hash, name.hash);
}

/** Q6: what is below it is where its page says only if all of that was found there. */
function branchOf({ place, bounds, children }: BranchTask, uses: ChunkUses): Branch {
  const { name } = place;
  const nodes = children.map(({ node }) => node as Node);
  const branch = newBranch(bounds.slice(), nodes);
  const [segment] = name.segments as [Segment];
  const isFound = nodes.every(({ stored }) => stored !== null);
  if (!isFound) useSegments(uses, name.segments, -1);
  return Object.assign(branch, { hash: name.hash, stored: isFound ? { segment } : null });
}
