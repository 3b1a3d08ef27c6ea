/** The sync that is under way in a member, whatever it is part of. */
import type { Member } from './member.js';
import type { Recovery } from './recovery.js';
import { progressOf, type SyncProgress } from './sync/progress.js';
import type { Sync } from './sync/sync.js';

/** Null: none. */
export function syncOf(member: Member): Sync | null {
  const recovery = recoveryOf(member);
  return recovery?.phase === 'fetching' ? (recovery.fetch?.sync ?? null) : null;
}

export function syncProgressOf(member: Member): SyncProgress | null {
  const sync = syncOf(member);
  return sync && progressOf(sync);
}

function recoveryOf({ role, follow }: Member): Recovery | null {
  switch (role.state) {
    case 'starting':
    case 'standby':
      return follow?.fill ?? null;
    case 'restoring':
      return role.recovery;
    case 'promoting':
      return role.promotion.recovery;
    case 'active':
      return role.rebuild;
    case 'handing-off':
    case 'quarantined':
      return null;
    default:
      throw role satisfies never;
  }
}
