import type { Writable } from 'node:stream';
import progressBars from 'cli-progress';
import type { MemberDocument } from '../../cluster/documents.js';
import { movingText } from '../../cluster/sizes.js';
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

export interface SyncBars {
  /** Draws a bar for each of these that is fetching a snapshot. */
  show(members: readonly MemberDocument[]): void;
  /** A line above the bars. */
  note(text: string): void;
  /** Nothing of the bars is left. */
  stop(): void;
}

/** For a terminal. Nothing to undo: whoever is interrupted leaves it as it was. */
export function showSyncs(stream: Writable): SyncBars {
  const format = 'member {index} [{bar}] {percentage}% {moving}';
  const multi = new progressBars.MultiBar({
    stream,
    format,
    barsize: 16,
    linewrap: true,
    // Notes and bars that go shift what was drawn.
    forceRedraw: true,
    emptyOnZero: true,
    clearOnComplete: true,
  });
  const bars = new Map<number, progressBars.SingleBar>();
  return {
    show: (members) => {
      for (const { index, sync } of members) {
        const bar = bars.get(index);
        if (sync === null) {
          if (bar !== undefined) multi.remove(bar);
          bars.delete(index);
          continue;
        }
        const { doneSizeBytes: done, knownSizeBytes: known } = sync;
        const payload = { index, moving: movingText(sync) };
        bar?.setTotal(known);
        bar?.update(done, payload);
        if (bar === undefined) bars.set(index, multi.create(known, done, payload));
      }
      if (multi.isActive) multi.update();
    },
    note: (text) => {
      if (multi.isActive) multi.log(`${text}\n`);
      else stream.write(`${text}\n`);
    },
    stop: () => {
      if (!multi.isActive) return;
      multi.update();
      multi.stop();
    },
  };
}
