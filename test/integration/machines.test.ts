/** The orders of the example, while the nodes that run them are killed in the middle. */
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { resolve } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { startCluster } from '../support/cluster.js';
import { until } from '../support/until.js';

interface Asked {
  readonly what: string;
  readonly id: string;
  readonly order: string;
  readonly answer: (value: unknown) => void;
}

/** What the shop works with: it answers when the test wants it to. */
async function startPartners() {
  const asked: Asked[] = [];
  const server = createServer((request, response: ServerResponse) => {
    const chunks: Uint8Array[] = [];
    request.on('data', (chunk: Uint8Array) => chunks.push(chunk));
    request.on('end', () => {
      const { order } = JSON.parse(Buffer.concat(chunks).toString()) as { order: string };
      const answer = (value: unknown) => void response.end(JSON.stringify(value));
      const id = String(request.headers['idempotency-key']);
      asked.push({ what: request.url?.slice(1) ?? '', id, order, answer });
    });
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const requests = (what: string, order: string) =>
    asked.filter((each) => each.what === what && each.order === order);
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    /** The n-th request of an order, once it has come. */
    nth: (what: string, order: string, n: number) =>
      until(`${order} asks to ${what} ${n} times`, () => requests(what, order)[n - 1]),
  };
}

test('orders go on where they were when the active is killed with SIGKILL in the middle', async () => {
  const partners = await startPartners();
  const cluster = await startCluster({
    env: {
      UNDERSTUDY_KINDS: resolve('examples/orders.mjs'),
      ORDERS_PARTNERS: partners.url,
      ORDERS_PAYMENT_MS: '8000',
    },
  });
  const before = await cluster.createGroup({ name: 'shop', kind: 'orders' });
  const shop = (await cluster.client()).group('shop');
  const place = (order: string) =>
    shop.deliver({ type: 'place', order, amount: 10, to: 'Ada' }, { key: `place ${order}` });
  const pay = (order: string) => shop.deliver({ type: 'pay', order, amount: 10 });
  for (const order of ['paid', 'done', 'back', 'never']) await place(order);
  await expect(place('done')).resolves.toMatchObject({ duplicate: true });
  await expect(
    shop.deliver({ type: 'place', order: 'done', amount: 10, to: 'Bob' }),
  ).rejects.toMatchObject({ rejectionCode: 'machine-exists' });

  for (const order of ['paid', 'done', 'back']) await pay(order);
  await expect(pay('done')).rejects.toMatchObject({ rejectionCode: 'machine-state' });
  (await partners.nth('ship', 'done', 1)).answer({ reference: 'parcel 1' });
  await shop.machines.awaitInactive('done', ({ state }) => state === 'shipped');
  (await partners.nth('ship', 'back', 1)).answer({ refused: 'too far' });
  await partners.nth('refund', 'back', 1);
  const late = await partners.nth('ship', 'paid', 1);

  const ends = ['paid', 'back', 'never'].map((order) =>
    shop.machines.awaitInactive(order, ({ isFinal }) => isFinal),
  );
  await cluster.activeOf(before).kill();
  late.answer({ reference: 'for nobody' });

  // The new active asks again, under the same ids.
  const again = await partners.nth('ship', 'paid', 2);
  expect(again.id).toBe(late.id);
  again.answer({ reference: 'parcel 2' });
  (await partners.nth('refund', 'back', 2)).answer({ reference: 'money' });
  const [paid, back, never] = await Promise.all(ends);
  expect(paid).toMatchObject({ state: 'shipped', step: 2, data: { shipped: 'parcel 2' } });
  expect(back).toMatchObject({ state: 'refunded', step: 3, data: { reason: 'too far' } });
  expect(never).toMatchObject({ state: 'expired', step: 1 });

  expect(partners.requests('ship', 'done')).toHaveLength(1);
  const { value } = await shop.query('totals');
  expect(value).toEqual({ placed: 4, shipped: 2, expired: 1, refunded: 1, balance: 20 });
  const { value: operations } = await shop.query('machines.operations');
  expect(operations).toEqual([]);
  const { value: rows } = await shop.query('machines.inactive', { operation: 'paid' });
  expect(rows).toMatchObject([
    { step: 0, state: 'waiting', fired: 'paid', isFinal: false },
    { step: 1, state: 'shipping', fired: 'delivered', output: { reference: 'parcel 2' } },
    { step: 2, state: 'shipped', fired: null, isFinal: true },
  ]);
});
