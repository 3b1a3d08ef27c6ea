/** Modules of a checkout that take the place of parts of the program; nobody ships them. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

export type Hook = 'failpoints' | 'clock';

/** Preloads it. `main`: the built `understudy` command. */
export function preloading(main: string, hook: Hook): string {
  return `--import=${pathToFileURL(fileOf(main, hook)).href}`;
}

/** Null: it is there. */
export function lacksHook(main: string, hook: Hook): string | null {
  const file = fileOf(main, hook);
  return existsSync(file) ? null : `${file} is not there: it takes a checkout of the repository`;
}

const fileOf = (main: string, hook: Hook): string =>
  join(dirname(main), '../../..', 'test/support', `${hook}.mjs`);
