/** What the driver of a member is given, and what its owner hears of. */
import type { Logger } from 'pino';
import type { Effect, MemberConfig, MemberReport } from '../../replication/effects.js';
import type { End } from '../../replication/ends.js';
import type { Ports } from '../../replication/execute.js';
import type { Sync } from '../../replication/sync/sync.js';
import type { PermitPool } from './permit-pool.js';

export type SyncResult = Extract<Effect, { kind: 'answer-sync' }>['result'];

export interface MemberDriverOptions {
  readonly config: MemberConfig;
  readonly ports: Ports;
  readonly events: MemberEvents;
  readonly logger: Logger;
  /** Default: as many as it likes. */
  readonly permits?: PermitPool;
  /** The group's, as it is when something heavy begins: operators change it. Default: 0. */
  readonly priority?: () => number;
  /** Whether what a promotion was decided on still counts, asked when its turn has come. Default: yes. */
  readonly mayActOn?: (cause: string) => boolean;
  /** How far this node remembers the group's log to go. Default: nothing is known. */
  readonly known?: End | null;
}

export interface MemberEvents {
  /** The member takes deliveries from here on, or does not any more. */
  opened(epoch: number): void;
  closed(): void;
  changed(report: MemberReport): void;
  /** The sync that is under way after a step; null: none. */
  stepped(sync: Sync | null): void;
  announceSnapshot(effect: Extract<Effect, { kind: 'announce-snapshot' }>): void;
  announceHandoff(effect: Extract<Effect, { kind: 'announce-handoff' }>): void;
  attest(effect: Extract<Effect, { kind: 'attest' }>): void;
  reportLost(effect: Extract<Effect, { kind: 'report-lost' }>): void;
  alarm(effect: Extract<Effect, { kind: 'alarm' }>): void;
  /** Its code threw. Returns after how long it is to begin anew, or why it is not to. */
  crashed(error: unknown): { readonly restartInMs: number } | { readonly quarantine: string };
  /** An operator has it begin anew: nothing is held against it. */
  reinstated(): void;
}
