import { closeSync, openSync, readSync, statSync } from 'node:fs';

const tailSizeBytes = 8192;
const tailLines = 15;

/** Size in bytes of a log file; 0 if there is none yet. */
export function logSize(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/** The last lines written to a log file since it had `from` bytes. */
export function logTail(path: string, from: number): string {
  const size = logSize(path);
  // A smaller file than before is a new one: the server has rotated it.
  const begin = Math.max(from <= size ? from : 0, size - tailSizeBytes);
  const bytes = Buffer.alloc(size - begin);
  if (bytes.length === 0) return '';
  const file = openSync(path, 'r');
  readSync(file, bytes, 0, bytes.length, begin);
  closeSync(file);
  return bytes.toString('utf8').trimEnd().split('\n').slice(-tailLines).join('\n');
}
