import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { type ConfigOptions, writeConfig } from '../../src/broker/config.js';
import { findServer } from '../../src/broker/find.js';
import { logSize, logTail } from '../../src/broker/log.js';

const dir = mkdtempSync(join(tmpdir(), 'understudy config "quoted" é '));

afterAll(() => rmSync(dir, { recursive: true, force: true }));

const base: ConfigOptions = {
  serverName: 'n1',
  port: -1,
  storeDir: join(dir, 'store'),
  logFile: join(dir, 'log'),
  portsDir: dir,
};

/** Throws what nats-server says about it. */
function check(config: string): void {
  const file = join(dir, 'broker.conf');
  writeFileSync(file, config);
  execFileSync(findServer(), ['-t', '-c', file], { stdio: 'pipe' });
}

const routes = ['nats://127.0.0.1:6222', 'nats://127.0.0.1:6223'];

test.each<[string, Partial<ConfigOptions>]>([
  ['the least', {}],
  ['a fixed port', { port: 4222 }],
  ['flushing before every answer', { syncInterval: 'always' }],
  ['a limit of the store', { maxStoreSizeBytes: 10 * 1024 ** 3 }],
  ['a login', { login: { user: 'node', password: 'a "b" \\ $c\n' } }],
  ['a cluster', { cluster: { name: 'c', port: 6222, routes } }],
])('nats-server accepts %s', (_, options) => {
  expect(() => check(writeConfig({ ...base, ...options }))).not.toThrow();
});

test('nats-server would complain about a mistake', () => {
  expect(() => check(writeConfig({ ...base, syncInterval: 'sometimes' }))).toThrow(/sometimes/);
});

test('everybody may connect, unless a login is asked for', () => {
  expect(writeConfig(base)).toContain('no_auth_user');
  const login = { user: 'node', password: 'secret' };
  expect(writeConfig({ ...base, login })).not.toContain('no_auth_user');
});

test('the tail of a log starts where this run of the server started', () => {
  const file = join(dir, 'tail.log');
  expect(logTail(file, 0)).toBe('');
  writeFileSync(file, 'old\n');
  const start = logSize(file);
  appendFileSync(file, 'new 1\nnew 2\n');
  expect(logTail(file, start)).toBe('new 1\nnew 2');
});

test('the tail of a long log is its last lines, of a rotated one the new file', () => {
  const file = join(dir, 'long.log');
  writeFileSync(file, Array.from({ length: 5000 }, (_, i) => `line ${i}`).join('\n'));
  expect(logTail(file, 0).split('\n')).toHaveLength(15);
  expect(logTail(file, 0)).toMatch(/line 4999$/);
  writeFileSync(file, 'fresh\n');
  expect(logTail(file, 1000)).toBe('fresh');
});
