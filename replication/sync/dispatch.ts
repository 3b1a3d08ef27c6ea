/** Which chunk is asked for next, and whom: a pure choice, so that a seed reproduces it. */
import type { Effect } from '../effects.js';
import { assign, type Task } from './coordinator.js';
import { press, relief } from './pace.js';
import { type Account, aliveBits, cacheBit, freeBits, soonest, storeBit } from './sources.js';
import { coordinatorOf, coordinatorsOf, neverMs, requestsOf, type Sync } from './sync.js';

/** Asks for as much as sources, width and watermarks allow. */
export function dispatch(sync: Sync, out: Effect[]): void {
  sync.storeWakeMs = neverMs;
  const requests = requestsOf(sync);
  const isStuck = requests.length === 0 && !sync.assembly.hasWork;
  const alive = aliveBits(sync.ledger);
  let count = requests.length;
  let sizeBytes = requests.reduce((sum, { task }) => sum + task.want.sizeBytes, 0);
  let free = freeFor(sync, sizeBytes, count, isStuck);
  for (const task of inOrder(sync, alive)) {
    if (free === 0) return;
    const from = sourceFor(sync, task, alive, free);
    if (from === null) continue;
    ask(sync, task, from, out);
    count += 1;
    sizeBytes += task.want.sizeBytes;
    free = freeFor(sync, sizeBytes, count, isStuck);
  }
}

/** The sources that may be asked for one more chunk, with so much under way. */
function freeFor(sync: Sync, sizeBytes: number, count: number, isStuck: boolean): number {
  const isPressed = press(sync.pace, sizeBytes + sync.assembly.waitingSizeBytes, count);
  if (isPressed && !(isStuck && count < relief)) return 0;
  return freeBits(sync.ledger, sync.nowMs, sync.pace.width);
}

/** Of thousands that are pending only the first are looked at: the others' turn comes with progress. */
const lookedAt = 64;

/**
 * Values before ranges before healing, the oldest first: what is here already waits for these, and takes
 * memory as long as it does. The caller may ask for the task while it looks at it. What nobody has is
 * passed over, so that it stands in nobody's way.
 */
function* inOrder(sync: Sync, alive: number): Generator<Task, void> {
  for (const { pending } of coordinatorsOf(sync).reverse()) {
    for (let at = 0, left = lookedAt; at < pending.length && left > 0; ) {
      const task = pending[at] as Task;
      const isOpen = (alive & ~task.barred) !== 0;
      if (isOpen) yield task;
      if (isOpen) left -= 1;
      if (pending[at] === task) at += 1;
    }
  }
}

/** Whom to ask for it now: the cache before all others; null: nobody that has room. */
function sourceFor(sync: Sync, task: Task, alive: number, free: number): Account | null {
  const { ledger, nowMs, pace } = sync;
  const open = alive & ~task.barred;
  const others = open & ~task.shunned;
  const liked = others === 0 ? open : others;
  if ((liked & cacheBit) !== 0 && nowMs >= ledger.cache.coolUntilMs) {
    return (free & cacheBit) !== 0 ? ledger.cache : null;
  }
  const resting = nowMs < task.storeAfterMs ? storeBit : 0;
  if ((liked & free & resting) !== 0) {
    sync.storeWakeMs = Math.min(sync.storeWakeMs, task.storeAfterMs);
  }
  const bits = liked & free & ~resting;
  return bits === 0 ? null : soonest(ledger, bits, pace.width);
}

function ask(sync: Sync, task: Task, from: Account, out: Effect[]): void {
  const { calls, generation, nowMs } = sync;
  const call = calls.next++;
  assign(coordinatorOf(sync, task), task, from, call, nowMs);
  out.push({ kind: 'fetch', call, generation, source: from.source, hash: task.want.hash });
}
