/** Spreads seeds over threads. */
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { bundle, root } from './bundle.js';
import type { RunResult } from './run.js';

export type SeedResult = Pick<RunResult, 'seed' | 'violation' | 'digest' | 'answered' | 'epochs'>;

export interface PoolOptions {
  readonly from: number;
  readonly seeds: number;
  readonly workers: number;
  /** No seed is begun after this long. Default: all are run. */
  readonly minutes?: number;
  onResult(result: SeedResult): void;
}

/** Resolves when every seed has been run or time is up; rejects if a thread dies. */
export async function runPool(options: PoolOptions): Promise<void> {
  const { from, seeds, workers, minutes = Number.POSITIVE_INFINITY, onResult } = options;
  // Inside node_modules, so that the bundle finds what it imports.
  const dir = await mkdtemp(join(root, 'node_modules/.simulation-'));
  try {
    const file = join(dir, 'worker.mjs');
    await bundle('test/simulation/worker.ts', file);
    const threads = Array.from({ length: workers }, (_, i) => {
      const workerData = { from: from + i, seeds: seeds - i, step: workers, minutes };
      return runThread(new Worker(file, { workerData }), onResult);
    });
    await Promise.all(threads);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

function runThread(worker: Worker, onResult: PoolOptions['onResult']): Promise<void> {
  return new Promise((resolve, reject) => {
    worker.on('message', onResult);
    worker.on('error', reject);
    worker.on('exit', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`a simulation thread ended with code ${code}`));
    });
  });
}
