/** Reads one snapshot for somebody who asks for the past. Not quick: a member's sync is. */
import { setImmediate } from 'node:timers/promises';
import { equalBytes } from '../../replication/bytes.js';
import type { Ports } from '../../replication/execute.js';
import type { Kind } from '../../replication/kind.js';
import type { ChunkCache, Fetched } from '../../replication/ports.js';
import type { SnapshotBody } from '../../replication/record.js';
import type { Replica } from '../../replication/replica.js';
import { Restoring } from '../../replication/snapshot/restoring.js';
import type { Want } from '../../replication/sync/assembly.js';
import { sha256 } from '../sha256.js';

const sliceSizeBytes = 512 * 1024;

/** Null: it cannot be had. */
export async function restoreSnapshot(
  { cache, chunks }: Ports,
  kind: Kind,
  body: SnapshotBody,
): Promise<Replica | null> {
  const restoring = new Restoring({ kind, hash: sha256, body, held: null });
  const wants: Want[] = [...restoring.begin()];
  while (wants.length > 0 || restoring.hasWork) {
    const want = wants.pop();
    const bytes = want && ((await fetched(cache, want.hash)) ?? (await fetched(chunks, want.hash)));
    if (want && bytes === null) return null;
    const more = want
      ? restoring.accept(want.hash, bytes as Uint8Array)
      : restoring.work(sliceSizeBytes);
    if ('problem' in more) return null;
    wants.push(...more);
    await setImmediate();
  }
  return restoring.finish();
}

async function fetched(
  source: Pick<ChunkCache, 'get'>,
  hash: Uint8Array,
): Promise<Uint8Array | null> {
  const result = await new Promise<Fetched>((resolve) => source.get(hash, resolve));
  const isRight = result.kind === 'chunk' && equalBytes(sha256(result.bytes), hash);
  return isRight ? result.bytes : null;
}
