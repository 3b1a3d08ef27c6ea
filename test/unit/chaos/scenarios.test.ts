import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import type { HistoryEntry } from '../../../cluster/documents.js';
import { Chance } from '../../../src/chaos/chance.js';
import { chaosCommand } from '../../../src/chaos/command.js';
import { lacksHook, preloading } from '../../../src/chaos/hook.js';
import { anything, scenarios } from '../../../src/chaos/scenarios/index.js';
import { type Facts, type Scenario, twice } from '../../../src/chaos/scenarios/scenario.js';
import { Stage } from '../../../src/chaos/stage.js';
import { cli, noLongCommands } from '../../support/cli.js';
import { program } from '../../support/node-process.js';

function fileOf(text: string): string {
  const dir = mkdtempSync(join(tmpdir(), 'understudy-scenarios-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  writeFileSync(join(dir, 'file'), text);
  return join(dir, 'file');
}

test('what a random run draws leaves the cluster as others expect it', async () => {
  let drawn: readonly Scenario[] = [];
  const pick = (items: readonly Scenario[]) => {
    drawn = items;
    return { round: () => Promise.resolve() };
  };
  await anything(3).round({ chance: { pick } } as unknown as Stage);
  const alone = scenarios.filter(({ isAlone }) => isAlone).map(({ name }) => name);
  expect(alone).toContain('lost-pages');
  expect(drawn.map(({ name }) => name).filter((name) => alone.includes(name))).toEqual([]);
  expect(drawn).toHaveLength(scenarios.length - alone.length);
  // Whoever needs more than the usual cluster cannot be drawn.
  const special = scenarios.filter((one) => one.loads ?? one.nodeEnv ?? one.volumes ?? one.lacks);
  expect(special.filter(({ isAlone }) => !isAlone)).toEqual([]);
});

test('a random run is held to what its scenarios expect whatever else happens, and to nothing more', () => {
  const written = [{ what: 'got, from a stranger, garbage', target: 'g', fromMs: 1, toMs: 2 }];
  const failover = { epoch: 2, cause: 'disconnect', operation: null } as HistoryEntry;
  const log = { decided: [], epochs: [], records: 0, strangers: [], seq: 0 };
  const expects = (facts: Partial<Facts>) =>
    anything(3).expects?.({ group: 'g', faults: [], epochs: [failover], log, ...facts });
  expect(expects({})).toBe(null);
  expect(expects({ faults: written })).toMatch(/1 foreign records were written, the log shows 0/);
  const again = { ...failover, operation: 'op-1' };
  expect(expects({ epochs: [again, again] })).toMatch(/operation op-1 changed the writer twice/);
});

test('names are used once', () => {
  expect(twice(scenarios.map(({ name }) => name))).toBe(undefined);
  expect(twice(['a', 'b', 'b', 'a'])).toBe('b');
});

test('what comes in turn comes once before it comes again', () => {
  const stage = new Stage(null as never, null as never, [], new Chance(1, 'faults'));
  const items = ['a', 'b', 'c'];
  const round = () => items.map(() => stage.inTurn(items)).sort();
  expect([round(), round()]).toEqual([items, items]);
});

test('a scenario that cannot be run here says why, and is not green', async () => {
  const events = fileOf('{}');
  const own = ['--kinds', 'examples/dice.mjs', '--kind', 'dice', '--events', events];
  const longCommands = { ...noLongCommands, chaos: chaosCommand };
  const args = ['chaos', '--scenario', 'poison-event', ...own];
  const { code, stdout } = await cli(args, { longCommands });
  expect(stdout).toMatch(/skipped: it brings a kind of its own/);
  expect(code).toBe(4);
});

test('hooks are where a checkout has them, and nowhere else', () => {
  for (const hook of ['failpoints', 'clock'] as const) {
    expect(lacksHook(program, hook)).toBe(null);
    expect(lacksHook('/nowhere/dist/src/cli/main.js', hook)).toMatch(/takes a checkout/);
  }
  const clock = pathToFileURL('test/support/clock.mjs').href;
  expect(preloading(program, 'clock')).toBe(`--import=${clock}`);
});

test('a clock that is set off shows in every date, and not in what measures time', () => {
  const file = fileOf('-3600000');
  const script =
    'console.log(Date.now(), new Date().getTime(), new Date(5).getTime(), performance.timeOrigin)';
  const args = ['--import', pathToFileURL('test/support/clock.mjs').href, '-e', script];
  const env = { ...process.env, UNDERSTUDY_TEST_CLOCK: file };
  const out = execFileSync(process.execPath, args, { env, encoding: 'utf8' });
  const [now, made, given, origin] = out.split(' ').map(Number) as [number, number, number, number];
  expect(Math.abs(Date.now() - 3_600_000 - now)).toBeLessThan(60_000);
  expect(made).toBeGreaterThanOrEqual(now);
  expect(made - now).toBeLessThan(1000);
  expect([given, Math.abs(Date.now() - origin) < 60_000]).toEqual([5, true]);
});
