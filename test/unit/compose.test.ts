/** What can be known about the Compose file without Docker. */
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { assertSafeBinding, loadAuth } from '../../src/admin/auth.js';
import { brokerSubjects, writeConfig } from '../../src/broker/config.js';
import { findServer } from '../../src/broker/find.js';
import { release } from '../../src/broker/release.js';
import { loadConfig, nodeVariables } from '../../src/node/config.js';
import { longestStopMs } from '../../src/node/node.js';
import { serve } from '../support/admin-server.js';
import { cli } from '../support/cli.js';
import {
  compose,
  composeBrokers,
  composeNodes,
  dockerfile,
  durationMs,
  environmentOf,
  imageCheck,
  imageInstructions,
  instruction,
  service,
  substituted,
} from '../support/compose-file.js';

const brokers: readonly string[] = composeBrokers;
const nodes: readonly string[] = composeNodes;
const dir = mkdtempSync(join(tmpdir(), 'understudy-compose-'));

afterAll(() => rmSync(dir, { recursive: true, force: true }));

test('there are three brokers and three nodes', () => {
  expect(Object.keys(compose.services)).toEqual([...brokers, ...nodes]);
});

test.each(brokers)('%s has a name and a volume of its own, and is checked', (name) => {
  const { environment, volumes, healthcheck, ports } = service(name);
  expect(environment).toEqual({ NATS_NAME: name });
  expect(volumes).toEqual([`${name}:/data`]);
  expect(compose.volumes).toHaveProperty(name);
  const monitored = /^http: "(.*)"$/m.exec(compose.configs.nats.content)?.[1];
  expect(healthcheck?.test.slice(0, 1)).toEqual(['CMD']);
  expect(healthcheck?.test.at(-1)).toBe(`http://${monitored}/healthz`);
  // Without users, nobody outside may reach it.
  expect(ports).toBeUndefined();
});

test.each(brokers)(
  '%s reads the configuration that it is given, and stores in its volume',
  (name) => {
    const { command, configs, volumes } = service(name);
    const [given] = configs;
    expect(configs).toEqual([{ source: 'nats', target: given?.target }]);
    expect(command).toEqual(['-c', given?.target]);
    const stored = /store_dir: "(.*)"/.exec(compose.configs.nats.content)?.[1];
    expect(volumes?.[0]?.split(':')[1]).toBe(stored);
  },
);

test.each(brokers)('nats-server accepts the configuration of %s', (name) => {
  const file = join(dir, 'nats.conf');
  writeFileSync(file, substituted(compose.configs.nats.content));
  const env = { ...process.env, ...service(name).environment };
  expect(() =>
    execFileSync(findServer(), ['-t', '-c', file], { env, stdio: 'pipe' }),
  ).not.toThrow();
});

test('the brokers flush before every answer and know each other', () => {
  const content = substituted(compose.configs.nats.content);
  expect(content).toContain('sync_interval: always');
  for (const name of brokers) expect(content).toContain(`nats://${name}:6222`);
});

test('the brokers show our account the same as the embedded one does', () => {
  const embedded = writeConfig({
    serverName: 'n',
    port: -1,
    storeDir: 's',
    logFile: 'l',
    portsDir: 'p',
  });
  const shared = /\{(?:stream|service): .*\}/g;
  const content = substituted(compose.configs.nats.content);
  expect(content.match(shared)).toEqual(embedded.match(shared));
  expect(embedded.match(shared)).toHaveLength(2 * Object.keys(brokerSubjects).length);
});

test('the brokers run the release we test with', () => {
  const [, minor] = /^(\d+\.\d+)\./.exec(release.version) ?? [];
  for (const name of brokers) expect(service(name).image).toBe(`nats:${minor}-alpine`);
});

test.each(nodes)('%s waits for healthy brokers and reaches all of them', (name) => {
  const { depends_on: after, environment } = service(name);
  expect(after).toEqual(
    Object.fromEntries(brokers.map((b) => [b, { condition: 'service_healthy' }])),
  );
  const urls = brokers.map((broker) => `nats://${broker}:4222`).join(',');
  expect(environment).toMatchObject({ UNDERSTUDY_NATS_URL: urls, UNDERSTUDY_REPLICAS: '3' });
});

test.each(nodes)(
  '%s has an id and a zone of its own and advertises the port it publishes',
  (name) => {
    const { environment, ports, build, volumes } = service(name);
    const others = nodes
      .filter((other) => other !== name)
      .map((other) => service(other).environment);
    expect(build).toBe('.');
    expect(environment.UNDERSTUDY_NODE_ID).toBe(name);
    expect(others.map((other) => other.UNDERSTUDY_ZONE)).not.toContain(environment.UNDERSTUDY_ZONE);
    const published = `127.0.0.1:${7400 + nodes.indexOf(name) + 1}`;
    expect(ports).toEqual([`${published}:${environment.UNDERSTUDY_ADMIN_PORT}`]);
    expect(environment.UNDERSTUDY_ADMIN_URL).toBe(`http://${published}`);
    expect(volumes).toEqual([`${name}:${environment.UNDERSTUDY_CACHE_DIR}`]);
    expect(compose.volumes).toHaveProperty(name);
  },
);

test.each(nodes)('a node accepts the environment of %s, and reads all of it', (name) => {
  const environment = environmentOf(name);
  expect(nodeVariables).toEqual(expect.arrayContaining(Object.keys(environment)));
  const config = loadConfig(undefined, environment);
  const { host, port } = config.admin;
  expect(config).toMatchObject({ id: name, replicas: 3, cacheDir: '/cache', logLevel: 'info' });
  // Through the published port it is reached from outside of the container.
  expect({ host, port }).toEqual({ host: '0.0.0.0', port: 7401 });
  expect(() => assertSafeBinding(host, config.tokenFile)).not.toThrow();
  expect(service(name).configs).toEqual([{ source: 'tokens', target: config.tokenFile }]);
});

test('the level of the log can be set for all nodes at once', () => {
  const { UNDERSTUDY_LOG_LEVEL: level = '' } = service('node-1').environment;
  const environment = { ...environmentOf('node-1'), UNDERSTUDY_LOG_LEVEL: '' };
  for (const [set, got] of [
    ['', 'info'],
    ['debug', 'debug'],
  ] as const) {
    const told = substituted(level, set === '' ? {} : { UNDERSTUDY_LOG_LEVEL: set });
    const config = loadConfig(undefined, { ...environment, UNDERSTUDY_LOG_LEVEL: told });
    expect(config.logLevel).toBe(got);
  }
});

test('the nodes differ in nothing but who and where they are', () => {
  const own = ['UNDERSTUDY_NODE_ID', 'UNDERSTUDY_ZONE', 'UNDERSTUDY_ADMIN_URL'];
  const shared = nodes.map((name) => {
    const { environment, ports: _, volumes: __, ...rest } = service(name);
    const kept = Object.entries(environment).filter(([variable]) => !own.includes(variable));
    return { ...rest, environment: Object.fromEntries(kept) };
  });
  expect(shared[1]).toEqual(shared[0]);
  expect(shared[2]).toEqual(shared[0]);
});

test('the image runs the command of the package, as a node', async () => {
  const { bin, engines } = JSON.parse(readFileSync('package.json', 'utf8'));
  expect(JSON.parse(instruction('ENTRYPOINT'))).toEqual(['node', bin.understudy]);
  const words = JSON.parse(instruction('CMD')) as string[];
  let started = 0;
  const node = () => {
    started += 1;
    return Promise.resolve(0);
  };
  const never = () => Promise.reject(new Error('not that'));
  const longCommands = { node, dev: never, chaos: never };
  expect(await cli(words, { longCommands })).toMatchObject({ code: 0, stderr: '' });
  expect(started).toBe(1);
  for (const name of nodes) expect(service(name).command).toBeUndefined();
  const bases = dockerfile.filter(({ name }) => name === 'FROM').map(({ rest }) => rest);
  const least = Number(/^>=(\d+)/.exec(engines.node)?.[1]);
  for (const base of bases) {
    expect(Number(/^node:(\d+)-slim\b/.exec(base)?.[1])).toBeGreaterThanOrEqual(least);
  }
});

test('the image is built of what the checkout has and its build needs', () => {
  const copies = dockerfile.filter(
    ({ name, rest }) => name === 'COPY' && !rest.startsWith('--from'),
  );
  const copied = copies.flatMap(({ rest }) => rest.split(' ').slice(0, -1));
  const passed = readFileSync('.dockerignore', 'utf8').match(/(?<=^!).*$/gm) ?? [];
  for (const file of copied) expect(existsSync(file), file).toBe(true);
  expect(copied.toSorted()).toEqual(passed.toSorted());
  const { include } = JSON.parse(readFileSync('tsconfig.build.json', 'utf8'));
  const needed = ['package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json'];
  expect(copied).toEqual(expect.arrayContaining([...needed, ...include]));
});

test('a node is not root in its container, and needs no rights beyond', () => {
  expect(instruction('USER')).toBe('node');
  for (const name of nodes)
    expect(Number(environmentOf(name).UNDERSTUDY_ADMIN_PORT)).toBeGreaterThan(1023);
});

/** As the engine runs it: beside the node, with the environment of the container. */
function check(port: string | undefined): Promise<number | null> {
  const [command = '', ...args] = imageCheck();
  const { UNDERSTUDY_ADMIN_PORT: _, ...env } = process.env;
  const own = port === undefined ? {} : { UNDERSTUDY_ADMIN_PORT: port };
  const child = spawn(command, args, { env: { ...env, ...own }, stdio: 'ignore' });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', resolve);
  });
}

test('the image is healthy while a node answers, and not after', async () => {
  const { url, close } = await serve();
  const { port } = new URL(url);
  expect(await check(port)).toBe(0);
  await close();
  expect(await check(port)).toBe(1);
});

test('the check of the image asks the port that a node has without being told', () => {
  const { port } = loadConfig(undefined, { UNDERSTUDY_NODE_ID: 'a' }).admin;
  expect(imageCheck().join(' ')).toContain(`UNDERSTUDY_ADMIN_PORT ?? ${port}`);
  expect(instruction('EXPOSE')).toBe(String(port));
});

test('a stop reaches the node as the signal to hand over, and there is time for it', () => {
  // Without a shell in between: it would keep the signal to itself.
  for (const name of ['ENTRYPOINT', 'CMD']) expect(instruction(name)).toMatch(/^\[/);
  expect(imageInstructions.filter(({ name }) => name === 'STOPSIGNAL')).toEqual([]);
  for (const name of nodes) {
    const { stop_signal: signal = 'SIGTERM', stop_grace_period: grace, init } = service(name);
    expect({ signal, init }).toEqual({ signal: 'SIGTERM', init: true });
    expect(durationMs(grace)).toBeGreaterThanOrEqual(2 * longestStopMs);
  }
});

test.each([...brokers, ...nodes])(
  '%s comes back after a crash, and stays down when stopped',
  (name) => {
    expect(service(name).restart).toBe('unless-stopped');
  },
);

test('the folder of the cache is there for the user that a node runs as', () => {
  const image = readFileSync('Dockerfile', 'utf8');
  const { environment } = service('node-1');
  expect(image).toContain(`RUN mkdir ${environment.UNDERSTUDY_CACHE_DIR} && chown node:node`);
});

test('the token is the one the file tells to change, unless the environment brings another', async () => {
  const hash = createHash('sha256').update('change-me').digest('hex');
  const tokens = (sha256: string) => ({ tokens: [{ name: 'ops', role: 'admin', sha256 }] });
  const { content } = compose.configs.tokens;
  expect(JSON.parse(substituted(content))).toEqual(tokens(hash));
  const file = join(dir, 'tokens.json');
  writeFileSync(file, substituted(content));
  const auth = await loadAuth(file);
  expect(auth.identify('Bearer change-me')).toEqual({ name: 'ops', role: 'admin' });
  const other = substituted(content, { UNDERSTUDY_TOKEN_SHA256: 'abc' });
  expect(JSON.parse(other)).toEqual(tokens('abc'));
});
