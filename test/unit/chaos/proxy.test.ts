import { once } from 'node:events';
import {
  type AddressInfo,
  createConnection,
  createServer,
  type Server,
  type Socket,
} from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { FaultProxy } from '../../../src/chaos/proxy/proxy.js';
import { reset } from '../../../src/chaos/proxy/way.js';
import { until } from '../../support/until.js';

let echo: Server;
let proxy: FaultProxy;
const sockets: Socket[] = [];

beforeEach(async () => {
  echo = createServer((socket) => socket.on('error', () => undefined).pipe(socket));
  await new Promise<void>((done) => echo.listen(0, '127.0.0.1', done));
  proxy = await FaultProxy.start((echo.address() as AddressInfo).port);
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await proxy.close();
  await new Promise((done) => echo.close(done));
});

class Caller {
  received = Buffer.alloc(0);
  readonly ended: Promise<unknown>;
  readonly socket: Socket;

  constructor({ url } = proxy) {
    this.socket = createConnection({ host: '127.0.0.1', port: Number(new URL(url).port) });
    sockets.push(this.socket);
    this.socket.on('data', (bytes) => {
      this.received = Buffer.concat([this.received, bytes]);
    });
    this.socket.on('error', () => undefined);
    this.ended = new Promise((done) => this.socket.once('close', done));
  }

  /** Sends it, and resolves with the milliseconds until all of it is back. */
  async echoed(bytes: Buffer): Promise<number> {
    const fromMs = performance.now();
    this.socket.write(bytes);
    await until('all is back', () => this.received.length >= bytes.length);
    expect(this.received.equals(bytes)).toBe(true);
    this.received = Buffer.alloc(0);
    return performance.now() - fromMs;
  }
}

const noise = (sizeBytes: number) =>
  Buffer.from(Array.from({ length: sizeBytes }, (_, i) => (i * 31 + (i >> 8)) & 255));

it('passes everything on, whatever its size, and counts what comes back', async () => {
  const caller = new Caller();
  await caller.echoed(noise(3_000_000));
  expect(proxy.downSizeBytes).toBe(3_000_000);
});

it('takes as long as its rate and its delay say, until they are lifted', async () => {
  const caller = new Caller();
  proxy.charge({ bytesPerSecond: 1_000_000 });
  // The last piece is let through when those before it have taken their time.
  expect(await caller.echoed(noise(400_000))).toBeGreaterThan(250);
  proxy.charge({ delayMs: 100 });
  expect(await caller.echoed(noise(10))).toBeGreaterThan(190);
  proxy.charge({ bytesPerSecond: 1 });
  caller.socket.write(noise(1000));
  await until('the first is back', () => caller.received.length === 1000);
  caller.socket.write(noise(1000));
  proxy.charge();
  await until('the second is back, too', () => caller.received.length === 2000);
});

it('hangs while it is paused, also for those who come then', async () => {
  const before = new Caller();
  await before.echoed(noise(10));
  proxy.pause();
  const during = new Caller();
  await once(during.socket, 'connect');
  before.socket.write(noise(20));
  during.socket.write(noise(30));
  const free = await FaultProxy.start((echo.address() as AddressInfo).port);
  await new Caller(free).echoed(noise(1_000_000));
  await free.close();
  expect([before.received.length, during.received.length]).toEqual([0, 0]);
  proxy.resume();
  await until('both are answered', () => {
    return before.received.length === 20 && during.received.length === 30;
  });
});

it('cuts what is there, and takes who comes then', async () => {
  const before = new Caller();
  await before.echoed(noise(10));
  proxy.cut();
  await before.ended;
  await new Caller().echoed(noise(10));
});

it('ends a connection whose other end is gone, or was never there', async () => {
  const before = new Caller();
  await before.echoed(noise(10));
  before.socket.end();
  await before.ended;
  echo.close();
  await new Caller().ended;
});

it('holds one direction and not the other', async () => {
  const caller = new Caller();
  await caller.echoed(noise(10));
  proxy.pause({ direction: 'down' });
  const before = proxy.downSizeBytes;
  caller.socket.write(noise(20));
  const other = await FaultProxy.start((echo.address() as AddressInfo).port);
  await new Caller(other).echoed(noise(1_000_000));
  await other.close();
  expect([caller.received.length, proxy.downSizeBytes]).toEqual([0, before]);
  proxy.resume({ direction: 'down' });
  await until('the answer is here', () => caller.received.length === 20);
});

it('loses what passes while it drops, and then breaks what has a gap, and nothing else', async () => {
  const torn = new Caller();
  const idle = new Caller();
  await torn.echoed(noise(10));
  await idle.echoed(noise(10));
  proxy.drop({ direction: 'up' });
  torn.socket.write(noise(20));
  await until('all of it is lost', () => proxy.lostSizeBytes === 20);
  proxy.resume();
  await torn.ended;
  expect(torn.received.length).toBe(0);
  await idle.echoed(noise(30));
});

it('cuts a connection when so many bytes have passed, in the middle of what is sent', async () => {
  const caller = new Caller();
  await caller.echoed(noise(10));
  proxy.cutAfter(1500, 'down');
  caller.socket.write(noise(4000));
  await caller.ended;
  expect(caller.received.equals(noise(4000).subarray(0, 1500))).toBe(true);
  await new Caller().echoed(noise(10));
});

it('refuses whoever dials, until it is healed', async () => {
  const before = new Caller();
  await before.echoed(noise(10));
  proxy.refuse(true);
  await new Caller().ended;
  await before.echoed(noise(20));
  proxy.heal();
  await new Caller().echoed(noise(10));
});

it('leads elsewhere once it is told', async () => {
  const elsewhere = createServer((socket) => socket.end('elsewhere'));
  await new Promise<void>((done) => elsewhere.listen(0, '127.0.0.1', done));
  proxy.retarget((elsewhere.address() as AddressInfo).port);
  const caller = new Caller();
  await caller.ended;
  expect(caller.received.toString()).toBe('elsewhere');
  await new Promise((done) => elsewhere.close(done));
});

it('parts one of those who dial from the others, by what it calls itself', async () => {
  const nameIn = (first: string) => /I am (\w+)\n/.exec(first)?.[1] ?? null;
  const named = await FaultProxy.start((echo.address() as AddressInfo).port, { nameIn });
  const [one, other] = [new Caller(named), new Caller(named)];
  await one.echoed(Buffer.from('I am one\n'));
  await other.echoed(Buffer.from('I am other\n'));
  named.drop({ peer: 'one' });
  one.socket.write(noise(20));
  const late = new Caller(named);
  late.socket.write('I am one\n');
  await other.echoed(noise(100_000));
  expect([one.received.length, late.received.length]).toEqual([0, 0]);
  named.heal();
  await Promise.all([one.ended, late.ended]);
  await other.echoed(noise(10));
  await named.close();
});

it('delays by chance, and still passes in order', async () => {
  const caller = new Caller();
  proxy.charge({ jitterMs: 30 });
  const sent = Array.from({ length: 20 }, (_, i) => Buffer.from(`${i},`));
  for (const bytes of sent) {
    caller.socket.write(bytes);
    await new Promise((done) => setImmediate(done));
  }
  const all = Buffer.concat(sent);
  await until('all is back', () => caller.received.length >= all.length);
  expect(caller.received.equals(all)).toBe(true);
});

it('breaks a connection that is being shut down, and does not leave it open for ever', async () => {
  const caller = new Caller();
  await caller.echoed(noise(10));
  caller.socket.end();
  reset(caller.socket);
  await caller.ended;
});
