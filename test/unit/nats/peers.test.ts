import type { Msg, NatsConnection, SubscriptionOptions } from 'nats';
import { expect, it } from 'vitest';
import type { Fetched } from '../../../replication/ports.js';
import { packChunk } from '../../../src/nats/chunk-codec.js';
import { askPeer, servePeers } from '../../../src/nats/peers.js';
import type { OnReply, Reply } from '../../../src/nats/requests.js';
import { namesFor } from '../../../src/nats/subjects.js';
import { lost, message, noResponders } from './fake-replies.js';

const names = namesFor('u');
const hash = Uint8Array.of(1, 2, 3);
const bytes = Uint8Array.of(9, 8, 7);

type Read = (hash: Uint8Array) => Promise<Uint8Array | null>;

/** A node that serves, and one that asks it, over a wire without delay. */
function set(getPacked: Read, isClosed = false) {
  const subscribed = new Map<string, NonNullable<SubscriptionOptions['callback']>>();
  const connection = {
    subscribe: (subject: string, options: SubscriptionOptions = {}) => {
      if (options.callback) subscribed.set(subject, options.callback);
      return { unsubscribe: () => subscribed.delete(subject) };
    },
  } as unknown as NatsConnection;
  const stop = servePeers(connection, names, 'n1', { getPacked });
  const send = (subject: string, data: Uint8Array | string, onReply: OnReply) => {
    const serve = subscribed.get(subject);
    const request = {
      data,
      respond: (answer: Uint8Array) => {
        if (isClosed) throw new Error('closed');
        onReply(message(answer));
        return true;
      },
    };
    setImmediate(
      () => void (serve ? serve(null, request as unknown as Msg) : onReply(noResponders)),
    );
  };
  const ask = (node = 'n1') =>
    new Promise<Fetched>((done) => askPeer({ send }, names)(node, hash, done));
  return { ask, stop, subscribed };
}

it('hands a chunk over as it is kept, to whoever asks for its hash', async () => {
  const asked: Uint8Array[] = [];
  const { ask } = set((one) => {
    asked.push(one);
    return packChunk(bytes);
  });
  expect(await ask()).toEqual({ kind: 'chunk', bytes });
  expect(asked).toEqual([hash]);
});

it('says that it does not have a chunk, and nothing once it has stopped', async () => {
  const { ask, stop, subscribed } = set(() => Promise.resolve(null));
  expect(await ask()).toEqual({ kind: 'none' });
  expect([...subscribed.keys()]).toEqual(['u.node.n1.chunk']);
  stop();
  expect(await ask()).toEqual({ kind: 'failed', reason: expect.stringContaining('n1') });
});

it('reads for sixteen at once, and sends the others away', async () => {
  const reads: ((packed: Uint8Array) => void)[] = [];
  const { ask } = set(() => new Promise((done) => reads.push(done)));
  const answers = Array.from({ length: 20 }, () => ask());
  const away = await Promise.all(answers.slice(16));
  expect(away).toEqual(Array(4).fill({ kind: 'failed', reason: expect.stringContaining('busy') }));
  expect(reads).toHaveLength(16);
  const packed = await packChunk(bytes);
  for (const done of reads) done(packed);
  expect(await Promise.all(answers.slice(0, 16))).toEqual(Array(16).fill({ kind: 'chunk', bytes }));
  const again = ask();
  while (reads.length < 17) await new Promise((done) => setImmediate(done));
  reads[16]?.(packed);
  expect(await again).toEqual({ kind: 'chunk', bytes });
});

it('does not mind that the connection was closed while it read', async () => {
  const packed = packChunk(bytes);
  const { ask } = set(() => packed, true);
  let isAnswered = false;
  void ask().then(() => {
    isAnswered = true;
  });
  await packed;
  for (let turns = 0; turns < 5; turns++) await new Promise((done) => setImmediate(done));
  expect(isAnswered).toBe(false);
});

it.each<[string, Reply]>([
  ['silence', lost],
  ['nobody there', noResponders],
])('fails on %s', async (_name, reply) => {
  const send = (_subject: string, _data: Uint8Array | string, onReply: OnReply) =>
    void setImmediate(() => void onReply(reply));
  const result = await new Promise<Fetched>((done) => askPeer({ send }, names)('n2', hash, done));
  expect(result.kind).toBe('failed');
});
