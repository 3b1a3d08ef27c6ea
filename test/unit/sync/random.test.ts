/** Random sources, of which one is honest and has everything: the sync has to find that out. */
import { describe, expect, it } from 'vitest';
import type { Effect, Input, Source } from '../../../replication/effects.js';
import { limits } from '../../../replication/limits.js';
import type { Fetched } from '../../../replication/ports.js';
import { workKinds } from '../../../replication/sync/assembly.js';
import { beginSync, stepSync, syncWakeAtMs } from '../../../replication/sync/controller.js';
import { relief } from '../../../replication/sync/pace.js';
import { newSync, requestsOf, type Sync, type SyncResult } from '../../../replication/sync/sync.js';
import { simulationHash as hash } from '../../simulation/hash.js';
import { sampleSize } from '../../support/sample.js';
import { type Random, type VirtualScheduler, virtualScheduler } from '../../support/scheduler.js';
import { type Piece, piece, Script, sourceName } from './support.js';

const longestRunMs = 600_000;

/** How likely each of these is when it is asked; otherwise it gives what it has. */
interface Manner {
  readonly holds: number;
  readonly lies: number;
  readonly fails: number;
  readonly hangs: number;
  readonly slowestMs: number;
}

const honest: Manner = { holds: 1, lies: 0, fails: 0, hangs: 0, slowestMs: 2000 };

function mannerOf(random: Random): Manner {
  const some = (likely: number) => (random.chance(likely) ? random.next() : 0);
  return {
    holds: random.chance(0.4) ? 1 : random.next(),
    lies: some(0.25),
    fails: some(0.3),
    hangs: some(0.3),
    slowestMs: 1 + random.below(random.chance(0.2) ? 9000 : 1000),
  };
}

/** A manifest, directories, and pieces, the large values among them in groups that wait for each other. */
function snapshotOf(random: Random): { all: Piece[]; groups: Map<string, string[]> } {
  const all: Piece[] = [];
  const groups = new Map<string, string[]>();
  const directories = Array.from({ length: 1 + random.below(5) }, (_, i) => {
    const leaves = Array.from({ length: random.below(30) }, (__, k) => `leaf ${i} ${k}`);
    const parts = Array.from({ length: random.below(60) }, (__, k) => `part ${i} ${k}`);
    const sizeBytes = random.chance(0.5) ? limits.chunkSizeBytes : 1000;
    all.push(...leaves.map((name) => piece(name, { sizeBytes })));
    all.push(...parts.map((name) => piece(name, { work: 'values', sizeBytes })));
    for (const name of parts) groups.set(name, parts);
    // Some are wanted from two places.
    const shared = all.length > 0 && random.chance(0.5) ? [all[random.below(all.length)]] : [];
    const leadsTo = [...leaves, ...parts, ...shared.map((each) => (each as Piece).name)];
    return piece(`directory ${i}`, { work: 'healing', leadsTo });
  });
  const leadsTo = directories.map(({ name }) => name);
  return { all: [piece('root', { work: 'healing', leadsTo }), ...directories, ...all], groups };
}

class World {
  readonly scheduler: VirtualScheduler;
  readonly random: Random;
  readonly script: Script;
  readonly sync: Sync;
  readonly kept: Effect[] = [];
  readonly alarms: string[] = [];
  readonly nodes: string[];
  readonly #manners = new Map<string, Manner>();
  readonly #held = new Map<string, boolean>();
  readonly #waits = new Map<string, string[]>();
  readonly #deaths = new Map<string, number>();
  result: SyncResult = { kind: 'busy' };
  fetches = 0;
  #wake: () => void = () => undefined;

  constructor(seed: number) {
    this.scheduler = virtualScheduler(`sync ${seed}`);
    this.random = this.scheduler.fork('world');
    const { all, groups } = snapshotOf(this.random);
    this.#waits = groups;
    this.script = new Script(all, ['root']);
    for (const { name } of all) this.#prepare(name);
    this.nodes = Array.from({ length: this.random.below(6) }, (_, i) => `n${i}`);
    const names = ['store', 'cache', ...this.nodes];
    for (const name of names) this.#manners.set(name, mannerOf(this.random));
    // The cache alone would do too, but is the least interesting.
    const good = ['store', ...this.nodes][this.random.below(this.nodes.length + 1)] as string;
    this.#manners.set(good, honest);
    this.sync = newSync({ hash }, { next: 1, peers: this.nodes }, 'g/1/1', this.script, this.nodes);
    if (this.random.chance(0.5)) this.#churn(good);
  }

  /** Taking it in may throw, twice at most; and what waits for others takes memory. */
  #prepare(name: string): void {
    if (this.random.chance(0.02)) this.#deaths.set(name, 1 + this.random.below(2));
    const { leadsTo } = this.script.all.find((each) => each.name === name) as Piece;
    this.script.instead.set(name, () => {
      const left = this.#deaths.get(name) ?? 0;
      this.#deaths.set(name, left - 1);
      if (left > 0) throw new Error('boom');
      this.#weigh(name);
      return [...leadsTo];
    });
  }

  #weigh(name: string): void {
    const accepted = new Set([...this.script.accepted, name]);
    const groups = new Set(this.#waits.values());
    this.script.waitingSizeBytes = 0;
    for (const group of groups) {
      const here = group.filter((each) => accepted.has(each));
      if (here.length === group.length) continue;
      const { sizeBytes } = this.script.all.find((each) => each.name === group[0]) as Piece;
      this.script.waitingSizeBytes += here.length * sizeBytes;
    }
  }

  /** Peers come and go, the good one excepted. */
  #churn(good: string): void {
    this.scheduler.after(1 + this.random.below(3000), () => {
      const nodes = this.nodes.filter((node) => node === good || this.random.chance(0.6));
      this.#step({ kind: 'peers', nodes: [...nodes, ...nodes.slice(0, 1)] });
      this.#churn(good);
    });
  }

  run(): void {
    const out: Effect[] = [];
    this.result = beginSync(this.sync, this.#now(), out);
    this.#execute(out);
    while (this.result.kind === 'busy' && this.scheduler.now() < longestRunMs) {
      if (!this.scheduler.step()) throw new Error('it waits for nothing');
    }
  }

  #now() {
    return { monoMs: this.scheduler.now(), wallMs: 1e12 };
  }

  #step(input: Input): void {
    const out: Effect[] = [];
    this.result = stepSync(this.sync, input, this.#now(), out);
    this.#execute(out);
    this.#check();
  }

  #execute(out: readonly Effect[]): void {
    for (const effect of out) {
      if (effect.kind === 'fetch') this.#fetch(effect);
      if (effect.kind === 'keep-chunk') this.kept.push(effect);
      if (effect.kind === 'alarm') this.alarms.push(effect.detail);
    }
    this.#wake();
    const atMs = syncWakeAtMs(this.sync);
    if (this.result.kind !== 'busy') return;
    expect(atMs).toBeLessThan(Number.POSITIVE_INFINITY);
    const inMs = Math.max(0, atMs - this.scheduler.now());
    this.#wake = this.scheduler.after(inMs, () => this.#step({ kind: 'tick' }));
  }

  #fetch({ call, generation, source, hash: of }: Extract<Effect, { kind: 'fetch' }>): void {
    this.fetches += 1;
    const result = this.#answerOf(source, of);
    const { slowestMs } = this.#manners.get(sourceName(source)) as Manner;
    if (result === null) return;
    const answer: Input = { kind: 'fetched', call, generation, result };
    this.scheduler.after(1 + this.random.below(slowestMs), () => this.#step(answer));
    // Some are heard twice.
    if (this.random.chance(0.01)) this.scheduler.after(4000, () => this.#step(answer));
  }

  #answerOf(source: Source, of: Uint8Array): Fetched | null {
    const name = sourceName(source);
    const manner = this.#manners.get(name) as Manner;
    const { random } = this;
    if (random.chance(manner.hangs)) return null;
    if (random.chance(manner.fails)) return { kind: 'failed', reason: 'out of luck' };
    if (random.chance(manner.lies)) return { kind: 'chunk', bytes: Uint8Array.of(random.below(9)) };
    const key = `${name} ${String(of)}`;
    const holds = this.#held.get(key) ?? random.chance(manner.holds);
    this.#held.set(key, holds);
    return holds ? { kind: 'chunk', bytes: this.script.pieceOf(of).bytes } : { kind: 'none' };
  }

  /** I10 */
  #check(): void {
    const { coordinators, ledger, pace } = this.sync;
    const requests = requestsOf(this.sync);
    const sizeBytes = requests.reduce((sum, { task }) => sum + task.want.sizeBytes, 0);
    expect(requests.length).toBeLessThanOrEqual(limits.syncHighChunks);
    // Beyond the mark only what may bring what the others wait for.
    if (this.script.waitingSizeBytes + sizeBytes > limits.syncHighSizeBytes) {
      expect(requests.length).toBeLessThanOrEqual(relief);
    }
    expect(ledger.cache.inFlight).toBeLessThanOrEqual(limits.syncCacheRequests);
    for (const { inFlight } of ledger.peers.values()) {
      expect(inFlight).toBeLessThanOrEqual(limits.syncPeerRequests);
    }
    const onNetwork = requests.filter(({ from }) => from.source.kind !== 'cache').length;
    expect(onNetwork).toBeLessThanOrEqual(limits.syncRequests);
    expect(pace.slices.length).toBeLessThanOrEqual(5);
    for (const work of workKinds) {
      const { workers, active, pending, known, completed } = coordinators[work];
      const busy = workers.filter(({ call }) => call !== null).map(({ call }) => call);
      expect(busy.sort()).toEqual([...active.keys()].sort());
      const tasks = [...pending, ...[...active.values()].map(({ task }) => task)];
      expect(new Set(tasks).size + completed).toBe(known.size);
      expect(tasks.length + completed).toBe(known.size);
      const orders = pending.map(({ order }) => order);
      expect(orders.every((order, i) => i === 0 || (orders[i - 1] as number) < order)).toBe(true);
    }
    const inFlight = [ledger.cache, ledger.store, ...ledger.peers.values()].reduce(
      (sum, account) => sum + account.inFlight,
      0,
    );
    expect(inFlight).toBe(requests.length);
  }
}

describe('with random sources, one of them honest and complete', () => {
  it.each(Array.from({ length: sampleSize(40, 15) }, (_, i) => i + 1))(
    'it is done with everything right, %i',
    (seed) => {
      const world = new World(seed);
      world.run();
      expect(world.result).toEqual({ kind: 'done' });
      const { all, accepted } = world.script;
      expect([...accepted].sort()).toEqual(all.map(({ name }) => name).sort());
      for (const effect of world.kept) {
        if (effect.kind !== 'keep-chunk') continue;
        expect(hash(effect.bytes)).toEqual(effect.hash);
      }
      expect(world.sync.doneSizeBytes).toBe(world.sync.knownSizeBytes);
      expect(world.alarms.length).toBeLessThanOrEqual(limits.syncAlarms);
      expect(world.fetches).toBeLessThan(all.length * 3 * (2 + world.nodes.length) + 100);
      expect(world.scheduler.now()).toBeLessThan(longestRunMs);
    },
  );
});
