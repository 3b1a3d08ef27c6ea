/** What the broker's replies mean. */
import { type MsgHdrs, headers as newHeaders } from 'nats';
import { type Position, position } from '../../replication/ids.js';
import type { AppendOutcome } from '../../replication/ports.js';
import type { Reply } from './requests.js';

/** Codes of JetStream's API errors that an append can meet. */
const wrongLast = 10071;
const conflictInFlight = 10164;
/** Limits of the stream, the account or the server; the message is not stored. */
const limitErrors: ReadonlySet<number> = new Set([
  10002, // resource limits of the account
  10023, // insufficient resources
  10028, // memory
  10047, // storage
  10054, // message too large for the stream
  10097, // headers too large
  10109, // stream is sealed
]);
/** "Store failed": only its descriptions that name a limit say that nothing was stored. */
const storeFailed = 10077;

export const noResponders = 503;

interface ApiError {
  readonly code: number;
  readonly err_code?: number;
  readonly description?: string;
}

/** Any answer of the JetStream API. */
export interface ApiAnswer {
  readonly error?: ApiError;
  readonly seq?: number;
}

export function appendOutcome(reply: Reply): AppendOutcome {
  if (reply.kind === 'not-sent') return { kind: 'not-stored' };
  if (reply.kind === 'denied') return { kind: 'refused', reason: reply.reason };
  if (reply.kind === 'lost') return { kind: 'unknown' };
  const { message } = reply;
  if (message.data.length === 0) {
    return { kind: message.headers?.code === noResponders ? 'not-stored' : 'unknown' };
  }
  const answer = parseAnswer(message.data);
  if (answer?.error) return errorOutcome(answer.error);
  if (!answer?.seq) return { kind: 'unknown' };
  return { kind: 'stored', position: position(answer.seq) };
}

function errorOutcome({ err_code: code = 0, description = '' }: ApiError): AppendOutcome {
  if (code === wrongLast) return { kind: 'wrong-last' };
  if (code === conflictInFlight) return { kind: 'busy' };
  const isLimit = limitErrors.has(code) || (code === storeFailed && /maximum/.test(description));
  return isLimit ? { kind: 'refused', reason: `${description} (${code})` } : { kind: 'unknown' };
}

/** The JSON of an API answer; nothing if it is not JSON. */
export function parseAnswer<Answer extends ApiAnswer>(data: Uint8Array): Answer | undefined {
  try {
    return JSON.parse(Buffer.from(data.buffer, data.byteOffset, data.length).toString()) as Answer;
  } catch {
    return undefined;
  }
}

/** In words, for a reply that is no answer: null if it is one. */
export function failureOf(reply: Reply): string | null {
  if (reply.kind !== 'message') return reply.reason;
  const { headers } = reply.message;
  if (headers?.code === noResponders) return 'nobody serves the stream (no responders)';
  return null;
}

/** An answer of the API that is no error, or what is wrong. */
export function answerOf<Answer extends ApiAnswer>(
  reply: Reply,
): Answer | { readonly failure: string } {
  const failure = failureOf(reply);
  if (failure !== null || reply.kind !== 'message') return { failure: failure ?? 'no answer' };
  const answer = parseAnswer<Answer>(reply.message.data);
  if (answer === undefined) return { failure: 'the broker answered with something else' };
  const { error } = answer;
  return error ? { failure: `${error.description} (${error.err_code})` } : answer;
}

/** Stores only if the subject's last message is at `expected`; 0: if there is none. */
export function expectedLast(expected: Position | 0): MsgHdrs {
  const headers = newHeaders();
  headers.set('Nats-Expected-Last-Subject-Sequence', String(expected));
  return headers;
}

/** Never a `Buffer`, whose `slice` shares memory where that of a `Uint8Array` copies. */
export function plain({ buffer, byteOffset, length }: Uint8Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, length);
}
