/** Which kinds a node runs: the shipped ones and those of the user's module. */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { UnderstudyError } from '../../replication/errors.js';
import type { Kind } from '../../replication/kind.js';
import { shippedKinds } from '../kinds/index.js';

/** Throws `invalid-config` if the module cannot be loaded or two kinds share a name. */
export async function loadKinds(
  file: string | null,
  more: readonly Kind[] = [],
): Promise<Map<string, Kind>> {
  const kinds = new Map<string, Kind>();
  for (const kind of [...shippedKinds, ...more, ...(await kindsIn(file))]) {
    if (kinds.has(kind.name)) {
      throw new UnderstudyError(
        'invalid-config',
        `two kinds are called "${kind.name}"; rename one`,
      );
    }
    kinds.set(kind.name, kind);
  }
  return kinds;
}

async function kindsIn(file: string | null): Promise<readonly Kind[]> {
  if (file === null) return [];
  const path = resolve(file);
  const module = await import(pathToFileURL(path).href).catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UnderstudyError('invalid-config', `kinds file ${path} cannot be loaded: ${reason}`);
  });
  const { kinds } = module as { kinds?: unknown };
  if (Array.isArray(kinds)) return kinds as Kind[];
  throw new UnderstudyError('invalid-config', `kinds file ${path} exports no array named "kinds"`);
}
