/** A member of a group as its simulated node keeps it, and what nodes tell each other of groups. */
import type { GroupConfig } from '../../cluster/types.js';
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

/** Every request is answered, and once. */
export function reply({ replies }: Hosted, request: number, answer: unknown): void {
  const answered = replies.get(request) as ((answer: unknown) => void) | undefined;
  if (answered === undefined) throw new Violation('I2', `request ${request} is answered twice`);
  replies.delete(request);
  answered(answer);
}
