/**
 * npm run bench:throughput
 *
 * Events a second from one client process through `deliver` to one group, against the same client
 * library's `js.publish`, pipelined, on the same broker, by turns in one run.
 */
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from 'nats';
import { encodeValue } from '../../replication/batch.js';
import { createClient } from '../../src/client/client.js';
import type { KvCommand } from '../../src/kinds/kv.js';
import { connectTo } from '../../src/nats/connect.js';
import { createGroup, machine, percentile, startCluster } from './cluster.js';

const rounds = 5;
const roundMs = 2500;
const eventSizeBytes = 128;
const windows = [64, 256, 512, 1024] as const;
/** Calls to `deliver` waiting at any time. */
const callers = 4000;
const print = (line: string) => process.stdout.write(`${line}\n`);

function event(i: number): KvCommand {
  const key = `key-${String(i % 50_000).padStart(8, '0')}`;
  const bare = encodeValue({ type: 'set', key, value: '' }).length;
  // A string of more than 31 bytes has one more byte of header than an empty one.
  return { type: 'set', key, value: 'x'.repeat(eventSizeBytes - bare - 1) };
}

/** Keeps `width` calls going until the time is over; returns calls a second. */
async function pipeline(width: number, call: (i: number) => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  const end = begun + roundMs;
  let done = 0;
  let next = 0;
  const worker = async () => {
    while (performance.now() < end) {
      await call(next++);
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: width }, worker));
  return (done / (performance.now() - begun)) * 1000;
}

async function publishing(connection: NatsConnection) {
  const manager = await jetstreamManager(connection);
  await manager.streams.add({ name: 'bench', subjects: ['bench.>'] });
  const js = jetstream(connection);
  const payload = encodeValue(event(1));
  return (width: number) => pipeline(width, () => js.publish('bench.events', payload));
}

async function main(): Promise<void> {
  const cluster = await startCluster(join(import.meta.dirname, '../../dist/src/cli/main.js'));
  try {
    await createGroup(cluster.admin, { name: 'bench', kind: 'kv' });
    const connection = await connectTo({ servers: [cluster.broker.url], name: 'bench' });
    const client = await createClient({ servers: cluster.broker.url });
    const group = client.group('bench');
    const events = Array.from({ length: 50_000 }, (_, i) => event(i));
    print(machine(cpus(), totalmem()));
    print(
      `one event is ${encodeValue(events[0]).length} bytes; ${callers} calls of deliver waiting`,
    );
    const publish = await publishing(connection);
    const deliver = () =>
      pipeline(callers, (i) => group.deliver(events[i % events.length] as KvCommand));
    await deliver();
    let best: number = windows[0];
    let bestRate = 0;
    for (const width of windows) {
      const rate = await publish(width);
      if (rate > bestRate) [best, bestRate] = [width, rate];
    }
    const ratios: number[] = [];
    for (let round = 1; round <= rounds; round++) {
      const published = await publish(best);
      const delivered = await deliver();
      ratios.push(delivered / published);
      print(
        `round ${round}: js.publish (${best} in flight) ${Math.round(published)}/s, ` +
          `deliver ${Math.round(delivered)}/s, ratio ${(delivered / published).toFixed(2)}`,
      );
    }
    print(`median ratio ${percentile(ratios, 50).toFixed(2)}`);
    await client.close();
    await connection.close();
  } finally {
    await cluster.stop();
  }
}

await main();
