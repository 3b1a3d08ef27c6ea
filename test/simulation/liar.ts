/** What a standby says that has lost its mind, though not its key. */
import type { Beat } from '../../cluster/types.js';
import { decodeAttestation, encodeAttestation } from '../../replication/attestation.js';
import type { MemberConfig } from '../../replication/effects.js';
import { seq } from '../../replication/ids.js';

/** It has everything, and has synced just now. */
export function boast({ info, reports }: Beat): Beat {
  const better = reports.map((report) =>
    report.state === 'active'
      ? report
      : { ...report, syncedThrough: seq(report.syncedThrough + 1000), lastSyncMs: 1 },
  );
  return { info, reports: better };
}

/** Another digest than the one it found, and a snapshot to go with it. */
export function misattest(bytes: Uint8Array, config: MemberConfig): Uint8Array {
  const attestation = decodeAttestation(bytes, config);
  if (attestation === null) return bytes;
  const digest = attestation.digest.map((byte) => byte ^ (config.id.index + 1));
  const body = attestation.body && { ...attestation.body, digest };
  return encodeAttestation({ ...attestation, digest, body }, config);
}
