import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { root } from './bundle.js';
import { mutants } from './mutants.js';
import { isShown, seedBudget } from './mutate.js';

describe('the simulation catches deliberate breaks of the protocol', () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(root, 'node_modules/.mutants-'));
  });
  afterAll(() => rm(dir, { recursive: true, force: true }));

  it.each(mutants)('$name', { timeout: 240_000 }, async (mutant) => {
    expect(await isShown(mutant, seedBudget, dir)).toBe(true);
  });
});
