/** One file of the simulation and all it needs, so that workers and mutants can load it. */
import { join, relative } from 'node:path';
import { build } from 'esbuild';

export const root = join(import.meta.dirname, '../..');

export interface Replacement {
  readonly file: string;
  readonly contents: string;
}

export async function bundle(
  entry: string,
  outfile: string,
  replacement?: Replacement,
): Promise<void> {
  const path = replacement ? relative(root, join(root, replacement.file)) : '';
  const filter = new RegExp(`/${path.replace(/[.\\]/g, '\\$&')}$`);
  await build({
    entryPoints: [join(root, entry)],
    bundle: true,
    platform: 'node',
    format: 'esm',
    outfile,
    packages: 'external',
    logLevel: 'error',
    plugins: replacement
      ? [
          {
            name: 'replace',
            setup(builder) {
              builder.onLoad({ filter }, () => ({ contents: replacement.contents, loader: 'ts' }));
            },
          },
        ]
      : [],
  });
}
