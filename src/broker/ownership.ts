/**
 * One nats-server per data directory. Two servers on one store corrupt it, and nats-server itself
 * does not look. A server also outlives us when we are killed with SIGKILL, so each start leaves a
 * note of who started which process, and the next start stops what was left behind.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UnderstudyError } from '../../replication/errors.js';
import { processInfo, signalProcess, until } from './processes.js';

interface Note {
  readonly startedBy: number;
  /** Null while the server is being started. */
  readonly broker: number | null;
}

const stopTimeoutMs = 10_000;
const killTimeoutMs = 2_000;

const notePath = (dataDir: string) => join(dataDir, 'broker.pid');

/**
 * Takes `dataDir` for a server that will run with `configFile`, stopping one that lost its parent.
 * Returns the pid of that one, null if there was none.
 * Throws `broker-unavailable` if somebody alive has the directory.
 */
export async function takeDir(dataDir: string, configFile: string): Promise<number | null> {
  const note = readNote(dataDir);
  if (note !== null && hasOwner(note, configFile)) throw inUse(dataDir, note);
  const orphan = note !== null && isRunning(note, configFile) ? note.broker : null;
  if (orphan !== null) await stopOrphan(dataDir, orphan, configFile);
  releaseDir(dataDir);
  const mine: Note = { startedBy: process.pid, broker: null };
  try {
    writeFileSync(notePath(dataDir), JSON.stringify(mine), { flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw inUse(dataDir, readNote(dataDir));
  }
  return orphan;
}

export function noteBroker(dataDir: string, broker: number): void {
  const note: Note = { startedBy: process.pid, broker };
  // In one go: a note cut short would hide an orphan.
  writeFileSync(`${notePath(dataDir)}.new`, JSON.stringify(note));
  renameSync(`${notePath(dataDir)}.new`, notePath(dataDir));
}

export function releaseDir(dataDir: string): void {
  rmSync(notePath(dataDir), { force: true });
}

function hasOwner(note: Note, configFile: string): boolean {
  if (note.broker === null) return processInfo(note.startedBy) !== null;
  // A process whose parent died has another parent now.
  return isRunning(note, configFile) && processInfo(note.broker)?.parent === note.startedBy;
}

/** The configuration's path tells our server from a process that got its number later. */
function isRunning({ broker }: Note, configFile: string): boolean {
  return broker !== null && processInfo(broker)?.command.includes(configFile) === true;
}

async function stopOrphan(dataDir: string, broker: number, configFile: string): Promise<void> {
  const note = { startedBy: process.pid, broker };
  const gone = () => !isRunning(note, configFile);
  signalProcess(broker, 'SIGTERM');
  if (await until(gone, stopTimeoutMs)) return;
  signalProcess(broker, 'SIGKILL');
  if (!(await until(gone, killTimeoutMs))) throw inUse(dataDir, note);
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
