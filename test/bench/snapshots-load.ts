/** The client of `bench:snapshots`: fills the state, and keeps a group busy with changes of it. */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { createClient } from '../../src/client/client.js';
import type { GroupClient } from '../../src/client/group.js';
import type { KvCommand, kv } from '../../src/kinds/kv.js';
import { answerParent } from './child.js';

const client = await createClient({ servers: process.env.BENCH_NATS_URL ?? '' });
const group: GroupClient<typeof kv> = client.group<typeof kv>('bench');
const fillCallers = 2000;

/** Random bytes as base64: 1032 characters of text that hold 774 bytes of chance. */
const randomSizeBytes = 774;

function change(i: number): KvCommand {
  const key = `key-${String(i).padStart(8, '0')}`;
  return { type: 'set', key, value: randomBytes(randomSizeBytes).toString('base64') };
}

/** Each of these once. */
async function deliverAll(indexes: readonly number[]): Promise<void> {
  let next = 0;
  const caller = async () => {
    while (next < indexes.length) await group.deliver(change(indexes[next++] as number));
  };
  await Promise.all(Array.from({ length: fillCallers }, caller));
}

/** So many of all keys, each as likely as any other, no key twice, in random order. */
function pick(keys: number, count: number): number[] {
  const picked = new Set<number>();
  while (picked.size < count) picked.add(Math.floor(Math.random() * keys));
  return [...picked];
}

let chosen: readonly number[] = [];
let next = 0;
let delivered = 0;
let isLoading = false;
let callers: Promise<unknown> = Promise.resolve();

/** `everyMs` 0: as fast as it goes. */
async function keepDelivering(everyMs: number): Promise<void> {
  while (isLoading) {
    const nextMs = performance.now() + everyMs;
    await group.deliver(change(chosen[next++ % chosen.length] as number));
    delivered += 1;
    const restMs = nextMs - performance.now();
    if (restMs > 0) await delay(restMs);
  }
}

answerParent({
  fill: ({ keys }: { keys: number }) => deliverAll(Array.from({ length: keys }, (_, i) => i)),
  change: ({ keys, count }: { keys: number; count: number }) => deliverAll(pick(keys, count)),
  /** What the load changes from here on; how much was delivered by then. */
  choose: ({ keys, count }: { keys: number; count: number }) => {
    chosen = pick(keys, count);
    next = 0;
    return delivered;
  },
  begin: ({ width, everyMs }: { width: number; everyMs: number }) => {
    isLoading = true;
    callers = Promise.all(Array.from({ length: width }, () => keepDelivering(everyMs)));
  },
  count: () => ({ delivered, atMs: performance.now() }),
  end: async () => {
    isLoading = false;
    await callers;
  },
});
