/**
 * Who may become the writer, and whose snapshots exist: claims and snapshot records carry the ed25519
 * signature of the member that wrote them. Whoever may publish on a log's subject, but does not know
 * the group's seed, can forge neither: such a record is a stranger's, passed over by every reader.
 */
import type { LogRecord } from './record.js';
import { statementOf } from './record.js';

/** A member's key, and everybody's public ones. */
export interface Identity {
  /** Signs as this member. Whoever only reads the log has no use for it. */
  sign(statement: Uint8Array): Uint8Array;
  /** Whether member `index` of the group signed this. */
  verify(index: number, statement: Uint8Array, signature: Uint8Array): boolean;
}

/** Whose log is read, and how signatures are checked. */
export interface Judge {
  readonly groupId: string;
  readonly identity: Pick<Identity, 'verify'>;
}

export function signed(
  record: LogRecord,
  { groupId, identity }: { readonly groupId: string; readonly identity: Identity },
): LogRecord {
  return { ...record, signature: identity.sign(statementOf(groupId, record)) };
}

/** True also for records that need no signature. */
export function isAuthentic({ groupId, identity }: Judge, record: LogRecord): boolean {
  const { type } = record.body;
  if (type !== 'claim' && type !== 'snapshot') return true;
  const { signature, writer } = record;
  if (signature === null) return false;
  return identity.verify(writer.index, statementOf(groupId, record), signature);
}
