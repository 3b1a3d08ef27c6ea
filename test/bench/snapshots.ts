/**
 * npm run bench:snapshots -- [--mib 1024] [--rounds 5] [--window 10]
 *
 * What snapshots of a large state cost the group that goes on meanwhile, and how fast standbys come by
 * them. One broker, three nodes, a client and a raw reader, each a process of its own; a `kv` group of
 * `--mib` MiB, a thousand keys for each. Values are random bytes as base64: deflate would make three
 * quarters of them, and is not tried. `TMPDIR=/dev/shm` keeps the files in memory, of which they take
 * about seven times the state, so that a disk that stalls does not blur what is compared.
 */
import { cpus, tmpdir, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { machine } from './cluster.js';
import { type Run, SnapshotCluster } from './snapshots-cluster.js';
import { cutQuietly, cutUnderLoad, cutUnderSteadyLoad } from './snapshots-cuts.js';
import { print, row, seconds } from './snapshots-print.js';
import { syncBlank } from './snapshots-syncs.js';

const { values: given } = parseArgs({
  options: {
    mib: { type: 'string', default: '1024' },
    rounds: { type: 'string', default: '5' },
    window: { type: 'string', default: '10' },
  },
});

async function fill({ cluster, keys }: Run): Promise<void> {
  const beganMs = performance.now();
  await cluster.load.ask('fill', { keys });
  const tookMs = performance.now() - beganMs;
  print(`filled: ${keys} keys in ${seconds(tookMs)}, ${Math.round((keys / tookMs) * 1000)}/s`);
}

async function main(): Promise<void> {
  print(`${machine(cpus(), totalmem())}, files in ${tmpdir()}`);
  const cluster = await SnapshotCluster.start();
  try {
    const { active } = await cluster.roles();
    const run: Run = {
      cluster,
      active,
      keys: Number(given.mib) * 1000,
      rounds: Number(given.rounds),
      windowMs: Number(given.window) * 1000,
    };
    await fill(run);
    row('what', 'measured');
    row('---', '---');
    const fullSizeBytes = await cutQuietly(run);
    await syncBlank(run, fullSizeBytes);
    await cutUnderSteadyLoad(run);
    for (const areFrozen of [true, false]) await cutUnderLoad(run, fullSizeBytes, areFrozen);
  } finally {
    await cluster.stop();
  }
}

await main();
