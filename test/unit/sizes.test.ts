import { expect, test } from 'vitest';
import { movingText, percentOf, secondsText, sizeText } from '../../cluster/sizes.js';

const [mib, gib] = [2 ** 20, 2 ** 30];

test.each([
  [0, '0 bytes'],
  [1023, '1023 bytes'],
  [1023.7, '1.0 KiB'],
  [1024, '1.0 KiB'],
  [9.94 * 1024, '9.9 KiB'],
  [9.96 * 1024, '10 KiB'],
  [412 * mib, '412 MiB'],
  [1023.6 * mib, '1.0 GiB'],
  [4000 * gib, '3.9 TiB'],
  [5000 * 1024 * gib, '5000 TiB'],
])('%d bytes are %s', (sizeBytes, text) => {
  expect(sizeText(sizeBytes)).toBe(text);
});

test.each([
  [0, '0 s'],
  [59, '59 s'],
  [60, '1 min 0 s'],
  [3599, '59 min 59 s'],
  [7320, '2 h 2 min'],
])('%d seconds are %s', (seconds, text) => {
  expect(secondsText(seconds)).toBe(text);
});

test('a fetch tells of its time only if it moves', () => {
  const moving = { doneSizeBytes: 412 * mib, knownSizeBytes: gib, bytesPerSecond: 210 * mib };
  expect(movingText({ ...moving, secondsLeft: 3 })).toBe('412 MiB of 1.0 GiB, 210 MiB/s, 3 s left');
  const stuck = { ...moving, bytesPerSecond: 0, secondsLeft: null };
  expect(movingText(stuck)).toBe('412 MiB of 1.0 GiB, 0 bytes/s');
});

test.each([
  [0, 0, 0],
  [999, 1000, 99],
  [1000, 1000, 100],
])('%d of %d bytes are %d%%', (doneSizeBytes, knownSizeBytes, percent) => {
  const pace = { bytesPerSecond: 0, secondsLeft: null };
  expect(percentOf({ doneSizeBytes, knownSizeBytes, ...pace })).toBe(percent);
});
