import type { Member } from './member.js';

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
