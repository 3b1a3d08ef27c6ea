/** How the entries of the registry are named. */
const groupPrefix = 'group.';

export const allGroups = `${groupPrefix}*`;
/** What is asked of the cluster as a whole: cordons, and the pause of all groups. */
export const clusterKey = 'cluster';
export const groupKey = (name: string): string => groupPrefix + name;
/** Holds the name of the group that has this id. */
export const idKey = (groupId: string): string => `id.${groupId}`;

/** Null: it is the key of something else. */
export function groupNameIn(key: string): string | null {
  return key.startsWith(groupPrefix) ? key.slice(groupPrefix.length) : null;
}
