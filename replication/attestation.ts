/**
 * What a hot standby tells the writer of a mark: the digest it found there, and the snapshot it cut
 * if that was its task. Signed, because the writer believes two that agree.
 */
import { Packr, Unpackr } from 'msgpackr';
import { plainBytes } from './bytes.js';
import type { Epoch } from './ids.js';
import { packSnapshot, type SnapshotBody, unpackSnapshot } from './record.js';
import type { Identity, Judge } from './signature.js';

export interface Attestation {
  /** Who says it. */
  readonly index: number;
  /** The mark. */
  readonly epoch: Epoch;
  readonly number: number;
  readonly digest: Uint8Array;
  /** Stored, verified by nobody yet. */
  readonly body: SnapshotBody | null;
}

const packr = new Packr({ useRecords: false });
const unpackr = new Unpackr({ useRecords: false, copyBuffers: true });

function partsOf({ index, epoch, number, digest, body }: Attestation): unknown[] {
  return [index, epoch, number, digest, body && packSnapshot(body)];
}

function statementOf(groupId: string, parts: readonly unknown[]): Uint8Array {
  return packr.pack([groupId, 'attestation', ...parts]);
}

export function encodeAttestation(
  attestation: Attestation,
  { groupId, identity }: { readonly groupId: string; readonly identity: Identity },
): Uint8Array {
  const parts = partsOf(attestation);
  return packr.pack([...parts, identity.sign(statementOf(groupId, parts))]);
}

/** Null: not one of this group's, or not signed by who it says. Never throws. */
export function decodeAttestation(
  bytes: Uint8Array,
  { groupId, identity }: Judge,
): Attestation | null {
  try {
    const parts = unpackr.unpack(plainBytes(bytes)) as unknown[];
    const signature = parts.pop();
    const [index, epoch, number, digest, body] = parts;
    const areNumbers = [index, epoch, number].every(Number.isSafeInteger);
    const areBytes = [digest, signature].every((part) => part instanceof Uint8Array);
    if (!areNumbers || !areBytes || parts.length !== 5) return null;
    const statement = statementOf(groupId, parts);
    if (!identity.verify(index as number, statement, signature as Uint8Array)) return null;
    return {
      index: index as number,
      epoch: epoch as Epoch,
      number: number as number,
      digest: digest as Uint8Array,
      body: body === null ? null : unpackSnapshot(body as unknown[]),
    };
  } catch {
    return null;
  }
}
