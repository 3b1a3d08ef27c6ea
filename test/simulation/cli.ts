/**
 * npm run sim -- --seeds 2000 --from 1 --workers 2
 * npm run sim -- --minutes 60 --from 100000
 * npm run sim -- --seed 103 --trace
 * npm run sim -- --seed 103 --shrink --keep name --because "what was wrong"
 */
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { runPool, type SeedResult } from './pool.js';
import { type RunResult, runSeed } from './run.js';
import { shrink } from './shrink.js';
import { describeRun, goldenOf } from './transcript.js';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    trace: { type: 'boolean', default: false },
    shrink: { type: 'boolean', default: false },
    keep: { type: 'string' },
    because: { type: 'string', default: '' },
    seeds: { type: 'string' },
    minutes: { type: 'string' },
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

function shrinkAndPrint(failing: RunResult): RunResult {
  const { result, runs } = shrink(failing, runSeed);
  print(`\nshrunk in ${runs} runs, ${failing.schedule.length} faults to ${result.schedule.length}`);
  print(describeRun(result));
  return result;
}

async function one(seed: number): Promise<void> {
  const result = runSeed(seed, { trace: values.trace });
  if (values.trace) {
    print(JSON.stringify(result.options));
    for (const line of result.lines) print(line);
  }
  print(describe(result));
  process.exitCode = result.violation === null ? 0 : 1;
  if (result.violation === null || !(values.shrink || values.keep)) return;
  const small = shrinkAndPrint(result);
  if (values.keep === undefined) return;
  // The command runs in the repository's root, as npm scripts do.
  const file = `test/scenario/golden/${values.keep}.json`;
  const because = values.because || (small.violation?.message ?? '');
  await writeFile(file, `${JSON.stringify(goldenOf(small, because), null, 2)}\n`);
  print(`kept as ${file}`);
}

async function many(): Promise<void> {
  const minutes = Number(values.minutes ?? Number.POSITIVE_INFINITY);
  const isEndless = values.minutes !== undefined && values.seeds === undefined;
  const seeds = isEndless ? Number.MAX_SAFE_INTEGER / 2 : Number(values.seeds ?? 2000);
  let run = 0;
  const failing: SeedResult[] = [];
  let answered = 0;
  const begun = performance.now();
  await runPool({
    from: Number(values.from),
    seeds,
    workers: Number(values.workers),
    minutes,
    onResult(result) {
      run += 1;
      answered += result.answered;
      if (result.violation === null) return;
      failing.push(result);
      if (failing.length <= shown) print(describe(result));
    },
  });
  const seconds = (performance.now() - begun) / 1000;
  print(
    `${run} seeds, ${failing.length} with a violation, ${answered} commands answered, ` +
      `${seconds.toFixed(1)} s, ${Math.round((run / seconds) * 60)} seeds a minute`,
  );
  const first = failing.filter(isShrinkable).sort((a, b) => a.seed - b.seed)[0];
  if (first !== undefined) shrinkAgain(first.seed);
  process.exitCode = failing.length === 0 ? 0 : 1;
}

function shrinkAgain(seed: number): void {
  const again = runSeed(seed);
  // The threads build the sources anew: somebody may have edited them since this command began.
  if (again.violation === null) print(`seed ${seed} violates nothing here: have sources changed?`);
  else shrinkAndPrint(again);
}

/** Of two runs that differ there is no one run to make smaller. */
function isShrinkable({ violation }: SeedResult): boolean {
  return violation !== null && violation.invariant !== 'determinism';
}

if (values.seed === undefined) await many();
else await one(Number(values.seed));
