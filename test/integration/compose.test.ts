/** What `docker-compose.yml` describes, as processes on loopback: its configuration, its environment, its checks. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from 'nats';
import { expect, onTestFinished, test } from 'vitest';
import { findServer } from '../../src/broker/find.js';
import { freePorts } from '../../src/chaos/cluster/ports.js';
import { createAdminClient } from '../../src/client/admin.js';
import {
  compose,
  composeBrokers,
  composeNodes,
  environmentOf,
  imageCheck,
  service,
  substituted,
} from '../support/compose-file.js';
import { NodeProcess } from '../support/node-process.js';
import { until } from '../support/until.js';

/** What a container has for itself and processes of one machine have to share. */
interface Places {
  readonly clientPort: number;
  readonly routePort: number;
  readonly healthPort: number;
}

function replaced(text: string, changes: readonly (readonly [string, string])[]): string {
  return changes.reduce((changed, [from, to]) => {
    if (!changed.includes(from)) throw new Error(`${from} is not in it: ${text}`);
    return changed.replaceAll(from, to);
  }, text);
}

async function placesOfAll(): Promise<Places[]> {
  const ports = await freePorts(3 * composeBrokers.length);
  return composeBrokers.map((_, i) => {
    const [clientPort = 0, routePort = 0, healthPort = 0] = ports.slice(3 * i, 3 * i + 3);
    return { clientPort, routePort, healthPort };
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

/** Resolves when the check of its service finds it healthy. */
async function startBroker(dir: string, i: number, all: readonly Places[]): Promise<void> {
  const name = composeBrokers[i] as string;
  const { clientPort, routePort, healthPort } = all[i] as Places;
  const own = join(dir, name);
  mkdirSync(own);
  const config = replaced(substituted(compose.configs.nats.content), [
    ['0.0.0.0:4222', `127.0.0.1:${clientPort}`],
    ['0.0.0.0:6222', `127.0.0.1:${routePort}`],
    ['127.0.0.1:8222', `127.0.0.1:${healthPort}`],
    ['"/data"', JSON.stringify(join(own, 'data'))],
    ...composeBrokers.map(
      (other, k) => [`${other}:6222`, `127.0.0.1:${all[k]?.routePort}`] as const,
    ),
  ]);
  const file = join(own, 'nats.conf');
  writeFileSync(file, config);
  const child = spawn(findServer(), ['-c', file], {
    env: { ...process.env, ...environmentOf(name) },
    stdio: 'ignore',
  });
  onTestFinished(() => end(child));
  const check = service(name).healthcheck?.test.at(-1) ?? '';
  const url = replaced(check, [['127.0.0.1:8222', `127.0.0.1:${healthPort}`]]);
  await until(`${name} is healthy`, async () => (await fetch(url)).ok);
}

function nodeOf(dir: string, name: string, all: readonly Places[]): NodeProcess {
  const { UNDERSTUDY_ADMIN_URL: _, ...environment } = environmentOf(name);
  const tokenFile = join(dir, 'tokens.json');
  writeFileSync(tokenFile, substituted(compose.configs.tokens.content));
  const servers = composeBrokers.map(
    (broker, i) => [`${broker}:4222`, `127.0.0.1:${all[i]?.clientPort}`] as const,
  );
  const node = new NodeProcess(name, dir, {
    ...environment,
    UNDERSTUDY_NATS_URL: replaced(environment.UNDERSTUDY_NATS_URL ?? '', servers),
    UNDERSTUDY_ADMIN_HOST: '127.0.0.1',
    UNDERSTUDY_ADMIN_PORT: '0',
    UNDERSTUDY_TOKEN_FILE: tokenFile,
    UNDERSTUDY_CACHE_DIR: join(dir, `${name}-cache`),
  });
  onTestFinished(() => (node.isRunning ? node.kill() : undefined));
  return node;
}

/** The image's own check, beside the node. */
async function check(node: NodeProcess): Promise<number> {
  const [command = '', ...args] = imageCheck();
  const { port } = new URL(node.adminUrl);
  const env = { PATH: process.env.PATH, UNDERSTUDY_ADMIN_PORT: port };
  const [code] = await once(spawn(command, args, { env, stdio: 'ignore' }), 'exit');
  return code as number;
}

test('three brokers and three nodes of the file serve, replicate, and see each other die', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'understudy-compose-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const all = await placesOfAll();
  await Promise.all(all.map((_, i) => startBroker(dir, i, all)));
  const nodes = composeNodes.map((name) => nodeOf(dir, name, all));
  await Promise.all(nodes.map((node) => node.start()));
  expect(await Promise.all(nodes.map(check))).toEqual([0, 0, 0]);

  const url = nodes.map((node) => node.adminUrl);
  const admin = createAdminClient({ url, token: 'change-me', timeoutMs: 5000 });
  const stranger = createAdminClient({ url, token: 'another' });
  await expect(stranger.groups()).rejects.toMatchObject({ code: 'unauthorized' });
  await admin.createGroup({ name: 'g', kind: 'counter', placement: { spread: 'zone' } });
  const group = await until('the group is whole', async () => {
    const found = await admin.group('g');
    return found.health.healthy === 3 && found.reprotected ? found : null;
  });
  expect(await admin.deliver('g', { by: 2 })).toMatchObject({ seq: 1 });

  const connection = await connect({ servers: `127.0.0.1:${all[0]?.clientPort}` });
  onTestFinished(() => connection.close());
  const streams = await (await jetstreamManager(connection)).streams.list('understudy.>').next();
  expect(streams.length).toBeGreaterThan(0);
  for (const { config } of streams) expect(config.num_replicas).toBe(3);

  await nodes.find(({ id }) => id === group.activeNode)?.kill();
  const opened = await until('another node has taken over', async () => {
    const [latest] = await admin.history('g');
    return latest !== undefined && latest.epoch > group.epoch && latest.phases ? latest : null;
  });
  // Told by a broker: the imports of the account are as the nodes expect them.
  expect(opened.cause).toBe('disconnect');
  expect(await admin.query('g', { name: 'get' })).toMatchObject({ value: { total: 2, count: 1 } });
}, 120_000);
