/** The house rules that lint enforces: each is broken once, on purpose, and has to be caught. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const imports = 'lint/style/noRestrictedImports';
const globals = 'lint/style/noRestrictedGlobals';
const chance = 'lint/nursery/noJsRestrictedProperties';
const plugin = 'plugin';

const importing = (from: string) => `import { a } from '${from}';\n\nexport const b = a;\n`;
const valued = (expression: string) => `export const b = ${expression};\n`;

const outside = ['node:fs', 'fs', 'nats', '@nats-io/kv', 'pino', 'fastify', 'commander', 'zod'];
const clock = ['Date.now()', 'new Date()', 'performance.now()', 'globalThis.Date.now()'];
const timers = ['setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask', 'clearTimeout'];
const world = ['console', 'process', 'crypto', 'fetch', 'Buffer', 'Promise'];

type Case = readonly [rule: string, code: string];

const bannedInCore: readonly Case[] = [
  ...outside.map((from): Case => [imports, importing(from)]),
  ...[...clock, ...timers, ...world].map((use): Case => [globals, valued(use)]),
  [imports, importing('../src/a.js')],
  [imports, importing('../dist/src/a.js')],
  [imports, importing('../test/a.js')],
  [chance, valued('Math.random()')],
  [plugin, 'export async function a() {\n  await 1;\n}\n'],
  [plugin, valued('async () => await 1')],
  [plugin, valued('{ async a() { await 1; } }')],
];

const bad: readonly (readonly [path: string, rule: string, code: string])[] = [
  ...bannedInCore.map(([rule, code], i) => [`replication/bad-${i}.ts`, rule, code] as const),
  ...bannedInCore.map(([rule, code], i) => [`cluster/bad-${i}.ts`, rule, code] as const),
  ['replication/up.ts', imports, importing('../cluster/a.js')],
  ['replication/sync/up.ts', imports, importing('../../cluster/a.js')],
  ['cluster/operations/up.ts', imports, importing('../../src/a.js')],
  ['cluster/packing.ts', imports, importing('msgpackr')],
  ['src/built.ts', imports, importing('../dist/src/a.js')],
  ['src/log.ts', 'lint/suspicious/noConsole', 'console.log(1);\n'],
  ['src/default.ts', 'lint/style/noDefaultExport', 'export default 1;\n'],
  ['src/any.ts', 'lint/suspicious/noExplicitAny', 'export type A = any;\n'],
  ['src/enum.ts', 'lint/style/noEnum', 'export enum A {\n  b,\n}\n'],
  ['src/floating.ts', 'lint/nursery/noFloatingPromises', 'const f = async () => {};\n\nf();\n'],
  ['src/suffix.ts', 'lint/correctness/useImportExtensions', importing('./fine')],
];

const fine = [
  ['replication/fine.ts', importing('./ids.js')],
  ['replication/sync/fine.ts', importing('../ids.js')],
  ['replication/packing.ts', importing('msgpackr')],
  ['cluster/fine.ts', importing('../replication/ids.js')],
  ['cluster/operations/fine.ts', importing('../../replication/ids.js')],
  ['src/fine.ts', importing('node:fs')],
] as const;

interface Diagnostic {
  readonly category: string;
  readonly severity: string;
  readonly location: { readonly path: string };
}

const dir = mkdtempSync(join(tmpdir(), 'understudy-tidy-'));
let found: readonly Diagnostic[] = [];

beforeAll(() => {
  for (const file of ['biome.json', 'no-async.grit', 'package.json'])
    copyFileSync(file, join(dir, file));
  symlinkSync(resolve('node_modules'), join(dir, 'node_modules'));
  for (const [path, , code] of bad) put(path, code);
  for (const [path, code] of fine) put(path, code);
  found = lint();
});

afterAll(() => rmSync(dir, { recursive: true, force: true }));

function put(path: string, code: string): void {
  mkdirSync(dirname(join(dir, path)), { recursive: true });
  writeFileSync(join(dir, path), code);
}

function lint(): readonly Diagnostic[] {
  const options = ['--vcs-enabled=false', '--max-diagnostics=none', '--reporter=json'];
  const biome = resolve('node_modules/.bin/biome');
  const run = spawnSync(biome, ['lint', ...options, '.'], { cwd: dir, encoding: 'utf8' });
  return (JSON.parse(run.stdout) as { diagnostics: Diagnostic[] }).diagnostics;
}

function errorsIn(path: string): string[] {
  const here = found.filter(({ location }) => location.path.endsWith(path));
  return here.filter(({ severity }) => severity === 'error').map(({ category }) => category);
}

test.each(bad)('%s breaks %s', (path, rule) => {
  expect(errorsIn(path)).toContain(rule);
});

test.each(fine)('%s breaks nothing', (path) => {
  expect(errorsIn(path)).toEqual([]);
});
