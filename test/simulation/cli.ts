/**
 * npm run sim -- --seeds 2000 --from 1 --workers 2
 * npm run sim -- --seed 103 --trace
 */
import { parseArgs } from 'node:util';
import { runPool, type SeedResult } from './pool.js';
import { runSeed } from './run.js';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    trace: { type: 'boolean', default: false },
    seeds: { type: 'string', default: '2000' },
    from: { type: 'string', default: '1' },
    workers: { type: 'string', default: '2' },
  },
});
/** Of the seeds that fail, so many are printed. */
const shown = 10;
const print = (line: string) => process.stdout.write(`${line}\n`);

function describe({ seed, violation }: Pick<SeedResult, 'seed' | 'violation'>): string {
  if (violation === null) return `seed ${seed}: no violation`;
  return `seed ${seed}: ${violation.message}\n  replay: npm run sim -- --seed ${seed} --trace`;
}

function one(seed: number): void {
  const result = runSeed(seed, { trace: values.trace });
  print(JSON.stringify(result.options));
  for (const line of result.lines) print(line);
  print(describe(result));
  process.exitCode = result.violation === null ? 0 : 1;
}

async function many(): Promise<void> {
  const seeds = Number(values.seeds);
  let failed = 0;
  let answered = 0;
  const begun = performance.now();
  await runPool({
    from: Number(values.from),
    seeds,
    workers: Number(values.workers),
    onResult(result) {
      answered += result.answered;
      if (result.violation === null) return;
      failed += 1;
      if (failed <= shown) print(describe(result));
    },
  });
  const seconds = (performance.now() - begun) / 1000;
  print(
    `${seeds} seeds, ${failed} with a violation, ${answered} commands answered, ` +
      `${seconds.toFixed(1)} s, ${Math.round((seeds / seconds) * 60)} seeds a minute`,
  );
  process.exitCode = failed === 0 ? 0 : 1;
}

if (values.seed === undefined) await many();
else one(Number(values.seed));
