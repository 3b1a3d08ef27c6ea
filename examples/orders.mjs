/**
 * Orders that wait for payment, ship, time out and are refunded, for
 * `understudy dev --kinds examples/orders.mjs`. Each order is an operation with a durable machine, which goes
 * on where it was, whichever node dies.
 *
 *   waiting ─paid─▶ shipping ─delivered─▶ shipped
 *      │               │ refused, late
 *      │ expired       ▼
 *      ▼           refunding ─refunded─▶ refunded
 *   expired
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { defineKind, defineMachine } from 'understudy';
import { z } from 'zod';

/** The shop's partners: a server that carries and pays back, or, without one, an imitation of it. */
const partners = process.env.ORDERS_PARTNERS;
const paymentMs = Number(process.env.ORDERS_PAYMENT_MS ?? 15 * 60_000);
const shippingMs = Number(process.env.ORDERS_SHIPPING_MS ?? 60_000);

/** What is asked twice under the same id is done once: a trigger may run again after a failover. */
async function ask(what, { id, operation, data, signal }) {
  const request = { order: operation, ...data };
  if (partners === undefined) return await imitate(what, request, signal);
  const response = await fetch(`${partners}/${what}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': id },
    body: JSON.stringify(request),
    signal,
  });
  if (!response.ok) throw new Error(`${what}: the partner answered ${response.status}`);
  return await response.json();
}

/** Ships within three seconds, but nothing to the moon, and loses what goes to nowhere. */
async function imitate(what, { order, to }, signal) {
  if (what === 'ship' && to === 'moon') return { refused: 'too far' };
  await sleep(what === 'ship' && to === 'nowhere' ? 3_600_000 : 3000, undefined, { signal });
  return { reference: `${what}-${order}` };
}

const order = defineMachine({
  name: 'order',
  version: 1,
  states: {
    waiting: {
      // Neither trigger nor deadline: the command `pay` fires it.
      paid: {
        to: (data, receipt) => ({ state: 'shipping', data: { ...data, receipt } }),
      },
      expired: {
        afterMs: paymentMs,
        to: (data, _, { operation }) => ({
          state: 'expired',
          data,
          events: [{ type: 'expired', order: operation }],
        }),
      },
    },
    shipping: {
      delivered: {
        trigger: (call) => ask('ship', call),
        to: (data, answer, { operation }) =>
          answer.refused
            ? { state: 'refunding', data: { ...data, reason: answer.refused } }
            : {
                state: 'shipped',
                data: { ...data, shipped: answer.reference },
                events: [{ type: 'shipped', order: operation }],
              },
      },
      late: {
        afterMs: shippingMs,
        to: (data) => ({ state: 'refunding', data: { ...data, reason: 'not shipped in time' } }),
      },
    },
    refunding: {
      refunded: {
        trigger: (call) => ask('refund', call),
        to: (data, answer, { operation }) => ({
          state: 'refunded',
          data: { ...data, refund: answer.reference },
          events: [{ type: 'refunded', order: operation, amount: data.amount }],
        }),
      },
    },
    shipped: {},
    refunded: {},
    expired: {},
  },
});

const id = z.string().regex(/^[\w-]{1,64}$/, 'expected letters, digits, "-" and "_"');

export const orders = defineKind({
  name: 'orders',
  version: 1,
  init: () => ({ placed: 0, shipped: 0, expired: 0, refunded: 0, balance: 0 }),
  schema: z.discriminatedUnion('type', [
    z.strictObject({
      type: z.literal('place'),
      order: id,
      amount: z.int().positive(),
      to: z.string().min(1).max(200),
    }),
    z.strictObject({ type: z.literal('pay'), order: id, amount: z.int().positive() }),
  ]),
  /** The event and the machine's step are in the same record: never is there one without the other. */
  decide(_state, command) {
    const { type, order: operation, amount } = command;
    if (type === 'place') {
      const data = { amount, to: command.to };
      return {
        events: [{ type: 'placed', order: operation }],
        machines: [order.start(operation, 'waiting', data)],
      };
    }
    return {
      events: [{ type: 'paid', order: operation, amount }],
      machines: [order.signal(operation, 'paid', { amount })],
    };
  },
  apply(state, event) {
    if (event.type === 'paid') state.balance += event.amount;
    else state[event.type] += 1;
    if (event.type === 'refunded') state.balance -= event.amount;
  },
  queries: {
    totals: ({ placed, shipped, expired, refunded, balance }) => ({
      placed,
      shipped,
      expired,
      refunded,
      balance,
    }),
  },
  machines: [order],
});

export const kinds = [orders];
