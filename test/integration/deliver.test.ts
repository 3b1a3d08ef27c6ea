/** `understudy deliver` as a process of its own, while the cluster it talks to falls apart. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { clusterOfFile } from '../support/cluster.js';
import { CommandProcess } from '../support/command.js';
import { readEvents } from '../support/load.js';
import { until } from '../support/until.js';

const shared = clusterOfFile();
const lineCount = 20_000;

function tempFile(name: string, text: string): string {
  const dir = mkdtempSync(join(tmpdir(), 'understudy-deliver-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  const file = join(dir, name);
  writeFileSync(file, text);
  return file;
}

/** What another program makes of the same file. */
function secondOpinion(file: string) {
  const text = execFileSync(process.execPath, ['examples/fold-ledger.mjs', file]).toString();
  const [totals, answers] = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  return { totals, answers };
}

test('a delivery survives the node it talks to and the active, and its summary is true', async () => {
  const cluster = shared();
  const group = await cluster.createGroup({ name: 'bank', kind: 'ledger' });
  const lines = readFileSync('examples/ledger.ndjson', 'utf8').split('\n').slice(0, lineCount);
  const [gateway] = cluster.standbysOf(group);
  const url = [gateway, ...cluster.nodes.filter((node) => node !== gateway)]
    .map((node) => node?.adminUrl)
    .join(',');
  const command = new CommandProcess(['deliver', 'bank', '-', '--json', '--url', url]);
  const third = Math.floor(lineCount / 3);
  const seqPasses = async (seq: number) => {
    const isPast = (now: { seq: number }) => now.seq > seq;
    return await cluster.group('bank', `past seq ${seq}`, isPast);
  };
  command.write(`${lines.slice(0, third).join('\n')}\n`);
  await seqPasses(100);
  await gateway?.kill();
  command.write(`${lines.slice(third, 2 * third).join('\n')}\n`);
  const now = await seqPasses(third / 2);
  await cluster.activeOf(now).kill();
  command.write(`${lines.slice(2 * third).join('\n')}\n`);
  command.end();
  expect(await command.exited).toEqual({ code: 0, signal: null });

  const { totals, answers } = secondOpinion(tempFile('ledger.ndjson', lines.join('\n')));
  const { accepted, rejected } = answers;
  const summary = JSON.parse(command.stdout);
  const token = expect.any(String);
  expect(summary).toEqual({ accepted, rejected, duplicate: 0, seq: accepted, token });
  const rejections = command.stderr.match(/^line \d+: [a-z-]+: .+$/gm) ?? [];
  expect(rejections).toHaveLength(rejected);
  const { value } = await cluster.admin.query('bank', { name: 'totals' });
  expect(value).toEqual(totals);
  expect(await readEvents(cluster.admin, 'bank')).toHaveLength(accepted);
  const alone = await cluster.group('bank', 'alone', ({ health }) => health.healthy === 1);
  expect(alone.epoch).toBe(2);
}, 60_000);

test('a keyed file delivered again reports duplicates only, also after a failover', async () => {
  const cluster = shared();
  const group = await cluster.createGroup({ name: 'keyed', kind: 'ledger' });
  const count = 5000;
  const lines = Array.from({ length: count }, (_, i) => `{"type":"open","account":"a-${i}"}`);
  const file = tempFile('keyed.ndjson', lines.join('\n'));
  const run = async () => {
    const url = cluster.nodes.map(({ adminUrl }) => adminUrl).join(',');
    const args = ['deliver', 'keyed', file, '--key-field', 'account', '--json', '--url', url];
    const command = new CommandProcess(args);
    expect(await command.exited).toEqual({ code: 0, signal: null });
    expect(command.stderr).toBe('');
    return JSON.parse(command.stdout);
  };
  const token = expect.any(String);
  const fresh = { accepted: count, rejected: 0, duplicate: 0, seq: count, token };
  const known = { accepted: 0, rejected: 0, duplicate: count, seq: count, token };
  expect(await run()).toEqual(fresh);
  expect(await run()).toEqual(known);
  await cluster.activeOf(group).kill();
  await cluster.after('keyed', group.epoch);
  expect(await run()).toEqual(known);
  const { value } = await cluster.admin.query('keyed', { name: 'totals' });
  expect(value).toMatchObject({ accounts: count });
});

test('a broker that restarts in the middle costs a delivery nothing but time', async () => {
  const cluster = shared();
  await cluster.createGroup({ name: 'c', kind: 'counter' });
  const url = cluster.nodes.map(({ adminUrl }) => adminUrl).join(',');
  const command = new CommandProcess(['deliver', 'c', '-', '--json', '--url', url]);
  const line = (i: number) => `{"by":${i + 1}}\n`;
  command.write(Array.from({ length: 10_000 }, (_, i) => line(i)).join(''));
  await cluster.group('c', 'under way', ({ seq }) => seq > 100);
  await cluster.restartBroker('SIGKILL');
  command.write(Array.from({ length: 10_000 }, (_, i) => line(10_000 + i)).join(''));
  command.end();
  expect(await command.exited).toEqual({ code: 0, signal: null });
  const token = expect.any(String);
  const summary = { accepted: 20_000, rejected: 0, duplicate: 0, seq: 20_000, token };
  expect(JSON.parse(command.stdout)).toEqual(summary);
  const events = await until('the log can be read', () => readEvents(cluster.admin, 'c'));
  const expected = Array.from({ length: 20_000 }, (_, i) => ({ by: i + 1 }));
  expect(events.map(({ event }) => event)).toEqual(expected);
});
