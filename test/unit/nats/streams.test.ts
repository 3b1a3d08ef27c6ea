import type { StreamConfig } from '@nats-io/jetstream';
import { expect, it } from 'vitest';
import { verify, wantedStreams } from '../../../src/nats/streams.js';
import { namesFor } from '../../../src/nats/subjects.js';

const names = namesFor('u');
const wanted = wantedStreams({ namespace: 'u', names, shards: 2, replicas: 3 });
const [log0, log1, ...others] = wanted;
const existing = { ...log1 } as StreamConfig;

it('gives a warm and a hot group of one id subjects of their own', () => {
  expect(names.log(1, 'abc', 'warm')).toBe('u.log.1.abc');
  expect(names.log(1, 'abc', 'hot')).toBe('u.log.1.hot.abc');
  expect(names.tail(1, 'abc')).toBe('u.tail.1.abc');
});

it('takes both into the stream of the shard, and publishes only the hot ones again', () => {
  expect(log1?.subjects).toEqual(['u.log.1.*', 'u.log.1.hot.*']);
  expect(log1?.republish).toEqual({ src: 'u.log.1.hot.*', dest: 'u.tail.1.{{wildcard(1)}}' });
  expect(log0?.republish).toEqual({ src: 'u.log.0.hot.*', dest: 'u.tail.0.{{wildcard(1)}}' });
  expect(others.map(({ republish }) => republish)).toEqual([undefined, undefined, undefined]);
});

it('keeps one message for each chunk and pin, and refuses what does not fit', () => {
  expect(names.chunk('ab12')).toBe('u.chunk.ab12');
  expect(names.pin('abc', '1-2-3', 'open')).toBe('u.pin.abc.1-2-3.open');
  expect(others[0]).toMatchObject({
    name: 'u_snapshots',
    subjects: ['u.chunk.*', 'u.pin.>'],
    max_msgs_per_subject: 1,
    discard: 'new',
    allow_direct: true,
    metadata: { 'understudy.format': '3' },
  });
});

it('accepts what it would create', () => {
  if (log1 === undefined) throw new Error('no second log');
  expect(() => verify(log1, existing)).not.toThrow();
});

it.each<[string, { readonly [Setting in keyof StreamConfig]?: unknown }]>([
  ['publishes nothing again', { republish: undefined }],
  ['publishes warm groups again', { republish: { src: 'u.log.1.>', dest: 'u.tail.1.>' } }],
  [
    'publishes headers only',
    {
      republish: { src: 'u.log.1.hot.*', dest: 'u.tail.1.{{wildcard(1)}}', headers_only: true },
    },
  ],
  ['takes no hot groups', { subjects: ['u.log.1.*'] }],
  ['is of the first format', { metadata: { ...log1?.metadata, 'understudy.format': '1' } }],
])('refuses a log that %s', (_name, change) => {
  if (log1 === undefined) throw new Error('no second log');
  const actual = { ...existing, ...change } as Partial<StreamConfig>;
  expect(() => verify(log1, actual)).toThrow(/is .* but must be /);
});
