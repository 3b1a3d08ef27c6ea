/**
 * Turns the package index of a Debian machine into commands for the `ledger` kind, one a line.
 *
 *   node examples/make-ledger-events.mjs [--out FILE] [--events N] [--from FILE]
 *
 * Without `--from` it reads what `apt-cache dumpavail` prints; `--from` takes a saved copy of that,
 * or any `Packages` file. The same source gives the same lines, byte for byte.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({
  options: {
    out: { type: 'string' },
    events: { type: 'string', default: '120000' },
    from: { type: 'string' },
  },
});

/**
 * @typedef {object} Package
 * @property {string} name
 * @property {string} maintainer Display name, without the address.
 * @property {number} installedKiB
 * @property {number} downloadKiB
 * @property {string} checksum
 * @property {string[]} needs The first alternative of every dependency, each once.
 */

const index = readIndex();
const lines = [...take(commands(parsePackages(index)), Number(options.events))];
const text = `${lines.join('\n')}\n`;
if (options.out === undefined) process.stdout.write(text);
else writeFileSync(options.out, text);
process.stderr.write(`${lines.length} commands\n`);

/** @returns {string} */
function readIndex() {
  if (options.from !== undefined) return readFileSync(options.from, 'utf8');
  const text = execFileSync('apt-cache', ['dumpavail'], { maxBuffer: 2 ** 30, encoding: 'utf8' });
  if (text.trim() === '') throw new Error('apt knows no packages: run `apt-get update` first');
  return text;
}

/**
 * In the order of the packages' checksums: as good as shuffled, and the same every time.
 * @param {string} text
 * @returns {Package[]}
 */
function parsePackages(text) {
  const packages = text.split(/\n\n+/).map(parsePackage);
  return packages
    .filter((found) => found !== undefined)
    .sort((a, b) => Number(a.checksum > b.checksum) - Number(a.checksum < b.checksum));
}

/**
 * @param {string} stanza
 * @returns {Package | undefined}
 */
function parsePackage(stanza) {
  const fields = new Map(
    [...stanza.matchAll(/^([A-Za-z0-9-]+): (.*)$/gm)].map(([, name, value]) => [name, value]),
  );
  const name = fields.get('Package');
  const checksum = fields.get('SHA256');
  if (name === undefined || checksum === undefined) return undefined;
  return {
    name,
    maintainer: displayName(fields.get('Maintainer') ?? 'unknown'),
    installedKiB: Number(fields.get('Installed-Size') ?? 0),
    downloadKiB: Math.ceil(Number(fields.get('Size') ?? 0) / 1024),
    checksum,
    needs: needsOf([fields.get('Pre-Depends'), fields.get('Depends')]),
  };
}

/** @param {string} maintainer */
function displayName(maintainer) {
  const [name = ''] = maintainer.split('<');
  const [beforeAt = ''] = name.replaceAll('"', '').trim().split('@');
  return beforeAt === '' ? 'unknown' : beforeAt;
}

/** @param {(string | undefined)[]} relations */
function needsOf(relations) {
  const names = relations
    .flatMap((relation) => relation?.split(',') ?? [])
    .map((need) => need.trim().split(/[\s|:(]/)[0] ?? '');
  return [...new Set(names.filter((name) => name !== ''))];
}

/**
 * A package is paid its installed size, gives its maintainer a tenth and spends its download size on
 * what it depends on. A maintainer takes out a twentieth of the download size.
 * @param {Package[]} packages
 * @returns {Generator<string>}
 */
function* commands(packages) {
  const real = new Set(packages.map(({ name }) => name));
  const open = new Set();
  for (const found of packages) {
    const { name, maintainer, installedKiB, downloadKiB, needs } = found;
    if (!open.has(maintainer)) yield command('open', { account: maintainer });
    open.add(maintainer);
    yield command('open', { account: name });
    open.add(name);
    yield command('deposit', { account: name, amount: installedKiB });
    const tenth = Math.ceil(installedKiB / 10);
    yield command('transfer', { from: name, to: maintainer, amount: tenth });
    const share = Math.ceil(downloadKiB / Math.max(needs.length, 1));
    for (const to of needs) {
      yield command('transfer', { from: name, to, amount: share });
      // Like a client that learns of a missing account: it opens it and does not come back to pay.
      // What only other packages provide has no account, ever.
      if (open.has(to) || !real.has(to)) continue;
      yield command('open', { account: to });
      open.add(to);
    }
    yield command('withdraw', { account: maintainer, amount: Math.ceil(downloadKiB / 20) });
  }
}

/**
 * @param {string} type
 * @param {Record<string, string | number>} fields
 */
function command(type, fields) {
  return JSON.stringify({ type, ...fields });
}

/**
 * @param {Iterable<string>} items
 * @param {number} most
 */
function* take(items, most) {
  let taken = 0;
  for (const item of items) {
    if (taken++ >= most) return;
    yield item;
  }
}
