/** Waiting for members to fetch a state: as long as it comes closer, and not for ever. */
import { setTimeout } from 'node:timers/promises';
import type { GroupDocument, MemberDocument, MemberSync } from '../../cluster/documents.js';
import { isReachable } from '../../cluster/operations/common.js';

const syncStillMs = 30_000;
const pollMs = 100;

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

export interface HoldOptions {
  readonly through: number;
  readonly isOver: () => boolean;
}

/** Until those that can be reached hold the state. They go on by themselves afterwards. */
export async function untilHeld(
  look: () => Promise<GroupDocument>,
  { through, isOver }: HoldOptions,
  time: Time = realTime,
): Promise<void> {
  const stillness = new Stillness(time);
  const lacks = (member: MemberDocument) => isReachable(member) && member.syncedThrough < through;
  while (stillness.ms < syncStillMs && !isOver()) {
    const lacking = (await look()).members.filter(lacks);
    if (lacking.length === 0) return;
    for (const member of lacking) stillness.note(member.index, member.sync);
    await time.pause(pollMs);
  }
}
