/** `understudy dev` as a user runs it: a process in a directory, stopped in every way there is. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { processInfo, signalProcess } from '../../src/broker/processes.js';
import { isPortFree } from '../../src/cli/dev-ports.js';
import { createAdminClient } from '../../src/client/admin.js';
import { CommandProcess } from '../support/command.js';
import { program } from '../support/node-process.js';
import { until } from '../support/until.js';

interface Dev {
  readonly command: CommandProcess;
  readonly brokerPid: number;
  /** By node, in order. */
  readonly pids: readonly number[];
  readonly urls: readonly string[];
}

interface Place {
  readonly dir: string;
  readonly port: number;
  readonly natsPort: number;
}

/** A directory and ports for several starts. Whatever still runs when the test ends is killed. */
async function somePlace(): Promise<Place> {
  const dir = mkdtempSync(join(tmpdir(), 'understudy-dev-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  for (let port = 20_000 + (process.pid % 1000) * 10; port < 32_000; port += 10) {
    const free = await Promise.all([0, 1, 2, 3].map((i) => isPortFree(port + i)));
    if (free.every((one) => one)) return { dir, port, natsPort: port + 3 };
  }
  throw new Error('no four ports in a row are free');
}

async function dev({ dir, port, natsPort }: Place, ...more: string[]): Promise<Dev> {
  const ports = ['--port', String(port), '--nats-port', String(natsPort)];
  const command = new CommandProcess(['dev', ...ports, ...more], { cwd: dir });
  onTestFinished(async () => {
    command.signal('SIGKILL');
    await command.exited;
  });
  await command.printed(/Ctrl-C stops everything/, 40_000);
  const rows = [...command.stdout.matchAll(/^(nats-server|node-\d) +(\d+) +(\S+)$/gm)];
  const [broker, ...nodes] = rows.map(([, , pid]) => Number(pid));
  onTestFinished(() => {
    for (const pid of [broker as number, ...nodes]) endOurs(pid, dir);
  });
  const urls = rows.slice(1).map(([, , , url]) => url as string);
  return { command, brokerPid: broker as number, pids: nodes, urls };
}

/** Only what is certainly ours: the pid may have become somebody else's. */
function endOurs(pid: number, dir: string): void {
  const command = processInfo(pid)?.command ?? '';
  if (command.includes(dir) || command.includes(`${program} node`)) signalProcess(pid, 'SIGKILL');
}

/** A process that nobody has waited for yet has no command line any more. */
const isGone = (pid: number): boolean => !processInfo(pid)?.command;

async function allGone(pids: readonly number[]): Promise<void> {
  await until(`processes ${pids.join(', ')} are gone`, () => pids.every(isGone));
}

test('a second start continues the state, and Ctrl-C leaves no process behind', async () => {
  const place = await somePlace();
  const first = await dev(place);
  expect(first.pids).toHaveLength(3);
  expect(first.urls).toEqual([0, 1, 2].map((i) => `http://127.0.0.1:${place.port + i}`));
  expect([first.brokerPid, ...first.pids].some(isGone)).toBe(false);
  const admin = createAdminClient({ url: first.urls });
  const names = (await admin.groups()).map(({ name, kind }) => [name, kind]);
  expect(names).toEqual(['counter', 'kv', 'ledger'].map((name) => [name, name]));
  for (const by of [1, 2, 3]) await admin.deliver('counter', { by });
  const before = await admin.group('counter');
  first.command.signal('SIGINT');
  expect(await first.command.exited).toEqual({ code: 0, signal: null });
  expect([first.brokerPid, ...first.pids].filter((pid) => !isGone(pid))).toEqual([]);

  const second = await dev(place);
  const query = await until('the counter answers', () => admin.query('counter', { name: 'get' }));
  expect(query).toMatchObject({ value: { total: 6, count: 3 }, seq: 3 });
  expect(await admin.group('counter')).toMatchObject({ groupId: before.groupId });
  second.command.signal('SIGTERM');
  expect(await second.command.exited).toEqual({ code: 0, signal: null });
  expect([second.brokerPid, ...second.pids].filter((pid) => !isGone(pid))).toEqual([]);
}, 60_000);

test('a node killed by hand is reported, fails over, and stays away', async () => {
  const { command, pids, urls } = await dev(await somePlace());
  const admin = createAdminClient({ url: urls });
  const { activeNode } = await admin.group('counter');
  const pid = pids[Number(activeNode?.slice('node-'.length)) - 1] as number;
  process.kill(pid, 'SIGKILL');
  await command.printed(new RegExp(`${activeNode} \\(pid ${pid}\\) ended: SIGKILL.*not restarted`));
  const answer = await until('the counter takes events', () => admin.deliver('counter', { by: 1 }));
  expect(answer).toMatchObject({ seq: 1, epoch: 2 });
  await until(`${activeNode} counts as down`, async () => {
    const { state } = await admin.node(activeNode as string);
    return state === 'down';
  });
  command.signal('SIGINT');
  expect(await command.exited).toEqual({ code: 0, signal: null });
});

test('--respawn starts a killed node again', async () => {
  const { command, pids, urls } = await dev(await somePlace(), '--respawn', '--nodes', '2');
  const [killed] = pids as [number];
  process.kill(killed, 'SIGKILL');
  await command.printed(new RegExp(`node-1 \\(pid ${killed}\\) ended: SIGKILL; starting it again`));
  const admin = createAdminClient({ url: urls });
  const node = await until('node-1 lives again', async () => {
    const found = await admin.node('node-1');
    return found.state === 'up' && found.pid !== killed ? found : null;
  });
  await until('the counter is whole', async () => {
    const { health } = await admin.group('counter');
    return health.healthy === 2;
  });
  command.signal('SIGINT');
  expect(await command.exited).toEqual({ code: 0, signal: null });
  expect(isGone(node.pid as number)).toBe(true);
});

test('restart --all ends one node after the other, and each is started again', async () => {
  const place = await somePlace();
  const { command, pids, urls } = await dev(place);
  const args = ['restart', '--all', '--wait', '--url', urls[0] as string];
  const restart = new CommandProcess(args, { cwd: place.dir });
  // Told last: the command has to ask the others while this one is away.
  await command.printed(/node-1 \(pid \d+\) was asked to end; starting it again/, 60_000);
  expect(await restart.exited).toEqual({ code: 0, signal: null });
  expect(restart.stdout).toMatch(/restart +cluster +done/);
  const nodes = await createAdminClient({ url: urls }).nodes();
  expect(nodes.map(({ state }) => state)).toEqual(['up', 'up', 'up']);
  expect(nodes.filter(({ pid }) => pids.includes(pid as number))).toEqual([]);
  command.signal('SIGINT');
  expect(await command.exited).toEqual({ code: 0, signal: null });
  expect(nodes.filter(({ pid }) => !isGone(pid as number))).toEqual([]);
}, 120_000);

test('a broker killed by hand is started again', async () => {
  const { command, brokerPid, urls } = await dev(await somePlace());
  const admin = createAdminClient({ url: urls });
  await admin.deliver('counter', { by: 5 });
  process.kill(brokerPid, 'SIGKILL');
  const [, pid] = await command.printed(/broker is back, pid (\d+)/);
  const answer = await until('the counter answers', () => admin.query('counter', { name: 'get' }));
  expect(answer.value).toEqual({ total: 5, count: 1 });
  command.signal('SIGINT');
  expect(await command.exited).toEqual({ code: 0, signal: null });
  expect(isGone(Number(pid))).toBe(true);
});

test('after SIGKILL the nodes end by themselves, and the next start takes the broker over', async () => {
  const place = await somePlace();
  const first = await dev(place);
  const admin = createAdminClient({ url: first.urls });
  await admin.deliver('counter', { by: 7 });
  first.command.signal('SIGKILL');
  await first.command.exited;
  await allGone(first.pids);
  const second = await dev(place);
  expect(isGone(first.brokerPid)).toBe(true);
  const answer = await until('the counter answers', () => admin.query('counter', { name: 'get' }));
  expect(answer.value).toEqual({ total: 7, count: 1 });
  second.command.signal('SIGINT');
  expect(await second.command.exited).toEqual({ code: 0, signal: null });
  expect([second.brokerPid, ...second.pids].filter((pid) => !isGone(pid))).toEqual([]);
}, 60_000);

test('a second dev on the same ports is refused before it starts anything', async () => {
  const place = await somePlace();
  const first = await dev(place, '--no-groups', '--nodes', '1');
  const args = ['dev', '--port', String(place.port), '--nodes', '1'];
  const second = new CommandProcess(args, { cwd: place.dir });
  expect(await second.exited).toEqual({ code: 1, signal: null });
  expect(second.stderr).toContain(`port ${place.port} is taken`);
  expect(isGone(first.brokerPid)).toBe(false);
  first.command.signal('SIGINT');
  expect(await first.command.exited).toEqual({ code: 0, signal: null });
});
