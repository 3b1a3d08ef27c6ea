import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { Chance } from '../../../src/chaos/chance.js';
import { chaosCommand } from '../../../src/chaos/command.js';
import { scenarios, smokeNames } from '../../../src/chaos/scenarios/index.js';
import { commandsIn, ownLoads } from '../../../src/chaos/workload/own.js';
import { cli, noLongCommands } from '../../support/cli.js';

const longCommands = { ...noLongCommands, chaos: chaosCommand };
const chaos = (...args: string[]) => cli(['chaos', ...args], { longCommands });

function fileOf(text: string): string {
  const dir = mkdtempSync(join(tmpdir(), 'understudy-events-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  writeFileSync(join(dir, 'events.ndjson'), text);
  return join(dir, 'events.ndjson');
}

test.each<[string, string[], RegExp]>([
  ['nothing to run', [], /give one of --scenario NAME, --random and --smoke/],
  ['two things to run', ['--random', '--smoke'], /give one of/],
  ['an unknown scenario', ['--scenario', 'x'], /no scenario x; understudy chaos --list/],
  ['a kind without commands', ['--random', '--kinds', 'k.mjs'], /go together/],
  [
    'no such file of kinds',
    ['--random', '--kinds', 'no.mjs', '--kind', 'a', '--events', 'e'],
    /no\.mjs cannot be loaded/,
  ],
])('%s is wrong usage', async (_, args, message) => {
  const { code, stderr } = await chaos(...args);
  expect(stderr).toMatch(message);
  expect(code).toBe(2);
});

test('the list names every scenario and what it shows', async () => {
  const { code, stdout } = await chaos('--list');
  for (const { name, shows } of scenarios) expect(stdout).toMatch(new RegExp(`${name} .*${shows}`));
  expect(code).toBe(0);
  expect(scenarios.map(({ name }) => name)).toEqual(expect.arrayContaining([...smokeNames]));
});

test('a kind of one’s own gets a warm and a hot group, and the commands in turn', async () => {
  const events = fileOf('{"n":1}\n\n{"n":2}\n');
  const own = { kinds: 'examples/dice.mjs', kind: 'dice', events };
  const [warm, hot] = await ownLoads(own);
  expect([warm?.name, hot?.name, hot?.standby]).toEqual(['dice-warm', 'dice-hot', 'hot']);
  const chance = new Chance(1, 'x');
  expect([1, 2, 3].map((n) => warm?.command(n, chance))).toEqual([{ n: 1 }, { n: 2 }, { n: 1 }]);
  await expect(ownLoads({ ...own, kind: 'x' })).rejects.toThrow(/no kind "x"; .* dice/);
});

test('a file of commands that is none says where', () => {
  expect(() => commandsIn(fileOf('{"n":1}\n{'))).toThrow(/line 2 is not JSON/);
  expect(() => commandsIn(fileOf('\n'))).toThrow(/has 0 commands/);
  expect(() => commandsIn('no.ndjson')).toThrow(/no\.ndjson cannot be read/);
});

test('the same seed makes the same choices, and labels do not depend on each other', () => {
  const draw = (seed: number, label: string) => {
    const chance = new Chance(seed, label);
    return Array.from({ length: 5 }, () => chance.below(1000));
  };
  expect(draw(1, 'faults')).toEqual(draw(1, 'faults'));
  expect(draw(1, 'faults')).not.toEqual(draw(2, 'faults'));
  expect(draw(1, 'faults')).not.toEqual(draw(1, 'clients'));
});
