/** A member of a group as its simulated node keeps it, and what nodes tell each other of groups. */

import type { GroupConfig, NodeInfo } from '../../cluster/types.js';
import type { MemberReport } from '../../replication/effects.js';
import { isSameEnd } from '../../replication/ends.js';
import type { Ports, Running } from '../../replication/execute.js';
import type { Epoch, Position, Seq } from '../../replication/ids.js';
import type { Member } from '../../replication/member.js';
import { Violation } from './checker.js';

export type Notice =
  | { kind: 'opened'; group: string; epoch: Epoch }
  | { kind: 'snapshot'; group: string; position: Position; seq: Seq }
  | { kind: 'handoff'; group: string; epoch: Epoch; target: number };

export interface Hosted {
  readonly member: Member;
  readonly config: GroupConfig;
  readonly replies: Map<number, (answer: never) => void>;
  readonly ports: Ports;
  readonly running: Running;
  /** Triggers of machines that run here. */
  readonly triggers: Set<number>;
  cancelWake: () => void;
  /** Wakes in a row after which it wanted the next at once. */
  idleWakes: number;
  /** It will be given time to work on. */
  willWork: boolean;
}

/** What the process called `n<i>` says of itself, in each of its lives. */
export function infoOf(id: string, life: number, placed: boolean): NodeInfo {
  return {
    id,
    incarnation: String(life).padStart(6, '0'),
    zone: placed ? `z${Number(id.slice(1)) % 2}` : null,
    adminUrl: null,
    pid: null,
    kinds: ['trace'],
    draining: false,
    supervised: true,
  };
}

/** Every request is answered, and once. */
export function reply({ replies }: Hosted, request: number, answer: unknown): void {
  const answered = replies.get(request) as ((answer: unknown) => void) | undefined;
  if (answered === undefined) throw new Violation('I2', `request ${request} is answered twice`);
  replies.delete(request);
  answered(answer);
}

/** In all that a coordinator judges by. */
export function saysTheSame(known: MemberReport | undefined, now: MemberReport): boolean {
  return (
    known !== undefined &&
    known.state === now.state &&
    known.epoch === now.epoch &&
    known.syncedThrough === now.syncedThrough &&
    known.snapshotSeq === now.snapshotSeq &&
    known.hot === now.hot &&
    known.lastSyncMs === now.lastSyncMs &&
    isSameEnd(known.known, now.known)
  );
}
