/** Sessions for what clients deliver (P4): their own, from a header, or one lent by this node. */
import { randomUUID } from 'node:crypto';
import { UnderstudyError } from '../../replication/errors.js';

/** The part of a batch that makes it repeatable. */
export interface Numbers {
  readonly session: string;
  readonly floor: number;
  readonly first: number;
}

/** `Understudy-Session: <id>;<first>;<floor>`; its form was checked with the headers' schema. */
export function parseSession(header: string): Numbers {
  const [session = '', first, floor] = header.split(';');
  const numbers = { session, first: Number(first), floor: Number(floor) };
  if (numbers.floor <= numbers.first) return numbers;
  throw new UnderstudyError(
    'bad-request',
    `Understudy-Session: the floor ${floor} is above the first number ${first}; ` +
      'the floor is the lowest number without an answer',
  );
}

/** Batches of one node that may be on their way at once. */
const mostLent = 4096;

/**
 * Sessions of this node, each lent to one batch at a time. A group remembers each of them, so there
 * are only as many as there were batches at once, not one for each request. A batch that was given
 * up is below the floor of the next one and can never be decided late.
 */
export class SessionPool {
  readonly #idle: { readonly id: string; next: number }[] = [];
  #lent = 0;

  /** Throws `overloaded` if too many are lent. */
  async lend<Result>(count: number, use: (numbers: Numbers) => Promise<Result>): Promise<Result> {
    if (this.#lent >= mostLent) {
      throw new UnderstudyError(
        'overloaded',
        `${mostLent} deliveries of this node wait for answers, its limit; send fewer at once`,
      );
    }
    const session = this.#idle.pop() ?? { id: randomUUID(), next: 1 };
    const first = session.next;
    session.next += count;
    this.#lent += 1;
    try {
      return await use({ session: session.id, floor: first, first });
    } finally {
      this.#lent -= 1;
      this.#idle.push(session);
    }
  }
}
