/**
 * npm run chaos:matrix -- [--times 1] [--duration 30s] [--scenario NAME]... [--random 1h]
 *   [--rate N] [--least-rate N] [--dir chaos-reports/matrix] [--document docs/reliability.md] [--anew]
 *
 * Every scenario, in a process of its own each, and a run of random faults behind them if `--random` says
 * how long. A red one stops nothing; the exit code is 1 if there was one. What has been run with the same
 * program and options is not run again, so that a matrix that was stopped goes on.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Report } from '../../../src/chaos/report/report.js';
import { scenarios } from '../../../src/chaos/scenarios/index.js';
import { type Cell, Kept } from './kept.js';
import { asSection, asText, type Row, rowOf, rowWithout, withSection } from './rows.js';

const { values: options } = parseArgs({
  options: {
    times: { type: 'string', default: '1' },
    duration: { type: 'string', default: '30s' },
    scenario: { type: 'string', multiple: true },
    random: { type: 'string' },
    rate: { type: 'string', default: '1000' },
    'least-rate': { type: 'string', default: '200' },
    dir: { type: 'string', default: 'chaos-reports/matrix' },
    document: { type: 'string' },
    anew: { type: 'boolean', default: false },
  },
});

function cellsOf(): Cell[] {
  const known = scenarios.map(({ name }) => name);
  const chosen = options.scenario ?? known;
  for (const name of chosen) {
    if (!known.includes(name)) throw new Error(`there is no scenario ${name}`);
  }
  const seeds = Array.from({ length: Number(options.times) }, (_, i) => i + 1);
  const cells = seeds.flatMap((seed) => chosen.map((scenario) => ({ scenario, seed })));
  return options.random === undefined ? cells : [...cells, { scenario: 'random', seed: 1 }];
}

function argsOf({ scenario, seed }: Cell): string[] {
  const isRandom = scenario === 'random';
  const what = isRandom ? ['--random'] : ['--scenario', scenario];
  const duration = isRandom ? (options.random as string) : options.duration;
  const rates = ['--rate', options.rate, '--least-rate', options['least-rate']];
  return [...what, '--seed', String(seed), '--duration', duration, ...rates];
}

async function play(cell: Cell): Promise<Row> {
  const file = join(options.dir, `${cell.scenario}-${cell.seed}.json`);
  rmSync(file, { force: true });
  const args = argsOf(cell);
  const command = `npm run chaos -- ${args.join(' ')}`;
  const heap = `--max-old-space-size=${Math.floor(totalmem() / 2 / 1024 ** 2)}`;
  const program = [heap, 'dist/src/cli/main.js', 'chaos', ...args, '--report', options.dir];
  const child = spawn(process.execPath, program, { stdio: ['ignore', 'inherit', 'inherit'] });
  const how = await new Promise<string>((resolve) => {
    child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`));
  });
  if (!existsSync(file)) return rowWithout(cell.scenario, cell.seed, command, `ended with ${how}`);
  return { ...rowOf(JSON.parse(readFileSync(file, 'utf8')) as Report), command };
}

function facts(commit: string): string[] {
  const [cpu] = cpus();
  const memory = `${Math.round(totalmem() / 1024 ** 3)} GB`;
  return [
    `command: \`npm run chaos:matrix -- ${process.argv.slice(2).join(' ')}\``,
    `machine: ${cpus().length} × ${cpu?.model.trim()}, ${memory}, Node ${process.version}`,
    `program: ${commit}; ${new Date().toISOString().slice(0, 10)}`,
  ];
}

function commitNow(): string {
  const told = spawnSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' });
  return told.status === 0 ? told.stdout.trim() : 'unknown';
}

/** Of the built program: commits that change documents alone change nothing here. */
function programNow(): string {
  const files = readdirSync('dist', { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.js'))
    .sort();
  const hash = createHash('sha256');
  for (const name of files) hash.update(name).update(readFileSync(join('dist', name)));
  return hash.digest('hex');
}

async function main(): Promise<void> {
  const cells = cellsOf();
  const commit = commitNow();
  const { duration, random = '', rate } = options;
  const file = join(options.dir, 'matrix.json');
  if (options.anew) rmSync(file, { force: true });
  const kept = Kept.open(
    file,
    [programNow(), duration, random, rate, options['least-rate']].join(' '),
  );
  const open = cells.filter((cell) => !kept.has(cell));
  console.log(`${cells.length} runs, ${cells.length - open.length} of them done before`);
  for (const [i, cell] of open.entries()) {
    console.log(`\n${i + 1} of ${open.length}`);
    kept.add(await play(cell));
    publish(kept.rowsOf(cells), commit);
  }
  const rows = kept.rowsOf(cells);
  publish(rows, commit);
  console.log(`\n${asText(rows)}`);
  for (const { scenario, seed, violations } of rows) {
    for (const violation of violations) console.log(`${scenario}, seed ${seed}: ${violation}`);
  }
  const red = rows.filter(({ verdict }) => verdict !== 'green').length;
  console.log(`${rows.length - red} green, ${red} not; ${file}`);
  process.exitCode = red === 0 ? 0 : 1;
}

function publish(rows: readonly Row[], commit: string): void {
  const { document } = options;
  if (document === undefined) return;
  const section = asSection(rows, facts(commit));
  writeFileSync(document, withSection(readFileSync(document, 'utf8'), section));
}

await main();
