/**
 * I5, of the state as a whole: whoever cut a snapshot recorded a digest, with which every member that
 * follows the log compares its own. Here the log is replayed from its first record, and has to give the same.
 */

import type { Kind } from '../../../replication/kind.js';
import type { StoredRecord } from '../../../replication/ports.js';
import { decodeRecord, isRecord, type LogRecord } from '../../../replication/record.js';
import {
  applyRecord,
  blankReplica,
  emptyTip,
  misfit,
  type Replica,
  tipOf,
} from '../../../replication/replica.js';
import type { Judge } from '../../../replication/signature.js';
import { beginDigest, snapshotId, stepDigest } from '../../../replication/snapshot/cut.js';
import { takeImage } from '../../../replication/snapshot/image.js';
import { sha256 } from '../../sha256.js';
import { mostShown, type Violation } from './violation.js';

export interface Compared {
  /** Digests of snapshots that are in the log. */
  readonly digests: number;
  readonly violations: readonly Violation[];
}

interface Cut {
  readonly digest: string;
  readonly cutter: number;
}

type Fitting = StoredRecord & { readonly record: LogRecord };

/** As far as the kind can take the log: that it cannot others have to show. */
export function checkDigests(
  kind: Kind,
  stored: readonly StoredRecord[],
  judge: Judge,
  group: string,
): Compared {
  const fitting = fittingIn(stored, judge);
  const cuts = cutsIn(fitting);
  const violations: Violation[] = [];
  const replica = blankReplica(kind, sha256);
  let digests = 0;
  for (const { record, bytes, position } of fitting) {
    try {
      applyRecord(replica, record, bytes, position);
    } catch {
      break;
    }
    for (const { cutter, digest } of cuts.get(snapshotId(replica.tip)) ?? []) {
      const replayed = digestOf(replica);
      digests += 1;
      if (replayed === digest || violations.length >= mostShown) continue;
      const detail =
        `member ${cutter} recorded a snapshot of seq ${replica.tip.seq} with the digest ${digest}; ` +
        `a replay of the log gives ${replayed}`;
      violations.push({ check: 'members', group, detail });
    }
  }
  return { digests, violations };
}

function fittingIn(stored: readonly StoredRecord[], judge: Judge): Fitting[] {
  let tip = emptyTip;
  return stored.flatMap(({ bytes, position }) => {
    const record = decodeRecord(bytes);
    if (!isRecord(record) || misfit(tip, record, judge) !== undefined) return [];
    tip = tipOf(record, bytes, position, sha256);
    return [{ record, bytes, position }];
  });
}

/** By the record that each of them was cut at. */
function cutsIn(fitting: readonly Fitting[]): Map<string, Cut[]> {
  const cuts = new Map<string, Cut[]>();
  for (const { record } of fitting) {
    if (record.body.type !== 'snapshot') continue;
    const { id, digest, cutter } = record.body;
    cuts.set(id, [...(cuts.get(id) ?? []), { digest: hex(digest), cutter }]);
  }
  return cuts;
}

function digestOf(replica: Replica): string {
  const image = takeImage(replica);
  if ('problem' in image) return image.problem;
  return hex(stepDigest(beginDigest(image), Number.POSITIVE_INFINITY) as Uint8Array);
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex').slice(0, 16);
