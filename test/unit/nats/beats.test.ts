import { expect, it } from 'vitest';
import type { Beat } from '../../../cluster/types.js';
import { decodeValue } from '../../../replication/batch.js';
import { beatMessages } from '../../../src/nats/beats.js';
import { nodeInfo, reportOf } from '../cluster/support.js';

const info = nodeInfo('n0');
const reports = Array.from({ length: 100 }, (_, i) => ({
  ...reportOf(0, 'active'),
  group: `g${i}`,
}));
const decoded = (messages: readonly Uint8Array[]) =>
  messages.map((bytes) => decodeValue(bytes) as Beat);

it('a beat that fits is one message, also without reports', () => {
  expect(decoded(beatMessages({ info, reports }))).toEqual([{ info, reports }]);
  expect(decoded(beatMessages({ info, reports: [] }))).toEqual([{ info, reports: [] }]);
});

it('one that does not is several that do, with all reports in order', () => {
  const messages = beatMessages({ info, reports }, 4096);
  expect(messages.length).toBeGreaterThan(1);
  for (const bytes of messages) expect(bytes.length).toBeLessThanOrEqual(4096);
  const parts = decoded(messages);
  expect(parts.flatMap((part) => part.reports)).toEqual(reports);
  for (const part of parts) expect(part.info).toEqual(info);
});

it('a report with an endless error is cut, and the others are not', () => {
  const [first, second] = reports as [Beat['reports'][number], Beat['reports'][number]];
  const wordy = { ...first, error: 'x'.repeat(100_000) };
  const parts = decoded(beatMessages({ info, reports: [wordy, second] }, 4096));
  expect(parts.map((part) => part.reports)).toEqual([
    [{ ...first, error: 'x'.repeat(1024) }],
    [second],
  ]);
});
