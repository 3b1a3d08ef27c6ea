/** Drives one sync by hand: a scripted assembly, and sources that say what they are told to. */
import type { Effect, Input, Source } from '../../../replication/effects.js';
import type { Fetched } from '../../../replication/ports.js';
import type { Assembly, Want, WorkKind } from '../../../replication/sync/assembly.js';
import { beginSync, stepSync, syncWakeAtMs } from '../../../replication/sync/controller.js';
import { progressOf, type SyncProgress } from '../../../replication/sync/progress.js';
import { newSync, type Sync, type SyncResult } from '../../../replication/sync/sync.js';
import { simulationHash as hash } from '../../simulation/hash.js';

export type Fetch = Extract<Effect, { kind: 'fetch' }>;

export interface Piece {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly work: WorkKind;
  /** Names of what is wanted once it is there. */
  readonly leadsTo: readonly string[];
  /** What it is said to take; the bytes themselves are few. */
  readonly sizeBytes: number;
}

/** Its content begins with its name, so no two are equal. */
export function piece(name: string, rest: Partial<Omit<Piece, 'name'>> = {}): Piece {
  const bytes = new Uint8Array(1000);
  bytes.set(new TextEncoder().encode(name));
  return { name, bytes, work: 'ranges', leadsTo: [], sizeBytes: bytes.length, ...rest };
}

export const pieces = (...names: string[]) => names.map((name) => piece(name));

export const sourceName = (source: Source): string =>
  source.kind === 'peer' ? source.node : source.kind;

export class Script implements Assembly {
  readonly accepted: string[] = [];
  waitingSizeBytes = 0;
  /** What is to be done beside, and what each of it leads to. */
  readonly toDo: (() => { problem: string } | string[])[] = [];
  /** What accepting the piece of this name does instead. */
  readonly instead = new Map<string, () => { problem: string } | string[]>();
  readonly #byName: ReadonlyMap<string, Piece>;
  readonly #byHash: ReadonlyMap<string, Piece>;

  constructor(
    readonly all: readonly Piece[],
    readonly roots: readonly string[],
  ) {
    this.#byName = new Map(all.map((each) => [each.name, each]));
    this.#byHash = new Map(all.map((each) => [String(hash(each.bytes)), each] as const).reverse());
  }

  begin(): readonly Want[] {
    return this.#wants(this.roots);
  }

  accept(of: Uint8Array, bytes: Uint8Array): readonly Want[] | { problem: string } {
    const found = this.pieceOf(of);
    if (String(hash(bytes)) !== String(hash(found.bytes))) throw new Error('handed other bytes');
    const result = this.instead.get(found.name)?.() ?? found.leadsTo;
    if ('problem' in result) return result;
    this.accepted.push(found.name);
    return this.#wants(result);
  }

  get hasWork(): boolean {
    return this.toDo.length > 0;
  }

  work(): readonly Want[] | { problem: string } {
    const result = this.toDo.shift()?.() ?? [];
    return 'problem' in result ? result : this.#wants(result);
  }

  pieceOf(of: Uint8Array): Piece {
    const found = this.#byHash.get(String(of));
    if (found === undefined) throw new Error('nobody wanted this');
    return found;
  }

  #wants(names: readonly string[]): Want[] {
    return names.map((name) => {
      const { bytes, work, sizeBytes } = this.#byName.get(name) as Piece;
      return { work, hash: hash(bytes), sizeBytes };
    });
  }
}

export class Rig {
  readonly script: Script;
  readonly sync: Sync;
  readonly out: Effect[] = [];
  /** Asked and not answered yet. */
  open: Fetch[] = [];
  nowMs = 1000;
  result: SyncResult = { kind: 'busy' };

  constructor(all: readonly Piece[], peers: readonly string[] = [], roots?: readonly string[]) {
    this.script = new Script(all, roots ?? all.map(({ name }) => name));
    this.sync = newSync({ hash }, { next: 1, peers }, 'g/1/7', this.script, peers);
  }

  begin(): this {
    return this.#do((now, out) => beginSync(this.sync, now, out));
  }

  feed(input: Input): this {
    return this.#do((now, out) => stepSync(this.sync, input, now, out));
  }

  #do(run: (now: { monoMs: number; wallMs: number }, out: Effect[]) => SyncResult): this {
    const out: Effect[] = [];
    this.result = run({ monoMs: this.nowMs, wallMs: 1e12 + this.nowMs }, out);
    this.out.push(...out);
    this.open.push(...out.filter((effect) => effect.kind === 'fetch'));
    return this;
  }

  tick(ms = 0): this {
    this.nowMs += ms;
    return this.feed({ kind: 'tick' });
  }

  /** Ticks whenever it is wanted, for so long. */
  pass(ms: number): this {
    const untilMs = this.nowMs + ms;
    for (let wakes = 0; syncWakeAtMs(this.sync) <= untilMs; wakes++) {
      if (wakes > 1000) throw new Error('it spins');
      this.nowMs = Math.max(this.nowMs, syncWakeAtMs(this.sync));
      this.tick();
    }
    this.nowMs = untilMs;
    return this;
  }

  peers(...nodes: string[]): this {
    return this.feed({ kind: 'peers', nodes });
  }

  /** What is asked and not answered, as `source name`. */
  asked(): string[] {
    return this.open.map((fetch) => `${sourceName(fetch.source)} ${this.nameOf(fetch)}`);
  }

  nameOf({ hash: of }: Fetch): string {
    return this.script.pieceOf(of).name;
  }

  /** The open request to this source, for this piece. */
  find(source: string, name?: string): Fetch {
    const found = this.open.find(
      (fetch) =>
        sourceName(fetch.source) === source && (name === undefined || this.nameOf(fetch) === name),
    );
    if (found === undefined) throw new Error(`nothing is asked of ${source}: ${this.asked()}`);
    return found;
  }

  answer(fetch: Fetch, result: Fetched, generation = fetch.generation): this {
    this.open = this.open.filter((each) => each !== fetch);
    return this.feed({ kind: 'fetched', call: fetch.call, generation, result });
  }

  give(source: string, name?: string): this {
    const fetch = this.find(source, name);
    return this.answer(fetch, { kind: 'chunk', bytes: this.script.pieceOf(fetch.hash).bytes });
  }

  lie(source: string, name?: string): this {
    return this.answer(this.find(source, name), { kind: 'chunk', bytes: Uint8Array.of(6, 6, 6) });
  }

  lack(source: string, name?: string): this {
    return this.answer(this.find(source, name), { kind: 'none' });
  }

  fail(source: string, name?: string): this {
    return this.answer(this.find(source, name), { kind: 'failed', reason: 'no responders' });
  }

  /** The cache has nothing of it. */
  cold(): this {
    while (this.open.some(({ source }) => source.kind === 'cache')) this.lack('cache');
    return this;
  }

  /** Whatever else is asked is given. */
  giveAll(): this {
    while (this.open.length > 0 && this.result.kind === 'busy') {
      const [{ source }] = this.open as [Fetch];
      if (source.kind === 'cache') this.lack('cache');
      else this.give(sourceName(source));
    }
    return this;
  }

  /** Those under way as the sync sees it. */
  active(): number[] {
    return Object.values(this.sync.coordinators).flatMap(({ active }) => [...active.keys()]);
  }

  account(name: string) {
    const { cache, store, peers } = this.sync.ledger;
    const found = { cache, store }[name] ?? peers.get(name);
    if (found === undefined) throw new Error(`no account of ${name}`);
    return found;
  }

  alarms(): string[] {
    return this.out.flatMap((effect) =>
      effect.kind === 'alarm' ? [`${effect.code}: ${effect.detail}`] : [],
    );
  }

  kept(): string[] {
    return this.out.flatMap((effect) =>
      effect.kind === 'keep-chunk' ? [this.script.pieceOf(effect.hash).name] : [],
    );
  }

  get progress(): SyncProgress {
    return progressOf(this.sync);
  }

  get wakeInMs(): number {
    return syncWakeAtMs(this.sync) - this.nowMs;
  }
}

export const begun = (all: readonly Piece[], peers: readonly string[] = []) =>
  new Rig(all, peers).begin();
