import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from 'nats';
import { afterEach, expect, test } from 'vitest';
import { brokerAccount, brokerSubjects } from '../../src/broker/config.js';
import { processInfo } from '../../src/broker/processes.js';
import { type BrokerOptions, startBroker } from '../../src/broker/start.js';
import { startTestBroker, startTestCluster } from '../support/broker.js';

const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function broker(options: Partial<BrokerOptions> = {}) {
  const started = await startTestBroker(options);
  cleanups.push(() => started.remove());
  return started;
}

async function client(servers: string, options = {}): Promise<NatsConnection> {
  const connection = await connect({ servers, reconnect: false, ...options });
  cleanups.push(() => connection.close());
  return connection;
}

function tempDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'understudy-broker-'));
  cleanups.push(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** A Node process that runs `code` as a module; resolves with the first line it prints. */
async function runNode(code: string) {
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  cleanups.push(() => child.kill('SIGKILL'));
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return { child, line: line.toString().trim() };
}

interface Storage {
  readonly data: { readonly config: { sync_interval?: number; sync_always?: boolean } };
}

async function storageConfig(url: string) {
  const connection = await client(url);
  const answer = await connection.request(brokerSubjects.storage);
  return answer.json<Storage>().data.config;
}

test('a started broker keeps what is published across a restart on the same directory', async () => {
  const dataDir = tempDir();
  const first = await startBroker({ dataDir, port: 0 });
  const before = await client(first.url);
  await (await jetstreamManager(before)).streams.add({ name: 's', subjects: ['s'] });
  await jetstream(before).publish('s', 'kept');
  await first.stop();
  const second = await broker({ dataDir });
  const after = await jetstreamManager(await client(second.url));
  const message = await after.streams.getMessage('s', { last_by_subj: 's' });
  expect(message?.string()).toBe('kept');
});

test('stop leaves no process, no port and no note', async () => {
  const started = await broker();
  await started.stop();
  expect(await started.exited).toEqual({ code: 0, signal: null, expected: true });
  expect(processInfo(started.pid)).toBeNull();
  await expect(connect({ servers: started.url, reconnect: false })).rejects.toThrow();
  // The directory is free again.
  const again = await startBroker({ dataDir: started.dataDir, port: started.port });
  expect(again.port).toBe(started.port);
  await again.stop();
});

test('stop ends a broker that does not react', async () => {
  const started = await broker();
  started.kill('SIGSTOP');
  await started.stop(100);
  expect(await started.exited).toEqual({ code: null, signal: 'SIGKILL', expected: true });
});

test('a crash is told apart from a stop', async () => {
  const started = await broker();
  started.kill('SIGKILL');
  expect(await started.exited).toEqual({ code: null, signal: 'SIGKILL', expected: false });
});

test('the disconnect of a killed client is announced in our account', async () => {
  const { url } = await broker();
  const watcher = await client(url);
  const advisories = watcher.subscribe(brokerSubjects.disconnected, { max: 1 });
  await watcher.flush();
  const victim = await runNode(
    `import { connect } from 'nats';
     await connect({ servers: '${url}', name: 'victim' });
     console.log('connected');`,
  );
  victim.child.kill('SIGKILL');
  const seen: unknown[] = [];
  for await (const advisory of advisories) seen.push(advisory.json());
  expect(seen).toMatchObject([{ client: { name: 'victim', acc: brokerAccount } }]);
});

test('the connect of a client is announced with its name', async () => {
  const { url } = await broker();
  const watcher = await client(url);
  const advisories = watcher.subscribe(brokerSubjects.connected, { max: 1 });
  await watcher.flush();
  await client(url, { name: 'newcomer' });
  const seen: unknown[] = [];
  for await (const advisory of advisories) seen.push(advisory.json());
  expect(seen).toMatchObject([{ client: { name: 'newcomer' } }]);
});

test('a taken port is named, with the end of the log', async () => {
  const { port } = await broker();
  const second = startBroker({ dataDir: tempDir(), port });
  await expect(second).rejects.toMatchObject({
    code: 'broker-unavailable',
    message: expect.stringMatching(new RegExp(`Port ${port} is taken(.|\n)*bind: address already`)),
  });
});

test('a directory in use is refused, and its broker runs on', async () => {
  const { dataDir, pid, url } = await broker();
  const second = startBroker({ dataDir, port: 0 });
  await expect(second).rejects.toMatchObject({
    code: 'broker-unavailable',
    message: expect.stringMatching(`${process.pid} runs nats-server ${pid} on it`),
  });
  await expect((await client(url)).flush()).resolves.toBeUndefined();
});

test('a broker whose parent was killed is stopped by the next start', async () => {
  const dataDir = tempDir();
  const { child, line } = await runNode(
    `import { startBroker } from './dist/src/broker/start.js';
     const { pid } = await startBroker({ dataDir: '${dataDir}', port: 0 });
     console.log(pid);`,
  );
  child.kill('SIGKILL');
  await once(child, 'exit');
  const orphan = Number(line);
  expect(processInfo(orphan)?.command).toContain(dataDir);
  const warnings: unknown[] = [];
  const logger = { info: () => {}, warn: (fields: unknown) => warnings.push(fields) };
  await broker({ dataDir, logger });
  expect(warnings).toEqual([{ pid: orphan }]);
  expect(processInfo(orphan)?.command ?? '').not.toContain(dataDir);
});

test('a note left by a broker that is gone, or cut short, is no obstacle', async () => {
  const dataDir = tempDir();
  const first = await startBroker({ dataDir, port: 0 });
  await first.stop();
  writeFileSync(join(dataDir, 'broker.pid'), JSON.stringify({ broker: first.pid, startedBy: 1 }));
  const second = await startBroker({ dataDir, port: 0 });
  await second.stop();
  writeFileSync(join(dataDir, 'broker.pid'), '{"bro');
  await broker({ dataDir });
});

test('a file that is no nats-server is refused, and the directory is free again', async () => {
  const dataDir = tempDir();
  const fake = join(dataDir, 'fake-server');
  writeFileSync(fake, 'no program at all', { mode: 0o755 });
  const env = { NATS_SERVER_BIN: fake };
  const refused = startBroker({ dataDir, port: 0, env });
  await expect(refused).rejects.toMatchObject({ code: 'broker-unavailable' });
  const silent = startBroker({ dataDir, port: 0, env: { NATS_SERVER_BIN: '/bin/false' } });
  await expect(silent).rejects.toThrow('ended at start (exit code 1)');
  await broker({ dataDir });
});

test.each([
  ['100ms', { sync_interval: 100_000_000 }],
  ['2s', { sync_interval: 2_000_000_000 }],
  ['always', { sync_always: true }],
])('the store is flushed as asked: %s', async (syncInterval, expected) => {
  const { url } = await broker({ syncInterval });
  expect(await storageConfig(url)).toMatchObject(expected);
});

test('a setting the server refuses is shown in its own words', async () => {
  const refused = startBroker({ dataDir: tempDir(), port: 0, syncInterval: 'sometimes' });
  await expect(refused).rejects.toMatchObject({
    code: 'broker-unavailable',
    message: expect.stringContaining('sometimes'),
  });
});

test('a login keeps others out', async () => {
  const login = { user: 'node', password: 'a "quoted" \\ secret' };
  const { url } = await broker({ login });
  const stranger = connect({ servers: url, reconnect: false });
  await expect(stranger).rejects.toThrow(/authorization/i);
  const known = await client(url, { user: login.user, pass: login.password });
  await expect(known.flush()).resolves.toBeUndefined();
});

test('three servers form one cluster that replicates', async () => {
  const cluster = await startTestCluster(3);
  cleanups.push(() => cluster.remove());
  const connection = await client(cluster.urls[0] ?? '');
  const manager = await jetstreamManager(connection);
  await manager.streams.add({ name: 's', subjects: ['s'], num_replicas: 3 });
  await jetstream(connection).publish('s', 'kept');
  const { cluster: peers } = await manager.streams.info('s');
  const names = [peers?.leader, ...(peers?.replicas ?? []).map(({ name }) => name)].sort();
  expect(names).toEqual(['n1', 'n2', 'n3']);
});
