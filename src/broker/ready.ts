import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connect, type NatsConnection } from 'nats';
import { UnderstudyError } from '../../replication/errors.js';
import type { ConfigOptions } from './config.js';
import { until } from './processes.js';
import { release } from './release.js';

const apiTimeoutMs = 500;
const apiPauseMs = 50;

/**
 * Waits until the server answers a JetStream request; in a cluster only its elected leader does.
 * Returns the server's URL, or null when `timeoutMs` or `gone` came first.
 * Throws `unsupported` for a server that is too old.
 */
export async function untilReady(
  config: ConfigOptions,
  timeoutMs: number,
  gone: () => boolean,
): Promise<string | null> {
  await until(() => gone() || readUrl(config.portsDir) !== null, timeoutMs);
  const url = readUrl(config.portsDir);
  if (url === null) return null;
  const login =
    config.login === undefined ? {} : { user: config.login.user, pass: config.login.password };
  const connection = await connect({ servers: url, reconnect: false, ...login }).catch(() => null);
  if (connection === null) return null;
  try {
    checkVersion(connection.info?.version ?? '0.0.0');
    return (await untilAnswered(connection, timeoutMs, gone)) ? url : null;
  } finally {
    await connection.close();
  }
}

/** The server writes this file in one go, once it accepts connections. */
function readUrl(portsDir: string): string | null {
  const name = readdirSync(portsDir).find((file) => file.endsWith('.ports'));
  if (name === undefined) return null;
  try {
    const ports = JSON.parse(readFileSync(join(portsDir, name), 'utf8')) as { nats: string[] };
    return ports.nats[0] ?? null;
  } catch {
    return null;
  }
}

async function untilAnswered(
  connection: NatsConnection,
  timeoutMs: number,
  gone: () => boolean,
): Promise<boolean> {
  for (let left = Math.ceil(timeoutMs / (apiTimeoutMs + apiPauseMs)); left > 0; left -= 1) {
    if (gone()) return false;
    if (await answers(connection)) return true;
    await delay(apiPauseMs);
  }
  return false;
}

async function answers(connection: NatsConnection): Promise<boolean> {
  try {
    const answer = await connection.request('$JS.API.INFO', '', { timeout: apiTimeoutMs });
    return answer.json<{ error?: unknown }>().error === undefined;
  } catch {
    return false;
  }
}

/** Throws `unsupported` if a server of this version, `major.minor.patch`, lacks what P1 relies on. */
export function checkVersion(version: string): void {
  if (compareVersions(version, release.leastVersion) >= 0) return;
  throw new UnderstudyError(
    'unsupported',
    `nats-server is ${version}, Understudy needs ${release.leastVersion} or newer. ` +
      'Upgrade it, or set NATS_SERVER_BIN to a newer one.',
  );
}

export function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map((text) => text.split(/[.-]/).slice(0, 3).map(Number));
  const at = [0, 1, 2].find((i) => left?.[i] !== right?.[i]);
  return at === undefined ? 0 : (left?.[at] ?? 0) - (right?.[at] ?? 0);
}
