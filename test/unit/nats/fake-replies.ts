/** What the broker would send, made by hand. */
import { headers, type Msg } from 'nats';
import type { Reply } from '../../../src/nats/requests.js';

export function answered(body: unknown): Reply {
  const data = new TextEncoder().encode(JSON.stringify(body));
  return { kind: 'message', message: { data } as Msg };
}

export function status(
  code: number,
  description: string,
  fields: Readonly<Record<string, string | number>> = {},
): Reply {
  return message(new Uint8Array(0), fields, headers(code, description));
}

export function message(
  data: Uint8Array,
  fields: Readonly<Record<string, string | number>> = {},
  into = headers(),
): Reply {
  for (const [name, value] of Object.entries(fields)) into.set(name, String(value));
  return { kind: 'message', message: { data, headers: into } as Msg };
}

export const noResponders: Reply = status(503, 'No Responders');
export const lost: Reply = { kind: 'lost', reason: 'no answer within 1 ms' };
