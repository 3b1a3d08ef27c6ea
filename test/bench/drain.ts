/**
 * npm run bench:drain -- [--groups 12] [--drains 12] [--callers 4] [--rest 10] [--hot]
 *
 * One broker, three nodes, groups of two members under load: the node that leads most is drained, stopped
 * and started anew, again and again. The pause of a hand-over is the time between the last delivery that
 * the old active acknowledged and the first that the new one did. Beside it the longest time between any two
 * while the drain ran, also of groups that were not handed over: what the machine does to everybody. Callers rest for so many milliseconds after each
 * answer, or two cores would be busy with nothing else. Fails if a delivery fails or is not in its group.
 */
import { cpus, loadavg, totalmem } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { HistoryEntry } from '../../cluster/documents.js';
import { type Client, createClient } from '../../src/client/client.js';
import type { GroupClient } from '../../src/client/group.js';
import type { counter } from '../../src/kinds/counter.js';
import { type BenchCluster, createGroup, machine, percentile, startCluster } from './cluster.js';

const { values } = parseArgs({
  options: {
    groups: { type: 'string', default: '12' },
    drains: { type: 'string', default: '12' },
    callers: { type: 'string', default: '4' },
    rest: { type: 'string', default: '10' },
    hot: { type: 'boolean', default: false },
  },
});
const standby = values.hot ? 'hot' : 'warm';
const patienceMs = 120_000;
const print = (line: string) => process.stdout.write(`${line}\n`);

function distribution(all: readonly number[]): string {
  const at = (percent: number) => percentile(all, percent).toFixed(1);
  return `p50 ${at(50)}  p90 ${at(90)}  p99 ${at(99)}  max ${at(100)} ms`;
}

/** Callers that deliver one event after the other to a group. */
class Load {
  acknowledged = 0;
  readonly failures: string[] = [];
  /** From an epoch's last acknowledgement to the first of the next. */
  pauses: number[] = [];
  #epoch = 0;
  #lastMs = performance.now();
  #longestMs = 0;
  #isOver = false;
  readonly #callers: readonly Promise<void>[];

  constructor(
    readonly name: string,
    readonly group: GroupClient<typeof counter>,
  ) {
    this.#callers = Array.from({ length: Number(values.callers) }, () => this.#call());
  }

  async #call(): Promise<void> {
    while (!this.#isOver) {
      let epoch = 0;
      try {
        ({ epoch } = await this.group.deliver({ by: 1 }));
      } catch (error) {
        this.failures.push((error as Error).message);
        continue;
      }
      this.acknowledged += 1;
      const nowMs = performance.now();
      if (epoch > this.#epoch && this.#epoch > 0) this.pauses.push(nowMs - this.#lastMs);
      this.#epoch = Math.max(this.#epoch, epoch);
      this.#longestMs = Math.max(this.#longestMs, nowMs - this.#lastMs);
      this.#lastMs = nowMs;
      await delay(Number(values.rest));
    }
  }

  /** The longest time without an acknowledgement since this was asked last. */
  takeLongestMs(): number {
    const longestMs = Math.max(this.#longestMs, performance.now() - this.#lastMs);
    this.#longestMs = 0;
    return longestMs;
  }

  /** False if the group does not hold what was acknowledged, or a delivery failed. */
  async end(): Promise<boolean> {
    this.#isOver = true;
    await Promise.all(this.#callers);
    const { value } = await this.group.query('get');
    const { count } = value as { count: number };
    for (const failure of this.failures.slice(0, 3)) print(`${this.name} FAILED: ${failure}`);
    if (count !== this.acknowledged) {
      print(`${this.name} holds ${count} events, ${this.acknowledged} were acknowledged`);
    }
    return count === this.acknowledged && this.failures.length === 0;
  }
}

class Drains {
  /** The longest time without an acknowledgement, of groups that were handed over. */
  readonly handedOver: number[] = [];
  /** Of groups that were not handed over. */
  readonly others: number[] = [];
  readonly promotions: HistoryEntry[] = [];
  readonly tookMs: number[] = [];

  constructor(
    private readonly cluster: BenchCluster,
    private readonly loads: readonly Load[],
  ) {}

  async #untilProtected(): Promise<void> {
    const deadlineMs = performance.now() + patienceMs;
    for (;;) {
      const groups = await this.cluster.admin.groups();
      const isWhole = groups.every(({ health, reprotected }) => {
        return reprotected && health.status === 'healthy';
      });
      if (isWhole) return;
      if (performance.now() > deadlineMs) throw new Error('the groups are not protected again');
      await delay(100);
    }
  }

  async #leader(): Promise<string> {
    const groups = await this.cluster.admin.groups();
    const led = (id: string) => groups.filter(({ activeNode }) => activeNode === id).length;
    const [first] = this.cluster.nodes.map(({ id }) => id).toSorted((a, b) => led(b) - led(a));
    return first ?? '';
  }

  async round(): Promise<void> {
    const { cluster, loads } = this;
    await this.#untilProtected();
    const leaving = await this.#leader();
    const epochs = new Map((await cluster.admin.groups()).map(({ name, epoch }) => [name, epoch]));
    for (const load of loads) load.takeLongestMs();
    const beganMs = performance.now();
    const { id } = await cluster.admin.drain(leaving);
    await this.#untilDone(id);
    this.tookMs.push(performance.now() - beganMs);
    const gaps = loads.map((load) => ({ name: load.name, ms: load.takeLongestMs() }));
    for (const { name, ms } of gaps) {
      const handed = (await cluster.admin.history(name)).filter(({ epoch, cause }) => {
        return epoch > (epochs.get(name) ?? 0) && cause === 'switchover';
      });
      this.promotions.push(...handed);
      (handed.length > 0 ? this.handedOver : this.others).push(ms);
    }
    const node = cluster.nodes.find((one) => one.id === leaving);
    await node?.stop();
    await node?.start();
  }

  async #untilDone(id: string): Promise<void> {
    const deadlineMs = performance.now() + patienceMs;
    for (;;) {
      const { state, lastError } = await this.cluster.admin.operation(id, 10_000);
      if (state === 'done') return;
      if (state !== 'running' || performance.now() > deadlineMs) {
        throw new Error(`the drain is ${state}: ${lastError?.detail ?? 'it takes long'}`);
      }
    }
  }

  report(): void {
    const { handedOver, others, promotions, tookMs } = this;
    const pauses = this.loads.flatMap((load) => load.pauses);
    print(`${tookMs.length} drains, each ${distribution(tookMs)}`);
    print(`${pauses.length} hand-overs, each a pause of ${distribution(pauses)}`);
    print(`longest time without an acknowledgement, by group, while a node was drained:`);
    print(`  ${handedOver.length} times handed over: ${distribution(handedOver)}`);
    print(`  ${others.length} times not: ${distribution(others)}`);
    print(`the ${promotions.length} promotions, as history tells of them:`);
    const phases = ['detectMs', 'decideMs', 'claimMs', 'replayMs', 'openMs'] as const;
    for (const phase of phases) {
      const took = promotions.map((entry) => entry.phases?.[phase] ?? Number.NaN);
      print(`  ${phase}: ${distribution(took)}`);
    }
    const unavailable = promotions.map(({ unavailableMs }) => unavailableMs ?? Number.NaN);
    print(`  unavailableMs: ${distribution(unavailable)}`);
    print(`  events replayed: ${distribution(promotions.map(({ replayed }) => replayed))}`);
    print(`load of the machine, over a minute: ${loadavg()[0]?.toFixed(1)}`);
  }
}

async function loadsOn(cluster: BenchCluster, client: Client): Promise<Load[]> {
  const names = Array.from({ length: Number(values.groups) }, (_, i) => `g-${i}`);
  for (const name of names) {
    await createGroup(cluster.admin, { name, kind: 'counter', memberCount: 2, standby });
  }
  return names.map((name) => new Load(name, client.group<typeof counter>(name)));
}

async function main(): Promise<void> {
  const cluster = await startCluster(join(import.meta.dirname, '../../dist/src/cli/main.js'));
  try {
    print(machine(cpus(), totalmem()));
    print(`${values.groups} groups of 2 ${standby} members, ${values.callers} callers each`);
    const client = await createClient({ servers: cluster.broker.url });
    const loads = await loadsOn(cluster, client);
    const drains = new Drains(cluster, loads);
    const beganMs = performance.now();
    for (let round = 0; round < Number(values.drains); round++) await drains.round();
    const seconds = (performance.now() - beganMs) / 1000;
    const isWhole = (await Promise.all(loads.map((load) => load.end()))).every(Boolean);
    drains.report();
    const acknowledged = loads.reduce((sum, load) => sum + load.acknowledged, 0);
    const failures = loads.reduce((sum, load) => sum + load.failures.length, 0);
    print(
      `${acknowledged} deliveries acknowledged, ${(acknowledged / seconds).toFixed(0)} a second; ` +
        `${failures} failed; ${isWhole ? 'all' : 'NOT all'} in their groups`,
    );
    if (!isWhole) process.exitCode = 1;
    await client.close();
  } finally {
    await cluster.stop();
  }
}

await main();
