/** What a standby says and stores that has lost its mind, though not its key. */
import type { Beat } from '../../cluster/types.js';
import { decodeAttestation, encodeAttestation } from '../../replication/attestation.js';
import { keyOf } from '../../replication/bytes.js';
import type { Effect, MemberConfig } from '../../replication/effects.js';
import { seq } from '../../replication/ids.js';
import type { ChunkStore } from '../../replication/ports.js';
import type { SnapshotBody } from '../../replication/record.js';
import { depositImage } from '../../replication/snapshot/depositing.js';
import type { Image } from '../../replication/snapshot/image.js';
import type { Hosted } from './hosted.js';

/**
 * The chunks: it stores other bytes than their hashes say. The manifest: that of another state, under a
 * digest that is true. The digest: that of another state, with all that belongs to it.
 */
export const lies = ['chunks', 'manifest', 'digest'] as const;
export type Lie = (typeof lies)[number];

export class Liar {
  /** Snapshots of states that never were, in place of those it was to cut. */
  readonly #forged = new Map<string, Partial<SnapshotBody>>();

  constructor(
    private readonly about: Lie,
    /** Told which snapshots are lies, and which chunks: `keyOf` them. */
    private readonly confess: (what: string) => void = () => undefined,
  ) {}

  /** It has everything, and has synced just now. */
  boast({ info, reports }: Beat): Beat {
    const better = reports.map((report) =>
      report.state === 'active'
        ? report
        : { ...report, syncedThrough: seq(report.syncedThrough + 1000), lastSyncMs: 1 },
    );
    return { info, reports: better };
  }

  /** What it stores. */
  alter(effect: Effect, { member, ports }: Hosted): Effect {
    if (effect.kind === 'announce') this.confess(effect.id);
    if (effect.kind === 'put-chunk' && this.about === 'chunks') {
      const bytes = Uint8Array.from(effect.bytes);
      bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
      this.confess(keyOf(effect.hash));
      return { ...effect, bytes };
    }
    const doing = member.follow?.marks.work?.doing;
    if (effect.kind === 'announce' && doing && this.about !== 'chunks') {
      this.#forge(effect.id, doing.image, ports.chunks);
    }
    return effect;
  }

  /** A snapshot of a state that ends in another number, with everything that belongs to it. */
  #forge(id: string, image: Image, store: ChunkStore): void {
    const core = Uint8Array.from(image.core);
    core[core.length - 1] = (core.at(-1) ?? 0) ^ 1;
    const { chunkSizeBytes = 400 } = image.kind.layout ?? {};
    const options = { snapshotId: id, base: null, doubted: new Set<string>(), chunkSizeBytes };
    const deposit = depositImage({ ...options, image: { ...image, core } });
    store.announce(id, [], () => undefined);
    for (;;) {
      const next = deposit.next();
      if (next.done) {
        if ('problem' in next.value) return;
        const { digest, manifest, manifestSizeBytes, coreSizeBytes, base } = next.value;
        this.#forged.set(id, { digest, manifest, manifestSizeBytes, coreSizeBytes });
        const hashes = [...base.uses.values()].map(({ hash }) => hash);
        store.pin(id, [...hashes, manifest], () => undefined);
        return;
      }
      if (typeof next.value === 'object')
        store.put(next.value.hash, next.value.bytes, () => undefined);
    }
  }

  /** Another digest than the one it found, and a snapshot that goes with it. */
  misattest(bytes: Uint8Array, config: MemberConfig): Uint8Array {
    const attestation = this.about === 'chunks' ? null : decodeAttestation(bytes, config);
    if (attestation === null) return bytes;
    const forged = attestation.body && this.#forged.get(attestation.body.id);
    const body = attestation.body && { ...attestation.body, ...forged };
    if (this.about === 'manifest') {
      const { digest } = attestation;
      return encodeAttestation({ ...attestation, body: body && { ...body, digest } }, config);
    }
    const digest = forged?.digest ?? attestation.digest.map((byte) => byte ^ (config.id.index + 1));
    return encodeAttestation({ ...attestation, digest, body }, config);
  }
}
