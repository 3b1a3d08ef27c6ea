import { describe, expect, test } from 'vitest';
import {
  entriesOf,
  isLeaf,
  type Layout,
  type Leaf,
  type Node,
  newBranch,
  newLeaf,
  type Range,
  type StoredValue,
  Tree,
} from '../../../replication/state/tree.js';
import { type Random, seededRandom } from '../../support/scheduler.js';
import {
  bytesOf,
  checkTree,
  contentOf,
  leavesOf,
  nodesOf,
  randomKey,
  randomValue,
  shapeOf,
  small,
  tiny,
} from './support.js';

const layouts: readonly (readonly [string, Layout])[] = [
  ['tiny', tiny],
  ['small', small],
];

/** Keys come and go: phases that mostly set change with phases that mostly delete. */
function change(tree: Tree, model: Map<string, StoredValue>, random: Random, step: number): void {
  const key = randomKey(random);
  const grows = Math.floor(step / 500) % 2 === 0;
  if (random.chance(grows ? 0.8 : 0.2)) {
    const value = randomValue(random);
    tree.set(key, value);
    model.set(key, value);
  } else if (tree.delete(key) !== model.delete(key)) {
    throw new Error(`delete of ${key} says something else than the model`);
  }
}

const sorted = (model: ReadonlyMap<string, StoredValue>) =>
  [...model].sort(([a], [b]) => (a < b ? -1 : 1));

function inModel(model: ReadonlyMap<string, StoredValue>, range: Range): [string, StoredValue][] {
  const { prefix = '', from = '', to, limit = model.size, reverse } = range;
  const fits = ([key]: readonly [string, StoredValue]) =>
    key.startsWith(prefix) && key >= from && (to === undefined || key < to);
  const found = sorted(model).filter(fits);
  return (reverse ? found.reverse() : found).slice(0, limit);
}

function randomRange(random: Random): Range {
  const text = () => (random.chance(0.5) ? randomKey(random) : undefined);
  const limit = random.chance(0.3) ? random.below(20) : undefined;
  const prefix = text()?.slice(0, 1 + random.below(2));
  return { prefix, from: text(), to: text(), limit, reverse: random.chance(0.5) };
}

describe.each(layouts)('a tree of %s nodes', (name, layout) => {
  test('holds what a map of the same operations holds, within its limits at every step', () => {
    const random = seededRandom(`tree ${name}`);
    const tree = new Tree(layout);
    const model = new Map<string, StoredValue>();
    let deepest = 0;
    for (let step = 0; step < 4000; step++) {
      change(tree, model, random, step);
      checkTree(tree.root, layout);
      deepest = Math.max(deepest, tree.root.level);
      const key = randomKey(random);
      if (tree.get(key) !== model.get(key) || tree.size !== model.size) {
        throw new Error(`another ${key} or size at step ${step}`);
      }
      if (step % 200 === 0) expect(contentOf(tree.root)).toEqual(sorted(model));
    }
    expect(deepest).toBeGreaterThan(2);
  });

  test('shrinks to an empty leaf again', () => {
    const random = seededRandom(`empty ${name}`);
    const tree = new Tree(layout);
    const model = new Map<string, StoredValue>();
    for (let step = 0; step < 400; step++) change(tree, model, random, step);
    expect(tree.size).toBeGreaterThan(50);
    for (const [key] of [...model].sort(() => random.next() - 0.5)) {
      expect(tree.delete(key)).toBe(true);
      checkTree(tree.root, layout);
    }
    expect(shapeOf(tree.root)).toEqual({ keys: [], values: [], sizeBytes: 0 });
  });

  test('yields ranges as a map does', () => {
    const random = seededRandom(`range ${name}`);
    const tree = new Tree(layout);
    const model = new Map<string, StoredValue>();
    let found = 0;
    for (let step = 0; step < 1000; step++) {
      change(tree, model, random, step);
      if (step % 4 > 0) continue;
      const range = randomRange(random);
      const expected = inModel(model, range);
      found += expected.length;
      expect([...entriesOf(tree.root, range)], JSON.stringify(range)).toEqual(expected);
    }
    expect(found).toBeGreaterThan(500);
  });

  test("is the same whoever looks, freezes, or begins with another one's root", () => {
    const random = seededRandom(`same ${name}`);
    const [plain, plainModel] = [new Tree(layout), new Map<string, StoredValue>()];
    let watched = new Tree(layout);
    const watchedModel = new Map<string, StoredValue>();
    for (let step = 0; step < 3000; step++) {
      change(plain, plainModel, seededRandom(`${name} ${step}`), step);
      change(watched, watchedModel, seededRandom(`${name} ${step}`), step);
      if (random.chance(0.1)) watched.freeze();
      if (random.chance(0.02)) watched = new Tree(layout, watched.freeze());
      if (random.chance(0.1)) for (const _ of entriesOf(watched.freeze(), {})) break;
      if (step % 50 === 0) expect(shapeOf(watched.root)).toEqual(shapeOf(plain.root));
    }
    expect(shapeOf(watched.root)).toEqual(shapeOf(plain.root));
    expect(plain.root.level).toBeGreaterThan(1);
  });

  test('leaves frozen roots as they were', () => {
    const random = seededRandom(`frozen ${name}`);
    const tree = new Tree(layout);
    const model = new Map<string, StoredValue>();
    const frozen: { root: Node; shape: unknown; content: unknown }[] = [];
    for (let step = 0; step < 3000; step++) {
      change(tree, model, random, step);
      if (step % 150 > 0) continue;
      const root = tree.freeze();
      frozen.push({ root, shape: shapeOf(root), content: sorted(model) });
    }
    for (const { root, shape, content } of frozen) {
      expect(shapeOf(root)).toEqual(shape);
      expect(contentOf(root)).toEqual(content);
    }
  });
});

/** Of so many entries that each leaf has some and the root is high up. */
function grown(count = 300): Tree {
  const tree = new Tree(small);
  for (let i = 0; i < count; i++) tree.set(nameOf(i), bytesOf(10, i % 256));
  return tree;
}

const nameOf = (i: number) => `k${String(i).padStart(4, '0')}`;

const leafOf = (root: Node, key: string): Leaf => {
  const leaf = leavesOf(root).find(({ keys }) => keys.includes(key));
  if (leaf === undefined) throw new Error(`no leaf with ${key}`);
  return leaf;
};

const noSegments = { segments: [] };

describe('copying', () => {
  test('a change of one entry makes its path anew and shares everything else', () => {
    const tree = grown();
    const before = new Set(nodesOf(tree.freeze()));
    expect(tree.root.level).toBeGreaterThan(1);
    tree.set(nameOf(7), bytesOf(10, 99));
    const anew = nodesOf(tree.root).filter((node) => !before.has(node));
    expect(anew.map(({ level }) => level)).toEqual(
      Array.from({ length: tree.root.level + 1 }, (_, i) => tree.root.level - i),
    );
    const [old, leaf] = [leafOf(newBranch([''], [...before].slice(0, 1)), nameOf(7)), anew.at(-1)];
    expect(leaf).toBe(leafOf(tree.root, nameOf(7)));
    for (const [i, value] of (leaf as Leaf).values.entries()) {
      expect(value === old.values[i]).toBe((leaf as Leaf).keys[i] !== nameOf(7));
    }
  });

  test('what was copied once is changed in place until the next freeze', () => {
    const tree = grown();
    tree.freeze();
    tree.set(nameOf(7), bytesOf(10, 1));
    const path = new Set(nodesOf(tree.root));
    tree.set(nameOf(7), bytesOf(10, 2));
    tree.delete(nameOf(6));
    expect(nodesOf(tree.root).filter((node) => !path.has(node))).toEqual([]);
    tree.freeze();
    tree.set(nameOf(7), bytesOf(10, 3));
    expect(path.has(tree.root)).toBe(false);
  });

  test('deleting what is not there touches nothing', () => {
    const tree = grown();
    const root = tree.freeze();
    root.hash = bytesOf(1, 1);
    expect(tree.delete('none')).toBe(false);
    expect(tree.root).toBe(root);
    expect(root.hash).not.toBeNull();
  });

  test('hashes and places go where something changed, and there only', () => {
    const tree = grown();
    const mark = (node: Node) => {
      node.hash = bytesOf(1, node.level);
      if (isLeaf(node)) node.stored = noSegments;
      else node.stored = { segment: { chunk: bytesOf(1, 1), offset: 0, sizeBytes: 1 } };
    };
    const root = tree.freeze();
    nodesOf(root).forEach(mark);
    tree.set(nameOf(7), bytesOf(10, 99));
    const bare = () => nodesOf(tree.root).filter(({ hash }) => hash === null);
    expect(bare()).toHaveLength(tree.root.level + 1);
    for (const node of nodesOf(tree.root)) expect(node.stored === null).toBe(node.hash === null);
    expect(nodesOf(root).every(({ hash, stored }) => hash !== null && stored !== null)).toBe(true);
    // In place now: whoever hashes the present root meanwhile has it forgotten again.
    for (const node of bare()) mark(node);
    tree.delete(nameOf(7));
    expect(bare()).toHaveLength(tree.root.level + 1);
  });

  test('the same bytes again are a change', () => {
    const tree = grown(3);
    const root = tree.freeze();
    root.hash = bytesOf(1, 1);
    tree.set(nameOf(1), tree.get(nameOf(1)) as StoredValue);
    expect(tree.root.hash).toBeNull();
    expect(shapeOf(tree.root)).toEqual(shapeOf(root));
  });
});

describe('the origin of a leaf', () => {
  const single = () => {
    const tree = grown(5);
    return { tree, first: tree.freeze() as Leaf };
  };
  const touched = (tree: Tree, fill: number): Leaf => {
    tree.set(nameOf(1), bytesOf(10, fill));
    return tree.freeze() as Leaf;
  };

  test('is the last stored one it came from', () => {
    const { tree, first } = single();
    const second = touched(tree, 1);
    expect(second.origin).toBeNull();
    second.stored = noSegments;
    const third = touched(tree, 2);
    expect(third.origin).toBe(second);
    const fourth = touched(tree, 3);
    expect(fourth.origin).toBe(second);
    fourth.stored = noSegments;
    expect(touched(tree, 4).origin).toBe(fourth);
    expect(first.origin).toBeNull();
  });

  test('has none itself once others come from it: old versions would never go', () => {
    const { tree, first } = single();
    first.stored = noSegments;
    const second = touched(tree, 1);
    second.stored = noSegments;
    expect(second.origin).toBe(first);
    expect(touched(tree, 2).origin).toBe(second);
    expect(second.origin).toBeNull();
  });

  test('is none after a split, for either half', () => {
    const { tree, first } = single();
    first.stored = noSegments;
    tree.set(nameOf(100), bytesOf(100, 1));
    expect(leavesOf(tree.root).map(({ origin }) => origin)).toEqual([null, null]);
  });

  test('is none after a merge', () => {
    const tree = grown(9);
    const leaves = leavesOf(tree.freeze());
    for (const leaf of leaves) leaf.stored = noSegments;
    expect(leaves.length).toBeGreaterThan(1);
    for (let i = 0; leavesOf(tree.root).length === leaves.length; i++) tree.delete(nameOf(i));
    const anew = leavesOf(tree.root).filter(({ stored }) => stored === null);
    expect(anew.map(({ origin }) => origin)).toEqual([null]);
  });
});

describe('splitting', () => {
  const lettered = (sizes: readonly number[], layout: Layout) => {
    const tree = new Tree(layout);
    for (const [i, size] of sizes.entries()) {
      tree.set(String.fromCharCode(97 + i), bytesOf(size - 9, i));
    }
    return leavesOf(tree.root).map(({ keys }) => keys.join(''));
  };

  test('is at the boundary nearest half of the bytes, the lower one of two', () => {
    const layout = { ...tiny, leafSizeBytes: 100 };
    expect(lettered([10, 10, 10, 10, 61], layout)).toEqual(['abcd', 'e']);
    expect(lettered([60, 10, 10, 10, 11], layout)).toEqual(['a', 'bcde']);
    expect(lettered([30, 41, 30], layout)).toEqual(['a', 'bc']);
  });

  test('goes on while a half is too large, and a single entry may be', () => {
    const layout = { ...tiny, leafSizeBytes: 100 };
    const tree = new Tree(layout);
    tree.set('a', bytesOf(41, 1));
    tree.set('c', bytesOf(41, 3));
    tree.set('b', bytesOf(91, 2));
    expect(leavesOf(tree.root).map(({ keys }) => keys.join(''))).toEqual(['a', 'b', 'c']);
    tree.set('b', bytesOf(500, 2));
    checkTree(tree.root, layout);
    expect(tree.root).toMatchObject({ level: 1, bounds: ['', 'b', 'c'] });
  });
});

test('nodes made one by one are a tree that can be written on and does not change itself', () => {
  const leaves = [
    newLeaf(['a', 'b'], [bytesOf(1, 1), bytesOf(1, 2)]),
    newLeaf(['c'], [bytesOf(1, 3)]),
  ];
  const root = newBranch(['', 'c'], leaves);
  expect(root).toMatchObject({ level: 1, entries: 3, sizeBytes: 30 });
  const shape = shapeOf(root);
  const tree = new Tree(tiny, root);
  tree.set('bb', bytesOf(1, 4));
  tree.delete('c');
  expect(contentOf(tree.root).map(([key]) => key)).toEqual(['a', 'b', 'bb']);
  expect(shapeOf(root)).toEqual(shape);
});

test('few are left of nodes of which little is left', () => {
  const tree = grown(2000);
  const before = nodesOf(tree.root).length;
  for (let i = 0; i < 2000; i++) if (i % 50 > 0) tree.delete(nameOf(i));
  expect(tree.size).toBe(40);
  expect(nodesOf(tree.root).length).toBeLessThan(before / 20);
  expect(tree.root.level).toBeLessThan(3);
});
