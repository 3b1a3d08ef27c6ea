/** What a stranger stores on a log's subject. */
import { epoch } from '../../replication/ids.js';
import { decodeRecord, encodeRecord, isRecord } from '../../replication/record.js';

/** A copy of an older record, a piece of one, one of an epoch that never was, or nothing like one. */
export function strange(copy: Uint8Array, how: number, salt: number): Uint8Array {
  if (how === 0) return copy;
  if (how === 1) return copy.subarray(0, salt % (copy.length + 1));
  const record = decodeRecord(copy);
  if (how === 2 && isRecord(record)) {
    return encodeRecord({ ...record, epoch: epoch(record.epoch + (salt % 3)), number: salt });
  }
  return Uint8Array.from({ length: 1 + (salt % 64) }, (_, i) => (salt * (i + 7)) % 256);
}
