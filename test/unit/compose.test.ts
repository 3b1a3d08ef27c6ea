/** What can be known about the Compose file without Docker. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { brokerSubjects, writeConfig } from '../../src/broker/config.js';
import { findServer } from '../../src/broker/find.js';
import { release } from '../../src/broker/release.js';

interface Service {
  readonly image: string;
  readonly build?: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck?: { readonly test: readonly string[] };
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly configs: Readonly<Record<'nats' | 'tokens', { readonly content: string }>>;
  readonly volumes: Readonly<Record<string, null>>;
}

const compose = parse(readFileSync('docker-compose.yml', 'utf8'), { merge: true }) as Compose;
const brokers = ['nats-1', 'nats-2', 'nats-3'];
const nodes = ['node-1', 'node-2', 'node-3'];
const dir = mkdtempSync(join(tmpdir(), 'understudy-compose-'));

afterAll(() => rmSync(dir, { recursive: true, force: true }));

const service = (name: string): Service => compose.services[name] as Service;

/** The two forms of substitution the file uses. */
function substituted(content: string, env: Readonly<Record<string, string>> = {}): string {
  const pattern = /\$\$|\$\{(\w+):-([^}]*)\}/g;
  return content.replace(pattern, (found, name: string, fallback: string) =>
    found === '$$' ? '$' : (env[name] ?? fallback),
  );
}

test('there are three brokers and three nodes', () => {
  expect(Object.keys(compose.services)).toEqual([...brokers, ...nodes]);
});

test.each(brokers)('%s has a name and a volume of its own, and is checked', (name) => {
  const { environment, volumes, healthcheck, ports } = service(name);
  expect(environment).toEqual({ NATS_NAME: name });
  expect(volumes).toEqual([`${name}:/data`]);
  expect(compose.volumes).toHaveProperty(name);
  expect(healthcheck?.test.join(' ')).toContain('http://127.0.0.1:8222/healthz');
  // Without users, nobody outside may reach it.
  expect(ports).toBeUndefined();
});

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

test('the folder of the cache is there for the user that a node runs as', () => {
  const image = readFileSync('Dockerfile', 'utf8');
  const { environment } = service('node-1');
  expect(image).toContain(`RUN mkdir ${environment.UNDERSTUDY_CACHE_DIR} && chown node:node`);
});

test('the token is the one the file tells to change, unless the environment brings another', () => {
  const hash = createHash('sha256').update('change-me').digest('hex');
  const tokens = (sha256: string) => ({ tokens: [{ name: 'ops', role: 'admin', sha256 }] });
  const { content } = compose.configs.tokens;
  expect(JSON.parse(substituted(content))).toEqual(tokens(hash));
  const other = substituted(content, { UNDERSTUDY_TOKEN_SHA256: 'abc' });
  expect(JSON.parse(other)).toEqual(tokens('abc'));
});
