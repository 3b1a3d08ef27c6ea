import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { ledger } from '../../../src/kinds/ledger.js';
import { deliver, type Outcome } from './support.js';

const example = (name: string) => {
  return fileURLToPath(new URL(`../../../examples/${name}`, import.meta.url));
};
const run = (script: string, ...args: string[]) => {
  return execFileSync(process.execPath, [example(script), ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
};
const parseLines = (text: string): unknown[] => {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);
};

test('the ledger kind and the independent fold agree on the committed example', () => {
  const commands = parseLines(readFileSync(example('ledger.ndjson'), 'utf8'));
  expect(commands.length).toBeGreaterThanOrEqual(100_000);
  const state = ledger.init();
  const counts = tally(deliver(ledger, state, commands));
  const folded = parseLines(run('fold-ledger.mjs', example('ledger.ndjson')));
  expect(folded).toEqual([ledger.queries.totals(state), counts]);
  const refusals = ['account-exists', 'bad-amount', 'insufficient-funds', 'unknown-account'];
  expect(Object.keys(counts.reasons).sort()).toEqual(refusals);
});

test('a package index becomes commands a ledger takes', () => {
  const lines = run('make-ledger-events.mjs', '--from', fixture('packages.txt'));
  expect(parseLines(lines)).toEqual([
    { type: 'open', account: 'Žofie Nováková' },
    { type: 'open', account: 'tool' },
    { type: 'deposit', account: 'tool', amount: 95 },
    { type: 'transfer', from: 'tool', to: 'Žofie Nováková', amount: 10 },
    { type: 'transfer', from: 'tool', to: 'lib', amount: 15 },
    { type: 'open', account: 'lib' },
    { type: 'transfer', from: 'tool', to: 'mail-agent', amount: 15 },
    { type: 'withdraw', account: 'Žofie Nováková', amount: 2 },
    { type: 'open', account: 'Team, The' },
    { type: 'open', account: 'lib' },
    { type: 'deposit', account: 'lib', amount: 7 },
    { type: 'transfer', from: 'lib', to: 'Team, The', amount: 1 },
    { type: 'withdraw', account: 'Team, The', amount: 1 },
  ]);
});

test('and no more of them than asked for', () => {
  const lines = run('make-ledger-events.mjs', '--from', fixture('packages.txt'), '--events', '3');
  expect(parseLines(lines)).toHaveLength(3);
});

function fixture(name: string): string {
  return fileURLToPath(new URL(`./${name}`, import.meta.url));
}

function tally(outcomes: readonly Outcome[]) {
  const counts = { accepted: 0, rejected: 0, reasons: {} as Record<string, number> };
  for (const outcome of outcomes) {
    if ('problem' in outcome) throw new Error(outcome.problem);
    if ('rejected' in outcome) {
      counts.rejected += 1;
      counts.reasons[outcome.rejected] = (counts.reasons[outcome.rejected] ?? 0) + 1;
    } else counts.accepted += 1;
  }
  return counts;
}
