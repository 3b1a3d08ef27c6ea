import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Logger } from 'pino';
import { UnderstudyError } from '../../replication/errors.js';
import { type ConfigOptions, writeConfig } from './config.js';
import { findServer } from './find.js';
import { logSize, logTail } from './log.js';
import { noteBroker, releaseDir, takeDir } from './ownership.js';
import { untilReady } from './ready.js';

export interface BrokerOptions
  extends Pick<ConfigOptions, 'syncInterval' | 'maxStoreSizeBytes' | 'login' | 'cluster'> {
  /** Holds the store, the configuration, the log; one running broker per directory. */
  readonly dataDir: string;
  /** On 127.0.0.1; 0: a free one. */
  readonly port: number;
  readonly serverName?: string | undefined;
  /** A large store takes seconds to check after a crash. Default 60 000. */
  readonly readyTimeoutMs?: number | undefined;
  readonly logger?: Pick<Logger, 'info' | 'warn'> | undefined;
  readonly env?: NodeJS.ProcessEnv | undefined;
}

export interface BrokerExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** True after `stop`: nobody needs to be told. */
  readonly expected: boolean;
}

export interface Broker {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  readonly serverName: string;
  readonly logFile: string;
  readonly exited: Promise<BrokerExit>;
  /** SIGTERM, and SIGKILL after `timeoutMs` (default 10 000). Returns when the process is gone. */
  stop(timeoutMs?: number): Promise<void>;
  /** Sends a signal and nothing else; an exit that follows counts as unexpected. */
  kill(signal: NodeJS.Signals): void;
}

const defaults = { serverName: 'understudy', readyTimeoutMs: 60_000, stopTimeoutMs: 10_000 };

/**
 * Starts nats-server on loopback and waits until it serves JetStream requests.
 * Throws `broker-unavailable` with the end of its log if it does not get there, or if its directory
 * is in use; what `findServer` throws; `unsupported` if it is too old.
 */
export async function startBroker(options: BrokerOptions): Promise<Broker> {
  const binary = findServer(options.env);
  const dataDir = resolve(options.dataDir);
  const config = configFor(dataDir, options);
  const configFile = join(dataDir, 'broker.conf');
  mkdirSync(dataDir, { recursive: true });
  const orphan = await takeDir(dataDir, configFile);
  if (orphan !== null) options.logger?.warn({ pid: orphan }, 'stopped a broker left by a crash');
  const logStart = logSize(config.logFile);
  const server = launch(binary, configFile, config, dataDir);
  const url = await readyOrStopped(server, config, options, logStart);
  options.logger?.info({ pid: server.pid, url }, 'broker is ready');
  const port = Number(new URL(url).port);
  const { serverName, logFile } = config;
  return { ...server, url, port, serverName, logFile };
}

function configFor(dataDir: string, options: BrokerOptions): ConfigOptions {
  const { syncInterval, maxStoreSizeBytes, login, cluster } = options;
  return {
    serverName: options.serverName ?? defaults.serverName,
    port: options.port === 0 ? -1 : options.port,
    storeDir: join(dataDir, 'store'),
    logFile: join(dataDir, 'broker.log'),
    portsDir: join(dataDir, 'ports'),
    ...{ syncInterval, maxStoreSizeBytes, login, cluster },
  };
}

type Server = Pick<Broker, 'pid' | 'exited' | 'stop' | 'kill'>;

function launch(
  binary: string,
  configFile: string,
  config: ConfigOptions,
  dataDir: string,
): Server {
  try {
    rmSync(config.portsDir, { recursive: true, force: true });
    mkdirSync(config.portsDir);
    writeFileSync(configFile, writeConfig(config), { mode: 0o600 });
    const child = run(binary, configFile, config.logFile);
    noteBroker(dataDir, child.pid);
    return supervise(child, dataDir);
  } catch (error) {
    releaseDir(dataDir);
    throw error;
  }
}

type RunningChild = ChildProcess & { readonly pid: number };

function run(binary: string, configFile: string, logFile: string): RunningChild {
  const log = openSync(logFile, 'a');
  // Its own process group: Ctrl-C in a terminal must reach our nodes first, the broker last.
  const child = spawn(binary, ['-c', configFile], { stdio: ['ignore', log, log], detached: true });
  closeSync(log);
  if (child.pid === undefined) throw cannotRun(child, binary);
  return child as RunningChild;
}

/** The reason follows in an event that nobody may leave unheard. */
function cannotRun(child: ChildProcess, binary: string): UnderstudyError {
  child.once('error', () => {});
  const message = `${binary} cannot be run. Is it a nats-server for ${process.platform}-${process.arch}?`;
  return new UnderstudyError('broker-unavailable', message);
}

function supervise(child: RunningChild, dataDir: string): Server {
  let expected = false;
  const killWithUs = () => child.kill('SIGTERM');
  process.once('exit', killWithUs);
  const exited = new Promise<BrokerExit>((done) => {
    child.once('exit', (code, signal) => {
      process.off('exit', killWithUs);
      releaseDir(dataDir);
      done({ code, signal, expected });
    });
  });
  const stop = async (timeoutMs = defaults.stopTimeoutMs): Promise<void> => {
    expected = true;
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
    await exited;
    clearTimeout(timer);
  };
  return { pid: child.pid, exited, stop, kill: (signal) => void child.kill(signal) };
}

async function readyOrStopped(
  server: Server,
  config: ConfigOptions,
  options: BrokerOptions,
  logStart: number,
): Promise<string> {
  let exit: BrokerExit | null = null;
  void server.exited.then((how) => {
    exit = how;
  });
  const timeoutMs = options.readyTimeoutMs ?? defaults.readyTimeoutMs;
  try {
    const url = await untilReady(config, timeoutMs, () => exit !== null);
    if (url !== null) return url;
  } catch (error) {
    await server.stop();
    throw error;
  }
  const ended = exit as BrokerExit | null;
  await server.stop();
  throw notReady(config, options, timeoutMs, ended, logTail(config.logFile, logStart));
}

function notReady(
  config: ConfigOptions,
  options: BrokerOptions,
  timeoutMs: number,
  exit: BrokerExit | null,
  tail: string,
): UnderstudyError {
  const what =
    exit === null
      ? `nats-server did not answer JetStream requests within ${timeoutMs} ms`
      : `nats-server ended at start (${exit.signal ?? `exit code ${exit.code}`})`;
  const message = `${what}: ${likelyCause(tail, options)} The end of ${config.logFile}:\n${tail}`;
  return new UnderstudyError('broker-unavailable', message, { logFile: config.logFile });
}

function likelyCause(tail: string, { port, dataDir, cluster }: BrokerOptions): string {
  if (/address already in use/.test(tail)) {
    const ports = cluster === undefined ? `Port ${port}` : `Port ${port} or ${cluster.port}`;
    return `${ports} is taken by another process. Stop it or choose another port.`;
  }
  if (/no space left|insufficient storage/i.test(tail)) {
    return `The disk of ${dataDir} is full. Make room or choose another data directory.`;
  }
  if (/permission denied|read-only file system/i.test(tail)) {
    return `It may not write to ${dataDir}. Check owner and mode, or choose another data directory.`;
  }
  if (cluster !== undefined && /no leader|meta leader|JetStream cluster/i.test(tail)) {
    return 'Its cluster elected no leader. Start the other servers, and compare their routes.';
  }
  return 'The cause is not one we know.';
}
