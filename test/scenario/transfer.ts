/** What a scenario about snapshots does to chunks, and what it sees of their ways. */
import { expect } from 'vitest';
import { keyOf } from '../../replication/bytes.js';
import type { SnapshotBody } from '../../replication/record.js';
import { decodeManifest } from '../../replication/snapshot/manifest.js';
import { requestOf, type Sync } from '../../replication/sync/sync.js';
import { syncOf } from '../../replication/syncing.js';
import { collectGated } from '../simulation/node-chunks.js';
import { Stage, type StageOptions } from './stage.js';

export const all = ['n0', 'n1', 'n2'];

/** A group with enough in its table for a snapshot of many chunks, and nobody but the active has it. */
export function filled(options: StageOptions = {}, events = 120): Stage {
  const stage = new Stage(options);
  for (let i = 0; i < events; i += 20) stage.deliver(...new Array<1>(20).fill(1));
  return stage;
}

/** A snapshot is recorded while this member stands still: it hears of it when it goes on. */
export function recordedWithout(stage: Stage, name: string): void {
  stage.pause(name);
  expect(stage.sync()).toEqual({ through: stage.seq });
  const others = all.filter((each) => each !== name && each !== stage.active);
  stage.until('the others have it', () =>
    others.every((each) => stage.syncedThrough(each) === stage.seq),
  );
}

export function expectLevel(stage: Stage, name: string): void {
  const { at } = newestSnapshot(stage);
  stage.until(`${name} is level`, () => stage.syncedThrough(name) === at);
  expect(stage.contents(name)).toEqual(stage.contents(stage.active ?? ''));
}

export function newestSnapshot(stage: Stage): SnapshotBody {
  const bodies = stage.records().map(({ body }) => body);
  const body = bodies.findLast((each) => each.type === 'snapshot');
  if (body === undefined) throw new Error('there is no snapshot');
  return body;
}

/** All that it consists of, the manifest first. */
export function chunksOf(stage: Stage, { manifest }: SnapshotBody): Uint8Array[] {
  const bytes = stage.world.model.stored.chunk(manifest);
  const decoded = bytes && decodeManifest(bytes);
  if (!decoded || 'problem' in decoded) throw new Error('the manifest is not in the store');
  return [manifest, ...[...decoded.uses.values()].map(({ hash }) => hash)];
}

export function syncing(stage: Stage, name: string): Sync {
  const sync = syncOf(stage.member(name));
  if (sync === null) throw new Error(`${name} fetches nothing`);
  return sync;
}

/** Goes on until this member has some of a snapshot's chunks, and lacks others. */
export function amidSync(stage: Stage, name: string, chunks = 2): Sync {
  stage.until(`${name} is in the middle of a sync`, () => {
    const { coordinators } = syncOf(stage.member(name)) ?? {};
    if (coordinators === undefined) return false;
    const { healing, ranges, values } = coordinators;
    return healing.completed + ranges.completed + values.completed >= chunks;
  });
  return syncing(stage, name);
}

export interface Fetch {
  readonly from: string;
  readonly generation: string;
  /** As `keyOf` gives it. */
  readonly key: string;
  readonly kind: 'chunk' | 'none' | 'failed';
  readonly sizeBytes: number;
}

/** Everything this node's members are told about chunks from now on, as long as they wait for it. */
export function watchFetches(stage: Stage, name: string): Fetch[] {
  const seen: Fetch[] = [];
  const host = stage.host(name);
  const input = host.input.bind(host);
  host.input = (group, each) => {
    const member = host.member(group);
    const sync = each.kind === 'fetched' && member ? syncOf(member) : null;
    const request = each.kind === 'fetched' && sync ? requestOf(sync, each.call) : undefined;
    if (each.kind === 'fetched' && request && each.generation === sync?.generation) {
      const { kind } = each.result;
      const sizeBytes = each.result.kind === 'chunk' ? each.result.bytes.length : 0;
      const key = keyOf(request.task.want.hash);
      seen.push({ from: request.from.name, generation: each.generation, key, kind, sizeBytes });
    }
    input(group, each);
  };
  return seen;
}

/** Gives this node's members no time for what they do beside everything else. Returns the end of that. */
export function withholdWork(stage: Stage, name: string): () => void {
  const host = stage.host(name);
  const input = host.input.bind(host);
  let isOver = false;
  host.input = (group, each) => {
    if (isOver || each.kind !== 'work') input(group, each);
  };
  return () => {
    isOver = true;
  };
}

/** These nodes have none of them on their disks any more. */
export function forget(stage: Stage, names: readonly string[], hashes: readonly Uint8Array[]) {
  for (const name of names) {
    for (const hash of hashes) stage.host(name).chunks.alter(hash, null);
  }
}

/** The store has other bytes under this hash from now on; null: none. */
export function alterStore(stage: Stage, hash: Uint8Array, bytes: Uint8Array | null): void {
  const { model } = stage.world;
  let isDone = false;
  const done = (failure: string | null) => {
    if (failure !== null) throw new Error(failure);
    isDone = true;
  };
  if (bytes !== null) model.chunks('director', 'none').put(hash, bytes, done);
  else model.garbage('director').forget(hash, Number.MAX_SAFE_INTEGER as never, done);
  stage.until('the store is altered', () => isDone);
}

/** A collection from beginning to end. */
export function collectNow(stage: Stage): void {
  let ended = false;
  collectGated(
    stage.world,
    'collector',
    (task) => task(),
    () => {
      ended = true;
    },
  );
  stage.until('all is collected', () => ended);
}

/** How many chunks there are in the store that no snapshot needs, and how many snapshots are only begun. */
export function leftovers(stage: Stage): { garbage: number; begun: number; snapshots: number } {
  const { stored } = stage.world.model;
  const pins = stored.pins();
  const needed = new Set(pins.flatMap(({ chunks }) => chunks.map(keyOf)));
  const garbage = stored.hashes().filter((hash) => !needed.has(keyOf(hash))).length;
  const begun = pins.filter(({ isOpen }) => isOpen).length;
  return { garbage, begun, snapshots: pins.length - begun };
}

export const network = (fetches: readonly Fetch[]): Fetch[] =>
  fetches.filter(({ from, kind }) => from !== 'the cache' && kind === 'chunk');

export const storedSizeOf = ({ world }: Stage, hashes: readonly Uint8Array[]): number =>
  hashes.reduce((sum, hash) => sum + (world.model.stored.chunk(hash)?.length ?? 0), 0);

export const sizeOf = (fetches: readonly Fetch[]): number =>
  fetches.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
