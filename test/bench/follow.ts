/**
 * npm run bench:follow -- [rounds]
 *
 * How far a hot standby is behind: a caller delivers an event and at once asks a standby for a state
 * that holds it. By turns with a `local` read of the active, which has it already: the difference is
 * what following costs. One broker, three nodes.
 */
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { createClient } from '../../src/client/client.js';
import type { counter } from '../../src/kinds/counter.js';
import { createGroup, machine, percentile, startCluster } from './cluster.js';

const rounds = Number(process.argv[2] ?? 5000);
const warmUp = 500;
const places = ['local', 'standby'] as const;
const print = (line: string) => process.stdout.write(`${line}\n`);

async function main(): Promise<void> {
  const cluster = await startCluster(join(import.meta.dirname, '../../dist/src/cli/main.js'));
  try {
    await createGroup(cluster.admin, { name: 'bench', kind: 'counter', standby: 'hot' });
    const client = await createClient({ servers: cluster.broker.url });
    const group = client.group<typeof counter>('bench');
    const tookMs = { local: [] as number[], standby: [] as number[] };
    for (let round = 0; round < warmUp + rounds; round++) {
      for (const consistency of places) {
        const { seq } = await group.deliver({ by: 1 });
        const begun = performance.now();
        const read = await group.query('get', undefined, { consistency, minSeq: seq });
        if (round >= warmUp) tookMs[consistency].push(performance.now() - begun);
        if (read.seq < seq) throw new Error(`asked for seq ${seq}, got ${read.seq}`);
      }
    }
    print(machine(cpus(), totalmem()));
    print(`${rounds} reads each of one's own last write, ms:`);
    for (const place of places) {
      const at = (percent: number) => percentile(tookMs[place], percent).toFixed(2);
      print(`${place.padEnd(8)} p50 ${at(50)}  p90 ${at(90)}  p99 ${at(99)}`);
    }
    await client.close();
  } finally {
    await cluster.stop();
  }
}

await main();
