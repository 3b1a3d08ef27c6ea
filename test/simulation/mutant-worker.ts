/** Looks for the first seed that shows one mutant, in a thread of its own. */
import { parentPort, workerData } from 'node:worker_threads';
import { mutants } from './mutants.js';
import { runMutant, seedBudget } from './mutate.js';

const { name, dir } = workerData as { name: string; dir: string };
const mutant = mutants.find((each) => each.name === name);
if (mutant === undefined) throw new Error(`no mutant is called ${name}`);
parentPort?.postMessage(await runMutant(mutant, seedBudget, dir));
