/** What the documents claim is held against the program: code, commands, settings, limits, links. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { limits } from '../../replication/limits.js';
import { compileConfig, loadConfig, nodeVariables } from '../../src/node/config.js';
import { cli } from '../support/cli.js';

const documents = [
  'README.md',
  'examples/README.md',
  ...['docs', 'docs/decisions'].flatMap((dir) =>
    readdirSync(dir)
      .filter((name) => name.endsWith('.md'))
      .map((name) => join(dir, name)),
  ),
];
const textOf = (file: string) => readFileSync(file, 'utf8');

interface Block {
  readonly file: string;
  readonly language: string;
  readonly code: string;
}

const blocks: readonly Block[] = documents.flatMap((file) =>
  [...textOf(file).matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, language = '', code = '']) => ({
    file,
    language,
    code,
  })),
);

/** The cells of every row of a table whose first cell is `code`. */
function rowsOf(file: string): string[][] {
  return textOf(file)
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.split('|').slice(1, -1))
    .map((cells) => cells.map((cell) => cell.trim().replace(/^`(.*)`$/, '$1')));
}

describe('TypeScript', () => {
  // Inside the checkout, so that the packages the examples import are found.
  let dir: string;
  beforeAll(() => {
    dir = mkdtempSync(resolve('node_modules/.docs-'));
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  test('every block compiles against the public door', () => {
    const typescript = blocks.filter(({ language }) => language === 'ts');
    expect(typescript.length).toBeGreaterThanOrEqual(4);
    const files = typescript.map(({ file, code }, i) => {
      const name = /^\/\/ (\S+\.ts)$/m.exec(code)?.[1] ?? `${basename(file, '.md')}-${i}.ts`;
      writeFileSync(join(dir, name), code);
      return name;
    });
    const compilerOptions = {
      noEmit: true,
      rootDir: resolve('.'),
      paths: { understudy: [resolve('src/index.ts')] },
    };
    const config = { extends: resolve('tsconfig.json'), compilerOptions, files, include: [] };
    writeFileSync(join(dir, 'tsconfig.json'), JSON.stringify(config));
    writeFileSync(join(dir, 'package.json'), '{"type": "module"}');
    const tsc = resolve('node_modules/.bin/tsc');
    const run = spawnSync(tsc, ['-p', dir], { encoding: 'utf8' });
    expect(run.stdout).toBe('');
    expect(run.status).toBe(0);
  });
});

describe('commands', () => {
  const shell = blocks.filter(({ language }) => language === 'sh').map(({ code }) => code);
  const inline = documents.flatMap((file) =>
    [...textOf(file).matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => code),
  );
  const lines = [...shell.flatMap((code) => code.split('\n')), ...inline];

  const invocations = lines.flatMap((line) => {
    const called = /(?:npx |^)understudy (.*)/.exec(line.replace(/\s+#.*$/, ''))?.[1];
    return called === undefined ? [] : [called.replace(/\s+[|>].*$|\s+2>.*$/, '').split(/\s+/)];
  });

  const withValue = new Set(['--url', '--token']);

  /** The words after the global options. */
  function withoutGlobals(words: readonly string[]): readonly string[] {
    const [first] = words;
    if (first === '--json') return withoutGlobals(words.slice(1));
    return first !== undefined && withValue.has(first) ? withoutGlobals(words.slice(2)) : words;
  }

  test('are named at all', () => {
    expect(invocations.length).toBeGreaterThan(20);
  });

  test.each(invocations.map((words) => [words.join(' '), words] as const))(
    'understudy %s',
    async (_, words) => {
      const [command = '', ...rest] = withoutGlobals(words);
      if (command.startsWith('--')) return expect(['--help', '--json']).toContain(command);
      const help = await cli([command, '--help']);
      expect(help.code).toBe(0);
      // Of an unknown command, `--help` shows the program's own help.
      expect(help.stdout).toMatch(new RegExp(`^Usage: understudy ${command}\\b`));
      for (const option of rest.filter((word) => word.startsWith('--'))) {
        expect(help.stdout).toContain(`${option} `);
      }
    },
  );

  test('of npm are scripts of the package', () => {
    const { scripts } = JSON.parse(textOf('package.json')) as { scripts: object };
    const named = lines.flatMap((line) =>
      [...line.matchAll(/npm (?:run )?(start|test|(?<=run )[\w:]+)/g)].map(([, name = '']) => name),
    );
    expect(named).toContain('start');
    for (const name of named) expect(Object.keys(scripts)).toContain(name);
  });
});

describe('settings', () => {
  const elsewhere = [
    'UNDERSTUDY_URL',
    'UNDERSTUDY_TOKEN',
    'UNDERSTUDY_TOKEN_SHA256',
    'UNDERSTUDY_FAILPOINTS',
  ];

  test.each([...documents, 'docker-compose.yml'])('%s names only variables that exist', (file) => {
    const named = textOf(file).match(/\bUNDERSTUDY_\w*[A-Z0-9]\b(?!\*)/g) ?? [];
    for (const name of named) expect([...nodeVariables, ...elsewhere]).toContain(name);
  });

  const rows = rowsOf('README.md').filter(([name]) => name?.startsWith('UNDERSTUDY_'));

  test('the table names every variable of a node once', () => {
    expect(rows.map(([name]) => name)).toEqual(nodeVariables);
  });

  const plain = { id: 'a' };

  test.each(rows)('%s is %s in the file, %s without either', (name, path, standard) => {
    const [outer = '', inner] = (path as string).split('.');
    const sample = standard || (inner === 'url' ? 'http://b:1' : 'b');
    const value = outer === 'servers' ? [sample] : sample;
    const filed = { ...plain, [outer]: inner === undefined ? value : { [inner]: value } };
    const env = { UNDERSTUDY_NODE_ID: plain.id, [name as string]: sample };
    expect(loadConfig(undefined, env)).toEqual(compileConfig(filed));
    if (standard) expect(compileConfig(filed)).toEqual(compileConfig(plain));
    else expect(compileConfig(filed)).not.toEqual(compileConfig(plain));
  });
});

describe('limits', () => {
  const units: Readonly<Record<string, number>> = { KiB: 2 ** 10, MiB: 2 ** 20, h: 3_600_000 };
  const shown = (value: string): unknown => {
    const [first, word, last] = value.split(' ');
    if (word === 'to') return { least: Number(first), most: Number(last) };
    return Number(first) * (word === undefined ? 1 : (units[word] ?? Number.NaN));
  };

  test('the table is the program', () => {
    const rows = rowsOf('docs/limits.md').map(([name, value = '']) => [name, shown(value)]);
    expect(Object.fromEntries(rows)).toEqual(limits);
  });
});

describe('links', () => {
  const anchorsIn = (file: string) =>
    [...textOf(file).matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
      title
        .toLowerCase()
        .replace(/[^\w\- ]/g, '')
        .replaceAll(' ', '-'),
    );

  test.each(documents)('of %s lead somewhere', (file) => {
    const links = [...textOf(file).matchAll(/\]\((?!https?:)([^)\s]+)\)/g)].map(
      ([, to = '']) => to,
    );
    for (const link of links) {
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? file : join(dirname(file), path);
      expect(existsSync(target), `${file}: ${link}`).toBe(true);
      if (anchor !== undefined) expect(anchorsIn(target), `${file}: ${link}`).toContain(anchor);
    }
  });

  const isFile = /^(?:replication|cluster|src|test|examples|docs)\/[\w./-]+$/;

  test.each(documents)('of %s: the files it names in passing exist', (file) => {
    const named = [...textOf(file).matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => code);
    for (const name of named.filter((code) => isFile.test(code))) {
      expect(existsSync(name), name).toBe(true);
    }
  });
});
