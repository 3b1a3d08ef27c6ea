/** What a member has to do beside answering: in slices, and with others of its node waiting to do the same. */
import { followHasWork } from './follow.js';
import type { Member } from './member.js';
import { promotionHasWork } from './promotion.js';
import { recoveryHasWork } from './recovery.js';
import { cuttingHasWork } from './snapshot/cutting.js';

/** Whether `step` wants to be given `work` whenever there is time. */
export function hasWork({ role, follow }: Member): boolean {
  switch (role.state) {
    case 'starting':
    case 'standby':
      return follow !== null && followHasWork(follow);
    case 'restoring':
      return recoveryHasWork(role.recovery);
    case 'promoting':
      return promotionHasWork(role.promotion);
    case 'active':
      return (
        cuttingHasWork(role.active.cutting) ||
        (role.rebuild !== null && recoveryHasWork(role.rebuild))
      );
    case 'handing-off':
    case 'quarantined':
      return false;
    default:
      throw role satisfies never;
  }
}

/** It replays, restores, cuts or is being promoted: work of which not all members can do some at once. */
export function isHeavy({ role, follow }: Member): boolean {
  switch (role.state) {
    case 'restoring':
    case 'promoting':
      return true;
    case 'starting':
    case 'standby':
      return follow !== null && (follow.fill !== null || follow.marks.work !== null);
    case 'active': {
      const { cut, digesting } = role.active.cutting;
      return role.rebuild !== null || cut !== null || digesting !== null;
    }
    case 'handing-off':
    case 'quarantined':
      return false;
    default:
      throw role satisfies never;
  }
}

/** It is the writer of the next epoch already, and lacks what came before. */
export function hasClaimed({ role }: Member): boolean {
  return role.state === 'promoting' && role.promotion.phase === 'catching-up';
}
