/**
 * Who may touch what. All locks are one document, changed by compare-and-set, so a batch is taken whole or
 * not at all. A lock belongs to a holder, not to a process: whoever drives the holder on has it.
 */
import { limits } from '../../replication/limits.js';

/** Holder by what is locked: `group.c.…`, `member.c.….1`, `node.n1`. */
export type Locks = Readonly<Record<string, string>>;

export type LockResult =
  | { readonly kind: 'locked'; readonly locks: Locks }
  /** Held by another, which is not over: nothing was taken. */
  | { readonly kind: 'busy'; readonly key: string; readonly holder: string }
  | { readonly kind: 'full' };

/** `isLive`: whether a holder still runs. What others left behind is taken. */
export function lock(
  locks: Locks,
  keys: readonly string[],
  holder: string,
  isLive: (holder: string) => boolean,
): LockResult {
  for (const key of keys) {
    const other = locks[key];
    if (other !== undefined && other !== holder && isLive(other)) {
      return { kind: 'busy', key, holder: other };
    }
  }
  const taken = { ...locks, ...Object.fromEntries(keys.map((key) => [key, holder])) };
  if (Object.keys(taken).length <= limits.operationLocks) return { kind: 'locked', locks: taken };
  const left = Object.entries(taken).filter(([, one]) => one === holder || isLive(one));
  if (left.length > limits.operationLocks) return { kind: 'full' };
  return { kind: 'locked', locks: Object.fromEntries(left) };
}

/** Releases what this holder has: these, or all. What others hold stays. */
export function unlock(locks: Locks, holder: string, keys: readonly string[] | 'all'): Locks {
  const left = Object.entries(locks).filter(
    ([key, one]) => one !== holder || (keys !== 'all' && !keys.includes(key)),
  );
  return Object.fromEntries(left);
}
