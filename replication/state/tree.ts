/**
 * A table's keys and values: a copy-on-write B+tree. Freezing it takes no time, however large it is;
 * what is written afterwards copies the nodes on its path, and everything else stays shared.
 *
 * T1 A node whose owner is the tree's is the tree's alone, and changed in place. Any other is copied.
 * T2 A frozen root never changes.
 * T3 Freezing and looking have no influence on which nodes there are (N1).
 */
import {
  type Branch,
  childIn,
  copyBranch,
  copyLeaf,
  entriesIn,
  entrySizeBytes,
  indexIn,
  isLeaf,
  type Layout,
  type Leaf,
  merged,
  type Node,
  newBranch,
  newLeaf,
  type Owner,
  type StoredValue,
  splitBranch,
  splitLeaf,
} from './nodes.js';

export {
  type Branch,
  defaultLayout,
  entriesIn,
  isLeaf,
  LargeValue,
  type Layout,
  type Leaf,
  largeValuesIn,
  type Node,
  newBranch,
  newLeaf,
  type Owner,
  type StoredValue,
} from './nodes.js';
export { entriesOf, type Range } from './range.js';

export class Tree {
  #root: Node;
  #owner: Owner = {};
  /** From the root down to the leaf being changed: its branches, and which child leads on. */
  readonly #path: Branch[] = [];
  readonly #turns: number[] = [];

  constructor(
    readonly layout: Layout,
    root?: Node,
  ) {
    this.#root = root ?? newLeaf([], [], this.#owner);
  }

  /** As it is now; it may change in place. See `freeze`. */
  get root(): Node {
    return this.#root;
  }

  get size(): number {
    return entriesIn(this.#root);
  }

  get(key: string): StoredValue | undefined {
    let node = this.#root;
    while (!isLeaf(node)) node = node.children[childIn(node.bounds, key)] as Node;
    const at = indexIn(node.keys, key);
    return node.keys[at] === key ? node.values[at] : undefined;
  }

  set(key: string, value: StoredValue): void {
    const leaf = this.#open(key);
    const at = indexIn(leaf.keys, key);
    const sizeBytes = entrySizeBytes(key, value);
    if (leaf.keys[at] === key) {
      const before = entrySizeBytes(key, leaf.values[at] as StoredValue);
      leaf.values[at] = value;
      this.#count(leaf, 0, sizeBytes - before);
      if (sizeBytes < before) this.#settle();
    } else {
      leaf.keys.splice(at, 0, key);
      leaf.values.splice(at, 0, value);
      this.#count(leaf, 1, sizeBytes);
    }
    if (leaf.sizeBytes > this.layout.leafSizeBytes) this.#divide(leaf);
  }

  delete(key: string): boolean {
    const value = this.get(key);
    if (value === undefined) return false;
    const leaf = this.#open(key);
    const at = indexIn(leaf.keys, key);
    leaf.keys.splice(at, 1);
    leaf.values.splice(at, 1);
    this.#count(leaf, -1, -entrySizeBytes(key, value));
    this.#settle();
    return true;
  }

  /** The tree as it is now; what is written later copies the nodes it touches. */
  freeze(): Node {
    this.#owner = {};
    return this.#root;
  }

  /** The leaf that `key` belongs to; it and all above it are the tree's own and forget N2's caches. */
  #open(key: string): Leaf {
    this.#path.length = 0;
    this.#turns.length = 0;
    let node = this.#own(this.#root);
    this.#root = node;
    while (!isLeaf(node)) {
      const turn = childIn(node.bounds, key);
      const child = this.#own(node.children[turn] as Node);
      node.children[turn] = child;
      this.#path.push(node);
      this.#turns.push(turn);
      node = child;
    }
    return node;
  }

  #own(node: Node): Node {
    if (node.owner !== this.#owner) {
      return isLeaf(node) ? copyLeaf(node, this.#owner) : copyBranch(node, this.#owner);
    }
    node.hash = null;
    node.stored = null;
    return node;
  }

  #count(leaf: Leaf, entries: number, sizeBytes: number): void {
    leaf.sizeBytes += sizeBytes;
    for (const branch of this.#path) {
      branch.entries += entries;
      branch.sizeBytes += sizeBytes;
    }
  }

  /** The leaf at the path's end is too large. */
  #divide(leaf: Leaf): void {
    const leaves = splitLeaf(leaf, this.layout.leafSizeBytes, this.#owner);
    if (leaves.length === 1) return;
    const bounds = leaves.slice(1).map(({ keys }) => keys[0] as string);
    let pieces: Node[] = leaves;
    for (let depth = this.#path.length - 1; depth >= 0; depth--) {
      const parent = this.#path[depth] as Branch;
      const turn = this.#turns[depth] as number;
      parent.children.splice(turn, 1, ...pieces);
      parent.bounds.splice(turn + 1, 0, ...bounds.splice(0));
      if (parent.children.length <= this.layout.branchChildren) return;
      const [left, bound, right] = splitBranch(parent, this.#owner);
      pieces = [left, right];
      bounds.push(bound);
    }
    this.#root = newBranch(['', ...bounds], pieces, this.#owner);
  }

  /** The leaf at the path's end may have become too small, and so may what is above it. */
  #settle(): void {
    for (let depth = this.#path.length - 1; depth >= 0; depth--) {
      if (!this.#settleChild(this.#path[depth] as Branch, this.#turns[depth] as number)) break;
    }
    let root = this.#root;
    while (!isLeaf(root) && root.children.length === 1) root = root.children[0] as Node;
    this.#root = isLeaf(root) || root.children.length > 0 ? root : newLeaf([], [], this.#owner);
  }

  /** True if the parent has lost a child by it. */
  #settleChild({ children, bounds }: Branch, turn: number): boolean {
    const child = children[turn] as Node;
    const most = isLeaf(child) ? this.layout.leafSizeBytes : this.layout.branchChildren;
    if (fill(child) === 0) {
      children.splice(turn, 1);
      bounds.splice(turn, 1);
      if (bounds.length > 0) bounds[0] = '';
      return true;
    }
    if (4 * fill(child) >= most) return false;
    for (const at of [turn - 1, turn]) {
      const [left, right] = [children[at], children[at + 1]];
      if (left === undefined || right === undefined) continue;
      if (4 * (fill(left) + fill(right)) > 3 * most) continue;
      children.splice(at, 2, merged(left, bounds[at + 1] as string, right, this.#owner));
      bounds.splice(at + 1, 1);
      return true;
    }
    return false;
  }
}

/** What is counted against the node's limit. */
function fill(node: Node): number {
  return isLeaf(node) ? node.sizeBytes : node.children.length;
}
