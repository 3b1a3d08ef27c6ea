/** Snapshots whose every chunk has its hash, and which are not what their record says (I7). */
import { describe, expect, it, test } from 'vitest';
import { keyOf } from '../../../replication/bytes.js';
import { position, seq } from '../../../replication/ids.js';
import type { Kind } from '../../../replication/kind.js';
import type { SnapshotBody } from '../../../replication/record.js';
import type { Replica } from '../../../replication/replica.js';
import { digestOfParts } from '../../../replication/snapshot/image.js';
import type { NodeName } from '../../../replication/snapshot/pages.js';
import { Restoring } from '../../../replication/snapshot/restoring.js';
import type { Segment } from '../../../replication/state/stored.js';
import { LargeValue } from '../../../replication/state/tree.js';
import type { Want } from '../../../replication/sync/assembly.js';
import { seededRandom } from '../../support/scheduler.js';
import { restoreWhole } from '../../support/snapshots.js';
import { Forger } from './forger.js';
import { contentsOf, keyFor, Rows, rows, write } from './rows.js';
import { flipped } from './store.js';
import { hash } from './support.js';

const swapped = <T>([a, b, ...rest]: readonly T[]): T[] => [b as T, a as T, ...rest];
/** Each child is what it was, and stored where its neighbour is. */
const misplaced = (children: readonly NodeName[]): NodeName[] => {
  const segments = swapped(children.map((child) => child.segments));
  return children.map((child, i) => ({ ...child, segments: segments[i] as Segment[] }));
};
const moved = (root: NodeName, change: Partial<Segment>): NodeName => ({
  ...root,
  segments: root.segments.map((segment) => ({ ...segment, ...change })),
});

type Lie = [string, (forger: Forger) => SnapshotBody, RegExp, number?];

const lies: Lie[] = [
  ['another id', (f) => f.with({ snapshotId: '1-9-9' }), /manifest is that of 1-9-9/],
  [
    'another size of the core',
    (f) => f.with({ coreSizeBytes: 7 }),
    /manifest is that of 1-120-120, with a core of 7/,
  ],
  ['another kind', (f) => f.with({ kind: 'other' }), /holds other version 1, this node runs rows/],
  [
    'another version of the kind',
    (f) => f.with({ kindVersion: 2 }),
    /holds rows version 2, this node runs rows version 1/,
  ],
  ['no tables', (f) => f.with({ tables: [] }), /its tables are not those of kind rows/],
  [
    'a table too many',
    (f) => f.with({ tables: [...f.manifest.tables, ['zoo', f.root]] }),
    /its tables are not those of kind rows/,
  ],
  [
    'a table of another name',
    (f) => f.with({ tables: f.manifest.tables.map(([, root], i) => [`t${i}`, root]) }),
    /its tables are not those of kind rows/,
  ],
  [
    'tables in another order',
    (f) => f.with({ tables: f.manifest.tables.toReversed() }),
    /its tables are not those of kind rows/,
  ],
  [
    'tables in place of each other',
    (f) => {
      const roots = f.manifest.tables.map(([, root]) => root).toReversed();
      return f.with({ tables: f.manifest.tables.map(([name], i) => [name, roots[i] as NodeName]) });
    },
    /holds another state than its record's digest says/,
  ],
  [
    'the core of another',
    (f) => {
      const core = [...f.manifest.uses.values()].filter(({ work }) => work === 'values');
      return f.with({ core: core.slice(0, 1).map((use) => use.hash) });
    },
    /holds another state than its record's digest says/,
  ],
  [
    'a core in another order',
    (f) => f.with({ core: swapped(f.manifest.core) }),
    /holds another state than its record's digest says/,
  ],
  [
    'another digest',
    (f) => ({ ...f.body, digest: hash(Uint8Array.of(1)) }),
    /holds another state than its record's digest says/,
  ],
  [
    'another seq than it was cut at',
    (f) => ({ ...f.body, at: seq(121) }),
    /was cut at seq 120, position 120; its record says seq 121/,
  ],
  ['another position', (f) => ({ ...f.body, position: position(7) }), /record says .*position 7$/],
  [
    'another manifest than a manifest',
    (f) => ({ ...f.body, manifest: f.manifest.core[0] as Uint8Array }),
    /its manifest: it cannot be read/,
  ],
  [
    'a root above its own level',
    (f) => f.withRoot((root) => ({ ...root, level: root.level + 1 })),
    /a directory is not what its name says/,
  ],
  [
    'a root that is said to be a leaf',
    (f) => f.withRoot((root) => ({ ...root, level: 0 })),
    /cannot be read: no leaf/,
  ],
  [
    'a directory in the place of another',
    (f) => f.withDirectory((page) => ({ ...page, children: misplaced(page.children) })),
    /a directory is not what its name says/,
  ],
  [
    'a directory with the wrong child',
    (f) => f.withDirectory((page) => ({ ...page, children: swapped(page.children) })),
    /a directory is not what its name says/,
  ],
  [
    'a directory with other bounds',
    (f) => f.withDirectory((page) => ({ ...page, bounds: ['', 'z', ...page.bounds.slice(2)] })),
    /a directory is not what its name says/,
  ],
  [
    'a directory with a child too few',
    (f) =>
      f.withDirectory((page) => ({
        ...page,
        bounds: page.bounds.slice(0, -1),
        children: page.children.slice(0, -1),
      })),
    /a directory is not what its name says/,
  ],
  [
    'a leaf in the chunk of a directory',
    (f) => {
      const { segments } = f.root;
      const named = (name: string, root: NodeName) =>
        name === 'other' ? { ...root, segments } : root;
      return f.with({ tables: f.manifest.tables.map(([name, root]) => [name, named(name, root)]) });
    },
    /it needs a chunk again that was used already/,
    24,
  ],
  [
    'a leaf in the place of another',
    (f) => f.withDirectory((page) => ({ ...page, children: misplaced(page.children) })),
    /a leaf is not what its name says/,
    12,
  ],
  [
    'a page beyond the end of its chunk',
    (f) => f.withRoot((root) => moved(root, { offset: 1_000_000 })),
    /a page is beyond the end of a chunk/,
  ],
  [
    'a page that ends beyond its chunk',
    (f) => f.withRoot((root) => moved(root, { sizeBytes: 1_000_000 })),
    /a page is beyond the end of a chunk/,
  ],
  [
    'a page of nothing',
    (f) => f.withRoot((root) => moved(root, { sizeBytes: 0 })),
    /cannot be read/,
  ],
  [
    'a page cut short',
    (f) => f.withRoot((root) => moved(root, { sizeBytes: (root.segments[0]?.sizeBytes ?? 0) - 1 })),
    /cannot be read/,
  ],
  [
    'pages that its manifest does not name',
    (f) => f.with({ uses: new Map() }),
    /needs a chunk that its manifest does not name/,
  ],
];

/** What becomes of it, and that whatever is held beside it stays as it is and of use. */
function expectRefusal(forger: Forger, body: SnapshotBody, problem: RegExp): void {
  const { group, first } = forger;
  const held = group.restore(first);
  const before = contentsOf(held);
  for (const beside of [null, held]) {
    const refused = restoreWhole(group.replica, body, group.store, beside);
    expect(refused).toEqual({ problem: expect.stringMatching(problem) });
    expect((refused as { problem: string }).problem).toContain(`snapshot ${forger.body.id}`);
  }
  expect(contentsOf(held)).toEqual(before);
  write(held, 'mine', 'of use');
  expect(contentsOf(held)).toMatchObject({ count: before.count + 1 });
  expect(contentsOf(group.restore(forger.body, held))).toEqual(contentsOf(group.replica));
}

describe('a snapshot of', () => {
  test.each<Lie>(lies)('%s is refused', (_, lie, problem, count) => {
    const forger = new Forger(count);
    expectRefusal(forger, lie(forger), problem);
  });

  it('a chunk too few is refused, whichever it is', () => {
    const forger = new Forger();
    const { uses } = forger.manifest;
    expect(uses.size).toBe(11);
    for (const key of uses.keys()) {
      const fewer = new Map([...uses].filter(([each]) => each !== key));
      expectRefusal(forger, forger.with({ uses: fewer }), /that its manifest does not name/);
    }
  });

  it('a chunk too many is as good as without, and that is not asked for', () => {
    const forger = new Forger();
    const { uses } = forger.manifest;
    const extra = {
      hash: Uint8Array.of(7),
      sizeBytes: 1,
      work: 'ranges',
      usedSizeBytes: 1,
    } as const;
    const body = forger.with({ uses: uses.set(keyOf(extra.hash), extra) });
    expect(contentsOf(forger.group.restore(body))).toEqual(contentsOf(forger.group.replica));
  });

  it('what was changed of a leaf, without that leaf, is refused', () => {
    for (const [value, problem] of [
      ['x', /a leaf is not what its name says/],
      [null, /a leaf begins with what was changed of it/],
    ] as const) {
      const forger = new Forger(12);
      const { group } = forger;
      group.apply(keyFor(0), value);
      const { body } = group.cut();
      const lie = Object.assign(new Forger(12), { group, body }).withDirectory((page) => ({
        ...page,
        children: page.children.map((child) => ({ ...child, segments: child.segments.slice(-1) })),
      }));
      expect(restoreWhole(group.replica, lie, group.store)).toEqual({
        problem: expect.stringMatching(problem),
      });
    }
  });

  it('a core that is none is refused, although its digest is right', () => {
    const forger = new Forger();
    const { uses, tables } = forger.manifest;
    const bytes = Uint8Array.of(193);
    const sizes = { sizeBytes: 1, usedSizeBytes: 1 };
    uses.set(keyOf(hash(bytes)), { hash: hash(bytes), work: 'values', ...sizes });
    const body = forger.with({ core: [hash(bytes)], uses });
    forger.group.store.put(hash(bytes), bytes);
    const names = tables.map(([name, root]) => [name, root.hash] as const);
    const digest = digestOfParts(hash, [hash(bytes)], names);
    expectRefusal(forger, { ...body, digest }, /cannot be read/);
  });

  it('a large value of another size is refused, although its digest is right', () => {
    const group = new Rows().fill(5).apply('large', 'x'.repeat(500));
    const tree = group.replica.tables.trees.get('rows');
    const value = tree?.get('large') as LargeValue;
    expect(value).toBeInstanceOf(LargeValue);
    const short = value.bytes.subarray(1);
    value.pieces = [hash(short)];
    const { body } = group.cut();
    group.store.put(hash(short), short);
    expect(restoreWhole(group.replica, body, group.store)).toEqual({
      problem: expect.stringMatching(/a large value has another size/),
    });
  });

  it('a kind that has other tables by now is refused', () => {
    const forger = new Forger();
    const kind = { ...rows, tables: { rows: rows.tables?.rows } } as Kind;
    expect(restoreWhole({ kind, hash }, forger.body, forger.group.store)).toEqual({
      problem: expect.stringMatching(/its tables are not those of kind rows/),
    });
  });

  it('chunks with any byte flipped is refused, or what it was', () => {
    const random = seededRandom('flipped chunks');
    const forger = new Forger();
    const { group, body } = forger;
    const core = new Set(forger.manifest.core.map(keyOf));
    const keys = [...group.store.chunks.keys()].filter((key) => !core.has(key));
    let refused = 0;
    for (let i = 0; i < 1500; i++) {
      const key = keys[random.below(keys.length)] as string;
      const good = group.store.chunks.get(key) as Uint8Array;
      group.store.chunks.set(key, flipped(good, random.below(good.length)));
      const restored = restoreWhole(group.replica, body, group.store);
      if ('problem' in restored) refused += 1;
      else expect(contentsOf(restored)).toEqual(contentsOf(group.replica));
      group.store.chunks.set(key, good);
    }
    expect(refused).toBeGreaterThan(500);
  });
});

describe('what is held during a restore', () => {
  /** Restores step by step; `between` runs before every step. */
  function restoreSlowly(group: Rows, body: SnapshotBody, held: Replica, between: () => void) {
    const restoring = new Restoring({ kind: rows, hash, body, held });
    const wants: Want[] = [...restoring.begin()];
    while (wants.length > 0 || restoring.hasWork) {
      between();
      const want = wants.shift();
      const more = want
        ? restoring.accept(want.hash, group.store.get(want.hash) as Uint8Array)
        : restoring.work(1);
      if ('problem' in more) throw new Error(more.problem);
      wants.push(...more);
    }
    between();
    return restoring.finish();
  }

  it('may be written to: neither shows in the other', () => {
    const group = new Rows().fill(200);
    const held = group.restore(group.cut().body);
    const mine = new Rows().fill(200);
    for (let i = 0; i < 200; i += 7) group.apply(keyFor(i), 'changed');
    const { body } = group.cut();
    let writes = 0;
    const between = () => {
      const change = [keyFor(writes % 200), writes % 5 === 0 ? null : `mine ${writes}`] as const;
      write(held, ...change);
      mine.apply(...change);
      writes += 1;
    };
    const restored = restoreSlowly(group, body, held, between);
    expect(writes).toBeGreaterThan(20);
    expect(contentsOf(restored)).toEqual(contentsOf(group.replica));
    expect(contentsOf(held)).toEqual(contentsOf(mine.replica));
    write(restored, keyFor(1), 'only here');
    expect(contentsOf(held)).toEqual(contentsOf(mine.replica));
  });

  it('is not read if it is what the snapshot holds, wherever that is stored', () => {
    const group = new Rows().fill(60);
    const first = group.cut().body;
    const held = group.restore(first);
    group.store.read();
    const again = group.restore(first, held);
    const coreSizeBytes = 1 + first.coreSizeBytes;
    expect(group.store.read()).toBe(first.manifestSizeBytes + coreSizeBytes);
    expect(contentsOf(again)).toEqual(contentsOf(held));
  });
});
