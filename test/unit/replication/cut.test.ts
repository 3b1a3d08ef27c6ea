import { describe, expect, it, test } from 'vitest';
import { keyOf } from '../../../replication/bytes.js';
import type { Effect, Input } from '../../../replication/effects.js';
import {
  beginCut,
  type Cut,
  type CutOrder,
  type CutResult,
  cutHasWork,
  settleBase,
  stepCut,
} from '../../../replication/snapshot/cut.js';
import type { Base } from '../../../replication/snapshot/depositing.js';
import { takeImage } from '../../../replication/snapshot/image.js';
import { nodesOf } from '../state/support.js';
import { contentsOf, keyFor, Rows } from './rows.js';
import { hash } from './support.js';

type Of<K extends Effect['kind']> = Extract<Effect, { kind: K }>;

/** A cut that the test feeds by hand. */
class Cutting {
  readonly out: Effect[] = [];
  readonly cut: Cut;
  result: CutResult = { kind: 'busy' };

  constructor(
    readonly group: Rows,
    order: Partial<CutOrder> = {},
  ) {
    const image = takeImage(group.replica);
    if ('problem' in image) throw new Error(image.problem);
    const { base } = group.replica;
    const whole = { image, base, cutter: 0, mark: null, doubted: new Set<string>(), ...order };
    this.cut = beginCut(whole, { next: 1, peers: [] }, this.out);
  }

  feed(input: Input): this {
    this.result = stepCut(this.cut, input, this.out);
    return this;
  }

  all<K extends Effect['kind']>(kind: K): Of<K>[] {
    return this.out.filter((effect): effect is Of<K> => effect.kind === kind);
  }

  announced(standing: readonly string[] = []): this {
    const { call } = this.all('announce')[0] as Of<'announce'>;
    return this.feed({ kind: 'announced', call, result: { standing } });
  }

  put(at: number, failure: string | null = null): this {
    const { call, hash: named, bytes } = this.all('put-chunk')[at] as Of<'put-chunk'>;
    if (failure === null) this.group.store.put(named, bytes);
    return this.feed({ kind: 'chunk-put', call, failure });
  }

  work(sizeBytes = 1_000_000): this {
    return this.feed({ kind: 'work', sizeBytes });
  }

  /** All of it is put but the last chunk, whose number is returned. */
  putAllButLast(): number {
    let at = 0;
    for (this.work(); this.cut.deposited === null || at < this.all('put-chunk').length - 1; at++) {
      this.put(at).work();
    }
    return at;
  }

  pinned(failure: string | null = null): this {
    const { call } = this.all('pin')[0] as Of<'pin'>;
    return this.feed({ kind: 'pinned', call, failure });
  }
}

const begun = (count = 200) => new Cutting(new Rows().fill(count));
const keysOf = (hashes: readonly Uint8Array[]) => hashes.map(keyOf).sort();
const baseOf = ({ replica }: Rows) => replica.base as Base;

describe('a cut', () => {
  it('announces itself, and neither works nor puts anything before that is known', () => {
    const cutting = begun();
    expect(cutting.out).toEqual([{ kind: 'announce', call: 1, id: '1-200-200', reused: [] }]);
    expect(cutHasWork(cutting.cut)).toBe(false);
    cutting.work();
    expect(cutting.out).toHaveLength(1);
    cutting.announced();
    expect(cutHasWork(cutting.cut)).toBe(true);
    expect(cutting.work().all('put-chunk').length).toBeGreaterThan(0);
  });

  it('puts every chunk under its hash, and gives it to the cache', () => {
    const cutting = begun().announced();
    cutting.putAllButLast();
    const puts = cutting.all('put-chunk');
    expect(puts.length).toBeGreaterThan(10);
    for (const { hash: named, bytes } of puts) expect(named).toEqual(hash(bytes));
    const kept = cutting.all('keep-chunk').map(({ hash: named, bytes }) => [named, bytes]);
    expect(kept).toEqual(puts.map(({ hash: named, bytes }) => [named, bytes]));
    expect(new Set(puts.map(({ call }) => call)).size).toBe(puts.length);
  });

  it('has eight puts in flight at most, however much time it is given', () => {
    const cutting = begun().announced().work().work();
    expect(cutting.all('put-chunk')).toHaveLength(8);
    expect(cutHasWork(cutting.cut)).toBe(false);
    cutting.put(3);
    expect(cutHasWork(cutting.cut)).toBe(true);
    expect(cutting.work().work().all('put-chunk')).toHaveLength(9);
  });

  it('takes no more time than it is given, but for a page and a chunk', () => {
    const cutting = begun().announced();
    let slices = 0;
    for (let at = 0; cutting.cut.deposited === null; slices++) {
      const before = cutting.all('put-chunk').length;
      cutting.work(100);
      const puts = cutting.all('put-chunk').length;
      expect(puts - before).toBeLessThanOrEqual(2);
      while (at < puts) cutting.put(at++);
    }
    expect(slices).toBeGreaterThan(200);
  });

  it('is pinned with all of its chunks once the last of them is stored, and not before', () => {
    const cutting = begun().announced();
    const last = cutting.putAllButLast();
    expect(cutHasWork(cutting.cut)).toBe(false);
    expect(cutting.all('pin')).toEqual([]);
    cutting.put(last);
    const pins = cutting.all('pin');
    expect(pins).toMatchObject([{ id: '1-200-200' }]);
    const puts = cutting.all('put-chunk').map((each) => each.hash);
    expect(keysOf(pins[0]?.chunks ?? [])).toEqual(keysOf(puts));
    // The manifest comes last: without it nobody finds anything.
    expect(pins[0]?.chunks.at(-1)).toEqual(puts.at(-1));
    expect(cutting.result).toEqual({ kind: 'busy' });
  });

  it('is a snapshot once it is pinned, and not before', () => {
    const cutting = begun().announced();
    cutting.put(cutting.putAllButLast());
    const { result } = cutting.pinned();
    if (result.kind !== 'cut') throw new Error(result.kind);
    const { manifest } = result.body;
    expect(manifest).toEqual(cutting.all('put-chunk').at(-1)?.hash);
    const { group } = cutting;
    expect(contentsOf(group.restore(result.body))).toEqual(contentsOf(group.replica));
  });

  it.each(['first', 'last'] as const)('waits for the %s chunk, whatever the order', (which) => {
    const cutting = begun(20).announced().work();
    const count = cutting.all('put-chunk').length;
    expect(count).toBeLessThan(8);
    const waited = which === 'first' ? 0 : count - 1;
    for (let at = 0; at < count; at++) if (at !== waited) cutting.put(at);
    expect(cutting.all('pin')).toEqual([]);
    expect(cutting.put(waited).all('pin')).toHaveLength(1);
  });

  it('changes nothing for inputs that are not for it', () => {
    const cutting = begun(20);
    cutting.feed({ kind: 'announced', call: 9, result: { standing: [] } });
    cutting.feed({ kind: 'pinned', call: 9, failure: null });
    expect(cutting.cut.phase).toBe('announcing');
    cutting.announced().work();
    const { length } = cutting.out;
    cutting.feed({ kind: 'chunk-put', call: 999, failure: 'not mine' });
    cutting.feed({ kind: 'pinned', call: 1, failure: null }).feed({ kind: 'tick' });
    cutting.feed({ kind: 'chunk-put', call: 2, failure: null });
    cutting.feed({ kind: 'chunk-put', call: 2, failure: 'twice' });
    expect([cutting.result.kind, cutting.out.length]).toEqual(['busy', length]);
  });
});

describe('a cut fails with', () => {
  test.each<[string, (cutting: Cutting) => Cutting]>([
    [
      'its announcement',
      (c) => c.feed({ kind: 'announced', call: 1, result: { failure: 'no space left' } }),
    ],
    ['a chunk', (c) => c.announced().work().put(2, 'no space left')],
    [
      'its last chunk',
      (c) => {
        const last = c.announced().putAllButLast();
        return c.put(last, 'no space left');
      },
    ],
    [
      'its pin',
      (c) => {
        c.put(c.announced().putAllButLast());
        return c.pinned('no space left');
      },
    ],
  ])('%s', (_, act) => {
    const cutting = act(begun());
    expect(cutting.result).toEqual({ kind: 'failed', problem: 'no space left' });
  });
});

describe('upon its base a cut', () => {
  /** One more row was changed since the base was recorded. */
  function changed(order: Partial<CutOrder> = {}) {
    const group = new Rows().fill(200);
    group.cut();
    group.apply(keyFor(100), 'changed');
    return { group, base: baseOf(group), cutting: new Cutting(group, order) };
  }
  const puts = (cutting: Cutting) => cutting.all('put-chunk').map((each) => each.hash);

  it('announces all of its chunks, and puts those alone that are new', () => {
    const { base, cutting } = changed();
    const { reused } = cutting.all('announce')[0] as Of<'announce'>;
    expect(keysOf(reused)).toEqual([...base.uses.keys()].sort());
    cutting.announced([base.snapshotId]).putAllButLast();
    expect(puts(cutting).length).toBeLessThan(base.uses.size / 2);
    for (const each of puts(cutting)) expect(base.uses.has(keyOf(each))).toBe(false);
  });

  it('puts everything anew if that does not stand any more', () => {
    const { group, cutting } = changed();
    cutting.announced(['1-7-7']);
    cutting.put(cutting.putAllButLast());
    const fresh = new Cutting(group, { base: null }).announced();
    fresh.putAllButLast();
    expect(keysOf(puts(cutting))).toEqual(keysOf(puts(fresh)));
    const pinned = cutting.all('pin')[0]?.chunks ?? [];
    expect(keysOf(pinned)).toEqual(keysOf(puts(cutting)));
  });

  it('neither announces nor uses what is doubted: all that was in there is put anew', () => {
    const group = new Rows().fill(200);
    group.cut();
    const base = baseOf(group);
    for (const key of base.uses.keys()) {
      const cutting = new Cutting(group, { doubted: new Set([key]) });
      const { reused } = cutting.all('announce')[0] as Of<'announce'>;
      expect(keysOf(reused)).toEqual([...base.uses.keys()].filter((each) => each !== key).sort());
      cutting.announced([base.snapshotId]);
      cutting.put(cutting.putAllButLast());
      const named = keysOf(cutting.all('pin')[0]?.chunks ?? []);
      const anew = new Set(puts(cutting).map(keyOf));
      // What is in the core, or happens to be packed as before, has the same name again.
      expect(named.includes(key)).toBe(anew.has(key));
    }
  });

  it('builds a changed leaf upon nothing that was given up while it was changed', () => {
    const group = new Rows().fill(200);
    group.cut();
    const doubted = new Set(baseOf(group).uses.keys());
    for (let i = 0; i < 200; i += 4) group.apply(keyFor(i), 'x');
    let writes = 0;
    const meanwhile = () => void group.apply(keyFor((4 * writes++) % 200), 'y');
    group.cut({ doubted, sliceSizeBytes: 500, meanwhile });
    expect(writes).toBeGreaterThan(20);
    const { uses, manifest } = baseOf(group);
    for (const key of [...group.store.chunks.keys()]) {
      if (!uses.has(key) && key !== keyOf(manifest)) group.store.chunks.delete(key);
    }
    const { body } = group.cut();
    expect(contentsOf(group.restore(body))).toEqual(contentsOf(group.replica));
  });

  it('says nothing to the next one before it is recorded', () => {
    const group = new Rows().fill(200);
    const { body } = group.cut();
    const base = baseOf(group);
    group.apply(keyFor(100), 'changed');
    const cutting = new Cutting(group).announced([base.snapshotId]);
    cutting.put(cutting.putAllButLast());
    const { result } = cutting.pinned();
    if (result.kind !== 'cut') throw new Error(result.kind);
    expect(group.replica.base).toBe(base);
    const roots = [...group.replica.tables.trees.values()].map(({ root }) => root);
    const unstored = () => roots.flatMap(nodesOf).filter(({ stored }) => stored === null).length;
    expect(unstored()).toBeGreaterThan(0);
    settleBase(group.replica, result.deposited);
    expect(unstored()).toBe(0);
    expect(baseOf(group).snapshotId).toBe(result.body.id);
    expect(result.body.id).not.toBe(body.id);
  });
});
