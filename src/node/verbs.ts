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
  /** The epoch that is to be ended: in a later one the request is void. */
  readonly epoch: number;
  readonly target: number;
  readonly budgetMs: number;
}

interface OfGroup {
  readonly group: string;
}

/** `member`: the one of a group that runs here; throws `not-ready` if there is none. */
export function serveNode(rpc: Rpc, incarnation: string, member: (group: string) => Hosted): void {
  rpc.serve('ping', () => incarnation);
  rpc.serve('hosts', ({ group, groupId }: OfGroup & { groupId: string }) => {
    try {
      return member(group).config.groupId === groupId;
    } catch {
      return false;
    }
  });
  rpc.serve('promote', ({ group, cause }: OfGroup & { cause: PromotionCause }) => {
    member(group).driver.input({ kind: 'promote', ...cause });
  });
  rpc.serve('sync', ({ group }: OfGroup) => member(group).driver.sync());
  rpc.serve('hand-off', handOffs(member));
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

/** Whoever asks again while a hand-off is under way gets its answer, and does not begin another. */
function handOffs(member: (group: string) => Hosted) {
  const pending = new Map<string, Promise<string | null>>();
  return async ({ group, epoch, target, budgetMs }: HandOffRequest) => {
    const key = `${group} ${epoch} ${target}`;
    const { driver } = member(group);
    const { state, epoch: present } = driver.report();
    let handOff = pending.get(key);
    if (handOff === undefined) {
      if (state !== 'active' || present !== epoch) {
        const failure = `the member here is ${state} in epoch ${present}, not the active of ${epoch}`;
        return { failure };
      }
      handOff = driver.handOff(target, budgetMs).finally(() => pending.delete(key));
      pending.set(key, handOff);
    }
    return { failure: await handOff };
  };
}
