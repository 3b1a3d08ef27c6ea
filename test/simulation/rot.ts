/** A chunk of a snapshot that is lost or spoilt where it is kept, for good. */
import { keyOf } from '../../replication/bytes.js';
import { decodeManifest } from '../../replication/snapshot/manifest.js';
import type { Host } from './host.js';
import type { Fault } from './options.js';
import type { World } from './world.js';

const never = Number.MAX_SAFE_INTEGER as never;

/** In the store, and half of the time on every node's disk as well: then nobody has it. */
export function rot({ target }: Fault, world: World): void {
  const { groupNames, model, hosts, faults, injector } = world;
  const group = groupNames[target % groupNames.length] as string;
  const hash = someChunk(world, group);
  if (hash === undefined) return;
  world.lies.add(keyOf(hash));
  world.trace(() => `a chunk of the newest snapshot of ${group} rots`);
  if (faults.chance(0.5)) model.garbage('disk').forget(hash, never, () => undefined);
  else model.chunks('disk', group).put(hash, Uint8Array.of(target), () => undefined);
  if (faults.chance(0.5)) return;
  for (const host of hosts) host.chunks.alter(hash, null);
  // Only who holds nothing misses it.
  const needy = hosts[faults.below(hosts.length)] as Host;
  injector.crashLater(faults.next() * 500, needy, 50);
}

/** The manifest, too. */
function someChunk(world: World, group: string): Uint8Array | undefined {
  const { manifest } = world.checker(group).snapshot ?? {};
  const bytes = manifest && world.model.stored.chunk(manifest);
  const decoded = bytes && decodeManifest(bytes);
  if (!decoded || 'problem' in decoded) return undefined;
  const hashes = [manifest, ...[...decoded.uses.values()].map(({ hash }) => hash)];
  return hashes[world.faults.below(hashes.length)];
}
