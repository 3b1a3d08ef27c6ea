/**
 * npm run bench:restart -- [groups]
 *
 * What clients see of a restart of all nodes, one after the other: four nodes, so many groups (24 if not
 * said) with a caller each that delivers one event after the other. The pause of a group is the longest
 * gap between two of its answers. A delivery that fails is one too many. For a drain: `bench:drain`.
 */
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import type { GroupDocument, HistoryEntry, OperationDocument } from '../../cluster/documents.js';
import { createClient } from '../../src/client/client.js';
import type { GroupClient } from '../../src/client/group.js';
import type { counter } from '../../src/kinds/counter.js';
import { type BenchCluster, createGroup, machine, percentile, startCluster } from './cluster.js';

const groupCount = Number(process.argv[2] ?? 24);
const print = (line: string) => process.stdout.write(`${line}\n`);
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

class Caller {
  longestMs = 0;
  answers = 0;
  failures: string[] = [];
  #lastMs = performance.now();
  #stopped = false;
  readonly #ended: Promise<void>;

  constructor(private readonly group: GroupClient<typeof counter>) {
    this.#ended = this.#run();
  }

  /** The gap that is still open counts too. */
  note(): void {
    const nowMs = performance.now();
    this.longestMs = Math.max(this.longestMs, nowMs - this.#lastMs);
    this.#lastMs = nowMs;
  }

  stop(): Promise<void> {
    this.#stopped = true;
    return this.#ended;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      try {
        await this.group.deliver({ by: 1 });
        this.answers += 1;
        this.note();
      } catch (error) {
        this.failures.push(String(error));
      }
    }
  }
}

const isWhole = ({ health, reprotected }: GroupDocument) =>
  health.status === 'healthy' && reprotected;

async function whole(cluster: BenchCluster): Promise<readonly GroupDocument[]> {
  for (;;) {
    const groups = await cluster.admin.groups().catch(() => []);
    if (groups.length === groupCount && groups.every(isWhole)) return groups;
    await pause(50);
  }
}

async function ended(cluster: BenchCluster, id: string): Promise<OperationDocument> {
  for (;;) {
    const operation = await cluster.admin.operation(id, 10_000).catch(() => null);
    if (operation !== null && operation.state !== 'running') return operation;
  }
}

/** Returns false if a delivery or the operation failed. */
async function watched(
  cluster: BenchCluster,
  callers: ReadonlyMap<string, Caller>,
): Promise<boolean> {
  const startedMs = performance.now();
  const { id } = await cluster.admin.restart(null);
  const { state, lastError } = await ended(cluster, id);
  const tookMs = performance.now() - startedMs;
  const groups = await whole(cluster);
  for (const caller of callers.values()) caller.note();
  const pauses = [...callers.values()].map(({ longestMs }) => longestMs);
  const failures = [...callers.values()].flatMap((caller) => caller.failures);
  const answers = [...callers.values()].reduce((sum, caller) => sum + caller.answers, 0);
  const at = (percent: number) => percentile(pauses, percent).toFixed(0);
  print(
    `restart of all: ${state} after ${(tookMs / 1000).toFixed(1)} s ${lastError?.detail ?? ''}`,
  );
  print(
    `  longest pause of each group, ms: p50 ${at(50)}  p90 ${at(90)}  p99 ${at(99)}  max ${at(100)}`,
  );
  print(`  median of the last promotion, ms: ${await promotions(cluster, groups)}`);
  print(`  ${answers} deliveries answered, ${failures.length} failed ${failures[0] ?? ''}`);
  return failures.length === 0 && state === 'done';
}

/** Of each group's last promotion, as its nodes timed it. */
async function promotions(
  { admin }: BenchCluster,
  groups: readonly GroupDocument[],
): Promise<string> {
  const latest = await Promise.all(groups.map(async ({ name }) => (await admin.history(name))[0]));
  const median = (values: readonly number[]) => percentile(values, 50).toFixed(0);
  const phase = (key: keyof NonNullable<HistoryEntry['phases']>) =>
    median(latest.flatMap((entry) => entry?.phases?.[key] ?? []));
  const all = latest.flatMap((entry) => entry?.unavailableMs ?? []);
  return (
    `claim ${phase('claimMs')}, replay ${phase('replayMs')}, open ${phase('openMs')}, ` +
    `all of it ${median(all)}`
  );
}

async function main(): Promise<void> {
  const cluster = await startCluster(join(import.meta.dirname, '../../dist/src/cli/main.js'), 4);
  const client = await createClient({ servers: cluster.broker.url });
  const callers = new Map<string, Caller>();
  try {
    for (let i = 0; i < groupCount; i++) {
      await createGroup(cluster.admin, { name: `g${i}`, kind: 'counter' });
    }
    print(`${machine(cpus(), totalmem())}; ${groupCount} groups`);
    for (const { name } of await whole(cluster)) {
      callers.set(name, new Caller(client.group<typeof counter>(name)));
    }
    if (!(await watched(cluster, callers))) process.exitCode = 1;
    await Promise.all([...callers.values()].map((caller) => caller.stop()));
  } finally {
    await client.close(0);
    await cluster.stop();
  }
}

await main();
