import type { Writable } from 'node:stream';
import progressBars from 'cli-progress';
import { isTerminal } from './io.js';

export interface Progress {
  add(lines: number, sizeBytes: number): void;
  /** Makes room for a line of text. */
  clear(): string;
  /** `complete`: the end was reached. */
  stop(complete: boolean): void;
}

const silent: Progress = { add: () => undefined, clear: () => '', stop: () => undefined };

/** A bar on a terminal, nothing elsewhere. `totalBytes` `null`: the end is not known. */
export function showProgress(stream: Writable, totalBytes: number | null): Progress {
  if (!isTerminal(stream)) return silent;
  const known = '{bar} {percentage}% | {lines} lines | {rate} lines/s | {eta_formatted} left';
  const format = totalBytes === null ? '{lines} lines | {rate} lines/s' : known;
  const bar = new progressBars.SingleBar({ stream, format, hideCursor: true, etaBuffer: 50 });
  const startMs = performance.now();
  const total = totalBytes ?? 0;
  let lines = 0;
  let sizeBytes = 0;
  bar.start(total, 0, { lines, rate: 0 });
  return {
    add: (moreLines, moreBytes) => {
      lines += moreLines;
      sizeBytes += moreBytes;
      const seconds = Math.max((performance.now() - startMs) / 1000, 0.001);
      bar.update(Math.min(sizeBytes, total), { lines, rate: Math.round(lines / seconds) });
    },
    clear: () => '\r\x1b[K',
    stop: (complete) => {
      if (complete) bar.update(total);
      bar.stop();
    },
  };
}
