import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { cachedServerPath, findServer, type Places } from '../../src/broker/find.js';
import { checkVersion } from '../../src/broker/ready.js';
import { release } from '../../src/broker/release.js';

let root = '';
let places: Places;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'understudy-find-'));
  const startDirs = [join(root, 'project', 'node_modules', 'understudy', 'dist', 'src', 'broker')];
  places = { platform: 'linux', arch: 'x64', startDirs };
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

/** An executable file below the temporary directory. */
function program(path: string): string {
  const file = join(root, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, '');
  chmodSync(file, 0o755);
  return file;
}

const packaged = `project/node_modules/${release.package}/bin/nats-server`;

test('the environment wins over the package, the package over the cache, the cache over PATH', () => {
  const onPath = program('bin/nats-server');
  const env = { PATH: `${join(root, 'nowhere')}:${dirname(onPath)}` };
  expect(findServer(env, places)).toBe(onPath);
  const cached = program(join('project', cachedServerPath));
  expect(findServer(env, places)).toBe(cached);
  const fromPackage = program(packaged);
  expect(findServer(env, places)).toBe(fromPackage);
  const named = program('mine/nats');
  expect(findServer({ ...env, NATS_SERVER_BIN: named }, places)).toBe(named);
});

test('a file that cannot be executed is passed over', () => {
  chmodSync(program(packaged), 0o644);
  const onPath = program('bin/nats-server');
  expect(findServer({ PATH: dirname(onPath) }, places)).toBe(onPath);
});

test('a wrong NATS_SERVER_BIN is an error even where another server is installed', () => {
  program(packaged);
  expect(() => findServer({ NATS_SERVER_BIN: join(root, 'nats') }, places)).toThrow(
    expect.objectContaining({ code: 'invalid-config', message: expect.stringContaining(root) }),
  );
});

test.each([
  ['linux', 'x64', `npm install ${release.package}@${release.version}`],
  ['linux', 'arm64', 'github.com/nats-io/nats-server/releases'],
  ['darwin', 'arm64', 'brew install nats-server'],
  ['win32', 'x64', 'scoop install nats-server'],
])('without any server, %s-%s is told how to get one', (platform, arch, advice) => {
  expect(() => findServer({ PATH: '' }, { ...places, platform, arch })).toThrow(
    expect.objectContaining({
      code: 'broker-unavailable',
      message: expect.stringContaining(advice),
    }),
  );
});

test('the release we fetch ourselves is the one the lock file pins', () => {
  const lock = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
    packages: Record<string, { version: string; integrity: string }>;
  };
  const { version, integrity } = lock.packages[`node_modules/${release.package}`] ?? {};
  expect({ version, integrity }).toEqual({
    version: release.version,
    integrity: release.integrity,
  });
});

test.each(['2.12.0', '2.12.1', '2.14.0', '3.0.0', '2.13.0-RC.1'])('%s is new enough', (version) => {
  expect(() => checkVersion(version)).not.toThrow();
});

test.each(['2.11.9', '2.9.10', '1.99.99', '0.0.0', 'nonsense'])('%s is too old', (version) => {
  expect(() => checkVersion(version)).toThrow(expect.objectContaining({ code: 'unsupported' }));
});
