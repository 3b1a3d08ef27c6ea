/** What a node remembers on disk of where its groups' logs ended. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { End } from '../../../replication/ends.js';
import { EndsMemory } from '../../../src/node/ends-memory.js';
import { groupOf, reportOf } from '../cluster/support.js';

let dir: string;
let warnings: string[];
const logger = { warn: (...said: unknown[]) => void warnings.push(String(said.at(-1))) };
const open = () => EndsMemory.open(dir, logger as never);

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'understudy-ends-'));
  warnings = [];
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const end = (position: number, era = 0): End => ({ era, epoch: 1, seq: 1, position, tag: 'ab' });
const seen = (known: End | null, config = groupOf(['n0'])) => ({
  config,
  reports: new Map([[0, { ...reportOf(0, 'active'), known }]]),
});

test('keeps the furthest record across its own death', async () => {
  const memory = await open();
  memory.note([seen(end(5))], 0);
  memory.note([seen(end(3))], 1000);
  await memory.close();
  const again = await open();
  expect(again.of(groupOf(['n0']))).toEqual(end(5));
  expect(again.all).toEqual([{ group: 'g', groupId: 'id', createdAtMs: 0, end: end(5) }]);
  expect(warnings).toEqual([]);
});

test('is of no use for another group with the same seed', async () => {
  const memory = await open();
  memory.note([seen(end(5))], 0);
  await memory.close();
  expect((await open()).of(groupOf(['n0'], { createdAtMs: 1 }))).toBeNull();
});

test('forgets what was before a loss that was accepted', async () => {
  const memory = await open();
  memory.note([seen(end(5))], 0);
  memory.note([seen(null, groupOf(['n0'], { era: 1 }))], 1);
  expect(memory.of(groupOf(['n0']))).toEqual(end(5));
  memory.note([seen(end(2, 1), groupOf(['n0'], { era: 1 }))], 2);
  expect(memory.of(groupOf(['n0']))).toEqual(end(2, 1));
  await memory.close();
});

test('says so when its file is damaged, and begins anew', async () => {
  writeFileSync(join(dir, 'ends.json'), '{"groups":[{');
  const memory = await open();
  expect(memory.all).toEqual([]);
  expect(warnings).toEqual([expect.stringMatching(/ends\.json cannot be read/)]);
  memory.note([seen(end(5))], 0);
  await memory.close();
  expect(JSON.parse(readFileSync(join(dir, 'ends.json'), 'utf8')).groups).toHaveLength(1);
});

test('writes no more often than it has to', async () => {
  const memory = await open();
  const file = () => JSON.parse(readFileSync(join(dir, 'ends.json'), 'utf8')).groups[0].end;
  memory.note([seen(end(5))], 1000);
  await memory.close();
  memory.note([seen(end(6))], 1400);
  expect(file()).toEqual(end(5));
  memory.note([], 1500);
  await memory.close();
  expect(file()).toEqual(end(6));
});

test('without a folder it remembers as long as it lives', async () => {
  const memory = await EndsMemory.open(null, logger as never);
  memory.note([seen(end(5))], 0);
  await memory.close();
  expect([memory.isKept, memory.of(groupOf(['n0']))]).toEqual([false, end(5)]);
});
