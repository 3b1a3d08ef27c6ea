/**
 * How much a sync asks for at once, and how fast it comes.
 *
 * Width: requests on the network. It grows by one whenever a round of as many chunks came faster than the
 * round before, and halves when answers stay out. That is what congestion control does at its simplest,
 * and enough here: chunks are of one size, and being off by a factor of two costs a standby seconds.
 * Chance makes it drift upwards where more does not help; the limit and the watermarks bound that.
 *
 * Watermarks: what is under way, or here and waits to be worked on, takes memory. Above any high mark
 * nothing is asked for until everything is below its low mark: the memory bound of a sync.
 */
import { limits } from '../limits.js';

const firstWidth = 4;
const leastWidth = 2;
/** Nothing is under way and nothing can be done with what is here: so many are asked for after all. */
export const relief = 4;

/** The rate that is shown goes over so many seconds, in slices of one. */
const rateSeconds = 5;

export interface Pace {
  width: number;
  /** Chunks from the network since the round began. */
  chunks: number;
  sizeBytes: number;
  roundAtMs: number;
  /** Bytes a millisecond in the last round. */
  lastRate: number;
  halvedAtMs: number;
  isPressed: boolean;
  /** Whatever came, by second, the latest last. */
  slices: { readonly second: number; sizeBytes: number }[];
}

export function newPace(): Pace {
  return {
    width: firstWidth,
    chunks: 0,
    sizeBytes: 0,
    roundAtMs: 0,
    lastRate: 0,
    halvedAtMs: Number.NEGATIVE_INFINITY,
    isPressed: false,
    slices: [],
  };
}

function newRound(pace: Pace, lastRate: number, nowMs: number): void {
  pace.chunks = 0;
  pace.sizeBytes = 0;
  pace.roundAtMs = nowMs;
  pace.lastRate = lastRate;
}

/** A chunk came over the network. */
export function quicken(pace: Pace, sizeBytes: number, nowMs: number): void {
  pace.chunks += 1;
  pace.sizeBytes += sizeBytes;
  if (pace.chunks < pace.width) return;
  const rate = pace.sizeBytes / Math.max(1, nowMs - pace.roundAtMs);
  if (rate > pace.lastRate) pace.width = Math.min(limits.syncRequests, pace.width + 1);
  newRound(pace, rate, nowMs);
}

/** A request over the network got no answer in time. All that were under way then count once. */
export function slow(pace: Pace, sentAtMs: number, nowMs: number): void {
  if (sentAtMs <= pace.halvedAtMs) return;
  pace.halvedAtMs = nowMs;
  pace.width = Math.max(leastWidth, Math.floor(pace.width / 2));
  newRound(pace, 0, nowMs);
}

/** What there is now, with room for one more chunk; tells whether nothing more is to be asked for. */
export function press(pace: Pace, sizeBytes: number, chunks: number): boolean {
  const isHigh =
    sizeBytes + limits.chunkSizeBytes > limits.syncHighSizeBytes || chunks >= limits.syncHighChunks;
  const isLow = sizeBytes < limits.syncLowSizeBytes && chunks < limits.syncLowChunks;
  if (isHigh) pace.isPressed = true;
  else if (isLow) pace.isPressed = false;
  return pace.isPressed;
}

export function meter({ slices }: Pace, sizeBytes: number, nowMs: number): void {
  const second = Math.floor(nowMs / 1000);
  const last = slices.at(-1);
  if (last?.second === second) last.sizeBytes += sizeBytes;
  else slices.push({ second, sizeBytes });
  if (slices.length > rateSeconds) slices.shift();
}

/** Bytes a second, over the last few. */
export function rateOf({ slices }: Pace, sinceMs: number, nowMs: number): number {
  const fromSecond = Math.max(Math.floor(nowMs / 1000) - rateSeconds + 1, 0);
  const recent = slices.filter(({ second }) => second >= fromSecond);
  const sizeBytes = recent.reduce((sum, slice) => sum + slice.sizeBytes, 0);
  const tookMs = nowMs - Math.max(sinceMs, fromSecond * 1000);
  return sizeBytes / Math.max(1, tookMs / 1000);
}
