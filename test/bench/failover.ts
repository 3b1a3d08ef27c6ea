/**
 * npm run bench:failover -- [rounds]
 *
 * The outage a client sees after kill -9 of the active: one broker, three nodes, 1,000 events past
 * the last snapshot. A caller delivers one event after the other; the outage is the longest gap
 * between two answers around the kill.
 */
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import type { HistoryEntry } from '../../cluster/documents.js';
import { createClient } from '../../src/client/client.js';
import type { counter } from '../../src/kinds/counter.js';
import { type BenchCluster, createGroup, machine, percentile, startCluster } from './cluster.js';

const rounds = Number(process.argv[2] ?? 30);
const eventsPastSnapshot = 1000;
const print = (line: string) => process.stdout.write(`${line}\n`);

async function settled(cluster: BenchCluster, name: string) {
  for (;;) {
    const group = await cluster.admin.group(name).catch(() => null);
    if (group?.health.status === 'healthy' && group.reprotected) return group;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

type Phases = NonNullable<HistoryEntry['phases']>;

async function promotionOf(cluster: BenchCluster): Promise<Phases> {
  const [latest] = await cluster.admin.history('bench');
  if (latest?.phases) return latest.phases;
  throw new Error('the last promotion has no stopwatch');
}

async function main(): Promise<void> {
  const cluster = await startCluster(join(import.meta.dirname, '../../dist/src/cli/main.js'));
  const outages: number[] = [];
  const phases: Phases[] = [];
  try {
    const never = { everyEvents: 10_000_000, everyMs: 3_600_000 };
    await createGroup(cluster.admin, { name: 'bench', kind: 'counter', sync: never });
    const client = await createClient({ servers: cluster.broker.url });
    const group = client.group<typeof counter>('bench');
    print(machine(cpus(), totalmem()));
    let acknowledged = 0;
    for (let round = 1; round <= rounds; round++) {
      await settled(cluster, 'bench');
      await cluster.admin.sync('bench');
      await Promise.all(Array.from({ length: eventsPastSnapshot }, () => group.deliver({ by: 1 })));
      acknowledged += eventsPastSnapshot;
      const { activeNode } = await cluster.admin.group('bench');
      const node = cluster.nodes.find(({ id }) => id === activeNode);
      if (node === undefined) throw new Error(`no node ${activeNode}`);
      let longest = 0;
      let last = performance.now();
      const end = last + 1500;
      const kill = setTimeout(() => process.kill(node.pid, 'SIGKILL'), 200);
      while (performance.now() < end) {
        await group.deliver({ by: 1 });
        acknowledged += 1;
        const now = performance.now();
        longest = Math.max(longest, now - last);
        last = now;
      }
      clearTimeout(kill);
      outages.push(longest);
      const promotion = await promotionOf(cluster);
      phases.push(promotion);
      if (process.env.BENCH_VERBOSE) print(`${longest.toFixed(1)} ${JSON.stringify(promotion)}`);
      await node.start();
    }
    const { value } = await group.query('get');
    const { count } = value as { count: number };
    print(`${rounds} kills; outage seen by the client, ms:`);
    print(
      `p50 ${percentile(outages, 50).toFixed(1)}  p90 ${percentile(outages, 90).toFixed(1)}  ` +
        `p99 ${percentile(outages, 99).toFixed(1)}  max ${Math.max(...outages).toFixed(1)}`,
    );
    print(`acknowledged ${acknowledged}, in the group ${count}`);
    const median = (phase: keyof Phases) =>
      percentile(
        phases.map((each) => each[phase]),
        50,
      ).toFixed(1);
    print(
      `median of the promotion, ms: detect ${median('detectMs')}, decide ${median('decideMs')}, ` +
        `claim ${median('claimMs')}, replay ${median('replayMs')}`,
    );
    await client.close();
    if (count !== acknowledged) process.exitCode = 1;
  } finally {
    await cluster.stop();
  }
}

await main();
