/** Who may do what. Tokens are known by their hashes only. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { IncomingHttpHeaders } from 'node:http';
import { isIPv4 } from 'node:net';
import { z } from 'zod';
import { UnderstudyError } from '../../replication/errors.js';

/** Ascending: each role may do what the ones before it may. */
export const roles = ['viewer', 'writer', 'operator', 'admin'] as const;
export type Role = (typeof roles)[number];

export interface Identity {
  readonly name: string;
  readonly role: Role;
}

export interface Auth {
  /** False: there is no token file and everybody on this machine may do everything. */
  readonly required: boolean;
  /** Throws `unauthorized` unless the header carries a known token. */
  identify(authorization: string | undefined): Identity;
}

export const openAuth: Auth = {
  required: false,
  identify: () => ({ name: 'local', role: 'admin' }),
};

const tokenFileSchema = z.strictObject({
  tokens: z
    .array(
      z.strictObject({
        name: z.string().min(1).max(64),
        role: z.enum(roles),
        sha256: z.string().regex(/^[0-9a-f]{64}$/i, 'expected 64 hexadecimal characters'),
      }),
    )
    .min(1),
});

/** Reads the token file once. Throws `invalid-config` saying everything that is wrong with it. */
export async function loadAuth(tokenFile: string | null): Promise<Auth> {
  if (tokenFile === null) return openAuth;
  const tokens = parseTokens(await readTokens(tokenFile), tokenFile);
  return { required: true, identify: (authorization) => identify(tokens, authorization) };
}

interface KnownToken extends Identity {
  readonly hash: Buffer;
}

async function readTokens(tokenFile: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(tokenFile, 'utf8'));
  } catch (error) {
    const reason = (error as Error).message;
    throw new UnderstudyError('invalid-config', `token file ${tokenFile}: ${reason}`);
  }
}

function parseTokens(content: unknown, tokenFile: string): KnownToken[] {
  const parsed = tokenFileSchema.safeParse(content);
  if (!parsed.success) {
    const form = '{"tokens":[{"name","role","sha256"}]}';
    const problems = parsed.error.issues.map((i) => `${i.path.join('.') || 'file'}: ${i.message}`);
    throw new UnderstudyError(
      'invalid-config',
      `token file ${tokenFile} is not of the form ${form}: ${problems.join('; ')}`,
    );
  }
  const { tokens } = parsed.data;
  for (const field of ['name', 'sha256'] as const) {
    if (new Set(tokens.map((token) => token[field].toLowerCase())).size === tokens.length) continue;
    throw new UnderstudyError(
      'invalid-config',
      `token file ${tokenFile}: two tokens have the same ${field}; each needs its own`,
    );
  }
  return tokens.map(({ name, role, sha256 }) => ({ name, role, hash: Buffer.from(sha256, 'hex') }));
}

function identify(tokens: readonly KnownToken[], authorization: string | undefined): Identity {
  const token = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
  if (token === undefined) {
    const got = authorization === undefined ? 'no Authorization header' : 'another form of it';
    const detail = `expected "Authorization: Bearer <token>", got ${got}`;
    throw new UnderstudyError('unauthorized', detail);
  }
  const hash = createHash('sha256').update(token).digest();
  // Every token is compared, so that the time taken says nothing about which one came close.
  let found: KnownToken | undefined;
  for (const known of tokens) if (timingSafeEqual(known.hash, hash)) found = known;
  if (found !== undefined) return { name: found.name, role: found.role };
  throw new UnderstudyError('unauthorized', 'the token is not in the token file of this node');
}

/** Throws `forbidden` naming both roles. */
export function requireRole(identity: Identity, needed: Role): void {
  if (roles.indexOf(identity.role) >= roles.indexOf(needed)) return;
  throw new UnderstudyError(
    'forbidden',
    `this needs the role ${needed} and the token "${identity.name}" has ${identity.role}`,
  );
}

/** Throws `invalid-config` if the API would be open to other machines without tokens. */
export function assertSafeBinding(host: string, tokenFile: string | null): void {
  if (tokenFile !== null || isLoopback(host)) return;
  throw new UnderstudyError(
    'invalid-config',
    `the admin API would listen on ${host} without a token file, open to every machine that ` +
      'reaches it; set a token file or listen on 127.0.0.1',
  );
}

export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[(.*)\]$/, '$1').toLowerCase();
  if (bare === 'localhost' || bare === '::1') return true;
  return isIPv4(bare) && bare.startsWith('127.');
}

/**
 * Without tokens a web page in the operator's browser is the one attacker left: it can send
 * requests to loopback, under its own name (Origin) or under a name that resolves there (Host).
 * Throws `forbidden` for both.
 */
export function assertLocalCaller({ host, origin }: IncomingHttpHeaders): void {
  if (host !== undefined && !isLoopback(host.replace(/:\d+$/, ''))) {
    throw new UnderstudyError(
      'forbidden',
      `without tokens this API answers on loopback names only, not on ${host}; ` +
        'use 127.0.0.1 or localhost, or set a token file',
    );
  }
  if (origin === undefined || origin === `http://${host}`) return;
  throw new UnderstudyError(
    'forbidden',
    `without tokens this API refuses pages of other sites, and the request came from ${origin}`,
  );
}
