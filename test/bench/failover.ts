/**
 * npm run bench:failover -- [rounds] [events]
 *
 * The outage a client sees after kill -9 of the active: one broker, three nodes, and so many events
 * past the last snapshot, 1,000 if not said. A warm and a hot group by turns. A caller delivers one
 * event after the other; the outage is the longest gap between two answers around the kill.
 */
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import type { HistoryEntry } from '../../cluster/documents.js';
import { createClient } from '../../src/client/client.js';
import type { GroupClient } from '../../src/client/group.js';
import type { counter } from '../../src/kinds/counter.js';
import { type BenchCluster, createGroup, machine, percentile, startCluster } from './cluster.js';

const rounds = Number(process.argv[2] ?? 30);
const eventsPastSnapshot = Number(process.argv[3] ?? 1000);
const standbys = ['warm', 'hot'] as const;
const print = (line: string) => process.stdout.write(`${line}\n`);

async function settled(cluster: BenchCluster, name: string) {
  for (;;) {
    const group = await cluster.admin.group(name).catch(() => null);
    if (group?.health.status === 'healthy' && group.reprotected) return group;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

type Phases = NonNullable<HistoryEntry['phases']>;

async function promotionOf(cluster: BenchCluster, name: string): Promise<HistoryEntry> {
  const [latest] = await cluster.admin.history(name);
  if (latest?.phases) return latest;
  throw new Error('the last promotion has no stopwatch');
}

class Series {
  acknowledged = 0;
  readonly outages: number[] = [];
  readonly promotions: HistoryEntry[] = [];

  constructor(
    readonly name: string,
    private readonly cluster: BenchCluster,
    private readonly group: GroupClient<typeof counter>,
  ) {}

  async #deliver(): Promise<void> {
    await this.group.deliver({ by: 1 });
    this.acknowledged += 1;
  }

  async round(): Promise<void> {
    const { cluster, name } = this;
    await settled(cluster, name);
    await cluster.admin.sync(name);
    await Promise.all(Array.from({ length: eventsPastSnapshot }, () => this.#deliver()));
    const { activeNode } = await cluster.admin.group(name);
    const node = cluster.nodes.find(({ id }) => id === activeNode);
    if (node === undefined) throw new Error(`no node ${activeNode}`);
    const kill = setTimeout(() => process.kill(node.pid, 'SIGKILL'), 200);
    this.outages.push(await this.#longestGap(1500));
    clearTimeout(kill);
    const promotion = await promotionOf(cluster, name);
    this.promotions.push(promotion);
    if (process.env.BENCH_VERBOSE) {
      print(`${name} ${this.outages.at(-1)?.toFixed(1)} ms: ${JSON.stringify(promotion)}`);
    }
    await node.start();
  }

  async #longestGap(forMs: number): Promise<number> {
    let longest = 0;
    let last = performance.now();
    const end = last + forMs;
    while (performance.now() < end) {
      await this.#deliver();
      const now = performance.now();
      longest = Math.max(longest, now - last);
      last = now;
    }
    return longest;
  }

  /** False if the group does not hold what was acknowledged. */
  async report(): Promise<boolean> {
    const { name, outages, promotions, acknowledged } = this;
    const { value } = await this.group.query('get');
    const { count } = value as { count: number };
    const at = (percent: number) => percentile(outages, percent).toFixed(1);
    const median = (pick: (entry: HistoryEntry) => number) =>
      percentile(promotions.map(pick), 50).toFixed(1);
    const phase = (key: keyof Phases) => median(({ phases }) => phases?.[key] ?? 0);
    print(`${name}: outage seen by the client over ${rounds} kills, ms:`);
    print(`  p50 ${at(50)}  p90 ${at(90)}  p99 ${at(99)}  max ${Math.max(...outages).toFixed(1)}`);
    print(
      `  median of the promotion, ms: detect ${phase('detectMs')}, decide ${phase('decideMs')}, ` +
        `claim ${phase('claimMs')}, replay ${phase('replayMs')}; ` +
        `events replayed ${median(({ replayed }) => replayed)}`,
    );
    print(`  acknowledged ${acknowledged}, in the group ${count}`);
    return count === acknowledged;
  }
}

async function main(): Promise<void> {
  const cluster = await startCluster(join(import.meta.dirname, '../../dist/src/cli/main.js'));
  try {
    const never = { everyEvents: 10_000_000, everyMs: 3_600_000 };
    const client = await createClient({ servers: cluster.broker.url });
    const all: Series[] = [];
    for (const standby of standbys) {
      await createGroup(cluster.admin, { name: standby, kind: 'counter', standby, sync: never });
      all.push(new Series(standby, cluster, client.group<typeof counter>(standby)));
    }
    print(machine(cpus(), totalmem()));
    print(`${eventsPastSnapshot} events past the last snapshot`);
    for (let round = 1; round <= rounds; round++) for (const series of all) await series.round();
    for (const series of all) if (!(await series.report())) process.exitCode = 1;
    await client.close();
  } finally {
    await cluster.stop();
  }
}

await main();
