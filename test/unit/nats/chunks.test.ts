import type { MsgHdrs } from 'nats';
import { expect, it } from 'vitest';
import type { ChunkStore, Fetched } from '../../../replication/ports.js';
import { packChunk } from '../../../src/nats/chunk-codec.js';
import { natsChunks } from '../../../src/nats/chunks.js';
import { decodePin } from '../../../src/nats/pins.js';
import type { OnReply, Reply } from '../../../src/nats/requests.js';
import { namesFor } from '../../../src/nats/subjects.js';
import { answered, lost, message, noResponders, status } from './fake-replies.js';

interface Sent {
  readonly subject: string;
  readonly payload: Uint8Array | string;
  readonly headers: MsgHdrs | null;
}

/** A broker that says what is prepared for a kind of request, in turn, the last of it for ever. */
function set(
  prepared: { readonly [Kind in 'open' | 'info' | 'whole' | 'chunk' | 'get']?: Reply[] },
) {
  const sent: Sent[] = [];
  const send = (
    subject: string,
    payload: Uint8Array | string,
    onReply: OnReply,
    headers: MsgHdrs | null = null,
  ) => {
    sent.push({ subject, payload, headers });
    const kind = subject.includes('STREAM.INFO')
      ? 'info'
      : subject.includes('DIRECT.GET')
        ? 'get'
        : subject.includes('.chunk.')
          ? 'chunk'
          : (subject.split('.').at(-1) as 'open' | 'whole');
    const replies = prepared[kind] ?? [];
    const reply = replies.length > 1 ? replies.shift() : replies[0];
    setImmediate(() => void onReply(reply ?? answered({ stream: 's', seq: 1 })));
  };
  const store = natsChunks({ bulk: { send }, names: namesFor('u'), groupId: 'g' });
  return { store, sent };
}

const stored = (seq: number) => answered({ stream: 's', seq });
const info = (last: number, ...subjects: readonly string[]) =>
  answered({
    state: { last_seq: last, subjects: Object.fromEntries(subjects.map((one) => [one, 1])) },
    total: subjects.length,
  });
const announce = (store: ChunkStore, id = '1-2-3') =>
  new Promise((done) => store.announce(id, [Uint8Array.of(7)], done));
const pin = (store: ChunkStore, id = '1-2-3') =>
  new Promise((done) => store.pin(id, [Uint8Array.of(8)], done));
const get = (store: ChunkStore) =>
  new Promise<Fetched>((done) => store.get(Uint8Array.of(0xab, 1), done));

it('takes the pins only from a state that has the announcement', async () => {
  const old = info(8, 'u.pin.g.1-1-1.whole', 'u.pin.g.1-0-0.whole');
  const { store } = set({ open: [stored(9)], info: [old, lost, info(9, 'u.pin.g.1-1-1.whole')] });
  expect(await announce(store)).toEqual({ standing: ['1-1-1'] });
  const behind = set({ open: [stored(9)], info: [old] });
  expect(await announce(behind.store)).toEqual({
    failure: expect.stringContaining('does not have the announcement yet'),
  });
});

it.each<[string, Reply]>([
  ['lost', lost],
  ['without responders', noResponders],
  ['refused', answered({ error: { code: 400, err_code: 10047, description: 'full' } })],
])('says so when the announcement is %s, and pins nothing', async (_name, reply) => {
  const { store, sent } = set({ open: [reply] });
  expect(await announce(store)).toEqual({ failure: expect.stringContaining('1-2-3') });
  expect(await pin(store)).toEqual(expect.stringContaining('was not announced'));
  expect(sent).toHaveLength(1);
});

it('pins on the condition that its announcement stands, and removes only that one', async () => {
  const { store, sent } = set({ open: [stored(9)], info: [info(9)], whole: [lost, stored(12)] });
  await announce(store);
  expect(await pin(store)).toEqual(expect.stringContaining('is not pinned'));
  expect(await pin(store)).toBeNull();
  const [first, second, purge] = sent.slice(2);
  for (const each of [first, second]) {
    expect(each?.subject).toBe('u.pin.g.1-2-3.whole');
    expect(each?.headers?.get('Nats-Expected-Last-Subject-Sequence')).toBe('9');
    expect(each?.headers?.get('Nats-Expected-Last-Subject-Sequence-Subject')).toBe(
      'u.pin.g.1-2-3.open',
    );
  }
  expect(JSON.parse(purge?.payload as string)).toEqual({ filter: 'u.pin.g.1-2-3.open', seq: 10 });
  expect(await pin(store)).toEqual(expect.stringContaining('was not announced'));
});

it('retires before it removes, and removes nothing that is stored later', async () => {
  const there = ['u.pin.g.1-1-1.open', 'u.pin.g.1-1-1.whole', 'u.pin.g.1-2-3.whole'];
  const { store, sent } = set({ info: [info(50, ...there)], open: [stored(60)] });
  store.dropBefore('1-2-3');
  while (sent.length < 3) await new Promise((done) => setImmediate(done));
  expect(sent.map(({ subject }) => subject)).toEqual([
    '$JS.API.STREAM.INFO.u_snapshots',
    'u.pin.g.1-1-1.open',
    '$JS.API.STREAM.PURGE.u_snapshots',
  ]);
  expect(decodePin(sent[1]?.payload as Uint8Array)).toEqual({ kind: 'retired', chunks: [] });
  expect(JSON.parse(sent[2]?.payload as string)).toEqual({ filter: 'u.pin.g.1-1-1.*', seq: 61 });
});

it('puts without a condition, so that the chunk takes a new place', async () => {
  const { store, sent } = set({ chunk: [stored(4)] });
  const failure = await new Promise((done) =>
    store.put(Uint8Array.of(0xab, 1), Uint8Array.of(5), done),
  );
  expect(failure).toBeNull();
  expect(sent).toEqual([{ subject: 'u.chunk.ab01', payload: Uint8Array.of(0, 5), headers: null }]);
});

it('asks again for a chunk that a replica does not have yet, and then believes it', async () => {
  const none = status(404, 'Message Not Found');
  const packed = await packChunk(Uint8Array.of(1, 2));
  const late = set({ get: [none, lost, none, message(packed)] });
  expect(await get(late.store)).toEqual({ kind: 'chunk', bytes: Uint8Array.of(1, 2) });
  expect(late.sent[0]?.subject).toBe('$JS.API.DIRECT.GET.u_snapshots.u.chunk.ab01');
  expect(await get(set({ get: [none] }).store)).toEqual({ kind: 'none' });
  expect(await get(set({ get: [noResponders] }).store)).toMatchObject({ kind: 'failed' });
  const odd = Uint8Array.of(9, 9);
  expect(await get(set({ get: [message(odd)] }).store)).toEqual({ kind: 'chunk', bytes: odd });
});
