/** Bundles the simulation with one mutant applied, and runs seeds until the damage shows. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { bundle, root } from './bundle.js';
import type { Mutant } from './mutants.js';
import type { RunSeed } from './run.js';

export interface Verdict {
  /** The first seed that showed it; null: it survived. */
  readonly seed: number | null;
  readonly invariant: string | null;
}

/** Within so many seeds a mutant has to show, or the simulation proves nothing about its rule. */
export const seedBudget = 3000;

/** The simulation with a mutant applied; of worlds of their own only the violation tells. Throws if its text is not found exactly once. */
export async function loadMutant(mutant: Mutant, dir: string): Promise<RunSeed> {
  const source = await readFile(join(root, mutant.file), 'utf8');
  const pieces = source.split(mutant.find);
  if (pieces.length !== 2) {
    throw new Error(`"${mutant.name}": its text is ${pieces.length - 1} times in ${mutant.file}`);
  }
  const outfile = join(dir, `${mutant.name.replace(/\W+/g, '-')}.mjs`);
  const contents = pieces.join(mutant.replace);
  const entry = mutant.world === undefined ? 'run.ts' : `${mutant.world}-run.ts`;
  await bundle(`test/simulation/${entry}`, outfile, { file: mutant.file, contents });
  const { runSeed } = (await import(pathToFileURL(outfile).href)) as { runSeed: RunSeed };
  return runSeed;
}

export async function runMutant(mutant: Mutant, seeds: number, dir: string): Promise<Verdict> {
  const runSeed = await loadMutant(mutant, dir);
  for (let seed = 1; seed <= seeds; seed++) {
    const { violation } = runSeed(seed);
    if (violation !== null) return { seed, invariant: violation.invariant };
  }
  return { seed: null, invariant: null };
}

/** Whether some seed shows it. The one that did when the table was written is looked at first. */
export async function isShown(mutant: Mutant, seeds: number, dir: string): Promise<boolean> {
  const table = await readFile(join(root, 'docs/mutants.md'), 'utf8');
  const row = table.split('\n').find((line) => line.startsWith(`| ${mutant.name} |`));
  const known = Number(row?.split('|')[3]);
  if (known >= 1 && (await loadMutant(mutant, dir))(known).violation !== null) return true;
  return (await runMutant(mutant, seeds, dir)).seed !== null;
}
