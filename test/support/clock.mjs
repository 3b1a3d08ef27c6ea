/**
 * Sets the wall clock of a process off: `node --import <this file>` with `UNDERSTUDY_TEST_CLOCK=FILE`. The file
 * holds milliseconds, may change at any time, and no file means none. What measures time that passes
 * goes on as before, as it does when somebody sets a real clock.
 */
import { readFileSync } from 'node:fs';

const file = process.env.UNDERSTUDY_TEST_CLOCK;
const readEveryMs = 20;
const RealDate = Date;
let offsetMs = 0;
let readAtMs = Number.NEGATIVE_INFINITY;

function now() {
  const atMs = performance.now();
  if (file !== undefined && atMs - readAtMs >= readEveryMs) {
    readAtMs = atMs;
    offsetMs = read(file);
  }
  return RealDate.now() + offsetMs;
}

function read(path) {
  try {
    return Number(readFileSync(path, 'utf8')) || 0;
  } catch {
    return 0;
  }
}

globalThis.Date = class OffsetDate extends RealDate {
  constructor(...parts) {
    if (parts.length === 0) super(now());
    else super(...parts);
  }

  static now() {
    return now();
  }
};
