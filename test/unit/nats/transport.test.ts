import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { TLSSocket } from 'node:tls';
import type { NatsConnection } from 'nats';
import { afterEach, expect, it } from 'vitest';
import { connect } from '../../../src/nats/transport.js';

const pem = (name: string) => readFileSync(join(import.meta.dirname, 'fixtures', name));
const closing: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** Says what a broker says first, and answers pings; returns its port. */
async function serve(info: object, upgrade: (socket: Socket) => Socket = (socket) => socket) {
  const sockets: Socket[] = [];
  const server = createServer((plain) => {
    sockets.push(plain);
    plain.on('error', () => undefined);
    plain.write(
      `INFO ${JSON.stringify({ version: '2.14.0', proto: 1, headers: true, max_payload: 1024, ...info })}\r\n`,
    );
    const socket = upgrade(plain);
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      const text = data.toString();
      if (text.includes('PING')) socket.write('PONG\r\n');
      if (text.includes('SUB')) socket.write(`MSG a 1 ${body.length}\r\n${body}\r\n`);
    });
  });
  await new Promise<void>((done) => void server.listen(0, '127.0.0.1', done));
  closing.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** Longer than what is read at once. */
const body = 'x'.repeat(100_000);

function firstMessage(connection: NatsConnection): Promise<Uint8Array> {
  closing.push(() => connection.close());
  return new Promise((done) => {
    connection.subscribe('a', { callback: (_error, { data }) => done(data) });
  });
}

it('hands over a large message in memory of its own', async () => {
  const port = await serve({});
  const data = await firstMessage(await connect({ servers: `127.0.0.1:${port}` }));
  expect(Buffer.from(data).toString()).toBe(body);
  expect(data.buffer.byteLength).toBe(`MSG a 1 ${body.length}\r\n${body}\r\n`.length);
});

it('connects anew, and reads as the library does, where the broker wants encryption', async () => {
  const secure = { isServer: true, key: pem('key.pem'), cert: pem('cert.pem') };
  const port = await serve({ tls_required: true }, (plain) => new TLSSocket(plain, secure));
  const connection = await connect({
    servers: `localhost:${port}`,
    tls: { ca: pem('cert.pem').toString() },
  });
  expect(Buffer.from(await firstMessage(connection)).toString()).toBe(body);
});

it('refuses what does not speak like a broker', async () => {
  const server = createServer((socket) => void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  await new Promise<void>((done) => void server.listen(0, '127.0.0.1', done));
  closing.push(() => server.close());
  const { port } = server.address() as AddressInfo;
  const given = connect({ servers: `127.0.0.1:${port}`, reconnect: false, timeout: 5000 });
  await expect(given).rejects.toThrow();
});
