/** A member of a group as its simulated node keeps it, and what nodes tell each other of groups. */
import type { GroupConfig } from '../../cluster/types.js';
import type { Running } from '../../replication/execute.js';
import type { Epoch, Position, Seq } from '../../replication/ids.js';
import type { Member } from '../../replication/member.js';
import type { Log, SnapshotStore } from '../../replication/ports.js';

export type Notice =
  | { kind: 'opened'; group: string; epoch: Epoch }
  | { kind: 'snapshot'; group: string; position: Position; seq: Seq }
  | { kind: 'handoff'; group: string; epoch: Epoch; target: number };

export interface Hosted {
  readonly member: Member;
  readonly config: GroupConfig;
  readonly replies: Map<number, (answer: never) => void>;
  readonly ports: { readonly log: Log; readonly snapshots: SnapshotStore };
  readonly running: Running;
  cancelWake: () => void;
  /** Wakes in a row after which it wanted the next at once. */
  idleWakes: number;
}
