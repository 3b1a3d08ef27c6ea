import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runSeed } from '../simulation/run.js';
import { type Golden, overridesOf } from '../simulation/transcript.js';

const dir = join(import.meta.dirname, 'golden');
const files = (await readdir(dir)).filter((name) => name.endsWith('.json'));

async function load(file: string): Promise<Golden> {
  return JSON.parse(await readFile(join(dir, file), 'utf8')) as Golden;
}

describe('runs that once violated something', () => {
  it('are there', () => {
    expect(files.length).toBeGreaterThan(0);
  });

  it.each(files)('%s violates nothing now', async (file) => {
    const golden = await load(file);
    const { violation, schedule, epochs } = runSeed(golden.seed, overridesOf(golden));
    expect(violation).toBeNull();
    expect(schedule).toEqual(golden.schedule);
    expect(epochs).toBeGreaterThan(0);
  });
});
