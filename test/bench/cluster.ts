/** A broker and three node processes for measurements, as `understudy dev` would run them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Broker, startBroker } from '../../src/broker/start.js';
import { NodeChild } from '../../src/cli/dev-node.js';
import { type AdminClient, createAdminClient } from '../../src/client/admin.js';

export interface BenchCluster {
  readonly broker: Broker;
  readonly nodes: readonly NodeChild[];
  /** Anew at each use: a node that was started again has another port. */
  readonly admin: AdminClient;
  stop(): Promise<void>;
}

/** `main`: the built `understudy` command. */
export async function startCluster(main: string, count = 3): Promise<BenchCluster> {
  const dir = mkdtempSync(join(tmpdir(), 'understudy-bench-'));
  const broker = await startBroker({ dataDir: join(dir, 'broker'), port: 0 });
  const nodes: NodeChild[] = Array.from(
    { length: count },
    (_, i) =>
      new NodeChild({
        main,
        id: `node-${i + 1}`,
        adminPort: 0,
        natsUrl: broker.url,
        kindsFile: undefined,
        logFile: join(dir, `node-${i + 1}.log`),
        cacheDir: join(dir, `node-${i + 1}-chunks`),
        env: { ...process.env, UNDERSTUDY_LOG_LEVEL: 'warn' },
        onDeath: (_pid, _how, isAsked) => {
          // As `dev` would.
          if (isAsked) void nodes[i]?.start();
        },
      }),
  );
  await Promise.all(nodes.map((node) => node.start()));
  const stop = async () => {
    await Promise.all(nodes.map((node) => node.stop()));
    await broker.stop();
    rmSync(dir, { recursive: true, force: true });
  };
  return {
    broker,
    nodes,
    get admin() {
      return createAdminClient({ url: nodes.map(({ adminUrl }) => adminUrl) });
    },
    stop,
  };
}

/** The nodes may not have heard of each other yet. */
export async function createGroup(
  admin: AdminClient,
  spec: Parameters<AdminClient['createGroup']>[0],
): Promise<void> {
  for (let attempt = 0; attempt < 50; attempt++) {
    try {
      await admin.createGroup(spec);
      return;
    } catch (error) {
      if ((error as { code?: string }).code !== 'placement-failed') throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

export function percentile(values: readonly number[], p: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return (
    sorted[Math.min(sorted.length - 1, Math.ceil((p / 100) * sorted.length) - 1)] ?? Number.NaN
  );
}

export function machine(cpus: readonly { model: string }[], memoryBytes: number): string {
  const gib = Math.round(memoryBytes / 2 ** 30);
  return `${cpus.length} × ${cpus[0]?.model ?? 'CPU'}, ${gib} GiB, Node ${process.version}`;
}
