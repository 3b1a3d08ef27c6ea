import {
  packSessions,
  restoreKeys,
  type Sessions,
  unpackSessions,
} from '../../replication/sessions.js';

/** As a member has it that was restored from a snapshot of it. */
export function restoredSessions(table: Sessions): Sessions {
  const again = unpackSessions(packSessions(table), undefined, table.keyPages.tree.root);
  for (const _ of restoreKeys(again));
  return again;
}
