/** What a standby says and stores that has lost its mind, though not its key. */
import type { Beat } from '../../cluster/types.js';
import { decodeAttestation, encodeAttestation } from '../../replication/attestation.js';
import type { Effect, MemberConfig } from '../../replication/effects.js';
import { seq } from '../../replication/ids.js';
import type { SnapshotBody } from '../../replication/record.js';
import { simulationHash } from './hash.js';

export class Liar {
  /** The last chunks it has stored, by snapshot. */
  readonly #forged = new Map<string, Uint8Array>();

  /** It has everything, and has synced just now. */
  boast({ info, reports }: Beat): Beat {
    const better = reports.map((report) =>
      report.state === 'active'
        ? report
        : { ...report, syncedThrough: seq(report.syncedThrough + 1000), lastSyncMs: 1 },
    );
    return { info, reports: better };
  }

  /** A snapshot whose state ends in another number. */
  alter(effect: Effect): Effect {
    const last = effect.kind === 'put-snapshot' ? effect.chunks.at(-1) : undefined;
    if (effect.kind !== 'put-snapshot' || last === undefined) return effect;
    const forged = Uint8Array.from(last);
    forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1;
    this.#forged.set(effect.id, forged);
    return { ...effect, chunks: [...effect.chunks.slice(0, -1), forged] };
  }

  /** Another digest than the one it found, and a snapshot that goes with it. */
  misattest(bytes: Uint8Array, config: MemberConfig): Uint8Array {
    const attestation = decodeAttestation(bytes, config);
    if (attestation === null) return bytes;
    const body = attestation.body && this.#forgedBody(attestation.body);
    const digest = body?.digest ?? attestation.digest.map((byte) => byte ^ (config.id.index + 1));
    return encodeAttestation({ ...attestation, digest, body }, config);
  }

  /** The simulated states fit into one chunk behind the header. */
  #forgedBody(body: SnapshotBody): SnapshotBody {
    const forged = this.#forged.get(body.id);
    if (forged === undefined) return body;
    const digest = simulationHash(forged);
    return { ...body, digest, chunks: [...body.chunks.slice(0, -1), digest] };
  }
}
