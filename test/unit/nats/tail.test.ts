import { headers, type Msg, type NatsConnection, type SubscriptionOptions } from 'nats';
import { expect, it } from 'vitest';
import type { TailedRecord } from '../../../replication/ports.js';
import { republished, tail } from '../../../src/nats/tail.js';

const subject = 'u.log.0.hot.g';

function message(fields: Readonly<Record<string, string>>, text = 'x'): Msg {
  const made = headers();
  for (const [name, value] of Object.entries(fields)) made.append(name, value);
  return { data: new TextEncoder().encode(text), headers: made } as Msg;
}

const stored = (at: number | string, of = subject) =>
  message(
    { 'Nats-Subject': of, 'Nats-Sequence': String(at), 'Nats-Last-Sequence': '3' },
    `record ${at}`,
  );

/** What arrives on a subscription of `tail`, and what reaches its sink. */
function set(sink?: (record: TailedRecord) => void) {
  const seen: number[] = [];
  const subscribed: string[] = [];
  let receive: NonNullable<SubscriptionOptions['callback']> = () => undefined;
  const connection = {
    isClosed: () => false,
    subscribe: (to: string, options: SubscriptionOptions = {}) => {
      subscribed.push(to);
      receive = options.callback ?? receive;
      return { unsubscribe: () => void subscribed.pop() };
    },
  } as unknown as NatsConnection;
  const note = (record: TailedRecord) => void seen.push(record.position);
  const stop = tail({ connection, subject, tailSubject: 'u.tail.0.g', sink: sink ?? note });
  return { seen, subscribed, stop, send: (each: Msg) => void receive(null, each), receive };
}

it('takes position and bytes from what the broker published again', () => {
  const record = republished(stored(7), subject);
  expect(record).toMatchObject({ position: 7, previous: 3 });
  expect(new TextDecoder().decode(record?.bytes)).toBe('record 7');
});

it.each<[string, Msg]>([
  ['of another group', stored(7, 'u.log.0.hot.other')],
  ['of a group of the same id that is warm', stored(7, 'u.log.0.g')],
  ['without headers', { data: new Uint8Array(0) } as Msg],
  ['without a position', message({ 'Nats-Subject': subject, 'Nats-Last-Sequence': '3' })],
  ['without the one before', message({ 'Nats-Subject': subject, 'Nats-Sequence': '7' })],
  ['without a subject', message({ 'Nats-Sequence': '7' })],
  ...['', '0', '-1', '1.5', '7x', '1e3', '9007199254740993'].map((at): [string, Msg] => [
    `at position "${at}"`,
    stored(at),
  ]),
])('drops a message %s', (_name, each) => {
  expect(republished(each, subject)).toBeNull();
});

it('believes the broker, whose headers follow those of the writer', () => {
  const forged = message({ 'Nats-Sequence': '999', 'Nats-Subject': 'forged' });
  forged.headers?.append('Nats-Subject', subject);
  forged.headers?.append('Nats-Sequence', '7');
  forged.headers?.append('Nats-Last-Sequence', '3');
  expect(republished(forged, subject)?.position).toBe(7);
});

it('hands over each record once, and never one that comes after a later one', () => {
  const { seen, subscribed, send } = set();
  for (const at of [3, 5, 5, 4, 9, 3, 10]) send(stored(at));
  expect(subscribed).toEqual(['u.tail.0.g']);
  expect(seen).toEqual([3, 5, 9, 10]);
});

it('is silent once it was stopped, whatever is still on its way', () => {
  const { seen, subscribed, send, stop } = set();
  send(stored(1));
  stop();
  send(stored(2));
  expect(seen).toEqual([1]);
  expect(subscribed).toEqual([]);
});

it('says nothing about errors of its subscription', () => {
  const { seen, receive } = set();
  void receive(new Error('permissions violation'), stored(1));
  expect(seen).toEqual([]);
});

it('leaves a connection alone that is closed already', () => {
  const connection = { isClosed: () => true } as NatsConnection;
  const options = { connection, subject, tailSubject: 't', sink: () => undefined };
  expect(tail(options)).not.toThrow();
});
