/** Waiting for members to fetch a state: as long as it comes closer, and not for ever. */
import { setTimeout } from 'node:timers/promises';
import type { GroupDocument, MemberDocument, MemberSync } from '../../cluster/documents.js';
import { UnderstudyError } from '../../replication/errors.js';
import { movingText } from '../sizes.js';
import type { Step } from './operations.js';
import type { Inspection } from './verbs.js';
import { memberSync } from './views.js';

/** Less than the time after which an operation without news counts as abandoned. */
const reinitStillMs = 50_000;
const syncStillMs = 30_000;
const pollMs = 100;
/** How often an operation tells of the bytes that have come. */
const tellEveryMs = 1000;

/** What is waited by. */
export interface Time {
  nowMs(): number;
  pause(ms: number): Promise<void>;
}

const realTime: Time = { nowMs: () => performance.now(), pause: (ms) => setTimeout(ms) };

/**
 * How long nothing has come closer. Bytes that are fetched a second time do not count: a member whose
 * sync fails again and again would be waited for until nobody asks any more.
 */
class Stillness {
  readonly #most = new Map<number, number>();
  #movedAtMs: number;

  constructor(private readonly time: Time) {
    this.#movedAtMs = time.nowMs();
  }

  note(index: number, sync: MemberSync | null): void {
    const sizeBytes = sync?.doneSizeBytes ?? 0;
    if (sizeBytes <= (this.#most.get(index) ?? 0)) return;
    this.#most.set(index, sizeBytes);
    this.#movedAtMs = this.time.nowMs();
  }

  get ms(): number {
    return this.time.nowMs() - this.#movedAtMs;
  }
}

/** Tells an operation's readers how far its member is, and not with every byte. */
export function syncTeller(step: Step, { index, nodeId }: MemberDocument, time: Time = realTime) {
  let toldAtMs = Number.NEGATIVE_INFINITY;
  return async (sync: MemberSync | null): Promise<void> => {
    if (sync === null || time.nowMs() - toldAtMs < tellEveryMs) return;
    toldAtMs = time.nowMs();
    await step('syncing', `member ${index} on ${nodeId}: ${movingText(sync)}`);
  };
}

export interface HoldOptions {
  readonly through: number;
  readonly isMeant: (member: MemberDocument) => boolean;
  /** Called with each that does not hold it yet, at every look. */
  readonly onLack: (member: MemberDocument) => Promise<void> | void;
  readonly isOver: () => boolean;
}

/** Until those that are meant and can be reached hold the state. They go on by themselves afterwards. */
export async function untilHeld(
  look: () => Promise<GroupDocument>,
  { through, isMeant, onLack, isOver }: HoldOptions,
  time: Time = realTime,
): Promise<void> {
  const stillness = new Stillness(time);
  const lacks = (member: MemberDocument) =>
    isMeant(member) && isReachable(member) && member.syncedThrough < through;
  while (stillness.ms < syncStillMs && !isOver()) {
    const { members } = await look();
    const lacking = members.filter(lacks);
    if (lacking.length === 0) return;
    for (const member of lacking) {
      stillness.note(member.index, member.sync);
      await onLack(member);
    }
    await time.pause(pollMs);
  }
}

export const isReachable = ({ state }: MemberDocument): boolean =>
  state !== 'unreachable' && state !== 'quarantined';

/**
 * Until the member holds a state again; returns its seq. Throws `quarantined` if the log cannot be
 * followed again, `timeout` if nothing has come for long.
 */
export async function untilReinitialised(
  inspect: () => Promise<Inspection>,
  member: MemberDocument,
  step: Step,
  time: Time = realTime,
): Promise<number> {
  const { index } = member;
  const stillness = new Stillness(time);
  const tell = syncTeller(step, member, time);
  let seen = 'nothing';
  while (stillness.ms < reinitStillMs) {
    const found = await inspect().catch((error: Error) => error);
    if (found instanceof Error) {
      seen = found.message;
    } else {
      const through = syncedThroughOf(found);
      if (through !== null) return through;
      const { state, sync: progress } = found.report;
      const sync = progress ? memberSync(progress) : null;
      seen = sync === null ? state : `${state}, ${movingText(sync)}`;
      stillness.note(index, sync);
      await tell(sync);
    }
    await time.pause(pollMs);
  }
  const detail = `member ${index} has not come closer for ${reinitStillMs} ms; last: ${seen}`;
  throw new UnderstudyError('timeout', `${detail}. It goes on by itself: look at the group`);
}

/** Null: not yet. */
function syncedThroughOf({ report }: Inspection): number | null {
  const { state, lastSyncMs, syncedThrough, error } = report;
  if (state === 'quarantined') {
    throw new UnderstudyError('quarantined', `quarantined again: ${error ?? 'no reason known'}`);
  }
  return lastSyncMs !== null && state !== 'starting' ? syncedThrough : null;
}
