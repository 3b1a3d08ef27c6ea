/** The chunks that a simulated node keeps on its disk, and what its peers get of them. */
import { equalBytes, keyOf } from '../../replication/bytes.js';
import type { Ports } from '../../replication/execute.js';
import type { ChunkCache, ChunkGarbage, Fetched } from '../../replication/ports.js';
import { collect } from '../../replication/snapshot/collection.js';
import type { Random, Scheduler } from '../support/scheduler.js';
import { restoreWhole } from '../support/snapshots.js';
import { Violation } from './checker.js';
import { simulationHash } from './hash.js';
import type { Host } from './host.js';
import { checkRows } from './inspect.js';
import type { World } from './world.js';

export interface ChunkRates {
  cacheLost: number;
  cacheCorrupt: number;
  cacheSlow: number;
  peerEmpty: number;
  peerLies: number;
  peerSilent: number;
}

export const soundChunks: Readonly<ChunkRates> = {
  cacheLost: 0,
  cacheCorrupt: 0,
  cacheSlow: 0,
  peerEmpty: 0,
  peerLies: 0,
  peerSilent: 0,
};

const kept = 48;

/** Outlives the process, not every fault. */
export class NodeChunks {
  readonly #chunks = new Map<string, Uint8Array>();

  constructor(
    private readonly scheduler: Scheduler,
    private readonly random: Random,
    private readonly rates: Readonly<ChunkRates>,
  ) {}

  /** For whoever runs now: `isCurrent` tells whether it still does. */
  cache(isCurrent: () => boolean): ChunkCache {
    return {
      get: (hash, done) => {
        const slowMs = this.random.chance(this.rates.cacheSlow) ? this.random.next() * 8000 : 0;
        this.scheduler.after(0.1 + this.random.next() + slowMs, () => {
          if (isCurrent()) done(this.#read(hash));
        });
      },
      keep: (hash, bytes) => {
        const key = keyOf(hash);
        this.#chunks.delete(key);
        this.#chunks.set(key, Uint8Array.from(bytes));
        const [oldest] = this.#chunks.keys();
        if (this.#chunks.size > kept) this.#chunks.delete(oldest as string);
      },
    };
  }

  /** Whatever the disk has done to it; null: it is gone. */
  alter(hash: Uint8Array, bytes: Uint8Array | null): void {
    if (bytes === null) this.#chunks.delete(keyOf(hash));
    else this.#chunks.set(keyOf(hash), Uint8Array.from(bytes));
  }

  has(hash: Uint8Array): boolean {
    return this.#chunks.has(keyOf(hash));
  }

  #read(hash: Uint8Array): Fetched {
    const key = keyOf(hash);
    if (this.random.chance(this.rates.cacheLost)) this.#chunks.delete(key);
    const bytes = this.#chunks.get(key);
    if (bytes === undefined) return { kind: 'none' };
    if (!this.random.chance(this.rates.cacheCorrupt))
      return { kind: 'chunk', bytes: Uint8Array.from(bytes) };
    const bad = this.#spoilt(bytes);
    this.#chunks.set(key, bad);
    return { kind: 'chunk', bytes: Uint8Array.from(bad) };
  }

  /** What a peer is told that asks for it; null: nothing. */
  handOut(hash: Uint8Array, lies: boolean): Fetched | null {
    const { peerEmpty, peerLies, peerSilent } = this.rates;
    if (this.random.chance(peerSilent)) return null;
    const bytes = this.#chunks.get(keyOf(hash));
    if (lies || this.random.chance(peerLies)) {
      const any = bytes ?? [...this.#chunks.values()][0] ?? Uint8Array.of(1, 2, 3);
      return { kind: 'chunk', bytes: this.#spoilt(any) };
    }
    if (bytes === undefined || this.random.chance(peerEmpty)) return { kind: 'none' };
    return { kind: 'chunk', bytes: Uint8Array.from(bytes) };
  }

  /** Another chunk, a part of it, or all of it but for one bit. */
  #spoilt(bytes: Uint8Array): Uint8Array {
    const how = this.random.below(3);
    const others = [...this.#chunks.values()];
    const other = others[this.random.below(Math.max(1, others.length))];
    if (how === 0 && other !== undefined && other !== bytes) return Uint8Array.from(other);
    if (how === 1 && bytes.length > 0) return bytes.slice(0, this.random.below(bytes.length));
    const bad = Uint8Array.from(bytes);
    const at = this.random.below(Math.max(1, bad.length));
    if (bad.length > 0) bad[at] = (bad[at] as number) ^ (1 << this.random.below(8));
    return bad;
  }
}

export function portsOf(world: World, host: Host, groupId: string): Ports {
  const { model } = world;
  const { life, name } = host;
  const chunks = model.chunks(name, groupId);
  const dropBefore = (id: string) => {
    chunks.dropBefore(id);
    host.collectSoon();
  };
  return {
    log: model.log(name, groupId),
    chunks: { ...chunks, dropBefore },
    cache: host.chunks.cache(() => host.life === life && host.alive),
    askPeer: (node, hash, done) => askPeer(world, { from: host, node, hash }, done),
  };
}

interface Question {
  readonly from: Host;
  readonly node: string;
  readonly hash: Uint8Array;
}

/** Answered once: by the peer, by the broker if there is nobody, or by the clock. */
function askPeer(
  { scheduler, hosts, bus }: World,
  { from, node, hash }: Question,
  done: (result: Fetched) => void,
): void {
  const { life } = from;
  let ended = false;
  const end = (result: Fetched) => {
    if (ended || from.life !== life) return;
    ended = true;
    from.run(() => done(result));
  };
  scheduler.after(1000, () => end({ kind: 'failed', reason: 'no answer in time' }));
  const target = hosts.find((host) => host.name === node);
  if (target === undefined || !target.alive || target.partitioned) {
    scheduler.after(0.5, () => end({ kind: 'failed', reason: 'no responders' }));
    return;
  }
  bus.send(from, target, () => {
    const answer = target.chunks.handOut(hash, target.lies !== null);
    if (answer !== null) bus.send(target, from, () => end(answer));
  });
}

/** Of all groups. `gate` holds back what is for a process that stands still. */
export function collectGated(
  { model }: World,
  client: string,
  gate: (task: () => void) => void,
  done: () => void = () => undefined,
): void {
  const garbage = model.garbage(client);
  const later =
    <Result>(done: (result: Result) => void) =>
    (result: Result) =>
      gate(() => done(result));
  const gated: ChunkGarbage = {
    mark: (done) => garbage.mark(later(done)),
    pins: (through, done) => garbage.pins(through, later(done)),
    chunks: (done) => garbage.chunks(later(done)),
    forget: (hash, before, done) => garbage.forget(hash, before, later(done)),
  };
  collect(gated, done);
}

/**
 * I7: whatever was collected, the newest recorded snapshot of a group is whole and right. What those cut
 * who lie need not be: others have to find out.
 */
export function checkChunks(world: World, group: string): void {
  const checker = world.checker(group);
  const { snapshot } = checker;
  if (snapshot === null || world.lies.has(snapshot.id)) return;
  const { stored } = world.model;
  let isSpoilt = false;
  const get = (hash: Uint8Array) => {
    const bytes = stored.chunk(hash);
    const isRight = bytes !== undefined && equalBytes(simulationHash(bytes), hash);
    isSpoilt ||= !isRight && world.lies.has(keyOf(hash));
    return bytes;
  };
  const source = { kind: world.play.kind, hash: simulationHash };
  const restored = restoreWhole(source, snapshot, { get });
  if (isSpoilt) return;
  if ('problem' in restored) {
    const what = `snapshot ${snapshot.id} of ${group} cannot be restored from the store`;
    throw new Violation('I7', `${what}: ${restored.problem}`);
  }
  checkRows(checker, `snapshot ${snapshot.id} of ${group}`, restored);
}
