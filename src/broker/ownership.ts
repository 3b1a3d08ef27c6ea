/**
 * One nats-server per data directory. Two servers on one store corrupt it, and nats-server itself
 * does not look. A server also outlives us when we are killed with SIGKILL, so each start leaves a
 * note of who started which process, and the next start stops what was left behind.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UnderstudyError } from '../../replication/errors.js';
import { processInfo, signalProcess, until } from './processes.js';

interface Note {
  readonly broker: number;
  readonly startedBy: number;
}

const stopTimeoutMs = 10_000;
const killTimeoutMs = 2_000;

const notePath = (dataDir: string) => join(dataDir, 'broker.pid');

/**
 * Makes sure that no nats-server uses `dataDir`: stops one that lost its parent. Returns its pid,
 * null if there was none. Throws `broker-unavailable` if its parent is alive: the directory is in use.
 */
export async function reclaim(dataDir: string, configFile: string): Promise<number | null> {
  const note = readNote(dataDir);
  if (note === null) return null;
  const running = () => processInfo(note.broker)?.command.includes(configFile) === true;
  if (!running()) {
    releaseNote(dataDir);
    return null;
  }
  // A process whose parent died has another parent now.
  if (processInfo(note.broker)?.parent === note.startedBy) throw inUse(dataDir, note);
  signalProcess(note.broker, 'SIGTERM');
  if (!(await until(() => !running(), stopTimeoutMs))) {
    signalProcess(note.broker, 'SIGKILL');
    await until(() => !running(), killTimeoutMs);
  }
  if (running()) throw inUse(dataDir, note);
  releaseNote(dataDir);
  return note.broker;
}

/** Throws `broker-unavailable` if another process took the directory since `reclaim`. */
export function leaveNote(dataDir: string, broker: number): void {
  const note: Note = { broker, startedBy: process.pid };
  try {
    writeFileSync(notePath(dataDir), JSON.stringify(note), { flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw inUse(dataDir, readNote(dataDir));
  }
}

export function releaseNote(dataDir: string): void {
  rmSync(notePath(dataDir), { force: true });
}

function readNote(dataDir: string): Note | null {
  try {
    return JSON.parse(readFileSync(notePath(dataDir), 'utf8')) as Note;
  } catch {
    return null;
  }
}

function inUse(dataDir: string, note: Note | null): UnderstudyError {
  return new UnderstudyError(
    'broker-unavailable',
    `${dataDir} is in use: process ${note?.startedBy ?? '?'} runs nats-server ` +
      `${note?.broker ?? '?'} on it. Stop that process, or choose another data directory.`,
    { ...note },
  );
}
