/** What the other nodes may ask this one for: each verb, what it takes and what it answers. */
import type { AlarmDocument } from '../../cluster/documents.js';
import type { MemberReport, PromotionCause } from '../../replication/effects.js';
import type { Hosted } from './hosted.js';
import type { Rpc } from './rpc.js';

/** A member as its own node sees it now. */
export interface Inspection {
  readonly report: MemberReport;
  readonly alarms: readonly AlarmDocument[];
}

export interface HandOffRequest {
  readonly group: string;
  readonly target: number;
  readonly budgetMs: number;
}

interface OfGroup {
  readonly group: string;
}

/** `member`: the one of a group that runs here; throws if there is none. */
export function serveNode(rpc: Rpc, incarnation: string, member: (group: string) => Hosted): void {
  rpc.serve('ping', () => incarnation);
  rpc.serve('promote', ({ group, cause }: OfGroup & { cause: PromotionCause }) => {
    member(group).driver.input({ kind: 'promote', ...cause });
  });
  rpc.serve('sync', ({ group }: OfGroup) => member(group).driver.sync());
  rpc.serve('hand-off', async ({ group, target, budgetMs }: HandOffRequest) => ({
    failure: await member(group).driver.handOff(target, budgetMs),
  }));
  rpc.serve('reinit', async ({ group }: OfGroup) => ({
    failure: await member(group).driver.reinit(),
  }));
  rpc.serve('inspect', ({ group }: OfGroup): Inspection => {
    const { driver, alarms } = member(group);
    return { report: driver.report(), alarms: alarms.latest };
  });
  rpc.serve('history', ({ group }: OfGroup) => {
    const { role } = member(group).driver.member;
    return role.state === 'active' ? role.active.replica.history : null;
  });
}
