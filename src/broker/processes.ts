import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

export interface ProcessInfo {
  readonly parent: number;
  /** Program and arguments. */
  readonly command: string;
}

/** What runs under `pid`; null: nothing, or nothing we may know about. */
export function processInfo(pid: number): ProcessInfo | null {
  try {
    return process.platform === 'linux' ? fromProc(pid) : fromPs(pid);
  } catch {
    return null;
  }
}

function fromProc(pid: number): ProcessInfo {
  const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The program's name, in parentheses, may itself contain blanks and parentheses.
  const [, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { parent: Number(parent), command };
}

function fromPs(pid: number): ProcessInfo {
  const line = execFileSync('ps', ['-o', 'ppid=,command=', '-p', String(pid)], {
    encoding: 'utf8',
  });
  const [, parent = '', command = ''] = /^\s*(\d+)\s+(.*)$/m.exec(line) ?? [];
  return { parent: Number(parent), command };
}

const pollMs = 20;

/** Asks until `test` is true, about every 20 ms; false when it never was within `timeoutMs`. */
export async function until(test: () => boolean, timeoutMs: number): Promise<boolean> {
  for (let left = Math.ceil(timeoutMs / pollMs); left > 0; left -= 1) {
    if (test()) return true;
    await delay(pollMs);
  }
  return test();
}

/** Like `process.kill`, but a process that is already gone is not an error. */
export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
